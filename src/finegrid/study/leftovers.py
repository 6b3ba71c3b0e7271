"""What processes that were killed have left in a study's folder: saved states, and half written files."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from finegrid.atomic import is_abandoned
from finegrid.study.folder import StudyFolder
from finegrid.unfit import SUFFIX

# Drafts of ours, and those that safetensors makes beside them.
DRAFT = re.compile(r".+\.tmp|\.tmp\w{6}")
OLD_SECONDS = 3600.0


@dataclass(frozen=True)
class SavedFile:
    """A state that a family, or a `finegrid fit`, goes on from."""

    path: Path
    size: int  # bytes
    runs: tuple[str, ...]  # run ids; none of one that cannot be read


@dataclass(frozen=True)
class Leftovers:
    """What lies in a study's folder that no finished work needs."""

    states: tuple[SavedFile, ...] = ()
    unfit: tuple[Path, ...] = ()  # states that were set aside
    drafts: tuple[Path, ...] = ()

    @property
    def runs(self) -> set[str]:
        return {run_id for state in self.states for run_id in state.runs}

    @property
    def state_bytes(self) -> int:
        return sum(state.size for state in self.states)

    def as_json(self) -> dict[str, int]:
        """In runs, files and bytes."""
        others = (*self.unfit, *self.drafts)
        of_states = {"states": len(self.states), "runs": len(self.runs), "bytes": self.state_bytes}
        return {**of_states, "other_files": len(others), "other_bytes": sum(map(size_of, others))}


def find_leftovers(files: StudyFolder) -> Leftovers:
    """What lies there. While a process is at work in the folder, it is that one's."""
    states = list_files(files.states)
    saved = [path for path in states if path.suffix == ".safetensors" and not is_draft(path)]
    unfit = [path for path in states if path.suffix == SUFFIX]
    return Leftovers(tuple(map(read_saved_file, saved)), tuple(unfit), tuple(find_drafts(files)))


def find_drafts(files: StudyFolder) -> Iterator[Path]:
    """Files that a process was writing when it was killed. While one is at work, they may be its own."""
    for folder in (files.states, files.predictions, files.cache):
        yield from (path for path in list_files(folder) if is_draft(path))
    for folder in files.confirmations:  # where users may keep files, too
        yield from (path for path in list_files(folder) if is_abandoned(path.name))
    yield from (path for path in list_files(files.path) if is_old_draft_of(path, files))


def remove_half_written(files: StudyFolder) -> None:
    """Remove what `find_drafts` finds, as far as the system lets. For who has just taken the study's lock."""
    for path in find_drafts(files):
        with suppress(OSError):
            path.unlink()


def remove_ended_states(files: StudyFolder, finished: Collection[str]) -> None:
    """Remove saved states all of whose runs have ended. For who holds the study's lock.

    Args:
        files: of the study.
        finished: ids of runs that need no training.
    """
    for state in find_leftovers(files).states:
        if state.runs and {*state.runs} <= {*finished}:
            state.path.unlink(missing_ok=True)


def list_files(folder: Path) -> list[Path]:
    """The regular files of a folder, in their order: no links, and nothing of a folder that is one."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    try:
        return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    except OSError:  # not for us to read
        return []


def is_draft(path: Path) -> bool:
    return DRAFT.fullmatch(path.name) is not None


def is_old_draft_of(path: Path, files: StudyFolder) -> bool:
    """Whether a file is a draft of one of the study's own, and nobody can be writing it any more.

    `finegrid report` and others write without the study's lock, and users may keep files there.
    """
    name = path.name.removeprefix(".")
    ours = name.endswith(".tmp") and any(name.startswith(f"{file.name}.") for file in files.replaceable)
    return ours and time.time() - modified(path) > OLD_SECONDS


def modified(path: Path) -> float:
    """When a file was last changed, seconds since 1970; never, if it has just gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


def size_of(path: Path) -> int:
    """Bytes; 0 of a file that is not there, or has just gone."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def read_saved_file(path: Path) -> SavedFile:
    """Which runs a state holds; none if it cannot be read."""
    try:
        with safe_open(path, "np") as file:
            runs = tuple(json.loads((file.metadata() or {})["runs"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        runs = ()
    return SavedFile(path, size_of(path), runs)
