"""The newest view of a study, made when asked for, and not too often: training needs the machine more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from finegrid.watch.sources import revision
from finegrid.watch.view import Maker, View, make_view

PAUSE_SECONDS = 3.0  # between two views
SHARE = 0.2  # of one core that making views may take


def rest_after(seconds: float) -> float:
    """How long to rest after a view that took so many seconds."""
    return max(PAUSE_SECONDS, seconds * (1 / SHARE - 1))


class Viewer:
    def __init__(self, folder: Path, make: Maker, rest: Callable[[float], float] = rest_after) -> None:
        self.folder = folder
        self.latest: View | None = None
        self._make = make
        self._rest = rest
        self._due = 0.0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "view")

    async def view(self) -> View:
        """The view of the sources as they are, or, if the last one was made a moment ago, that one."""
        async with self._turn:
            now = revision(self.folder)
            fresh = self.latest is not None and self.latest.revision == now
            if self.latest is None or not (fresh or time.monotonic() < self._due):
                self.latest = await self._made(now)
            return self.latest

    async def _made(self, now: str) -> View:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(self._thread, make_view, self.folder, now, self._make, self.latest)
        ended = time.monotonic()
        self._due = ended + self._rest(ended - began)
        return made
