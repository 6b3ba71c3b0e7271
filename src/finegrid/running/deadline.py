"""How long a run of the command line may take: no family begins that would not end in time."""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from finegrid.planning.families import Family
from finegrid.planning.forecast import family_seconds
from finegrid.study.audit_file import Audit

T = TypeVar("T")


@dataclass
class Deadline:
    """When to stop, and how the clock compares with the forecast of the families that have ended.

    Attributes:
        ends: By `time.monotonic`; inf: never.
        may_split: Whether a family's runs may be trained in parts. Not those of a stack, which round by how
            many they are, nor those that a saved state has in common.
    """

    ends: float = math.inf
    may_split: Callable[[Family], bool] = lambda family: True
    forecast: float = 0.0  # seconds of the families that have ended here
    took: float = 0.0  # that they took
    _began: dict[str, tuple[float, float]] = field(default_factory=dict)  # by family: when, and its forecast

    @property
    def pace(self) -> float:
        """Of the clock over the forecast; never below 1, since what is early may be luck."""
        return max(1.0, self.took / self.forecast) if self.forecast else 1.0

    def take(
        self, waiting: deque[Family], audit: Audit, suits: Callable[[Family], bool] = lambda family: True
    ) -> Family | None:
        """Take the first family that ends in time out of those that wait, or as many of its runs as do.

        The rest of its runs is left for another time: two workers at one family would save to one file. None
        where none does: then none will, and those that wait are left, too.

        Args:
            waiting: families, in their order.
            audit: what they cost.
            suits: whether a family is for who asks; others wait on.
        """
        left = self.ends - time.monotonic()
        for index, family in enumerate(waiting):
            if not suits(family):
                continue
            part = family if self.ends == math.inf else self._in_time(family, audit, left)
            if part is not None:
                del waiting[index]
                return part
        others = [family for family in waiting if not suits(family)]
        waiting.clear()
        waiting.extend(others)
        return None

    def _in_time(self, family: Family, audit: Audit, left: float) -> Family | None:
        counts = range(len(family.left), 0, -1) if self.may_split(family) else [len(family.left)]
        for count in counts:
            part = family.without([run.run_id for run in family.left[count:]])
            if left > 0 and self.pace * family_seconds(part, audit) <= left:
                return part
        return None

    def began(self, family: Family, audit: Audit) -> None:
        self._began[family.family_id] = time.monotonic(), family_seconds(family, audit)

    def ended(self, family: Family) -> None:
        began, forecast = self._began.pop(family.family_id)
        self.took += time.monotonic() - began
        self.forecast += forecast

    def gave_up(self, family: Family) -> None:
        """Nobody trains a family any more that began."""
        self._began.pop(family.family_id, None)

    def wait_for(self, events: queue.Queue[T]) -> T | None:
        """The next event; None once the time is over."""
        if self.ends == math.inf:
            return events.get()
        try:
            return events.get(timeout=max(0.0, self.ends - time.monotonic()))
        except queue.Empty:
            return None
