"""What was found out on this machine and may be used again: small files among the user's caches.

Nothing here is needed. What is missing, cannot be read, was cut or edited, or was written by another finegrid
counts as not there, and what cannot be written is not kept. The folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finegrid.atomic import make_draft, remove_drafts

VARIABLE = "FINEGRID_CACHE"  # a folder, or OFF
OFF = "off"
MOST_BYTES = 2**23  # of a file: it is read as a whole
MOST_ENTRIES = 1000  # of a file
MOST_FILES = 200


def find_cache() -> Path | None:
    """The folder; None where nothing is to be kept, or the user has no home."""
    if asked := os.environ.get(VARIABLE):
        return None if asked == OFF else Path(asked)
    try:
        return find_caches() / "finegrid"
    except RuntimeError:
        return None


def find_caches() -> Path:
    """Where programs keep what they can make again.

    Raises:
        RuntimeError: the user has no home.
    """
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    asked = os.environ.get("XDG_CACHE_HOME", "")
    if Path(asked).is_absolute():  # others are to be ignored, says the XDG specification
        return Path(asked)
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


class ShelfEntry(BaseModel):
    """Something that was found out, as JSON has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    made: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    value: Any


class ShelfFile(BaseModel):
    """A file of what holds under one condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    about: dict[str, Any]
    entries: dict[str, ShelfEntry]


@dataclass
class Shelf:
    """What was found out under one condition, by keys.

    Attributes:
        kind: of what is kept; it begins the file's name.
        about: the condition, as JSON has it: everything that all entries depend on.
    """

    kind: str
    about: Mapping[str, Any]
    _known: dict[str, ShelfEntry] = field(default_factory=dict)
    _new: dict[str, ShelfEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = self._read()

    @property
    def path(self) -> Path | None:
        folder = find_cache()
        return None if folder is None else folder / f"{self.kind}-{digest_of(self.about)[:32]}.json"

    def get(self, key: object) -> ShelfEntry | None:
        """What is kept under a key, which is anything that JSON can hold."""
        return self._known.get(digest_of(key))

    def put(self, key: object, value: object) -> None:
        """Keep something from `save` on."""
        kept = ShelfEntry(made=date.today().isoformat(), value=value)
        self._known[digest_of(key)] = self._new[digest_of(key)] = kept

    def save(self) -> None:
        """Write what is new beside what others have written meanwhile. Of two at once, one may be lost."""
        if not self._new or (path := self.path) is None:
            return
        every = {**self._read(), **self._new}
        newest = dict([*every.items()][-MOST_ENTRIES:])
        content = ShelfFile(about=dict(self.about), entries=newest).model_dump_json()
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, content.encode())
            tidy(path.parent)
        self._new = {}

    def _read(self) -> dict[str, ShelfEntry]:
        if (path := self.path) is None:
            return {}
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES)
            found = ShelfFile.model_validate_json(content)
        except (OSError, ValidationError):
            return {}
        return found.entries if digest_of(found.about) == digest_of(self.about) else {}


def digest_of(key: object) -> str:
    """The same for what is the same as JSON."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Not `atomic.replacing`: this need not survive a crash, and must not wait for the disk.

    Raises:
        OSError: it cannot be written.
    """
    draft = make_draft(path)
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Remove what dead writers left, and the files that nobody has changed for the longest time.

    Raises:
        OSError: the folder cannot be read.
    """
    remove_drafts(folder)
    files = sorted(folder.glob("*-*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[:-MOST_FILES]:
        path.unlink(missing_ok=True)
