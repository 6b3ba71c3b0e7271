"""Where a node keeps what it was sent: a temporary folder, shared by its workers, gone with the last one."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HELD = ".held"


@dataclass
class Scratch:
    """A folder that this process holds together with others.

    Attributes:
        path: Of the folder.
    """

    path: Path
    _descriptor: int

    @classmethod
    def of(cls, name: str) -> Scratch:
        """Make the folder of that name, or share the one that others hold. Those of dead processes go.

        Raises:
            OSError: the disk is full or broken, or another user has taken our place.
        """
        home = own_folder()
        for folder in home.iterdir():
            if folder.name != name:
                remove_abandoned(folder)
        while True:
            path = home / name
            path.mkdir(mode=0o700, exist_ok=True)
            if (descriptor := hold(path)) is not None:
                return cls(path, descriptor)

    def let_go(self) -> None:
        """Hold it no more; who is the last one removes it."""
        os.close(self._descriptor)
        remove_abandoned(self.path)


def own_folder() -> Path:
    """The user's own folder of temporary files.

    Raises:
        OSError: somebody else has made something of that name.
    """
    home = Path(tempfile.gettempdir()) / f"finegrid-nodes-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    about = home.lstat()
    if home.is_symlink() or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "others may write there", str(home))
    return home


def hold(folder: Path) -> int | None:
    """A descriptor of a lock that several may have at once; None where somebody removes the folder."""
    import fcntl  # not on Windows, where Ray's nodes are none of ours

    descriptor = -1
    try:
        descriptor = os.open(folder / HELD, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == (folder / HELD).stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    if descriptor >= 0:
        os.close(descriptor)
    return None


def remove_abandoned(folder: Path) -> None:
    """Remove a folder that no process holds."""
    with suppress(OSError), alone(folder):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder that nobody else holds.

    Raises:
        OSError: somebody does, or it is not there.
    """
    import fcntl

    descriptor = os.open(folder / HELD, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
