"""Run what is planned minus what the ledger has, on worker processes. Running again is resuming."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from finegrid.allowed_code import check_allowed
from finegrid.planning.capacity import capacity
from finegrid.planning.families import plan_families
from finegrid.planning.free import with_free
from finegrid.planning.runs import plan_runs
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import check_writable
from finegrid.running.auditing import audit_study
from finegrid.running.crew import Crew
from finegrid.running.finished import check_kinds, compare_stacks, find_finished
from finegrid.running.fitting import Keeping, fit_recipe
from finegrid.running.place import Place, ThisMachine
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import tell_offer, warning, warning_in
from finegrid.running.scheduling import train_families
from finegrid.study.audit_file import Audit
from finegrid.study.leftovers import remove_ended_states
from finegrid.study.lock import locked
from finegrid.study.record import Record
from finegrid.study.runs_on_file import read_runs
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
    ends: float = math.inf  # when to stop, by `time.monotonic`
    place: Place = field(default_factory=ThisMachine)
    meanwhile: Callable[[], object] = lambda: None  # done while the first worker loads data and model

    def __post_init__(self) -> None:
        check_allowed({one.source: one.digest for one in self.study.own.descriptions})
        self._crew = Crew(
            self.study, self.settings, self.watcher, self.place, self.mix, meanwhile=self.meanwhile
        )
        self.place.check(self.study, self.settings, self.workers)

    def audit(self, others: Sequence[Levels] = ()) -> Audit:
        """Probe the model and the data, and write ``audit.json``.

        Args:
            others: further recipes to probe, each as the levels that it moves from the defaults.

        Raises:
            InputError: bad data or model, or a folder in use.
        """
        with self._at_work():
            return audit_study(self._crew, self.settings.priced_by, others)

    def run(self) -> Iterator[Record]:
        """Train what is missing.

        Returns:
            The latest record of every planned run that has one, read when it is asked for: of 160,000 runs
            they take a gigabyte.

        Raises:
            InputError: bad data or model, a folder in use, or a device or precision unlike the ledger's.
            OSError: the system refuses what no run can do without, such as room on the disk.
        """
        with self._at_work():
            files = self.study.files
            for folder in (files.predictions, files.states):
                folder.mkdir(exist_ok=True)  # better now than when the first run has ended
            check_writable(files.path, files.predictions, files.states, files.ledger)
            audit = with_free(audit_study(self._crew, self.settings.priced_by), self.study)
            on_file = read_runs(self.study, audit, "whole")
            for note in on_file.notes:
                self.watcher.said(warning(note))
            offer = self.place.offer(self.study, self.settings)
            if offer.nodes is not None:
                self.watcher.said(tell_offer(offer.nodes, offer.places))
            seeds = self._seeds_with(on_file.lost.values())
            runs = plan_runs(self.study, audit, self.settings.precision, seeds)
            finished = find_finished(self.study, self.settings, audit, runs, seeds, self.mix, on_file.latest)
            kinds = self._kinds(finished)
            remove_ended_states(files, finished)
            self.watcher.found([*finished.values()])
            families = plan_families(runs, capacity(self.settings, audit, self.place.hardware()).size_of)
            compare_stacks(self._crew, families, finished)
            planned = self.study.head.design.numbers if self.seeds is None else self.seeds
            not_asked = {run.run_id for run in runs if not self._asks_for(run.stands_for)}
            # Of a seed that was added later, what is lost is trained again, and nothing is added.
            not_asked |= {run.run_id for run in runs if run.seed not in planned} - on_file.lost.keys()
            settled = finished.keys() | not_asked
            left = [family.without(settled) for family in families]
            left = [family for family in left if family.left]
            self.watcher.planned(families, left, audit)
            del on_file, finished  # records of all runs, which nobody needs any more
            train_families(self._crew, left, audit, self.workers, self.ends, kinds)
            return self._read([run.run_id for run in runs])

    def fit(self, recipe: Recipe, seed: int, keeping: Keeping) -> Record:
        """Train one recipe and keep its model. Returns its record, which the ledger does not get.

        Raises:
            InputError: bad data or model, or a folder in use.
        """
        with self._at_work():
            self.study.files.states.mkdir(exist_ok=True)
            return fit_recipe(self._crew, recipe, seed, audit_study(self._crew), keeping)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Hold the study, with workers that end afterwards.

        Raises:
            InputError: the folder is in use.
        """
        lock = locked(self.study.folder, lambda telling: self.watcher.said(warning_in(telling)))
        with lock, self._crew.employed():
            yield

    def _read(self, run_ids: Sequence[str]) -> Iterator[Record]:
        latest = self.study.ledger.latest()
        yield from (latest[run_id] for run_id in run_ids if run_id in latest)

    def _kinds(self, finished: Mapping[str, Record]) -> dict[int, str]:
        """By seed, the kind of device that its finished runs were trained on, where that is known.

        Raises:
            InputError: another kind than trains now.
        """
        found = {record.seed: self.place.kind_of_record(record) for record in finished.values()}
        kinds = {seed: kind for seed, kind in found.items() if kind}
        if not self.mix:
            check_kinds(self.study, kinds.values(), self.place.kind_of(self._crew.workers[0]))
        return kinds

    def _seeds_with(self, lost: Iterable[int]) -> list[int]:
        """The seeds that are asked for; where none are, also those of runs that are lost."""
        if self.seeds is not None:
            return [*self.seeds]
        return [*dict.fromkeys((*self.study.head.design.numbers, *sorted(lost)))]

    def _asks_for(self, rows: Collection[int]) -> bool:
        return self.rows is None or bool(set(rows) & set(self.rows))
