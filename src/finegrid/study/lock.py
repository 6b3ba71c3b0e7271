"""The lock of a study folder: one process at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from finegrid.atomic import remove_drafts
from finegrid.errors import input_error
from finegrid.study.folder import LOCK_FILE, StudyFolder
from finegrid.study.plain_files import check_written


def check_there(files: StudyFolder) -> None:
    """Refuse to go on where a study has gone while it was at work: nothing is made in its place.

    Raises:
        OSError: it is gone.
    """
    if not files.settings.exists():
        what = "the study has gone from there while it was at work: was it deleted, moved or renamed?"
        raise FileNotFoundError(errno.ENOENT, what, str(files.path))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study for this process alone. The lock goes with the process, however it ends.

    What a killed process was writing is removed.

    Raises:
        InputError: another process has it, something in it leads elsewhere, or the file system has no locks.
    """
    check_written(folder)
    lock = FileLock(StudyFolder(folder).lock)
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:
        what = "this file system has no locks, so two runs could work in the folder at once. Move the study."
        raise input_error(str(folder), LOCK_FILE, what) from None
    except Timeout:
        what = "another finegrid run is working in this folder. Wait for it, or stop it first."
        raise input_error(str(folder), LOCK_FILE, what) from None
    try:
        for inside in StudyFolder(folder).written_folders:
            remove_drafts(inside)
        yield
    finally:
        lock.release()
