"""What the machine refuses, such as room on a disk or memory: no run is to blame, and the study can go on."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finegrid.atomic import is_draft, replacing
from finegrid.errors import first_line

MIB = 2**20
FULL = (errno.ENOSPC, errno.EDQUOT)
# How libraries in Rust, such as safetensors, spell what the system said.
OF_RUST = re.compile(r"([^:]+) \(os error (\d+)\)")
NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate|ALLOC_FAILED"
    r"|failed to map segment|could not create a (primitive|memory)",  # of a library, or of oneDNN
    re.IGNORECASE,
)
AMOUNT = re.compile(r"allocate ([\d.]+ \w+)")
OTHERS = "fewer --workers, less --memory or a smaller run.family_size need less"
LESS_MEMORY = f"run.recompute = true, a smaller training.micro_batch, {OTHERS}"


@dataclass(frozen=True)
class MemoryNeeds:
    """What a run has in memory while it trains, and might do without."""

    texts: int  # of a batch, at once
    recompute: bool  # whether layers are computed twice, and not kept

    def less(self) -> str:
        """What needs less memory."""
        again = "" if self.recompute else "run.recompute = true (the results stay the same), "
        half = -(-self.texts // 2)
        fewer = f"training.micro_batch = {half} (now {self.texts} texts at once), " if self.texts > 1 else ""
        return again + fewer + OTHERS


def find_refusal(error: BaseException) -> OSError | None:
    """What the system has refused, if that is what an error is about; None of any other, and of memory."""
    if lacks_memory(error):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if told := OF_RUST.search(str(error)):
        return OSError(int(told[2]), told[1].strip())
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return OSError(errno.EAGAIN, "the system starts no more threads (ulimit -u)")
    return error if isinstance(error, OSError) else None


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory, of the machine or of a GPU."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError) and bool(NO_MEMORY.search(str(error)))
    )


def describe_failure(error: BaseException, needs: MemoryNeeds | None = None) -> str:
    """Why a run failed, in one line: too little memory with the settings that help, else the error.

    Args:
        error: that it failed with.
        needs: what the run has in memory, if that is known.
    """
    if not lacks_memory(error):
        return f"{type(error).__name__}: {first_line(error)}"
    amount = AMOUNT.search(str(error))
    tried = f" (tried to allocate {amount[1]})" if amount else ""
    return f"out of memory{tried}: {LESS_MEMORY if needs is None else needs.less()}"


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """Around what writes a file: a refusal then names it and, on a full disk, how much is missing.

    Args:
        path: of the file.
        size: bytes that it takes; 0: not known.

    Raises:
        OSError: the system refused, in the words of whichever library.
    """
    try:
        yield
    except Exception as error:
        if (refused := find_refusal(error)) is None:
            raise
        if refused.filename is not None and not is_draft(Path(os.fsdecode(refused.filename)).name):
            raise  # of another file, which it names
        said = refused.strerror or str(refused)
        if refused.errno in FULL:
            said += describe_missing(path, size)
        raise OSError(refused.errno, said, str(path)) from error


@contextmanager
def saving(path: Path, size: int = 0, crowded: bool = False) -> Iterator[Path]:
    """`atomic.replacing`, with `writing` around it."""
    with writing(path, size), replacing(path, crowded) as draft:
        yield draft


def describe_missing(path: Path, size: int) -> str:
    """``: it takes 12.0 MiB and 4.0 MiB are free, so 8.0 MiB are missing``; of a quota only what it takes."""
    if not size:
        return ""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:  # the folder is gone, too
        free = size
    takes = f": it takes {format_mib(size)}"
    if free >= size:
        return takes
    return f"{takes} and {format_mib(free)} are free, so {format_mib(size - free)} are missing"


def format_mib(size: int) -> str:
    """``12.4 MiB``, never less than it is."""
    return f"{-(-size * 10 // MIB) / 10:.1f} MiB"


def check_writable(*paths: Path) -> None:
    """Refuse to begin what could not be written down at its end. What is not there yet is not looked at.

    Raises:
        OSError: one of the files or folders cannot be written.
    """
    for path in paths:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
