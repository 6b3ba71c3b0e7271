"""What the command line names as systems: ``NAME=FILE``, or a file alone, which then gives the name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrid.data.findings import quote
from finegrid.errors import InputError, Problem
from finegrid.spelling import count_noun

PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class SystemFiles:
    """A system and the files of its runs, in the order given."""

    name: str
    files: tuple[Path, ...]


def parse_systems(arguments: Sequence[str], paired_seeds: bool = False) -> tuple[SystemFiles, ...]:
    """Group files by system; the first system is the baseline.

    Args:
        arguments: ``NAME=FILE`` or ``FILE``; a name may come again, and FILE may be a pattern (``*``). An
            existing file is taken as one, whatever its name holds.
        paired_seeds: whether the n-th files of all systems are one seed.

    Raises:
        InputError: with all problems: one system only, a file that is named twice, a pattern that fits
            nothing, numbers of files that do not go together.
    """
    problems: list[Problem] = []
    named = [split_name(argument) for argument in arguments]
    bare = names_of_bare([path for name, path in named if name is None])
    files: dict[str, list[Path]] = {}
    for name, path in named:
        found = files.setdefault(bare[path] if name is None else name, [])
        if name == "":
            problems.append(Problem(quote(f"={path}"), "a system without a name. Expected NAME=FILE."))
        found += expand(path, problems)
    return check_systems(files, paired_seeds, problems)


def check_systems(
    files: Mapping[str, Sequence[Path]], paired_seeds: bool, found: Sequence[Problem] = ()
) -> tuple[SystemFiles, ...]:
    """The systems and their files, if they can be compared.

    Args:
        files: by system; the first is the baseline.
        paired_seeds: as of `parse_systems`.
        found: what is wrong already.

    Raises:
        InputError: with all problems, as `parse_systems`.
    """
    problems = [*found]
    every = [path for paths in files.values() for path in paths]
    problems += [Problem(quote(str(path)), NO_NAME) for path in every if "\0" in str(path)]
    listed = Counter(path.resolve() for path in every if "\0" not in str(path))
    for path, count in listed.items():
        if count > 1:
            what = "is named more than once. Name every file once: a copy of a run is no second run."
            problems.append(Problem(quote(path.name), what))
    if len(files) < 2:
        what = f"found {count_noun(len(files), 'system')}, expected two or more: A=a.csv B=b.csv."
        problems.append(Problem("SYSTEM", what))
    if paired_seeds and not problems:
        problems += check_seeds(files)
    if problems:
        raise InputError("command line", problems)
    return tuple(SystemFiles(name, tuple(paths)) for name, paths in files.items())


NO_NAME = "has a NUL character in it, which no file's name has. Correct the name."


def split_name(argument: str) -> tuple[str | None, Path]:
    """Name and file; None for a file alone."""
    name, equals, path = argument.partition("=")
    if not equals or Path(argument).exists():
        return None, Path(argument)
    return name.strip(), Path(path)


def names_of_bare(paths: Sequence[Path]) -> dict[Path, str]:
    """The stem of each; where two have the same, with the folders in front."""
    stems = Counter(path.stem for path in dict.fromkeys(paths))
    return {path: path.stem if stems[path.stem] == 1 else str(path.with_suffix("")) for path in paths}


def expand(path: Path, problems: list[Problem]) -> list[Path]:
    """The files that a pattern fits, in the order of their names."""
    if path.exists() or not PATTERN & set(path.name):
        return [path]
    found = sorted(path.parent.glob(path.name)) if path.parent.is_dir() else []
    if not found:
        problems.append(Problem(quote(str(path)), f"fits no file in {path.parent}. Check the pattern."))
    return found


def check_seeds(files: Mapping[str, Sequence[Path]]) -> list[Problem]:
    counts = {name: len(paths) for name, paths in files.items()}
    told = ", ".join(f"{name} has {count_noun(count, 'file')}" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        what = f"{told}. Seeds are paired by their place: expected as many of each. Or leave the option out."
        return [Problem("--paired-seeds", what)]
    if set(counts.values()) == {1}:
        what = f"{told}. Seeds to pair need two or more of each. Leave the option out."
        return [Problem("--paired-seeds", what)]
    return []
