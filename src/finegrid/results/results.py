"""What a study has shown so far: its distinct recipes, their runs, and what is missing.

Verdicts and reports read this, whether the runs are ours or a table's from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.resample import Resampling
from finegrid.errors import input_error
from finegrid.recipe.identity import Level, Levels, key_of
from finegrid.recipe.recipe import BLANK, Recipe
from finegrid.results.score_scale import ScoreScale
from finegrid.statistics.nested import Splits
from finegrid.study.audit_file import Audit
from finegrid.study.bundles import Bundles
from finegrid.study.folder import StudyFolder
from finegrid.study.predictions import read_each, take_answers
from finegrid.study.record import Record
from finegrid.study.screen import Screen
from finegrid.study.settings import Protocol

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Distinct:
    """One distinct recipe: what was trained, and the rows of the table that it stands for."""

    rows: tuple[int, ...]
    levels: Levels  # of the active factors, those that exist in it
    run: Levels  # all that it moves from the defaults
    records: Mapping[int, Record]  # by seed, the latest

    def done(self, seed: int) -> Record | None:
        record = self.records.get(seed)
        return record if record is not None and record.done else None


@dataclass(frozen=True)
class MergedLevel:
    """A level all of whose rows are the runs of another level of its factor."""

    factor: str
    level: Level
    other: Level
    reason: str  # what is inert, and why


@dataclass(frozen=True)
class Results:
    """The runs of a study, by distinct recipe and seed."""

    folder: Path
    score: str
    protocol: Protocol
    audit: Audit | None  # None: a table from elsewhere
    factors: Mapping[
        str, Sequence[Level]
    ]  # without those that do nothing anywhere; first the baseline's level
    inert: Mapping[str, str]  # those that do nothing anywhere, and why
    recipes: tuple[Distinct, ...]
    seeds: tuple[int, ...]  # of repeats: 0, 1, ... with nothing in common
    planned_seeds: tuple[int, ...]
    holds_at: Levels  # what every recipe has in common and a verdict may depend on
    seconds_per: str = "run"  # or "epoch"
    repeats: bool = False  # whether "seeds" are just repeats of the same recipes
    notes: tuple[str, ...] = ()  # where it comes from, and warnings about the data
    unfit: tuple[str, ...] = ()  # of these, what of the study's files does not fit
    scale: ScoreScale = field(default_factory=ScoreScale)  # of the scores
    resampling: Resampling | None = None  # where every seed has a split of its own of one pool
    test_given: bool = False  # whether the test texts have a file of their own, outside that pool
    screen: Screen | None = None  # where phase 1 has decided which factors there is more to see of
    bundles: Bundles = field(default_factory=dict)  # what the levels of factors that are bundles set
    merged: tuple[MergedLevel, ...] = ()  # levels that nothing can be compared with
    given: Given | None = None  # predictions that are not of our runs: a comparison has them
    # Scored in every run; first the level that all other factors are scored with.
    free_factors: Mapping[str, Sequence[Level]] = field(default_factory=dict)
    blank: Recipe = BLANK  # with the study's own strategies, everything at its default
    contradicting: frozenset[int] = frozenset()  # recipes that contradict a level of a free factor

    @property
    def labels(self) -> Sequence[str] | None:
        """Of the classes that predictions are numbers of; None without predictions."""
        if self.given is not None:
            return self.given.labels
        return None if self.audit is None else self.audit.labels

    def of_seeds(self, seeds: Collection[int]) -> Results:
        """As if only these had run."""
        recipes = tuple(
            replace(recipe, records={s: r for s, r in recipe.records.items() if s in seeds})
            for recipe in self.recipes
        )
        return replace(self, recipes=recipes, seeds=tuple(seed for seed in self.seeds if seed in seeds))

    def splits(self, split: str) -> Splits | None:
        """Which split of the pool every seed has, and how much splits of it share; None without a pool.

        Args:
            split: dev or test: on which of them scores are.
        """
        if self.resampling is None or self.audit is None:
            return None
        of_seed = tuple(seed % self.resampling.splits for seed in self.seeds)
        return Splits(of_seed, self.audit.sizes[split] / self.audit.sizes["train"])

    def is_nested(self, split: str) -> bool:
        """Whether seeds are scored on texts of their own: dev, or test, is drawn anew for every split."""
        return self.resampling is not None and not (split == "test" and self.test_given)

    def points(self, split: str, score: str | None = None) -> Points:
        """Scores ``[recipes, seeds]``, 0 to 100; nan where no run has finished. A table has ``test`` only.

        More is better: see `ScoreScale` for tables whose scores are errors or losses.

        Args:
            split: dev or test.
            score: another one than the study's, of those that every record has.
        """
        told = self._each(lambda record: 100 * record.score(split, score or self.score))
        return self.scale.to_points(told)

    def means(self, split: str) -> Points:
        """Mean over the seeds that have finished, ``[recipes]``; nan where none has."""
        points = self.points(split)
        count = np.isfinite(points).sum(axis=1)
        total = np.nansum(points, axis=1)
        means: Points = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return means

    def seconds(self) -> Points:
        """What a run took, ``[recipes, seeds]``: pre-training, training, dev after every epoch, and test.

        NaN where nobody wrote it down; no time at all is none that was measured.
        """
        return self._each(lambda record: (record.seconds.total if record.seconds else 0.0) or np.nan)

    def memory(self) -> Points:
        """Peak bytes of a process that trains one run of a recipe alone, ``[recipes]``, as probed."""
        return self._memory

    @cached_property
    def _memory(self) -> Points:
        if self.audit is None:
            return np.full(len(self.recipes), np.nan)
        costs = [self.audit.cost(self.blank.at(recipe.run)) for recipe in self.recipes]
        return np.array([cost.memory if cost else np.nan for cost in costs])

    @cached_property
    def run_seconds(self) -> Points:
        """What a run of each recipe takes, ``[recipes]``: the median over all that cost the same.

        Recipes that differ in nothing that costs time share a figure, so that a busy machine does not decide
        which of them is the cheapest.
        """
        seconds = self.seconds()
        kinds = [self._kind(recipe) for recipe in self.recipes]
        found = np.full(len(kinds), np.nan)
        for kind in set(kinds):
            alike = [index for index, other in enumerate(kinds) if other == kind]
            values = seconds[alike][np.isfinite(seconds[alike])]
            if len(values):
                found[alike] = np.median(values)
        return found

    def _kind(self, recipe: Distinct) -> str:
        levels = recipe.levels if self.audit is None else self.blank.at(recipe.run).timed_levels()
        return key_of(levels)

    def _each(self, value: Callable[[Record], float]) -> Points:
        found = np.full((len(self.recipes), len(self.seeds)), np.nan)
        for at, record in self.finished():
            found[at] = value(record)
        return found

    def finished(self) -> Iterator[tuple[tuple[int, int], Record]]:
        """Every finished run, with its place ``(recipe, seed)``."""
        return iter(self._finished)

    @cached_property
    def _finished(self) -> tuple[tuple[tuple[int, int], Record], ...]:
        return tuple(
            ((r, s), record)
            for r, recipe in enumerate(self.recipes)
            for s, seed in enumerate(self.seeds)
            if (record := recipe.done(seed)) is not None
        )

    @cached_property
    def baseline(self) -> int:
        """Index of the recipe that all others differ from: every factor at its first level."""
        first = {name: levels[0] for name, levels in self.factors.items()}
        for index, recipe in enumerate(self.recipes):
            if all(recipe.levels.get(name, level) == level for name, level in first.items()):
                return index
        raise AssertionError("every design has its baseline")

    def missing(self) -> dict[str, list[tuple[int, int]]]:
        """Runs that cannot be counted, by what became of them: ``(first row, seed)``.

        Of repeats there is no plan: a recipe lacks one only where it has none.
        """
        found: dict[str, list[tuple[int, int]]] = {"left": [], "diverged": [], "failed": []}
        if self.given is not None:
            return found  # what there is was planned
        for recipe in self.recipes:
            for seed in self.seeds if not self.repeats else self.seeds[: not recipe.records]:
                record = recipe.records.get(seed)
                status = record.status if record else "left"
                if status != "done":
                    found[status].append((recipe.rows[0], seed))
        return found

    def predictions(self, split: str) -> Predictions | None:
        """What every finished run predicts of every text; None for a table from
        elsewhere, and where no run has finished.

        Where texts are drawn anew for every split, they are those of all splits, and a run has no prediction
        of those that its split has elsewhere.

        Raises:
            InputError: a file is missing or damaged, or runs were scored on different texts.
        """
        if self.given is not None:
            return self.given.predictions if split == "test" else None
        return self._read[0].get(split)

    def digests(self) -> Mapping[tuple[int, int], str]:
        """By ``(recipe, seed)``, what stands for all logits of a finished run; empty for a table.

        Raises:
            InputError: as `predictions`.
        """
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[dict[str, Predictions], dict[tuple[int, int], str]]:
        """Every file of predictions, read once: no logits, where a run has kept what it answers."""
        found: dict[str, Predictions] = {}
        digests: dict[tuple[int, int], str] = {}
        if self.audit is None:
            return found, digests
        shape = (len(self.recipes), len(self.seeds))
        own: dict[str, list[OwnTexts]] = {}
        places = {record.run_id: at for at, record in self.finished()}
        for record, answers in read_each(self.folder, [one for _, one in self.finished()], take_answers):
            at = places[record.run_id]
            digests[at] = answers.digest
            for split, said in answers.splits.items():
                if self.is_nested(split):
                    own.setdefault(split, []).append(OwnTexts(at, said.ids, said.gold, said.predicted))
                    continue
                if split not in found:
                    classes, groups = len(self.audit.labels), self.audit.groups.get(split)
                    found[split] = Predictions(
                        said.gold,
                        no_answers((*shape, len(said.gold)), classes),
                        said.ids,
                        classes,
                        None if groups is None else np.array(groups, dtype=np.int64),
                    )
                if not np.array_equal(found[split].gold, said.gold):
                    what = f"run {record.run_id} was scored on other texts than the runs before it."
                    raise input_error(str(self.folder), StudyFolder(self.folder).predictions.name, what)
                found[split].predicted[at] = said.predicted
        found |= {split: unite(runs, shape, len(self.audit.labels)) for split, runs in own.items()}
        return found, digests


@dataclass(frozen=True)
class OwnTexts:
    """What one run predicts of the texts of its split."""

    at: tuple[int, int]  # recipe, seed
    ids: NDArray[np.int64]
    gold: NDArray[np.int64]
    said: NDArray[np.int64]


def unite(runs: Sequence[OwnTexts], shape: tuple[int, int], classes: int) -> Predictions:
    """Predictions of the texts of all splits, by rising id; -1 of a text that a run's split has elsewhere.

    Args:
        runs: all that have finished.
        shape: recipes and seeds.
        classes: how many.
    """
    ids = np.unique(np.concatenate([run.ids for run in runs]))
    gold = np.empty(len(ids), dtype=np.int64)
    predicted = no_answers((*shape, len(ids)), classes)
    for run in runs:
        place = np.searchsorted(ids, run.ids)
        gold[place] = run.gold
        predicted[run.at][place] = run.said
    return Predictions(gold, predicted, ids, classes)


def no_answers(shape: tuple[int, ...], classes: int) -> NDArray[np.signedinteger]:
    """-1 everywhere, in an array that takes class numbers."""
    return np.full(shape, -1, dtype=np.promote_types(np.min_scalar_type(-classes), np.int16))


@dataclass(frozen=True)
class Predictions:
    gold: NDArray[np.int64]  # [texts], class numbers
    predicted: NDArray[
        np.signedinteger
    ]  # [recipes, seeds, texts], class numbers; -1: no run, or not its text
    ids: NDArray[np.int64]  # [texts], rows of the user's file, counted from 1
    classes: int
    groups: NDArray[np.int64] | None = None  # [texts], with data.group: equal numbers are one group


@dataclass(frozen=True)
class Given:
    """Predictions that files of the user's bring, of test texts."""

    labels: tuple[str, ...]
    predictions: Predictions
