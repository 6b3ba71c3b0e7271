"""The lock of a study folder: one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from finegrid.errors import input_error
from finegrid.study.folder import LOCK_FILE, StudyFolder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study for this process alone. The lock goes with the process, however it ends.

    Raises:
        InputError: another process has it.
    """
    lock = FileLock(StudyFolder(folder).lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        what = "another finegrid run is working in this folder. Wait for it, or stop it first."
        raise input_error(str(folder), LOCK_FILE, what) from None
    try:
        yield
    finally:
        lock.release()
