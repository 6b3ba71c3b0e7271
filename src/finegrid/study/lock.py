"""The lock of a study folder: one process at a time, on one machine or on many.

Two locks, of which each covers what the other one cannot. The system's own goes with its process at once, but
on some network disks nobody else sees it. The lease holds wherever files can be made, and outlives a crash.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from finegrid.errors import FORBIDDEN, InputError, input_error
from finegrid.spelling import Telling, format_duration
from finegrid.study import lease
from finegrid.study.folder import LEASE_FILE, LOCK_FILE, StudyFolder
from finegrid.study.lease import HeldError, Lease, Seen
from finegrid.study.lease import Holder as Holder  # for who is told
from finegrid.study.leftovers import remove_half_written
from finegrid.study.lock_words import tell_watching
from finegrid.study.plain_files import check_written

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
HELD: dict[Path, Lease] = {}  # of this process, by folder


def check_there(files: StudyFolder) -> None:
    """Refuse to write where a study has gone while it was at work, or is another process' by now.

    Raises:
        OSError: it is gone: nothing is made in its place.
        InputError: this process held it, and does no more.
    """
    if not files.settings.exists():
        what = "the study has gone from there while it was at work: was it deleted, moved or renamed?"
        raise FileNotFoundError(errno.ENOENT, what, str(files.path))
    held = HELD.get(files.path.absolute())
    if held is not None and not held.is_ours():
        raise lost(files)


def check_held(files: StudyFolder) -> None:
    """Refuse to go on where another process has a study by now, as far as has been noticed. Costs nothing.

    Raises:
        InputError: this process held it, and does no more.
    """
    held = HELD.get(files.path.absolute())
    if held is not None and held.lost:
        raise lost(files)


def lost(files: StudyFolder) -> InputError:
    """That another process has taken the study over, or somebody has removed the lease."""
    holder = read_holder(files.path)
    by = "is gone: somebody has removed it" if holder is None else f"is now that of {holder.describe()}"
    what = (
        f"it {by}. This run had given no sign of life for long, as when a machine sleeps or loses its disk. "
        "It stops here and writes nothing more; all that it had recorded stays. Once no other run is at work "
        "in the folder, the same command goes on."
    )
    return input_error(str(files.path), LEASE_FILE, what)


@contextmanager
def locked(folder: Path, tell: Callable[[Telling], None] = lambda telling: None) -> Iterator[None]:
    """Hold the study for this process alone. However the process ends, the next one gets it.

    What a killed process was writing is removed.

    Args:
        folder: of the study.
        tell: called where somebody else's lock seems to be left over, before it is looked at for a while.

    Raises:
        InputError: another process has it, something in it leads elsewhere, or it cannot be locked here.
        OSError: the disk is full or broken.
    """
    check_written(folder)
    with natively_locked(folder), leased(folder, tell):
        remove_half_written(StudyFolder(folder))
        yield


@contextmanager
def natively_locked(folder: Path) -> Iterator[None]:
    """Hold the system's own lock; nothing where this file system has none.

    Raises:
        InputError: another process has it, or it is not for us to write.
        OSError: the disk is full or broken.
    """
    lock = FileLock(StudyFolder(folder).lock)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # filelock warns, and then takes a lock that outlives a crash
            lock.acquire(timeout=0)
    except Timeout:
        raise held_by(folder, look_or_none(folder)) from None
    except (NotImplementedError, UserWarning):
        pass
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise explain(folder, LOCK_FILE, error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def leased(folder: Path, tell: Callable[[Telling], None]) -> Iterator[None]:
    """Hold the lease of a study, and keep it renewed.

    Raises:
        InputError: another process has it, or may have it; or it is not for us to write.
        OSError: the disk is full or broken.
    """
    key = folder.absolute()
    try:
        held = lease.take(StudyFolder(folder).lease, lambda *seen: tell(tell_watching(*seen)))
    except HeldError as error:
        raise held_by(folder, error.seen, error.silent, error.surely) from None
    except OSError as error:
        raise explain(folder, LEASE_FILE, error) from None
    HELD[key] = held
    try:
        yield
    finally:
        del HELD[key]
        held.release()


def held_by(folder: Path, seen: Seen | None, silent: float | None = None, surely: bool = True) -> InputError:
    """That somebody else holds a study: who, and when they last gave a sign of life.

    Args:
        folder: of the study.
        seen: its lease, where there is one.
        silent: seconds since that was renewed; None: to be measured.
        surely: whether its holder is known to be there.
    """
    by = ""
    if seen is not None and seen.claim is not None:
        by = f" ({seen.claim.holder.describe()}{tell_silence(folder, seen, silent)})"
    what = f"another finegrid run is working in this folder{by}. Wait for it, or stop it first."
    if not surely:
        longer = format_duration(lease.PACE.silence)
        what += (
            " If its machine has failed, give the same command again once it has given no sign of life for "
            f"{longer}: that then takes over."
        )
    return input_error(str(folder), LOCK_FILE, what)


def tell_silence(folder: Path, seen: Seen, silent: float | None) -> str:
    """``; last sign of life 4 s ago``; nothing where that cannot be told."""
    try:
        silent = lease.measure_silence(StudyFolder(folder).lease, seen) if silent is None else silent
    except OSError:
        return ""
    return f"; last sign of life {format_duration(max(0.0, round(silent)))} ago"


def explain(folder: Path, name: str, error: OSError) -> InputError | OSError:
    """Why a folder cannot be locked, and what to do; the error itself where that says it all."""
    if error.errno in FORBIDDEN:
        what = (
            f"cannot be written{name_owner(folder)}: {error.strerror}. `finegrid status`, `verdict` and "
            "`report --out` only read. To train, copy the folder, or have its owner let you write."
        )
        return input_error(str(folder), name, what)
    return error


def name_owner(folder: Path) -> str:
    """Whose a folder is, where it is another user's; else nothing."""
    with suppress(OSError, ValueError, KeyError, NotImplementedError):
        if folder.stat().st_uid != os.geteuid():
            return f" by you, since it belongs to {folder.owner()}"
    return ""


def read_holder(folder: Path) -> Holder | None:
    """Who holds a study, or held it when it was killed; None where nobody has written it down."""
    seen = look_or_none(folder)
    return None if seen is None or seen.claim is None else seen.claim.holder


def look_or_none(folder: Path) -> Seen | None:
    """The lease of a study as it is now; None where there is none to be read."""
    with suppress(OSError):
        return lease.look(StudyFolder(folder).lease)
    return None
