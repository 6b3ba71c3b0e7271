"""Families that wait, workers that train them, and a ledger that takes down what comes of it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from finegrid.atomic import remove_drafts
from finegrid.errors import ClusterLostError
from finegrid.planning.capacity import needs_of, recomputes
from finegrid.planning.families import Family
from finegrid.planning.forecast import family_seconds
from finegrid.running.auditing import check_unchanged
from finegrid.running.crew import MOST_TIMES, Crew, tell_end
from finegrid.running.deadline import Deadline
from finegrid.running.messages import (
    Broken,
    ClusterLost,
    Ended,
    EpochDone,
    Hint,
    Lost,
    Problems,
    Ready,
    RecordReady,
    Refused,
    SetAside,
    StepDone,
    Trained,
    TurnedAway,
)
from finegrid.running.process import Worker, raise_error
from finegrid.running.records import record_lost
from finegrid.study.audit_file import Audit
from finegrid.study.lock import check_held, check_there
from finegrid.study.record import Record


def train_families(
    crew: Crew,
    families: Sequence[Family],
    audit: Audit,
    workers: int | None,
    ends: float = math.inf,
    kinds: Mapping[int, str] | None = None,
) -> None:
    """Train what is left of the families, and append every run that has ended to the ledger.

    Args:
        crew: whose first worker has made or checked the audit.
        families: with runs that are left.
        audit: the study's.
        workers: how many processes train; None: as many as cores and memory carry.
        ends: when to stop, by `time.monotonic`; what is saved of unfinished families stays.
        kinds: by seed, the kind of device that its finished runs were trained on, where that is known.

    Raises:
        InputError: the data or the model have changed since the audit, or another run has the folder by now.
        OSError: the system refuses what no run can do without. Nothing is recorded of runs at work.
        WorkerBrokeError: a worker could not start.
        ClusterLostError: the cluster that trains is gone.
    """
    waiting = deque(in_order(families, audit))
    rows = {run.run_id: run.stands_for for family in families for run in family.left}
    alone = crew.settings.stack_size == 1
    saved = crew.study.files.state_of
    deadline = Deadline(ends, lambda family: alone and not saved(family.family_id).exists())
    workload = Workload(crew, waiting, rows, audit, deadline, workers, dict(kinds or {}))
    if crew.place.settle(crew.settings, audit, families):
        for worker in [*crew.workers]:
            crew.dismiss(worker)
    idle = [*crew.workers]
    workload.hire()
    for worker in idle:
        workload.give_next(worker)
    workload.run()


def in_order(families: Sequence[Family], audit: Audit) -> list[Family]:
    """Seed by seed, so that whoever stops half-way has every recipe with the seeds that are done.

    Of a seed the longest first: the last to finish is then a short one.
    """
    seeds = dict.fromkeys(family.runs[0].seed for family in families)
    place = {seed: number for number, seed in enumerate(seeds)}
    return sorted(
        families,
        key=lambda family: (place[family.runs[0].seed], -family_seconds(family, audit)),
    )


@dataclass
class Workload:
    """What is still to be trained, and by whom."""

    crew: Crew
    waiting: deque[Family]
    rows: Mapping[str, tuple[int, ...]]  # run id -> rows of the table that it stands for
    audit: Audit
    deadline: Deadline
    asked: int | None = None  # workers that the user asks for; None: as many as there is room for
    kinds: dict[int, str] = field(default_factory=dict)  # by seed, the kind of device that its runs are for
    times: Counter[str] = field(default_factory=Counter)  # by family, workers who were lost with it
    taken_down: set[str] = field(default_factory=set)  # run ids
    arrived: dict[str, list[Record]] = field(default_factory=dict)  # by family, until all of it has ended

    def run(self) -> None:
        """Until nothing waits and no worker is at work, or the time is over."""
        workers, watcher = self.crew.workers, self.crew.watcher
        while self.waiting or any(worker.family for worker in workers):
            if (found := self.deadline.wait_for(self.crew.events)) is None:
                for worker in workers:
                    if worker.family:
                        self.take_down(worker.family)
                return
            check_held(self.crew.study.files)
            worker, event = found
            family = worker.family
            match event:
                case Ready() if worker not in workers or self.crew.leave_out_unlike(worker, event.gpu):
                    pass
                case Ready():
                    self.crew.is_ready(worker, event)
                    check_unchanged(self.crew.study, self.audit, event)
                    self.give_next(worker)
                    if self.crew.place.grows:
                        self.hire()
                case StepDone(done) if family:
                    watcher.stepped(family, done)
                case EpochDone() if family:
                    watcher.scored(family, event.run_id, event.epoch, event.loss, event.dev)
                case RecordReady(record):
                    worker.sent.add(record.run_id)
                    if family and record.run_id in self.rows:  # else it only kept company
                        signed = self.crew.place.sign(record, worker)
                        self.arrived.setdefault(family.family_id, []).append(signed)
                case Trained():
                    if family:
                        self.take_down(family)
                        self.crew.place.forget(self.crew.study, worker, family.family_id)
                        self.deadline.ended(family)
                        watcher.finished(family)
                    self.crew.failures.pop(worker.index, None)
                    self.give_next(worker)
                case SetAside():
                    self.crew.tell_set_aside(event)
                case Hint(telling):
                    watcher.said(telling)
                case Lost() | TurnedAway() if worker in workers:
                    self.crew.take_leave(worker, event)
                    if family:
                        self.take_back(worker, family, event.why)
                    self.hire()
                case ClusterLost(why):
                    raise ClusterLostError(why)
                case Broken(_, reason) if worker.ready:
                    worker.reason = reason  # it is about to end
                case Problems() | Broken() if self.crew.can_spare(worker, event):
                    pass  # it is about to end
                case Problems() | Refused() | Broken():
                    raise_error(event)
                case Ended(code):
                    if family:
                        self.take_down_ended(worker, family, code)
                        remove_drafts(self.crew.study.files.predictions)
                        watcher.finished(family)
                    if worker in workers:
                        self.crew.replace(worker, code, needed=bool(self.waiting))

    def give_next(self, worker: Worker) -> None:
        """The next family for a worker that has none, if one waits."""
        worker.family = None
        kind = self.crew.place.kind_of(worker)
        if (family := self.deadline.take(self.waiting, self.audit, partial(self.suits, kind))) is not None:
            self.kinds.setdefault(family.left[0].seed, kind)
            self.deadline.began(family, self.audit)
            self.crew.watcher.began(family, worker.index)
            worker.recompute = recomputes(self.crew.settings, self.audit, family.runs[0].recipe)
            worker.train(family, whole=self.crew.settings.stack_size > 1)
        elif self.crew.place.grows:
            self.crew.dismiss(worker)  # others may need its room

    def suits(self, kind: str, family: Family) -> bool:
        """Whether a family is for a kind of device: one seed's runs are compared with each other."""
        return self.kinds.get(family.left[0].seed, kind) == kind

    def hire(self) -> None:
        """Start as many workers as there is work and room for."""
        crew = self.crew
        ready = sum(worker.ready for worker in crew.workers)
        about = len(self.waiting), self.asked, ready, len(crew.workers) - ready
        # Any kind will do as long as a family waits whose seed has begun nowhere.
        wanted = {self.kinds.get(family.left[0].seed, "") for family in self.waiting}
        wished = crew.place.count(crew.settings, self.audit, *about)
        for _ in range(int(min(wished, crew.room))):
            crew.start(kinds=None if "" in wanted else wanted)

    def take_back(self, worker: Worker, family: Family, why: str) -> None:
        """Let a family wait again whose worker is lost; what is recorded of it stays.

        After some times its runs have failed: it may be what kills them.
        """
        self.take_down(family)
        left = family.without(worker.sent)
        self.deadline.gave_up(family)
        self.times[family.family_id] += 1
        if not left.left:  # all that was missing is that it said so
            self.crew.watcher.finished(family)
        elif self.times[family.family_id] >= MOST_TIMES:
            reason = f"{MOST_TIMES} workers were lost with it; the last one: {why}"
            self.take_down_lost(worker, left, reason)
            self.crew.watcher.finished(family)
        else:
            self.crew.watcher.returned(family)
            self.waiting.appendleft(left)

    def take_down(self, family: Family, lost: Sequence[Record] = ()) -> None:
        """Append what has ended of a family to the ledger at once, with the rows that it stands for.

        A run is taken down once, whatever a cluster repeats.
        """
        ended = [*self.arrived.pop(family.family_id, ()), *lost]
        new = {record.run_id: record for record in ended if record.run_id not in self.taken_down}
        records = [replace(record, stands_for=self.rows[run_id]) for run_id, record in new.items()]
        if not records:
            return
        self.taken_down |= new.keys()
        check_there(self.crew.study.files)
        self.crew.study.ledger.append(*records)
        for record in records:
            self.crew.watcher.recorded(record)

    def take_down_ended(self, worker: Worker, family: Family, code: int) -> None:
        """A worker died in the middle of a family: its runs failed, and the ledger says why."""
        files = self.crew.study.files
        needs = needs_of(family.runs[0].recipe, self.crew.settings, self.audit)
        reason = tell_end(worker, code, needs)
        self.take_down_lost(worker, family, f"{reason}; see {files.relative(files.log_of(worker.index))}")

    def take_down_lost(self, worker: Worker, family: Family, reason: str) -> None:
        """What has ended of a family is recorded; what nobody has sent a record of has failed."""
        study, place = self.crew.study, self.crew.place
        lost = [run for run in family.left if run.run_id not in worker.sent]
        records = [record_lost(study, self.crew.settings, run, family, reason) for run in lost]
        self.take_down(family, [place.sign(record, worker) for record in records])
