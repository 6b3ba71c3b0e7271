"""What `finegrid run` shows while it works: a live picture on a terminal, or plain lines without one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from finegrid.errors import visible
from finegrid.planning.families import Family
from finegrid.running.progress.heartbeat import Heartbeat
from finegrid.running.progress.study_progress import EpochScore, StudyProgress
from finegrid.running.progress.terminal import draw, name_rows
from finegrid.running.progress.watcher import Watcher
from finegrid.spelling import count_noun, format_duration
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record

DRAWINGS_PER_SECOND = 2
EVERY_SECONDS = 30.0  # between scores of epochs, where there is no picture that has them


class Show:
    """Tells a study's progress on stderr, and in ``progress.json``. Use as a context."""

    def __init__(self, score: str, folder: Path, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = StudyProgress(score, time.monotonic())
        self._heartbeat = Heartbeat(folder, lambda: self.progress.as_json(time.monotonic()))
        self._ending = ExitStack()
        self._told = -EVERY_SECONDS  # when scores of an epoch were last told

    def __enter__(self) -> Watcher:
        self._ending.enter_context(self._heartbeat)
        if self.console.is_interactive:
            live = Live(
                console=self.console,
                get_renderable=self._picture,
                refresh_per_second=DRAWINGS_PER_SECOND,
                transient=True,  # what was said stays, and the cursor is where it was found
                redirect_stdout=False,  # results may go to a file
            )
            self._ending.enter_context(live)
        return Watcher(
            self.said,
            self.found,
            self.planned,
            self.began,
            self.stepped,
            self.scored,
            self.recorded,
            self.finished,
        )

    def __exit__(self, *error: object) -> None:
        self._ending.close()
        if self.console.is_interactive and self.progress.ended:
            seconds = time.monotonic() - self.progress.started
            self._print(
                f"{self.progress.ended} of {self.progress.to_train} runs, {format_duration(seconds)}", "dim"
            )

    def said(self, text: str) -> None:
        self.progress = self.progress.said(text, time.monotonic())
        self._print(text, "yellow" if text.startswith("warning:") else "")

    def found(self, records: Sequence[Record]) -> None:
        self.progress = self.progress.found(records)

    def planned(self, families: Sequence[Family], left: Sequence[Family], audit: Audit) -> None:
        runs = sum(len(family.runs) for family in families)
        to_train = sum(len(family.left) for family in left)
        rows = {row for family in families for run in family.runs for row in run.stands_for}
        if runs > 1:
            self.said(f"{count_noun(len(rows), 'recipe')} are {runs} distinct runs; {to_train} to train")
        self.progress = self.progress.planned(families, left, audit, time.monotonic())

    def began(self, family: Family, worker: int) -> None:
        self.progress = self.progress.began(family, worker, time.monotonic())

    def stepped(self, family: Family, steps: int) -> None:
        self.progress = self.progress.stepped(family, steps)

    def recorded(self, record: Record) -> None:
        self.progress = progress = self.progress.recorded(record)
        if record.done:
            outcome = f"{progress.score} {record.score('test', progress.score):.4f} on test"
        else:
            outcome = f"{record.status}: {record.reason}"
        rows = name_rows(record.stands_for)
        name = progress.names.get(record.run_id)
        which = f"{name} ({rows})" if name else rows
        line = f"run {progress.ended} of {progress.to_train}: {which}, seed {record.seed}: {outcome}"
        self._print(
            line if self.console.is_interactive else f"{line}{self._time_left()}",
            "" if record.done else "red",
        )

    def scored(self, family: Family, run_id: str, epoch: int, loss: float | None, dev: float) -> None:
        self.progress = self.progress.scored(family, run_id, EpochScore(epoch, loss, dev))
        now, known = time.monotonic(), self.progress.families[family.family_id]
        every = len(known.scores) == known.runs and {one.epoch for one in known.scores.values()} == {epoch}
        if self.console.is_interactive or not every or now - self._told < EVERY_SECONDS:
            return
        self._told, mean = now, known.last_score
        assert mean is not None
        told = "" if mean.loss is None else f"loss {mean.loss:.4f}, "
        rows = name_rows(known.rows)
        score = f"{told}{self.progress.score} {mean.dev:.4f} on dev"
        self._print(
            f"  epoch {epoch} of {known.epochs}: {rows}, seed {known.seed}: {score}{self._time_left()}"
        )

    def finished(self, family: Family) -> None:
        self.progress = self.progress.ended_family(family, time.monotonic())

    def _time_left(self) -> str:
        left = self.progress.seconds_left(time.monotonic())
        return (
            f" ({format_duration(left)} left)"
            if left and self.progress.ended < self.progress.to_train
            else ""
        )

    def _picture(self) -> RenderableType:
        size = self.console.size
        return draw(self.progress, time.monotonic(), size.width, size.height)

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(visible(text), style=style), highlight=False, soft_wrap=True)
