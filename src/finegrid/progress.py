"""What `finegrid run` shows while it works: a bar with the time left, or plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from finegrid import metrics
from finegrid.audit import Audit
from finegrid.errors import visible
from finegrid.ledger import Record
from finegrid.plan import Family, family_seconds, steps_of
from finegrid.runner import Watcher


def duration(seconds: float) -> str:
    """``5 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Show:
    """Draws a study's progress on stderr. Use as a context."""

    def __init__(self, score: str) -> None:
        self.score = score
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.audit: Audit | None = None
        self.total = 0.0
        self.part: dict[str, float] = {}  # predicted seconds already done, by family
        self.left_runs = self.done_runs = 0
        self.started = 0.0

    def __enter__(self) -> Watcher:
        self.bar.start()
        return Watcher(self.said, self.planned, self.stepped, self.recorded, self.finished)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def said(self, text: str) -> None:
        self.console.print(escape(visible(text)), highlight=False, soft_wrap=True)

    def planned(self, families: Sequence[Family], left: Sequence[Family], audit: Audit) -> None:
        self.audit = audit
        self.total = sum(family_seconds(family, audit) for family in left)
        self.left_runs = sum(len(family.left) for family in left)
        runs = sum(len(family.runs) for family in families)
        rows = {row for family in families for run in family.runs for row in run.stands_for}
        if runs > 1:
            self.said(f"{len(rows)} recipes are {runs} distinct runs; {self.left_runs} to train")
        self.started = time.monotonic()
        self.task = self.bar.add_task("training", total=max(self.total, 1e-9))

    def stepped(self, family: Family, steps: int) -> None:
        assert self.audit is not None
        share = steps / max(1, max(steps_of(run, self.audit) for run in family.left))
        self.part[family.family_id] = share * family_seconds(family, self.audit)
        self._draw()

    def recorded(self, record: Record) -> None:
        self.done_runs += 1
        rows = ", ".join(map(str, record["stands_for"]))
        if record["status"] == "done":
            outcome = f"{self.score} {metrics.score_of(record['test'], self.score):.4f}"
        else:
            outcome = f"{record['status']}: {record['reason']}"
        line = f"run {self.done_runs} of {self.left_runs}: rows {rows}, seed {record['seed']}: {outcome}"
        self.said(line if self.console.is_terminal else f"{line}{self._time_left()}")

    def finished(self, family: Family) -> None:
        assert self.audit is not None
        self.part[family.family_id] = family_seconds(family, self.audit)
        self._draw()

    def _time_left(self) -> str:
        done = sum(self.part.values())
        if done <= 0 or self.done_runs >= self.left_runs:
            return ""
        elapsed = time.monotonic() - self.started
        return f" ({duration(elapsed / done * (self.total - done))} left)"

    def _draw(self) -> None:
        if self.task is not None:
            running = f"{self.done_runs} of {self.left_runs} runs"
            self.bar.update(self.task, completed=sum(self.part.values()), description=running)


def warn(text: str) -> None:
    """A warning, on stderr."""
    print(f"warning: {visible(text)}", file=sys.stderr)
