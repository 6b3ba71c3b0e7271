"""The newest view of a study, made when asked for, and not too often: training needs the machine more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from finegrid.watch.sources import hash_sources
from finegrid.watch.view import PageMaker, View, make_view

PAUSE_SECONDS = 3.0  # between two views
SHARE = 0.1  # of one core that making views may take


def choose_rest(seconds: float) -> float:
    """How long to rest after a view that took so many seconds of a core."""
    return max(PAUSE_SECONDS, seconds * (1 / SHARE - 1))


class Viewer:
    def __init__(self, folder: Path, make: PageMaker, rest: Callable[[float], float] = choose_rest) -> None:
        self.folder = folder
        self.latest: View | None = None
        self._make = make
        self._rest = rest
        self._due = 0.0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "view")

    async def view(self) -> View:
        """The view of the sources as they are, or the last one if that was made a moment ago."""
        async with self._turn:
            now = hash_sources(self.folder)
            fresh = self.latest is not None and self.latest.revision == now
            if self.latest is None or not (fresh or time.monotonic() < self._due):
                self.latest = await self._make_view(now)
            return self.latest

    async def _make_view(self, now: str) -> View:
        loop = asyncio.get_running_loop()
        view, seconds = await loop.run_in_executor(self._thread, self._make_timed, now)
        self._due = time.monotonic() + self._rest(seconds)
        return view

    def _make_timed(self, now: str) -> tuple[View, float]:
        """Also the seconds of a core it took: on a machine that trains, far less than by the clock."""
        began = time.thread_time()
        view = make_view(self.folder, now, self._make, self.latest)
        return view, time.thread_time() - began
