"""Writes files and folders in full or not at all, also if a crash comes between; never through a link.

A folder may be a stranger's. What stands where something is to be written, and is no plain file or folder, is
refused by its name, and what is being written has a name that nobody can know beforehand.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import psutil

from finegrid.errors import Problem, input_error

ONE_NAME = "What is added to it would stand under all of them. Put a copy in its place."
Kind = Literal["plain file", "folder"]
KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
EXPECTED: dict[int, Kind] = {stat.S_IFREG: "plain file", stat.S_IFDIR: "folder"}
DRAFT = re.compile(r"\.(?P<name>.+)\.(?P<writer>[0-9]{1,9})-[0-9a-f]{16}\.tmp", re.DOTALL)
SAFELY: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)  # each is of some systems only


@contextmanager
def replacing(path: Path, crowded: bool = False) -> Iterator[Path]:
    """Yield a draft to write to; afterwards, once it is on the disk, it takes the place of ``path``.

    Of several writers at once each has a draft of its own, and the last one's stays.

    Args:
        path: what is written.
        crowded: whether its folder holds so many files that looking for drafts of dead writers would take
            longer than writing; somebody else removes them then.

    Raises:
        InputError: something else than a plain file is there.
    """
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not crowded:
        remove_drafts(path.parent, path.name)
    draft = make_draft(path)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write to; once it is on the disk, it takes the place of ``out``.

    Raises:
        InputError: something else than a folder is there, or where the one that is there is put aside.
    """
    recover(out)
    check_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(out.parent, out.name)
    replaced = name_old(out)
    shutil.rmtree(replaced, ignore_errors=True)
    draft = name_draft(out)
    draft.mkdir()
    try:
        yield draft
        for path in draft.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if out.exists():
            out.rename(replaced)
        draft.rename(out)
    finally:
        recover(out)
        for leftover in (draft, replaced):
            shutil.rmtree(leftover, ignore_errors=True)


def recover(out: Path) -> None:
    """Put back what `replacing_folder` had put aside when it was stopped between its two renames.

    Whoever asks what is in ``out`` before replacing it calls this first.

    Raises:
        InputError: what stands where a folder is put aside is no folder.
    """
    old = name_old(out)
    check_folder(old)
    if old.exists() and not os.path.lexists(out):
        old.rename(out)


def name_old(out: Path) -> Path:
    """Where a folder is put aside. The name is known, so that a later process finds it."""
    return out.with_name(f".{out.name}.old")


def name_draft(path: Path) -> Path:
    """Where something is made before it takes its place; nobody can know the name beforehand."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")


def make_draft(path: Path) -> Path:
    """An empty file beside ``path``, new, and with the permissions of any new file."""
    draft = name_draft(path)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o666))
    return draft


def is_draft(name: str) -> bool:
    return DRAFT.fullmatch(name) is not None


def is_abandoned(draft: str, of: str | None = None) -> bool:
    """Whether a name is that of a draft whose writer is gone: of the file or folder ``of``, or of any."""
    found = DRAFT.fullmatch(draft)
    return found is not None and of in (None, found["name"]) and not psutil.pid_exists(int(found["writer"]))


def remove_drafts(folder: Path, name: str | None = None) -> None:
    """Remove what writers left in a folder that were killed: of the file or folder ``name``, or of all."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not is_abandoned(entry.name, name):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    Path(entry.path).unlink()


def open_to_append(path: Path) -> BinaryIO:
    """Open a plain file, made if need be, so that all that is written goes to its end.

    Raises:
        InputError: something else is there, or the file has another name elsewhere.
    """
    check_file(path)
    check_one_name(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | SAFELY, 0o666)
    return os.fdopen(descriptor, "ab+")


def check_file(path: Path) -> None:
    """Refuse what is there and no plain file.

    Raises:
        InputError: it is a link, a folder, a device, a pipe or a socket.
    """
    _check(path, "plain file")


def check_one_name(path: Path) -> None:
    """Refuse to add to a file that hard links give other names: it may be somebody's other file, or a backup.

    Raises:
        InputError: it has more names than one.
    """
    if (found := describe_names(path)) is not None:
        raise input_error("cannot be written", str(path), f"{found} {ONE_NAME}")


def describe_names(path: Path) -> str | None:
    """How many names a file has; None if it has but this one, or is not there."""
    try:
        names = os.lstat(path).st_nlink
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"found a file with {names} names (hard links), expected one." if names > 1 else None


def check_folder(path: Path) -> None:
    """Refuse what is there and no folder.

    Raises:
        InputError: it is a link, even one to a folder, or a file of any kind.
    """
    _check(path, "folder")


def _check(path: Path, expected: Kind) -> None:
    if (found := describe_other(path, expected)) is not None:
        linked = ", or remove the link" if path.is_symlink() else ""
        what = f"found {found}, expected a {expected} or nothing. Choose another place{linked}."
        raise input_error("cannot be written", str(path), what)


def describe_other(path: Path, expected: Kind) -> str | None:
    """What is there in the place of a plain file, or of a folder; None if it is one, or nothing is there."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = stat.S_IFMT(mode)
    if EXPECTED.get(kind) == expected:
        return None
    return f"a symbolic link to {path.readlink()}" if stat.S_ISLNK(mode) else KINDS.get(kind, "no file")


def find_others(folder: Path, named: str) -> Iterator[Problem]:
    """All of a folder, and of those in it, that is neither a plain file nor a folder; and itself if so.

    Args:
        folder: need not be there.
        named: what problems call it.
    """
    if (found := describe_other(folder, "folder")) is not None:
        yield Problem(named, f"found {found}, expected a folder or nothing.")
    elif folder.exists():
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                inside = f"{named}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from find_others(Path(entry.path), inside)
                elif not entry.is_file(follow_symlinks=False):
                    found = describe_other(Path(entry.path), "plain file")
                    yield Problem(inside, f"found {found}, expected a plain file or a folder.")
