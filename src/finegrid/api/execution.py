"""What trains a study from Python: the same functions as behind `finegrid plan`, `run` and `fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from finegrid.api.plan import Plan, RunSummary
from finegrid.api.progress import Listener
from finegrid.api.wording import COMMAND_LINE
from finegrid.errors import input_error
from finegrid.planning.status import study_status
from finegrid.running import launch
from finegrid.running.admitting import admit
from finegrid.running.cluster.where import place_of
from finegrid.running.place import Place
from finegrid.study.edit import keep_asked_seeds
from finegrid.study.far_data import describe_far
from finegrid.study.load import load_study, override, read_study
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study


@dataclass(frozen=True)
class Execution:
    """A study, how it is to be executed, and who is told."""

    folder: Path
    workers: int | None
    mix: bool
    listener: Listener
    device: str | None
    precision: str | None
    memory: float | None
    on: str | None = None
    storage: str | None = None
    only_nodes: bool = False  # whether it trains but one run, so that only nodes could differ
    allow_code: bool = False  # whether the study's own strategies may run from now on

    @cached_property
    def study(self) -> Study:
        """For who trains or probes, and so reads what it names: files elsewhere are told first."""
        admit(self.folder, self.allow_code, runs=True)
        study = load_study(self.folder)
        self.listener.say(lambda lang: [far] if (far := describe_far(study, lang)) else [])
        return study

    @cached_property
    def settings(self) -> RunSettings:
        return self.settings_of(self.study)

    def settings_of(self, study: Study) -> RunSettings:
        """How a study is executed: as it says itself, or as was asked for.

        Raises:
            InputError: not a device or precision of ours, or no amount of memory.
        """
        given = {"device": self.device, "precision": self.precision, "memory": self.memory}
        return override(study.head.run, **given)

    def place(self) -> AbstractContextManager[Place]:
        """Where it trains.

        Raises:
            InputError: no such place, or what there is on a cluster only.
        """
        return place_of(self.on, self.storage, self.mix, self.only_nodes)

    def plan(self, seeds: int | None, probe: bool) -> Plan:
        """What will run, after a look at the model if one is asked for; else that may be elsewhere."""
        with self.place() as place:
            if probe:
                launch.audit(self.study, self.settings, show=self.listener, place=place)
            else:
                admit(self.folder, self.allow_code, runs=False)
            study = self.study if probe else read_study(self.folder)
            settings = self.settings_of(study)
            offer = place.offer(study, settings)
        return Plan.of(study_status(study, settings, seeds, self.workers, offer))

    def train(
        self,
        seeds: int | None,
        rows: Collection[int] | None,
        margin: float | None,
        seconds: float | None,
    ) -> RunSummary:
        """What is missing; of a screen the second phase, too, once the first is decided.

        Raises:
            InputError: no such rows, or as `launch.train`.
        """
        from finegrid.verdict.brief import tells_nothing
        from finegrid.verdict.screening import train_phases

        ends = math.inf if seconds is None else time.monotonic() + seconds
        check_rows(rows, len(self.study.rows))
        study = keep_asked_seeds(self.study, seeds, partial(tells_nothing, self.folder))
        train = partial(
            launch.train,
            settings=self.settings,
            workers=self.workers,
            seeds=seeds,
            rows=rows,
            mix=self.mix,
            ends=ends,
            show=self.listener,
        )
        with self.place() as place:
            study = train_phases(study, partial(train, place=place), margin, self.listener.say, rows)
        return RunSummary.of(study_status(study, self.settings, seeds), self.listener.said)

    def add_seeds(self, seconds: float | None, margin: float | None) -> RunSummary:
        """More of them, at planned looks, until every verdict is in or the time is over.

        Raises:
            InputError: as `interim.add_seeds`.
        """
        from finegrid.verdict.interim import add_seeds

        settings, show = self.settings, self.listener
        with self.place() as place:
            ended = add_seeds(
                self.study,
                train=lambda study, seeds: launch.train(
                    study, settings, self.workers, seeds, mix=self.mix, show=show, place=place
                ),
                measure=partial(launch.measure_costs, settings=settings, show=show, place=place),
                predict_seconds=partial(
                    launch.predict_seconds, settings=settings, workers=self.workers, place=place
                ),
                budget=seconds,
                margin=margin,
                say=self.listener.say,
            )
        now = study_status(load_study(self.folder), self.settings)
        return RunSummary.of(now, self.listener.said, " ".join(ended("en")))

    def fit(
        self,
        recipe: str | None,
        out: Path | None,
        seed: int | None,
        force: bool,
        margin: float | None,
        tolerance: float,
    ) -> Path:
        """Train one recipe, and return where its model lies.

        Raises:
            InputError: no such recipe, nothing to recommend, or a place that is taken.
            RuntimeError: the run diverged or failed.
        """
        from finegrid.inference.fit import check_out, find_recipe, not_kept_line
        from finegrid.report.model_card import study_blocks
        from finegrid.verdict.interim import recommended_recipe

        study = self.study
        recommend = partial(recommended_recipe, margin=margin, tolerance=tolerance)
        chosen = find_recipe(study, recipe, recommend)
        kept = check_out(out or study.files.best_model, force)
        about = study_blocks(study, chosen, margin, tolerance)
        with self.place() as place:
            record = launch.fit(
                study, self.settings, chosen, seed, kept, about=about, show=self.listener, place=place
            )
        if not record.done:
            raise RuntimeError(not_kept_line(record))
        return kept


def check_alone(seeds: int | None, rows: Collection[int] | None) -> None:
    """Interim analyses decide on whole seeds of all rows.

    Raises:
        InputError: seeds or rows were chosen.
    """
    for name, value in (("seeds", seeds), ("rows", rows)):
        if value is not None:
            what = f"found {value!r} together with until_decided, which chooses itself. Leave one out."
            raise input_error(COMMAND_LINE, name, what)


def check_rows(rows: Collection[int] | None, count: int) -> None:
    """Rows of the study's table.

    Raises:
        InputError: others.
    """
    wrong = [row for row in rows or () if isinstance(row, bool) or row not in range(1, count + 1)]
    if wrong:
        raise input_error(COMMAND_LINE, "rows", f"found {wrong[0]!r}, expected numbers from 1 to {count}.")
