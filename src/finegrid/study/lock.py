"""The lock of a study folder: one process at a time."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from finegrid.errors import FORBIDDEN, InputError, input_error
from finegrid.study.folder import LOCK_FILE, StudyFolder
from finegrid.study.leftovers import remove_half_written
from finegrid.study.plain_files import check_written

LARGEST = 1000  # bytes of what is written about a holder
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """The process that holds a study, or held it last."""

    process: int
    host: str
    since: float  # seconds since 1970

    def describe(self) -> str:
        """``process 4711 on frodo, since 2026-11-27 23:30``, by the clock of who reads it."""
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"process {self.process} on {self.host}, since {since}"


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
        InputError: another process has it, something in it leads elsewhere, or it cannot be locked here.
        OSError: the disk is full or broken.
    """
    check_written(folder)
    lock = FileLock(StudyFolder(folder).lock)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # filelock warns, and then takes a lock that outlives a crash
            lock.acquire(timeout=0)
    except Timeout:
        holder = read_holder(folder)
        by = "" if holder is None else f" ({holder.describe()})"
        what = f"another finegrid run is working in this folder{by}. Wait for it, or stop it first."
        raise input_error(str(folder), LOCK_FILE, what) from None
    except (NotImplementedError, UserWarning) as error:
        raise no_locks(folder, str(error)) from None
    except OSError as error:
        raise explain(folder, error) from None
    try:
        note_holder(folder)
        remove_half_written(StudyFolder(folder))
        yield
    finally:
        lock.release()


def explain(folder: Path, error: OSError) -> InputError | OSError:
    """Why a folder cannot be locked, and what to do; the error itself where that says it all."""
    if error.errno in WITHOUT_LOCKS:
        return no_locks(folder, error.strerror or str(error))
    if error.errno in FORBIDDEN:
        what = (
            f"cannot be written{name_owner(folder)}: {error.strerror}. `finegrid status`, `verdict` and "
            "`report --out` only read. To train, copy the folder, or have its owner let you write."
        )
        return input_error(str(folder), LOCK_FILE, what)
    return error


def no_locks(folder: Path, why: str) -> InputError:
    what = (
        f"this file system has no locks ({why.rstrip('.')}): two runs could work in the folder at once. "
        "Copy the study to a local disk; its results can be copied back."
    )
    return input_error(str(folder), LOCK_FILE, what)


def name_owner(folder: Path) -> str:
    """Whose a folder is, where it is another user's; else nothing."""
    with suppress(OSError, ValueError, KeyError, NotImplementedError):
        if folder.stat().st_uid != os.geteuid():
            return f" by you, since it belongs to {folder.owner()}"
    return ""


def note_holder(folder: Path) -> None:
    """Write down who holds a study, for who is refused. Nothing depends on it: what fails is left out."""
    content = json.dumps(asdict(Holder(os.getpid(), platform.node(), time.time()))).encode()
    with suppress(OSError):
        place = os.open(StudyFolder(folder).lock, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            about = os.fstat(place)
            if stat.S_ISREG(about.st_mode) and about.st_nlink == 1:  # else it has another name elsewhere
                os.ftruncate(place, 0)
                os.write(place, content)
        finally:
            os.close(place)


def read_holder(folder: Path) -> Holder | None:
    """Who holds a study, or held it last; None where nobody has written it down."""
    try:
        with StudyFolder(folder).lock.open("rb") as file:
            content = json.loads(file.read(LARGEST))
        return Holder(int(content["process"]), str(content["host"]), float(content["since"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
