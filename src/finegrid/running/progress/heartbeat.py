"""``progress.json``: what a study is at, written every few seconds while it is at work, for who watches it.

No part of a study's results: it is gone when the work ends, and stale a little later if it was killed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from finegrid.atomic import make_draft, remove_drafts
from finegrid.study.folder import StudyFolder
from finegrid.study.parsing import adapter_of, parse_strictly

BEAT_SECONDS = 2.0
STALE_SECONDS = 5 * BEAT_SECONDS
LARGEST = 2**20  # bytes; a thousand workers would not fill it


@dataclass(frozen=True)
class WorkTold:
    """A family that is being trained, as the file tells it."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    rows: tuple[int, ...]
    runs: int
    seed: int
    epoch: int
    epochs: int
    share: float
    worker: int | None = None
    loss: float | None = None
    dev: float | None = None


@dataclass(frozen=True)
class Beat:
    """What the file must hold, as `StudyProgress.as_json` and `Heartbeat` write it."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    written: float  # seconds since 1970
    doing: str
    runs: RunsTold
    share: float
    seconds: float
    seconds_left: float | None
    at_work: tuple[WorkTold, ...]
    schema: Literal[1] = 1


class RunsTold(TypedDict):
    """How many runs there are to train, and how many have ended since the start."""

    to_train: int
    ended: int
    diverged: NotRequired[int]
    failed: NotRequired[int]


class Heartbeat:
    """Writes what ``read`` returns, in a thread of its own. Use as a context."""

    def __init__(
        self,
        folder: Path,
        read: Callable[[], dict[str, Any]],
        tell: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        """``tell`` is given what refused to be written, the first time."""
        self.path = StudyFolder(folder).progress
        self.read, self.tell = read, tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        remove_drafts(self.path.parent, self.path.name)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        told = False
        while not self._over.wait(BEAT_SECONDS):
            try:
                self._write({**self.read(), "written": time.time()})
            except OSError as error:  # no reason to end: that is for the ledger to decide
                if not told:
                    self.tell(error)
                told = True

    def _write(self, content: dict[str, Any]) -> None:
        # Not `atomic.replacing`: this need not survive a crash, and must not wait for the disk.
        draft = make_draft(self.path)
        try:
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self.path)  # also that of a link: what it leads to stays as it is
        finally:
            draft.unlink(missing_ok=True)


def read_heartbeat(folder: Path, now: float | None = None) -> dict[str, Any] | None:
    """What the study is at; None if it is not at work, or nothing sensible was written."""
    try:
        with StudyFolder(folder).progress.open("rb") as file:
            text = file.read(LARGEST)
        beat = parse_strictly(Beat, text)
    except (OSError, ValueError):
        return None
    age = (time.time() if now is None else now) - beat.written
    if abs(age) >= STALE_SECONDS:
        return None
    content: dict[str, Any] = adapter_of(Beat).dump_python(beat, mode="json")
    return content
