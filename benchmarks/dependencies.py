"""What each dependency weighs when it is installed, and what it costs to import.

    python benchmarks/dependencies.py [--repeats 5] [--only-extras]

Reads pyproject.toml, and measures what is installed beside the Python that runs it. *Own* is the
package, *alone* is it with all that no other dependency brings: what an installation would save
without it. An extra *adds* what an installation without extras has not. Seconds are the processor's
for an import in a process of its own, less Python's own start; median of several.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from finegrid.extras import TO_TRAIN
from finegrid.machine import processor

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
# What is imported of a package where that is not the package's name, or not all that finegrid imports of it.
IMPORTS = {
    "accelerate": "accelerate",
    "jinja2": "jinja2",
    "mlflow-skinny": "mlflow",
    "protobuf": "google.protobuf",
    "pyarrow": "pyarrow.parquet",
    "scipy": "scipy.special, scipy.optimize, scipy.sparse, scipy.linalg",
    "tensorboard": "tensorboard.compat.proto.event_pb2",
    "transformers": "transformers.modeling_utils",
    "vl-convert-python": "vl_convert",
}
MIB = 2**20


def find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def required(found: Distribution, extras: Collection[str] = ()) -> Iterator[Requirement]:
    """What a package needs here."""
    for line in found.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def closure(requirements: Collection[Requirement]) -> set[str]:
    """All packages that these need, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [*requirements]
    while waiting:
        requirement = waiting.pop()
        one = canonicalize_name(requirement.name), frozenset(requirement.extras)
        found = find(one[0])
        if found is not None and one not in seen:
            seen.add(one)
            waiting += required(found, requirement.extras)
    return {name for name, _ in seen}


@cache
def weigh(name: str) -> float:
    """MiB of a package's files, compiled modules included."""
    found = find(name)
    paths = [Path(str(found.locate_file(file))) for file in (found.files or ())] if found else []
    return sum(path.stat().st_size for path in paths if path.is_file()) / MIB


def weigh_all(names: Collection[str]) -> float:
    return sum(map(weigh, names))


def time_import(code: str) -> float:
    """Seconds of processors."""
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", code], dict(os.environ))
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{code}: exit code {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def read_requirements() -> dict[str, list[Requirement]]:
    """Those of the base, by the name ``""``, and of each extra that users may want."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [
            one
            for one in map(Requirement, lines)
            if one.name != "finegrid" and (one.marker is None or one.marker.evaluate())
        ]
        for extra, lines in lists.items()
        if extra not in ("dev", "all")
    }


def read_all() -> Collection[str]:
    """The extras that the extra ``all`` stands for."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return {extra for line in project["optional-dependencies"]["all"] for extra in Requirement(line).extras}


def print_extras(lists: Mapping[str, list[Requirement]]) -> None:
    """What every extra adds to an installation without any, and all of them together."""
    base = closure(lists[""])
    everything = {"all": [one for extra in read_all() for one in lists[extra]]}
    extras = {extra: wanted for extra, wanted in lists.items() if extra}
    print("| extra | adds packages | adds, MiB |\n| --- | ---: | ---: |")
    for extra, wanted in {**extras, **everything}.items():
        if missing := [one.name for one in wanted if find(canonicalize_name(one.name)) is None]:
            print(f"| {extra} | not installed: {', '.join(missing)} | |")
            continue
        added = closure(wanted) - base
        print(f"| {extra} | {len(added)} | {weigh_all(added):,.0f} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only-extras", action="store_true", help="print what extras add, and time nothing")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    lists = read_requirements()
    base = closure(lists[""])
    reading = closure([one for one in lists[""] if one.name not in TO_TRAIN])
    print(f"The base: {len(base)} packages, {weigh_all(base):,.0f} MiB. {processor()}")
    without = " and ".join(TO_TRAIN)
    print(f"Without {without}, only to read: {len(reading)}, {weigh_all(reading):,.0f} MiB.\n")
    print_extras(lists)
    if arguments.only_extras:
        return
    print("| package | extra | own, MiB | alone, MiB | import, s |\n| --- | --- | ---: | ---: | ---: |")
    nothing = median(time_import("pass") for _ in range(repeats))
    for extra, wanted in lists.items():
        for one in sorted(wanted, key=lambda one: -weigh(canonicalize_name(one.name))):
            name = canonicalize_name(one.name)
            if find(name) is None:
                print(f"| {name} | {extra} | not installed | | |")
                continue
            others = closure({*lists[""], *wanted} - {one})
            alone = weigh_all(closure([one]) - others)
            code = f"import {IMPORTS.get(name, name.replace('-', '_'))}"
            seconds = median(time_import(code) for _ in range(repeats)) - nothing
            print(f"| {name} | {extra} | {weigh(name):.1f} | {alone:.1f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
