"""The lock of a study folder: one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from finegrid.atomic import remove_drafts
from finegrid.errors import input_error
from finegrid.study.folder import LOCK_FILE, StudyFolder
from finegrid.study.plain_files import check_written


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study for this process alone. The lock goes with the process, however it ends.

    What a killed process was writing is removed.

    Raises:
        InputError: another process has it, or something in it leads elsewhere.
    """
    check_written(folder)
    lock = FileLock(StudyFolder(folder).lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        what = "another finegrid run is working in this folder. Wait for it, or stop it first."
        raise input_error(str(folder), LOCK_FILE, what) from None
    try:
        for inside in StudyFolder(folder).written_folders:
            remove_drafts(inside)
        yield
    finally:
        lock.release()
