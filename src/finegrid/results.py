"""What a study has shown so far: its distinct recipes, their runs, and what is missing.

Verdicts and reports read this, whether the runs are ours or a table's from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.audit import Audit, cost_levels
from finegrid.errors import input_error
from finegrid.imported import Imported, ImportedRow, load_imported
from finegrid.ledger import Record
from finegrid.outlook import fitting_audit
from finegrid.plan import identify
from finegrid.precision import PRECISIONS
from finegrid.recipe import Level, Levels, Recipe, key_of
from finegrid.screen import Screen
from finegrid.study import Protocol, Study, load_study

Points = NDArray[np.float64]
HOLDS_AT = ("optimizer.rate", "training.epochs", "training.batch_size", "model.pooling")


@dataclass(frozen=True)
class Distinct:
    """One distinct recipe: what was trained, and the rows of the table that it stands for."""

    rows: tuple[int, ...]
    levels: Levels  # of the active factors, those that exist in it
    run: Levels  # all that it moves from the defaults
    records: Mapping[int, Record]  # by seed, the latest

    def done(self, seed: int) -> Record | None:
        record = self.records.get(seed)
        return record if record is not None and record["status"] == "done" else None


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
    screen: Screen | None = None  # where phase 1 has decided which factors there is more to see of

    def of_seeds(self, seeds: Collection[int]) -> Results:
        """As if only these had run."""
        recipes = tuple(
            replace(recipe, records={s: r for s, r in recipe.records.items() if s in seeds})
            for recipe in self.recipes
        )
        return replace(self, recipes=recipes, seeds=tuple(seed for seed in self.seeds if seed in seeds))

    def points(self, split: str, score: str | None = None) -> Points:
        """Scores ``[recipes, seeds]``, 0 to 100; nan where no run has finished. A table has ``test`` only.

        Args:
            split: dev or test.
            score: another one than the study's, of those that every record has.
        """
        return self._each(lambda record: 100 * metrics.score_of(record[split], score or self.score))

    def means(self, split: str) -> Points:
        """Mean over the seeds that have finished, ``[recipes]``; nan where none has."""
        points = self.points(split)
        count = np.isfinite(points).sum(axis=1)
        total = np.nansum(points, axis=1)
        means: Points = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return means

    def seconds(self) -> Points:
        """What a run took, ``[recipes, seeds]``: pre-training, training, dev after every epoch, and test."""

        def whole(record: Record) -> float:
            seconds: dict[str, float] | None = record["seconds"]
            parts = ("pretrain", "train", "dev", "test")
            return float(sum(seconds.get(part, 0.0) for part in parts)) if seconds else np.nan

        return self._each(whole)

    def memory(self) -> Points:
        """Peak bytes of a process that trains one run of a recipe alone, ``[recipes]``, as probed."""
        if self.audit is None:
            return np.full(len(self.recipes), np.nan)
        costs = [self.audit.cost(Recipe().at(recipe.run)) for recipe in self.recipes]
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
        levels = recipe.levels if self.audit is None else cost_levels(Recipe().at(recipe.run))
        return key_of(levels)

    def _each(self, value: Callable[[Record], float]) -> Points:
        found = np.full((len(self.recipes), len(self.seeds)), np.nan)
        for at, record in self.finished():
            found[at] = value(record)
        return found

    def finished(self) -> Iterator[tuple[tuple[int, int], Record]]:
        """Every finished run, with its place ``(recipe, seed)``."""
        for r, recipe in enumerate(self.recipes):
            for s, seed in enumerate(self.seeds):
                if (record := recipe.done(seed)) is not None:
                    yield (r, s), record

    @cached_property
    def baseline(self) -> int:
        """Index of the recipe that all others differ from: every factor at its first level."""
        first = {name: levels[0] for name, levels in self.factors.items()}
        for index, recipe in enumerate(self.recipes):
            if all(recipe.levels.get(name, level) == level for name, level in first.items()):
                return index
        raise AssertionError("every design has its baseline")

    def missing(self) -> dict[str, list[tuple[int, int]]]:
        """Runs that cannot be counted, by what became of them: ``(first row, seed)``."""
        found: dict[str, list[tuple[int, int]]] = {"left": [], "diverged": [], "failed": []}
        for recipe in self.recipes:
            for seed in self.seeds:
                record = recipe.records.get(seed)
                status = record["status"] if record else "left"
                if status != "done":
                    found[status].append((recipe.rows[0], seed))
        return found

    def predictions(self, split: str) -> Predictions | None:
        """What every finished run predicts of every text; None for a table from
        elsewhere, and where no run has finished.

        Raises:
            InputError: a file is missing or damaged, or runs were scored on different texts.
        """
        return self._read[0].get(split)

    def digests(self) -> Mapping[tuple[int, int], str]:
        """By ``(recipe, seed)``, what stands for all logits of a finished run; empty for a table.

        Raises:
            InputError: as `predictions`.
        """
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[dict[str, Predictions], dict[tuple[int, int], str]]:
        """Every file of predictions, read once."""
        found: dict[str, Predictions] = {}
        digests: dict[tuple[int, int], str] = {}
        if self.audit is None:
            return found, digests
        shape = (len(self.recipes), len(self.seeds))
        for at, record in self.finished():
            digest = hashlib.sha256()
            for split, arrays in read_run(self.folder, record["run_id"]).items():
                if split not in found:
                    predicted = np.full((*shape, len(arrays.gold)), -1, dtype=np.int16)
                    found[split] = Predictions(arrays.gold, predicted, arrays.ids, len(self.audit.labels))
                if not np.array_equal(found[split].gold, arrays.gold):
                    what = f"run {record['run_id']} was scored on other texts than the runs before it."
                    raise input_error(str(self.folder), "predictions", what)
                found[split].predicted[at] = arrays.logits.argmax(axis=1)
                digest.update(arrays.logits.tobytes())
            digests[at] = digest.hexdigest()
        return found, digests


@dataclass(frozen=True)
class Predictions:
    gold: NDArray[np.int64]  # [texts], class numbers
    predicted: NDArray[np.int16]  # [recipes, seeds, texts], class numbers; -1 where no run has finished
    ids: NDArray[np.int64]  # [texts], rows of the user's file, counted from 1
    classes: int


@dataclass(frozen=True)
class RunPredictions:
    gold: NDArray[np.int64]  # [texts]
    logits: NDArray[np.float32]  # [texts, classes]
    ids: NDArray[np.int64]  # [texts], lines of the user's file


def read_run(folder: Path, run_id: str) -> dict[str, RunPredictions]:
    """What a run predicted of dev and of test.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = folder / "predictions" / f"{run_id}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {
                split: RunPredictions(*(file[f"{split}_{name}"] for name in ("gold", "logits", "ids")))
                for split in ("dev", "test")
            }
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        what = f"cannot be read ({type(error).__name__}). Take its line out of runs.jsonl and run again."
        raise input_error(str(folder), f"predictions/{path.name}", what) from None


def any_results(folder: Path) -> Results:
    """Of a study, or of an imported table.

    Raises:
        InputError: neither, or a study that has not been started.
    """
    imported = load_imported(folder)
    return imported_results(folder, imported) if imported else load_results(load_study(folder))


def load_results(study: Study) -> Results:
    """Join design, audit and ledger.

    Raises:
        InputError: the study has not been started, or has changed since it was audited.
    """
    audit = fitting_audit(study)
    if audit is None:
        what = "this study has not been started, or its factors have changed. `finegrid run` trains it."
        raise input_error(str(study.folder), "audit.json", what)
    latest = study.ledger.latest()
    exists = existing(study, audit)
    groups: dict[str, list[int]] = {}
    for position, row in enumerate(study.rows):
        audited = audit.row(row)
        assert audited is not None  # a fitting audit covers all rows
        groups.setdefault(key_of(audited.run), []).append(position)
    seeds = sorted({*study.head.design.numbers, *(record["seed"] for record in latest.values())})
    recipes = []
    for positions in groups.values():
        row = study.rows[positions[0]]
        audited = audit.row(row)
        assert audited is not None
        records = records_by_seed(study, audit, audited.run, seeds, latest)
        levels = {name: level for name, level in row.levels.items() if exists[name][positions[0]]}
        rows = tuple(study.rows[position].index for position in positions)
        recipes.append(Distinct(rows, levels, audited.run, records))
    shown = [
        seed for seed in seeds if seed in study.head.design.numbers or any(seed in r.records for r in recipes)
    ]
    factors = {name: levels for name, levels in study.factors.items() if any(exists[name])}
    whole = audit.inert(study.rows)
    inert = {name: whole[name]["reason"] for name in study.factors if not any(exists[name])}
    common = {name: level for name, level in study.baseline.levels().items() if name in HOLDS_AT}
    holds_at = {name: level for name, level in common.items() if name not in study.factors}
    return Results(
        folder=study.folder,
        score=study.head.score,
        protocol=study.head.protocol,
        audit=audit,
        factors=factors,
        inert=inert,
        recipes=tuple(recipes),
        seeds=tuple(shown),
        planned_seeds=study.head.design.planned,
        holds_at=holds_at,
        notes=tuple(audit.warnings),
        screen=study.screen,
    )


def imported_results(folder: Path, imported: Imported) -> Results:
    """A table from elsewhere, its rows in the place of runs."""
    has_seeds = all(row.seed is not None for row in imported.rows)
    known = sorted({row.seed for row in imported.rows if row.seed is not None})
    rows_of: dict[tuple[Level, ...], list[ImportedRow]] = {}
    for row in imported.rows:
        rows_of.setdefault(imported.recipe_of(row), []).append(row)
    active = {name: levels for name, levels in imported.factors.items() if name not in imported.inert}
    recipes = []
    for rows in rows_of.values():
        levels = {name: rows[0].levels[name] for name in active}
        seeds_here = [row.seed for row in rows if row.seed is not None]
        numbers = apart(seeds_here, known) if has_seeds else range(len(rows))
        records = {
            seed: imported_record(imported.score, row) for seed, row in zip(numbers, rows, strict=True)
        }
        recipes.append(Distinct(tuple(dict.fromkeys(row.index for row in rows)), levels, {}, records))
    seeds = tuple(sorted({seed for recipe in recipes for seed in recipe.records}))
    notes = (*imported.notes, *imported.warnings)
    return Results(
        folder=folder,
        score=imported.score,
        protocol="best-dev",
        audit=None,
        factors=active,
        inert=imported.inert,
        recipes=tuple(recipes),
        seeds=seeds,
        planned_seeds=seeds,
        holds_at={},
        seconds_per=imported.seconds_per or "run",
        repeats=not has_seeds,
        notes=notes,
    )


def apart(seeds: Sequence[int], known: Sequence[int]) -> list[int]:
    """The seeds of a recipe's rows, where a seed stands there again a number of its own.

    Repeats are numbered above all seeds of the table, and alike in all recipes: they take no other seed's
    place, and a block holds repeats of one seed, whichever rows are missing.

    Args:
        seeds: of the recipe's rows.
        known: of the table, in order.
    """
    before: Counter[int] = Counter()
    found = []
    for seed in seeds:
        again = before[seed] - 1
        found.append(seed if again < 0 else known[-1] + 1 + again * len(known) + known.index(seed))
        before[seed] += 1
    return found


def imported_record(score: str, row: ImportedRow) -> Record:
    """A row of a table as far as it goes as a record."""
    if row.result is None:
        return {"status": "left"}
    kind, _, label = score.partition(":")
    value = row.result / 100
    seconds = {"train": row.seconds, "dev": 0.0, "test": 0.0} if row.seconds is not None else None
    return {"status": "done", "test": {kind: {label: value} if label else value}, "seconds": seconds}


def records_by_seed(
    study: Study, audit: Audit, run: Levels, seeds: Sequence[int], latest: Mapping[str, Record]
) -> dict[int, Record]:
    """The latest record of a recipe with every seed that has one.

    Args:
        study: the study.
        audit: its audit.
        run: the recipe's levels, inert ones left out.
        seeds: those asked for.
        latest: the ledger, by run id.
    """
    found = {}
    for seed in seeds:
        ids = [identify(study, audit, precision, run, seed) for precision in PRECISIONS]
        # A mixed study may have either; where it has both, the reference precision speaks.
        if (first := next((run_id for run_id in ids if run_id in latest), None)) is not None:
            found[seed] = latest[first]
    return found


def existing(study: Study, audit: Audit) -> dict[str, list[bool]]:
    """By varied factor and row: whether the factor does anything there.

    A moved level that does nothing is known from the audit. A level at its default has nothing to do by
    itself; it exists where moving it would do something: where some other factor is at a level at which
    no moved level of it is inert.
    """
    found: dict[str, list[bool]] = {}
    for name in study.factors:
        inert = [name in (audited.inert if (audited := audit.row(row)) else {}) for row in study.rows]
        moved = [row.recipe.levels()[name] != Recipe().levels()[name] for row in study.rows]
        if not any(inert):
            found[name] = [True] * len(study.rows)
            continue
        silencer = silencing(study, name, inert, moved)
        if silencer is None:
            found[name] = [
                not all(i for i, m in zip(inert, moved, strict=True) if m) and not i for i in inert
            ]
            continue
        other, levels = silencer
        found[name] = [row.levels[other] not in levels for row in study.rows]
    return found


def silencing(
    study: Study, name: str, inert: Sequence[bool], moved: Sequence[bool]
) -> tuple[str, set[Level]] | None:
    """The factor that decides whether another is inert, and its levels at which it is."""
    for other in study.factors:
        if other == name:
            continue
        at: dict[Level, set[bool]] = {}
        for row, is_inert, is_moved in zip(study.rows, inert, moved, strict=True):
            if is_moved:
                at.setdefault(row.levels[other], set()).add(is_inert)
        if len(at) > 1 and all(len(answers) == 1 for answers in at.values()):
            silent = {level for level, answers in at.items() if answers == {True}}
            if silent and len(silent) < len(at):
                return other, silent
    return None
