"""Writes files and folders in full or not at all, also if a crash comes between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def draft_of(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f"{path.name}.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft to write to; afterwards, once it is on the disk, it takes the place of ``path``.

    For one writer at a time: the lock of a study sees to that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write to; once it is on the disk, it takes the place of ``out``."""
    recover(out)
    draft, replaced = make_hidden_path(out, "draft"), make_hidden_path(out, "old")
    for leftover in (draft, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
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
    """
    old = make_hidden_path(out, "old")
    if old.exists() and not out.exists():
        old.rename(out)


def make_hidden_path(out: Path, kind: str) -> Path:
    return out.with_name(f".{out.name}.{kind}")
