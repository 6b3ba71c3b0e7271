"""What is going on in a study while it trains: its families, how far they are, what has come
of them so far.

Values, not drawn: `terminal.py` draws them, `heartbeat.py` writes them down for `finegrid watch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from finegrid.planning.families import Family
from finegrid.planning.forecast import family_seconds, share_out, steps_of
from finegrid.planning.runs import PlannedRun
from finegrid.spelling import format_level
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record

BASELINE = "baseline"  # how `name_runs` calls a recipe that moves nothing
# Worker-seconds of training that weigh as much as the audit's forecast: a few steps are a poor clock.
TRUST = 30.0


@dataclass(frozen=True)
class EpochScore:
    """What one run had after an epoch: the mean loss of its batches, and its score on dev."""

    epoch: int
    loss: float | None
    dev: float


@dataclass(frozen=True)
class FamilyProgress:
    """A family to be trained."""

    rows: tuple[int, ...]
    runs: int
    seed: int
    work: float  # predicted seconds of one worker; where nothing was measured, steps
    steps: int  # of all epochs
    epochs: int
    worker: int | None = None
    began: float = 0.0  # as all times here by time.monotonic()
    ended: float | None = None
    step: int = 0  # steps done
    before: int = 0  # those that an earlier process had done
    scores: Mapping[str, EpochScore] = field(default_factory=dict)  # by run id, the last

    @property
    def at_work(self) -> bool:
        return self.worker is not None and self.ended is None

    @property
    def share(self) -> float:
        return 1.0 if self.ended is not None else min(1.0, self.step / self.steps)

    @property
    def epoch(self) -> int:
        """The epoch it is in, from 1; 0 before the first step."""
        return min(self.epochs, (self.step * self.epochs - 1) // self.steps + 1) if self.step else 0

    @property
    def done_here(self) -> float:
        """Work done by this process."""
        return self.work * (self.share - self.before / self.steps)

    @property
    def last_score(self) -> EpochScore | None:
        """Means over its runs; None before the first epoch ends."""
        if not self.scores:
            return None
        each = list(self.scores.values())
        losses = [one.loss for one in each if one.loss is not None]
        loss = fmean(losses) if len(losses) == len(each) else None
        return EpochScore(max(one.epoch for one in each), loss, fmean(one.dev for one in each))

    def seconds(self, now: float) -> float:
        if self.worker is None:
            return 0.0
        return (now if self.ended is None else self.ended) - self.began


@dataclass(frozen=True)
class Past:
    """Families that have ended: there may be tens of thousands, and nobody looks at one of them again."""

    families: int = 0
    work: float = 0.0  # of all
    here: float = 0.0  # of that, what was done by this process
    seconds: float = 0.0  # that workers spent on it

    def plus(self, family: FamilyProgress) -> Past:
        seconds = family.seconds(0.0)  # whatever time it is now: it has ended
        return Past(
            self.families + 1,
            self.work + family.work,
            self.here + family.done_here,
            self.seconds + seconds,
        )


@dataclass(frozen=True)
class StudyProgress:
    """A study at one moment. What happens makes a new one, so that threads may draw it at any time.

    What happens to one family takes the same time however many there are.
    """

    score: str
    started: float
    doing: str = ""  # the last that was said, until training starts
    families: Mapping[str, FamilyProgress] = field(default_factory=dict)  # by id, as they were planned
    working: Mapping[str, FamilyProgress] = field(
        default_factory=dict
    )  # of these, those at work, as they are
    waiting: Mapping[float, int] = field(default_factory=dict)  # how many have not begun, by their work
    past: Past = Past()
    clocked: bool = False  # whether the audit says what they will take
    work: float = 0.0  # of all families
    to_train: int = 0  # runs
    ended: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)  # diverged, failed -> runs
    warnings: int = 0
    best: Record | None = None  # on dev, those of earlier processes included
    finished: int = 0  # runs that `best` is the best of
    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)  # by run id; the ledger's may be outdated
    names: Mapping[str, str] = field(default_factory=dict)  # by run id, what its recipe moves

    def said(self, text: str, now: float) -> StudyProgress:
        warned = self.warnings + text.startswith("warning:")
        return replace(self, doing=text, started=self.started if self.families else now, warnings=warned)

    def found(self, records: Iterable[Record]) -> StudyProgress:
        """Runs of the plan that were finished before."""
        progress = self
        for record in records:
            progress = progress._taken(record)
        return progress

    def planned(
        self, families: Sequence[Family], left: Sequence[Family], audit: Audit, now: float
    ) -> StudyProgress:
        seconds = {family.family_id: family_seconds(family, audit) for family in left}
        clocked = all(seconds.values())
        waiting = {}
        for family in left:
            steps = max(1, *(steps_of(run.recipe, audit) for run in family.left))
            work = seconds[family.family_id] if clocked else float(steps)
            rows = tuple(sorted(row for run in family.left for row in run.stands_for))
            first = family.left[0]
            epochs = first.recipe.training.epochs
            waiting[family.family_id] = FamilyProgress(
                rows, len(family.left), first.seed, work, steps, epochs
            )
        to_train = sum(family.runs for family in waiting.values())
        by_work = Counter(family.work for family in waiting.values())
        rows_of = {run.run_id: run.stands_for for family in families for run in family.runs}
        return replace(
            self,
            families=waiting,
            waiting=by_work,
            work=sum(family.work for family in waiting.values()),
            clocked=clocked,
            to_train=to_train,
            started=now,
            rows=rows_of,
            names=name_runs([run for family in families for run in family.runs]),
        )

    def began(self, family: Family, worker: int, now: float) -> StudyProgress:
        return self._with(family, worker=worker, began=now)

    def returned(self, family: Family) -> StudyProgress:
        return self._with(family, worker=None, began=0.0, step=0, before=0, scores={})

    def stepped(self, family: Family, steps: int) -> StudyProgress:
        known = self.find(family)
        before = known.before if known.step else steps - 1
        return self._with(family, step=steps, before=before)

    def scored(self, family: Family, run_id: str, score: EpochScore) -> StudyProgress:
        known = self.find(family)
        return self._with(family, scores={**known.scores, run_id: score})

    def recorded(self, record: Record) -> StudyProgress:
        bad = dict(self.bad)
        if not record.done:
            bad[record.status] = bad.get(record.status, 0) + 1
        return replace(self._taken(record), ended=self.ended + 1, bad=bad)

    def ended_family(self, family: Family, now: float) -> StudyProgress:
        return self._with(family, ended=now)

    def find(self, family: Family) -> FamilyProgress:
        """A family as it is; one that has ended, as it was planned."""
        return self.working.get(family.family_id) or self.families[family.family_id]

    @property
    def at_work(self) -> list[FamilyProgress]:
        return [*self.working.values()]

    @property
    def share(self) -> float:
        """Of the work that this process has before it."""
        if not self.work or self.past.families == len(self.families):
            return 1.0
        done = self.past.work + sum(family.work * family.share for family in self.at_work)
        return min(1.0, done / self.work)

    def seconds_left(self, now: float) -> float | None:
        """The forecast of the audit, corrected by the pace so far; None where neither says anything yet."""
        done = self.past.here + sum(family.done_here for family in self.at_work)
        busy = self.past.seconds + sum(family.seconds(now) for family in self.at_work)
        if not self.clocked and done <= 0:
            return None
        trust = TRUST if self.clocked else 0.0
        pace = (busy + trust) / (done + trust)
        left = [family.work * (1 - family.share) for family in self.at_work]
        for work, count in self.waiting.items():
            left += [work] * count
        return pace * share_out(left, len(self.at_work))

    def as_json(self, now: float) -> dict[str, Any]:
        left = self.seconds_left(now) if self.families else None
        return {
            "schema": 1,
            "doing": "training" if self.families else self.doing,
            "runs": {"to_train": self.to_train, "ended": self.ended, **self.bad},
            "share": round(self.share, 4) if self.families else 0.0,
            "seconds": round(now - self.started, 1),
            "seconds_left": None if left is None else round(left, 1),
            "at_work": [
                {
                    "worker": family.worker,
                    "rows": list(family.rows),
                    "runs": family.runs,
                    "seed": family.seed,
                    "epoch": family.epoch,
                    "epochs": family.epochs,
                    "share": round(family.share, 4),
                    "loss": score and score.loss,
                    "dev": score and score.dev,
                }
                for family in self.at_work
                for score in (family.last_score,)
            ],
        }

    def _taken(self, record: Record) -> StudyProgress:
        if not record.done:
            return self
        best = self.best
        if best is None or self.dev(record) > self.dev(best):
            best = record
        return replace(self, best=best, finished=self.finished + 1)

    def dev(self, record: Record) -> float:
        return record.score("dev", self.score)

    def _with(self, family: Family, **changes: Any) -> StudyProgress:
        name, known = family.family_id, self.find(family)
        changed = replace(known, **changes)
        working = {other: each for other, each in self.working.items() if other != name}
        waiting, past = dict(self.waiting), self.past
        waiting[known.work] = waiting.get(known.work, 0) + (changed.worker is None) - (known.worker is None)
        if changed.ended is not None:
            past = past.plus(changed)
        elif changed.worker is not None:
            working = {**self.working, name: changed}  # in its place
        return replace(self, working=working, waiting=waiting, past=past)


def name_runs(runs: Sequence[PlannedRun]) -> dict[str, str]:
    """By run id, what its recipe has that the first row's has not: ``reinit.layers = 6, clip.norm = 1.0``."""
    if not runs:
        return {}
    baseline = min(runs, key=lambda run: run.stands_for).recipe.levels()
    known: dict[str, str] = {}
    found = {}
    for run in runs:
        key = str(run.levels)
        if key not in known:
            moved = ((name, level) for name, level in run.recipe.levels().items() if level != baseline[name])
            known[key] = ", ".join(f"{name} = {format_level(level)}" for name, level in moved) or BASELINE
        found[run.run_id] = known[key]
    return found
