"""Families that wait, workers that train them, and a ledger that takes down what comes of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from finegrid.atomic import remove_drafts
from finegrid.errors import input_error
from finegrid.planning.capacity import capacity
from finegrid.planning.families import Family
from finegrid.planning.forecast import family_seconds
from finegrid.running.auditing import changed_names
from finegrid.running.crew import Crew
from finegrid.running.deadline import Deadline
from finegrid.running.messages import (
    Broken,
    Ended,
    EpochDone,
    Problems,
    Ready,
    RecordReady,
    Refused,
    SetAside,
    StepDone,
    Trained,
)
from finegrid.running.process import Worker, describe_exit, raise_error
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
) -> None:
    """Train what is left of the families, and append every run that has ended to the ledger.

    Args:
        crew: whose first worker has made or checked the audit.
        families: with runs that are left.
        audit: the study's.
        workers: how many processes train; None: as many as cores and memory carry.
        ends: when to stop, by `time.monotonic`; what is saved of unfinished families stays.

    Raises:
        InputError: the data or the model have changed since the audit, or another run has the folder by now.
        OSError: the system refuses what no run can do without. Nothing is recorded of runs at work.
        WorkerBrokeError: a worker could not start.
    """
    waiting = deque(in_order(families, audit))
    rows = {run.run_id: run.stands_for for family in families for run in family.left}
    alone = crew.settings.stack_size == 1
    saved = crew.study.files.state_of
    deadline = Deadline(ends, lambda family: alone and not saved(family.family_id).exists())
    workload = Workload(crew, waiting, rows, {**audit.fingerprints, **audit.contents}, audit, deadline)
    count = min(len(waiting), workers or capacity(crew.settings, audit).workers)
    first = crew.workers[0].index + 1  # of the GPUs before it none could be used
    for index in range(first, min(first + count - 1, len(crew.gpus) or first + count)):
        crew.start(index)
    workload.give_next(crew.workers[0])
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
    fingerprints: Mapping[str, str]  # of data, model and files of levels that runs are recorded as
    audit: Audit
    deadline: Deadline
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
                case Ready(fingerprints, contents):
                    worker.ready = True
                    self.check_unchanged({**fingerprints, **contents})
                    self.give_next(worker)
                case StepDone(done) if family:
                    watcher.stepped(family, done)
                case EpochDone() if family:
                    watcher.scored(family, event.run_id, event.epoch, event.loss, event.dev)
                case RecordReady(record):
                    worker.sent.add(record.run_id)
                    if family and record.run_id in self.rows:  # else it only kept company
                        self.arrived.setdefault(family.family_id, []).append(record)
                case Trained():
                    if family:
                        self.take_down(family)
                        self.crew.study.files.state_of(family.family_id).unlink(missing_ok=True)
                        self.deadline.ended(family)
                        watcher.finished(family)
                    self.crew.failures.pop(worker.index, None)
                    self.give_next(worker)
                case SetAside():
                    self.crew.tell_set_aside(event)
                case Broken(_, reason) if worker.ready:
                    worker.reason = reason  # it is about to end
                case Problems() | Broken() if self.crew.can_spare(worker, event):
                    pass  # it is about to end
                case Problems() | Refused() | Broken():
                    raise_error(event)
                case Ended(code):
                    if family:
                        self.take_down_lost(worker, family, code)
                        remove_drafts(self.crew.study.files.predictions)
                        watcher.finished(family)
                    if worker in workers:
                        self.crew.replace(worker, code, needed=bool(self.waiting))

    def give_next(self, worker: Worker) -> None:
        """The next family for a worker that has none, if one waits."""
        worker.family = None
        if (family := self.deadline.take(self.waiting, self.audit)) is not None:
            self.deadline.began(family, self.audit)
            self.crew.watcher.began(family, worker.index)
            worker.train(family, whole=self.crew.settings.stack_size > 1)

    def take_down(self, family: Family, lost: Sequence[Record] = ()) -> None:
        """Append what has ended of a family to the ledger at once, with the rows that it stands for."""
        ended = [*self.arrived.pop(family.family_id, ()), *lost]
        records = [replace(record, stands_for=self.rows[record.run_id]) for record in ended]
        if not records:
            return
        check_there(self.crew.study.files)
        self.crew.study.ledger.append(*records)
        for record in records:
            self.crew.watcher.recorded(record)

    def take_down_lost(self, worker: Worker, family: Family, code: int) -> None:
        """A worker died in the middle of a family: its runs failed, and the ledger says why."""
        study = self.crew.study
        reason = worker.reason or f"the worker process ended with {describe_exit(code)}"
        reason = f"{reason}; see {study.files.relative(study.files.log_of(worker.index))}"
        lost = [run for run in family.left if run.run_id not in worker.sent]
        self.take_down(family, [record_lost(study, self.crew.settings, run, family, reason) for run in lost])

    def check_unchanged(self, fingerprints: Mapping[str, str]) -> None:
        """A worker that starts later reads the files anew; its runs are recorded as those of the audit.

        Raises:
            InputError: they have changed meanwhile.
        """
        if changed := changed_names(self.fingerprints, fingerprints):
            what = f"changed while the study ran: {', '.join(changed)}. Run again with what is new."
            raise input_error(str(self.crew.study.folder), "data and model", what)
