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
from finegrid.in_chinese import name_state, translate
from finegrid.planning.families import Family
from finegrid.planning.words import count
from finegrid.running.progress.heartbeat import Heartbeat
from finegrid.running.progress.study_progress import BASELINE, EpochScore, StudyProgress
from finegrid.running.progress.terminal import draw, name_rows
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import say
from finegrid.spelling import Lang, Telling, format_duration
from finegrid.study.audit_file import Audit
from finegrid.study.folder import PROGRESS_FILE
from finegrid.study.record import Record

DRAWINGS_PER_SECOND = 2
FORECASTING = 0.01  # share of the time that may go into saying what is left
EVERY_SECONDS = 30.0  # between scores of epochs, where there is no picture that has them


class ProgressConsole(Console):
    """On stderr. Who no longer reads it ends nothing: rich would end the process, also that of a notebook."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Show:
    """Tells a study's progress on stderr, and in ``progress.json``. Use as a context.

    The terminal has the user's language. The file is English, like all that is kept of a study: who watches
    may read another one.
    """

    def __init__(self, score: str, folder: Path, console: Console | None = None, lang: Lang = "en") -> None:
        self.console = console or ProgressConsole()
        self.lang = lang
        self.progress = StudyProgress(score, time.monotonic())
        self._heartbeat = Heartbeat(
            folder, lambda: self.progress.as_json(time.monotonic()), self._tell_unwritten
        )
        self._ending = ExitStack()
        self._told = -EVERY_SECONDS  # when scores of an epoch were last told
        self._left: tuple[float | None, float, float] = (None, 0.0, 0.0)  # forecast, when, what that took

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
            self.returned,
            self.recorded,
            self.finished,
        )

    def __exit__(self, *error: object) -> None:
        self._ending.close()
        if self.console.is_interactive and self.progress.ended:
            seconds = time.monotonic() - self.progress.started
            self._print(self._say("over", **self._counts(), time=format_duration(seconds, self.lang)), "dim")

    def said(self, telling: Telling) -> None:
        for english, line in zip(telling("en"), telling(self.lang), strict=True):
            self.progress = self.progress.said(english, time.monotonic())
            self._print(line, "yellow" if english.startswith("warning:") else "")

    def found(self, records: Sequence[Record]) -> None:
        self.progress = self.progress.found(records)

    def planned(self, families: Sequence[Family], left: Sequence[Family], audit: Audit) -> None:
        runs = sum(len(family.runs) for family in families)
        to_train = sum(len(family.left) for family in left)
        rows = {row for family in families for run in family.runs for row in run.stands_for}
        if runs > 1:
            self.said(
                lambda lang: [
                    say("distinct", lang, recipes=count(len(rows), "recipe", lang), runs=runs, left=to_train)
                ]
            )
        self.progress = self.progress.planned(families, left, audit, time.monotonic())

    def began(self, family: Family, worker: int) -> None:
        self.progress = self.progress.began(family, worker, time.monotonic())

    def stepped(self, family: Family, steps: int) -> None:
        self.progress = self.progress.stepped(family, steps)

    def returned(self, family: Family) -> None:
        self.progress = self.progress.returned(family)

    def recorded(self, record: Record) -> None:
        self.progress = self.progress.recorded(record)
        line = self._say(
            "run",
            **self._counts(),
            which=self._name(record),
            seed=record.seed,
            outcome=self._outcome(record),
            left="" if self.console.is_interactive else self._time_left(),
        )
        self._print(line, "" if record.done else "red")

    def _outcome(self, record: Record) -> str:
        """The score on test, or why there is none."""
        score = self.progress.score
        if record.done:
            return self._say("on test", score=score, value=record.score("test", score))
        reason = translate(str(record.reason), self.lang)
        return self._say("ended badly", status=name_state(record.status, self.lang), reason=reason)

    def _name(self, record: Record) -> str:
        """What the recipe of a run moves, and the rows of the table that are this run."""
        rows, name = name_rows(record.stands_for, self.lang), self.progress.names.get(record.run_id)
        if not name:
            return rows
        return self._say("named", name=self._say("baseline") if name == BASELINE else name, rows=rows)

    def scored(self, family: Family, run_id: str, epoch: int, loss: float | None, dev: float) -> None:
        self.progress = self.progress.scored(family, run_id, EpochScore(epoch, loss, dev))
        now, known = time.monotonic(), self.progress.find(family)
        every = len(known.scores) == known.runs and {one.epoch for one in known.scores.values()} == {epoch}
        if self.console.is_interactive or not every or now - self._told < EVERY_SECONDS:
            return
        self._told, mean = now, known.last_score
        assert mean is not None
        scores = "" if mean.loss is None else self._say("loss", loss=mean.loss)
        scores += self._say("on dev", score=self.progress.score, value=mean.dev)
        line = self._say(
            "epoch",
            epoch=epoch,
            epochs=known.epochs,
            rows=name_rows(known.rows, self.lang),
            seed=known.seed,
            scores=scores,
            left=self._time_left(),
        )
        self._print(line)

    def finished(self, family: Family) -> None:
        self.progress = self.progress.ended_family(family, time.monotonic())

    def _tell_unwritten(self, error: OSError) -> None:
        """From the heartbeat's thread, which changes nothing here."""
        text = self._say("unwritten", file=PROGRESS_FILE, reason=error.strerror or error)
        self._print(self._say("warning", text=text), "yellow")

    def _time_left(self) -> str:
        if self.progress.ended >= self.progress.to_train:
            return ""
        left = self._forecast()
        return self._say("time left", time=format_duration(left, self.lang)) if left else ""

    def _forecast(self) -> float | None:
        """Seconds that are left. With many families that takes a while, so it is worked out now and then."""
        left, worked_out, took = self._left
        now = time.monotonic()
        if now - worked_out >= took / FORECASTING:
            left = self.progress.seconds_left(now)
            self._left = left, now, time.monotonic() - now
        return left

    def _counts(self) -> dict[str, int]:
        return {"ended": self.progress.ended, "runs": self.progress.to_train}

    def _say(self, key: str, **fields: object) -> str:
        return say(key, self.lang, **fields)

    def _picture(self) -> RenderableType:
        size = self.console.size
        return draw(self.progress, time.monotonic(), size.width, size.height, self.lang)

    def _print(self, text: str, style: str = "") -> None:
        console = self.console
        if console.color_system is None and not console.is_jupyter:  # as rich does, in a tenth of the time
            console.file.write(f"{visible(text)}\n")
            console.file.flush()
        else:
            console.print(Text(visible(text), style=style), highlight=False, soft_wrap=True)
