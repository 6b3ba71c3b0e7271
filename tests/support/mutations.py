"""Changes files of a study as hands, crashes and strangers may, and reads the study with all that reads it.

`attack` is the loop: ``attack(folder, file, draw, count)`` gives every change after which reading ended in
another error than `InputError`.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finegrid.errors import InputError
from finegrid.export.content import load_content
from finegrid.export.tables import (
    make_epochs_table,
    make_free_table,
    make_predictions_tables,
    make_runs_table,
)
from finegrid.planning.status import study_status
from finegrid.planning.status_words import at_work_lines, plan_lines, status_lines
from finegrid.report.facts.facts import report_facts
from finegrid.report.page.page import render_page
from finegrid.results.imported_table import render_imported
from finegrid.results.load import any_results
from finegrid.results.table import make_table, render_results, summary_lines
from finegrid.running.progress.heartbeat import read_heartbeat
from finegrid.study.audit_file import load_audit
from finegrid.study.imported import load_imported
from finegrid.study.load import read_study
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.to_json import as_json
from finegrid.verdict.words import verdict_lines

NAN, INFINITY = float("nan"), float("inf")
DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "0", "macro-f1", 0, 1, 2, -1, 2**31, 2**70, -(2**70), 10**400),
    *(0.5, -0.5, 1e308, -1e308, 1e-320, NAN, INFINITY, [], {}, [1], [[]], {"x": 1}, {"x": {"y": None}}, DEEP),
)
Draw = random.Random


def read_everything(folder: Path) -> None:
    """Everything that reads a study, one after the other; whoever ends in an `InputError` has told it.

    Raises:
        Exception: the first other error.
    """
    for read in READERS:
        with suppress(InputError):
            read(folder)


def read_status(folder: Path) -> None:
    study = read_study(folder)
    status, progress = study_status(study, study.head.run), read_heartbeat(folder)
    status_lines(status), plan_lines(status), at_work_lines(progress)
    to_json({**status.as_json(), "at_work": progress})


def read_table(folder: Path) -> None:
    if (imported := load_imported(folder)) is not None:
        render_imported(imported, "markdown", "en")
        return
    found = make_table(read_study(folder), load_audit(folder))
    for style in ("markdown", "json"):
        render_results(found, style, "en")
    summary_lines(found)


def read_verdict(folder: Path) -> None:
    judged = with_interim_decisions(any_results(folder))
    facts = as_json(judged)
    to_json(facts)
    list(verdict_lines(judged, facts, "en", 100))


def read_report(folder: Path) -> None:
    to_json(report_facts(folder))


def read_page(folder: Path) -> None:
    """Takes longer than all others together."""
    render_page(report_facts(folder), live=True)


def read_export(folder: Path) -> None:
    content = load_content(folder)
    to_json(dict(content.about))
    make_runs_table(content), make_epochs_table(content), make_free_table(content)
    list(make_predictions_tables(content))


def to_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=str)


READERS: tuple[Callable[[Path], None], ...] = (
    read_status,
    read_table,
    read_verdict,
    read_report,
    read_export,
)


@dataclass(frozen=True)
class Found:
    """A change after which reading failed."""

    file: str
    change: str
    error: str  # the traceback


def attack(
    folder: Path,
    file: str,
    draw: Draw,
    count: int,
    read: Callable[[Path], None] = read_everything,
) -> Iterator[Found]:
    """Change a file of a study ``count`` times, each time from what it was, and read the study.

    Args:
        folder: of a study; in the end it is as it was.
        file: of the study, such as ``runs.jsonl``.
        draw: draws the changes.
        count: of changes.
        read: what reads the study.
    """
    path = folder / file
    before = path.read_bytes()
    try:
        for _ in range(count):
            content, change = mutate(before, path.suffix, draw)
            path.write_bytes(content)
            try:
                read(folder)
            except Exception:
                yield Found(file, change, traceback.format_exc())
    finally:
        path.write_bytes(before)


def mutate(content: bytes, kind: str, draw: Draw) -> tuple[bytes, str]:
    """Changed bytes of a file, and what was changed. ``kind``: its suffix."""
    if draw.random() < 0.15:
        return mutate_bytes(content, draw)
    if kind == ".jsonl":
        lines = content.splitlines()
        number = draw.randrange(len(lines))
        changed, what = mutate_json(lines[number], draw)
        after = changed if draw.random() < 0.9 else lines[number] + b"\n" + changed  # or as one more line
        return b"\n".join([*lines[:number], after, *lines[number + 1 :], b""]), f"line {number + 1}: {what}"
    if kind == ".json":
        return mutate_json(content, draw)
    if kind == ".npz":
        return mutate_arrays(content, draw)
    return mutate_rows(content, draw)


def mutate_bytes(content: bytes, draw: Draw) -> tuple[bytes, str]:
    """Cut it, turn some bytes, or put others in."""
    at = draw.randrange(len(content) + 1)
    match draw.randrange(4):
        case 0:
            return content[:at], f"cut at {at}"
        case 1:
            junk = draw.randbytes(draw.randrange(1, 9))
            return content[:at] + junk + content[at:], f"{junk!r} put in at {at}"
        case 2:
            changed = bytearray(content)
            for _ in range(draw.randrange(1, 4)):
                changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            return bytes(changed), "bits turned"
    return b"", "emptied"


def mutate_json(content: bytes, draw: Draw) -> tuple[bytes, str]:
    """Change one value of a JSON text, take it out, or double it."""
    value = json.loads(content)
    places = [*find_places(value)]
    holder, key, where = draw.choice(places)
    match draw.randrange(8):
        case 0:
            del holder[key]
            what = f"{where} taken out"
        case 1 if isinstance(holder, list):
            holder.append(holder[key])
            what = f"{where} doubled"
        case 1:
            holder["of the future"] = holder.pop(key)
            what = f"{where} called otherwise"
        case 2:
            other, at, there = draw.choice(places)
            holder[key] = json.loads(json.dumps(other[at])) if where != there else None
            what = f"{where} = that of {there}"
        case _:
            new = draw.choice(VALUES)
            holder[key] = new
            what = f"{where} = {str(new)[:40]!r}"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), what


def find_places(value: Any, where: str = "") -> Iterator[tuple[Any, Any, str]]:
    """All values inside a value: what holds it, its key, and where that is."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key, f"{where}.{key}"
        yield from find_places(value[key], f"{where}.{key}")


def mutate_rows(content: bytes, draw: Draw) -> tuple[bytes, str]:
    """Change one cell of a table, or double or drop a line."""
    lines = content.decode().splitlines()
    at = draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case _:
            cells = lines[at].split("\t")
            cells[draw.randrange(len(cells))] = str(draw.choice(VALUES))[:50]
            lines[at] = "\t".join(cells)
    return ("\n".join(lines) + "\n").encode(), f"line {at + 1}"


def mutate_arrays(content: bytes, draw: Draw) -> tuple[bytes, str]:
    """Change one array of an ``.npz``: other values, shapes, kinds of numbers; a pickle, a bomb, a lie."""
    with np.load(io.BytesIO(content)) as file:
        arrays: dict[str, Any] = dict(file)
    name = draw.choice(sorted(arrays))
    array = arrays[name]
    changes: dict[str, Callable[[], Any]] = {
        "taken out": lambda: None,
        "shorter": lambda: array[:-1],
        "empty": lambda: array[:0],
        "of more dimensions": lambda: array[..., None],
        "turned": lambda: np.asfortranarray(array.T),
        "one number": lambda: array.reshape(-1)[0],
        "float64": lambda: array.astype(np.float64),
        "int8": lambda: array.astype(np.int8),
        "text": lambda: array.astype(str),
        "objects": lambda: array.astype(object),
        "a pickle": lambda: np.array([Boom()], dtype=object),
        "negative": lambda: (-1 - array.astype(np.int64)).astype(array.dtype),
        "huge": lambda: np.full_like(array, np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 3e38),
        "not numbers": lambda: np.full_like(array, np.nan) if array.dtype.kind == "f" else array[::-1],
        "mixed": lambda: draw_order(array, draw),
    }
    what = draw.choice([*changes, "a bomb", "a lie"])
    if what == "a bomb":
        return with_bomb(arrays, name), f"{name}: a bomb"
    if what == "a lie":
        shape = str(array.shape).encode()
        more = shape.replace(b"(", b"(9")[: len(shape)]
        return content.replace(shape, more), f"{name}: a lie"
    changed = changes[what]()
    arrays = {other: each for other, each in arrays.items() if other != name or changed is not None}
    out = io.BytesIO()
    save: Any = np.savez_compressed if draw.random() < 0.1 else np.savez
    save(out, allow_pickle=True, **(arrays if changed is None else arrays | {name: changed}))
    return out.getvalue(), f"{name}: {what}"


def draw_order(array: Any, draw: Draw) -> Any:
    return array[draw.sample(range(len(array)), len(array))]


class Boom:
    """What must never be unpickled."""

    def __reduce__(self) -> Any:
        return (pickle.loads, (b"it was unpickled",))


def with_bomb(arrays: dict[str, Any], name: str, size: int = 2**28) -> bytes:
    """A file one array of which is small until it is unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for other, array in arrays.items():
            with file.open(f"{other}.npy", "w") as member:
                if other != name:
                    np.lib.format.write_array(member, array)
                    continue
                about = {"descr": "<f4", "fortran_order": False, "shape": (size // 4,)}
                np.lib.format.write_array_header_1_0(member, about)
                for _ in range(size // 2**20):
                    member.write(bytes(2**20))
    return out.getvalue()


def copied(study: Path, to: Path) -> Path:
    """A copy of a study that may be changed."""
    return Path(shutil.copytree(study, to))
