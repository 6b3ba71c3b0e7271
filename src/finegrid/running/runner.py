"""Run what is planned minus what the ledger has, on worker processes. Running again is resuming."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from finegrid import metrics
from finegrid.errors import input_error
from finegrid.machine import PRECISIONS
from finegrid.metrics import check_score
from finegrid.planning.capacity import capacity, check_workers
from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import family_seconds
from finegrid.planning.runs import PlannedRun, plan_run, plan_runs
from finegrid.recipe.recipe import Recipe
from finegrid.running.process import Event, Worker, WorkerBrokeError, describe_exit, raise_if_bad
from finegrid.running.progress.watcher import Watcher
from finegrid.study.audit_file import Audit, load_audit, save_audit
from finegrid.study.folder import LEDGER_FILE, SCREEN_FILE
from finegrid.study.ledger import Record
from finegrid.study.lock import locked
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study


@dataclass
class Runner:
    """One ``finegrid run``: the study, how to execute it, and the workers."""

    study: Study
    settings: RunSettings
    workers: int | None = None
    seeds: Sequence[int] | None = None
    mix: bool = False
    rows: Collection[int] | None = None  # train only what stands for these rows of the table
    watcher: Watcher = field(default_factory=Watcher)

    def __post_init__(self) -> None:
        self._events: queue.Queue[tuple[Worker, Event]] = queue.Queue()
        self._workers: list[Worker] = []
        self._fingerprints: dict[str, str] = {}  # of the data and the model, as the first worker found them
        check_workers(self.settings, self.workers)

    def audit(self) -> Audit:
        """Probe the model and the data, and write ``audit.json``."""
        with locked(self.study.folder), self._closing():
            return self._audit(self.settings.alike)

    def run(self) -> list[Record]:
        """Train what is missing. Returns the latest record of every planned run that has one.

        Raises:
            InputError: bad data or model, a folder in use, or a device or precision unlike the ledger's.
        """
        with locked(self.study.folder), self._closing():
            for folder in (self.study.files.predictions, self.study.files.states):
                folder.mkdir(exist_ok=True)  # better now than when the first run has ended
            audit = self._audit(self.settings.alike)
            runs = plan_runs(self.study, audit, self.settings.precision, self.seeds)
            found = self._done(runs, audit)
            self.watcher.found(list(found.values()))
            done = set(found)
            families = plan_families(runs, capacity(self.settings, audit).size_of)
            self._compare_stacks(families, found)
            if self.rows is not None:
                done |= {run.run_id for run in runs if not set(run.stands_for) & set(self.rows)}
            left = [family for each in families if (family := each.without(done)).left]
            self.watcher.planned(families, left, audit)
            self._train(left, audit)
            latest = self.study.ledger.latest()
            return [latest[run.run_id] for run in runs if run.run_id in latest]

    def fit(self, recipe: Recipe, seed: int, out: Path) -> Record:
        """Train one recipe and keep its model in ``out``. Returns its record, which the ledger does not get.

        Raises:
            InputError: bad data or model, or a folder in use.
        """
        with locked(self.study.folder), self._closing():
            self.study.files.states.mkdir(exist_ok=True)
            audit = self._audit()
            run = plan_run(self.study, audit, self.settings.precision, recipe, seed)
            family = Family((run,), (run,))
            self.watcher.planned([family], [family], audit)
            worker = self._workers[0]
            worker.family = family
            self.watcher.began(family, worker.index)
            one = {"run_id": run.run_id, "levels": run.levels, "seed": run.seed}
            # Its state is not that of the study's family of this run, which may have other members.
            name = f"fit-{run.run_id}"
            about = {"recipe": recipe.moved(), "stands_for": run.stands_for, "out": str(out)}
            worker.send(do="fit", family=name, runs=[one], **about)
            record: Record = {**self._wait_for(worker, "fitted")["record"], "stands_for": run.stands_for}
            self.study.files.state_of(name).unlink(missing_ok=True)
            self.watcher.finished(family)
            self._compare(record)
            return record

    def _compare(self, record: Record) -> None:
        """Say so where the ledger has other scores for the same run."""
        known = self.study.ledger.latest().get(record["run_id"], {})
        if known.get("status") == record["status"] == "done" and known["dev"] != record["dev"]:
            scores = [metrics.score_of(each["dev"], self.study.head.score) for each in (known, record)]
            self.watcher.said(
                f"warning: in runs.jsonl this run has {scores[0]:.4f} on dev, here it has {scores[1]:.4f}: "
                "another machine, device, number of threads, stack or version of a library"
            )

    def _audit(self, alike: dict[str, str | int] | None = None) -> Audit:
        """The audit as it stands if it still fits the data and the model, and has the costs if they are asked
        for; else a new one.
        """
        self.watcher.said("reading data and checkpoint")
        first = self._start()
        ready = self._wait_for(first, "ready")
        self._fingerprints = ready["fingerprints"]
        audit = load_audit(self.study.folder)
        fits = audit is not None and audit.fingerprints == ready["fingerprints"]
        if audit is None or not fits or not audit.serves(self.study.rows, alike):
            if audit is not None and not fits and any(True for _ in self.study.ledger):
                changed = [k for k, v in audit.fingerprints.items() if ready["fingerprints"].get(k) != v]
                self.watcher.said(
                    f"changed since the last run: {', '.join(changed)}. Finished runs stay in runs.jsonl, "
                    "but belong to the old study; everything is run anew."
                )
            self.watcher.said("auditing: which levels do something, and what a step costs")
            first.send(do="audit")
            audit = Audit.model_validate(self._wait_for(first, "audit")["audit"])
            save_audit(self.study.folder, audit)
            for warning in audit.warnings:
                self.watcher.said(f"warning: {warning}")
            for factor, found in audit.inert(self.study.rows).items():
                self.watcher.said(f"inert: {factor} in {len(found['rows'])} rows: {found['reason']}")
        check_score(self.study.head.score, audit.labels)
        self._check_screen(audit)
        return audit

    def _check_screen(self, audit: Audit) -> None:
        """What was decided on other data or another model decides nothing here."""
        screen = self.study.screen
        if screen is None or screen.fingerprints == audit.fingerprints:
            return
        now = audit.fingerprints
        changed = ", ".join(name for name, was in screen.fingerprints.items() if now.get(name) != was)
        what = f"decided before these changed: {changed}. Put them back, or remove the file to screen anew."
        raise input_error(str(self.study.folder), SCREEN_FILE, what)

    def _done(self, runs: Sequence[PlannedRun], audit: Audit) -> dict[str, Record]:
        """By run id, what needs no training: done or diverged, here or (told so) in another precision.

        Failed runs are tried again.
        """
        latest = self.study.ledger.latest()
        done = {}
        others = [precision for precision in PRECISIONS if precision != self.settings.precision]
        twins = [plan_runs(self.study, audit, precision, self.seeds) for precision in others]
        for run, *same in zip(runs, *twins, strict=True):
            for twin in (run, *same):
                record = latest.get(twin.run_id)
                if record is None or record["status"] == "failed":
                    continue
                if not self.mix:
                    self._check_alike(record)
                done[run.run_id] = record
        return done

    def _compare_stacks(self, families: Sequence[Family], found: dict[str, Record]) -> None:
        """Say so where finished runs were stacked with others: how many there are decides on last digits."""
        planned = {run.run_id: family.family_id for family in families for run in family.runs}
        other = [run_id for run_id, record in found.items() if record["family"] != planned[run_id]]
        if other and self.settings.stack_size > 1:
            self.watcher.said(
                f"warning: {len(other)} finished runs were stacked with others than planned now (the design, "
                "--memory or the device has changed): their last digits may differ"
            )

    def _check_alike(self, record: Record) -> None:
        mine = {**self.settings.alike, "stack": self.settings.stack_size}
        theirs = {**{name: record[name] for name in self.settings.alike}, "stack": record.get("stack", 1)}
        if mine != theirs:
            made, asked = (", ".join(f"{k} {v}" for k, v in some.items()) for some in (theirs, mine))
            what = (
                f"has runs made with {made}; now asked for: {asked}. Results may differ in the last digits. "
                "Run as before, or pass --mix to go on all the same."
            )
            raise input_error(str(self.study.folder), LEDGER_FILE, what)

    def _train(self, left: Sequence[Family], audit: Audit) -> None:
        # Longest first: the last to finish is then a short one.
        waiting = deque(sorted(left, key=lambda family: -family_seconds(family, audit)))
        count = min(len(waiting), self.workers or capacity(self.settings, audit).workers)
        for index in range(len(self._workers), count):
            self._start(index)
        self._next(self._workers[0], waiting)
        stands_for = {run.run_id: run.stands_for for family in left for run in family.left}
        while waiting or any(worker.family for worker in self._workers):
            worker, event = self._events.get()
            self._handle(worker, event, stands_for)
            if event["event"] in ("ready", "trained"):
                self._next(worker, waiting)
            elif event["event"] == "ended" and worker in self._workers:
                self._replace(worker, event["code"], needed=bool(waiting))

    def _replace(self, worker: Worker, code: int, needed: bool) -> None:
        """Start a successor of a worker that died over a family.

        Where one could not even start, nor would the next: its place stays empty.
        """
        self._workers.remove(worker)
        worker.close()
        if needed and worker.ready:
            self._start(worker.index)
        elif needed and not self._workers:
            message = f"the worker process ended with {describe_exit(code)}; see {worker.log}"
            raise WorkerBrokeError(message)

    def _next(self, worker: Worker, waiting: deque[Family]) -> None:
        if not waiting:
            worker.family = None
            return
        family = waiting.popleft()
        self.watcher.began(family, worker.index)
        worker.train(family, whole=self.settings.stack_size > 1)

    def _handle(self, worker: Worker, event: Event, stands_for: dict[str, tuple[int, ...]]) -> None:
        family = worker.family
        if event["event"] == "step" and family:
            self.watcher.stepped(family, event["done"])
        elif event["event"] == "record":
            if event["record"]["run_id"] in stands_for:  # else it only kept company
                self._record(event["record"], stands_for)
            worker.sent.add(event["record"]["run_id"])
        elif event["event"] == "trained" and family:
            self.study.files.state_of(family.family_id).unlink(missing_ok=True)
            self.watcher.finished(family)
        elif event["event"] == "ready":
            worker.ready = True
            self._check_unchanged(event["fingerprints"])
        elif event["event"] == "broken" and worker.ready:
            worker.reason = event["traceback"].strip().splitlines()[-1]  # its "ended" event follows
        elif event["event"] == "ended" and family:
            self._record_lost(worker, family, event["code"], stands_for)
            self.watcher.finished(family)
        else:
            raise_if_bad(event)

    def _check_unchanged(self, fingerprints: dict[str, str]) -> None:
        """A worker that starts later reads the files anew; its runs are recorded as those of the audit."""
        changed = [name for name, was in self._fingerprints.items() if fingerprints.get(name) != was]
        if changed:
            what = f"changed while the study ran: {', '.join(changed)}. Run again with what is new."
            raise input_error(str(self.study.folder), "data and model", what)

    def _record(self, record: Record, stands_for: dict[str, tuple[int, ...]]) -> None:
        record = {**record, "stands_for": list(stands_for[record["run_id"]])}
        self.study.ledger.append(record)
        self.watcher.recorded(record)

    def _record_lost(
        self, worker: Worker, family: Family, code: int, stands_for: dict[str, tuple[int, ...]]
    ) -> None:
        """A worker died in the middle of a family: its runs failed, and the ledger says why."""
        reason = worker.reason or f"the worker process ended with {describe_exit(code)}"
        log = self.study.files.log_of(worker.index)
        for run in family.left:
            if run.run_id in worker.sent:
                continue
            self._record(
                {
                    "schema": 1,
                    "run_id": run.run_id,
                    "recipe": run.levels,
                    "seed": run.seed,
                    "status": "failed",
                    "reason": f"{reason}; see {self.study.files.relative(log)}",
                    "protocol": self.study.head.protocol,
                    "best_epoch": 0,
                    "dev": {},
                    "test": {},
                    "epochs": [],
                    "seconds": {},
                    "memory": 0,
                    "family": family.family_id,
                    "threads": self.settings.threads,
                    "stack": self.settings.stack_size,
                    "precision": self.settings.precision,
                    "device": self.settings.device,
                    "versions": {},
                },
                stands_for,
            )

    def _start(self, index: int = 0) -> Worker:
        """A worker for a place (on GPUs, a device) that no other one has."""
        worker = Worker(self.study, self.settings, index, self._events)
        self._workers.append(worker)
        return worker

    def _wait_for(self, worker: Worker, kind: str) -> Event:
        while True:
            source, event = self._events.get()
            raise_if_bad(event)
            if event["event"] == "step" and source.family:
                self.watcher.stepped(source.family, event["done"])
            if source is worker and event["event"] == kind:
                worker.ready = True
                return event
            if event["event"] == "ended":
                message = f"the worker process ended with {describe_exit(event['code'])}; see {source.log}"
                raise WorkerBrokeError(message)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            for worker in self._workers:
                worker.hang_up()  # all at once, so that they end together
            for worker in self._workers:
                worker.close()
            self._workers.clear()
