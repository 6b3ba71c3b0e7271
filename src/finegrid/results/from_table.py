"""The results of a table from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finegrid.metrics import range_of
from finegrid.recipe.identity import Level
from finegrid.results.results import Distinct, Results
from finegrid.results.score_scale import ScoreScale
from finegrid.statistics.outcomes import connects_all
from finegrid.study.imported import Imported, ImportedRow
from finegrid.study.record import Record, Seconds

APART = (
    "its seeds do not connect the recipes (most runs have a seed of their own), so rows of one recipe were "
    "taken as repeats"
)


def imported_results(folder: Path, imported: Imported) -> Results:
    """A table from elsewhere, its rows in the place of runs."""
    has_seeds = seeds_connect(imported)
    known = sorted({row.seed for row in imported.rows if row.seed is not None})
    rows_of: dict[tuple[Level, ...], list[ImportedRow]] = {}
    for row in imported.rows:
        rows_of.setdefault(imported.recipe_of(row), []).append(row)
    active = {name: levels for name, levels in imported.factors.items() if name not in imported.inert}
    recipes = []
    taken: set[int] = set()
    for rows in rows_of.values():
        levels = {name: rows[0].levels[name] for name in active}
        seeds_here = [row.seed for row in rows if row.seed is not None]
        numbers = apart(seeds_here, known) if has_seeds else range(len(rows))
        numbered = [*zip(numbers, rows, strict=True)]
        taken.update(seed for seed, _ in numbered)
        records = {
            seed: imported_record(imported.score, seed, row.result, row.seconds)
            for seed, row in numbered
            if row.result is not None
        }
        recipes.append(Distinct(tuple(dict.fromkeys(row.index for row in rows)), levels, {}, records))
    seeds = tuple(sorted(taken))
    scale, about_scale = scale_of(imported)
    notes = (*imported.notes, *imported.warnings, *about_scale)
    if not has_seeds and all(row.seed is not None for row in imported.rows):
        notes = (*notes, APART)
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
        scale=scale,
    )


def seeds_connect(imported: Imported) -> bool:
    """Whether rows have seeds that the recipes have in common, so that recipes are compared inside seeds.

    In many logs every run has a seed number of its own, which says nothing about any other run.
    """
    if any(row.seed is None for row in imported.rows):
        return False
    recipes = list(dict.fromkeys(map(imported.recipe_of, imported.rows)))
    seeds = list(dict.fromkeys(row.seed for row in imported.rows))
    place, column = ({each: number for number, each in enumerate(those)} for those in (recipes, seeds))
    ran = np.zeros((len(recipes), len(seeds)), dtype=bool)
    for row in imported.rows:
        if row.result is not None:
            ran[place[imported.recipe_of(row)], column[row.seed]] = True
    return connects_all(ran)


def scale_of(imported: Imported) -> tuple[ScoreScale, list[str]]:
    """How the table's results become points, and what a reader must know of it."""
    results = [row.result for row in imported.rows if row.result is not None]
    lower, signed = imported.lower_is_better, any(result < 0 for result in results)
    if imported.scale == "points":
        low, high = range_of(imported.score)
        return ScoreScale(1.0, lower, -100.0 if signed else low, high), []
    first = {name: levels[0] for name, levels in imported.factors.items() if name not in imported.inert}
    of_baseline = [
        row.result
        for row in imported.rows
        if row.result is not None and all(row.levels[name] == level for name, level in first.items())
    ]
    reference = float(np.mean(of_baseline)) if of_baseline else float(np.mean(np.abs(results or [1.0])))
    point = abs(reference) / 100 or 1.0
    whose = "the baseline's" if of_baseline else "the mean"
    note = f"a point is 1 % of {whose} {imported.score} ({abs(reference):.4g}), so {point:.4g} of it"
    return ScoreScale(point, lower, -np.inf if signed else 0.0, np.inf), [note]


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


def imported_record(score: str, seed: int, points: float, seconds: float | None) -> Record:
    """A row of a table as far as it goes as a record: it has one score, of test, and no run id."""
    kind, _, label = score.partition(":")
    value = points / 100
    return Record(
        run_id="",
        seed=seed,
        status="done",
        test={kind: {label: value} if label else value},
        seconds=None if seconds is None else Seconds(train=seconds),
    )
