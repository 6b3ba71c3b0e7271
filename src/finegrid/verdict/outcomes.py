"""Scores of a study's results as the statistics take them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.results.results import Points, Results
from finegrid.statistics.grouped import sum_by_group
from finegrid.statistics.outcomes import Block, Outcomes, Values
from finegrid.statistics.repeats import of_runs
from finegrid.study.audit_file import Audit


def find_blocks(results: Results) -> tuple[Block, ...]:
    """Of a decided screen: every combination of the survivors, and the fraction, which gives the rest."""
    if results.screen is None:
        return ()
    dropped = [name for name in results.factors if name not in results.screen.survivors]
    first = {name: results.factors[name][0] for name in dropped}
    in_full = [
        all(recipe.levels.get(name, first[name]) == first[name] for name in dropped)
        for recipe in results.recipes
    ]
    # A factor may do something only where a dropped one is off its first level.
    existing = {
        name
        for recipe, belongs in zip(results.recipes, in_full, strict=True)
        if belongs
        for name in recipe.levels
    }
    survivors = tuple(name for name in results.factors if name in existing and name not in dropped)
    in_fraction = [recipe.rows[0] <= results.screen.rows for recipe in results.recipes]
    everything = tuple(results.factors)
    return (
        Block(np.array(in_full), survivors, survivors),
        Block(np.array(in_fraction), everything, everything),
    )


def collect_outcomes(results: Results, split: str, without: NDArray[np.bool_] | None = None) -> Outcomes:
    """The study's score on dev or test, and what each text contributes to it.

    A run that diverged counts: it is worth as much as always naming the majority class.

    Args:
        results: of a study or a table.
        split: dev or test.
        without: ``[recipes, seeds]``, runs to leave out.

    Raises:
        InputError: predictions that cannot be read.
    """
    recipes = [recipe.levels for recipe in results.recipes]
    points = count_points(results, split)
    if without is not None:
        points = np.where(without, np.nan, points)
    influence, grain = measure_influence(results, split), measure_grain(results, split)
    if results.repeats and influence is not None:
        return replace(of_runs(results.factors, recipes, points, influence), grain=grain)
    if results.repeats:
        return Outcomes.of_repeats(results.factors, recipes, points, measured=False)
    return Outcomes(
        results.factors,
        recipes,
        points,
        influence,
        blocks=find_blocks(results),
        grain=grain,
        measured=results.audit is not None,
        splits=results.splits(split),
    )


def measure_grain(results: Results, split: str) -> float:
    """Points that a single text moves the study's score by, at most; 0 without predictions.

    With data.group a group of mean size; where seeds draw splits, a text of all of them together.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions, labels = results.predictions(split), results.labels
    if predictions is None or labels is None:
        return 0.0
    size = 1.0
    if predictions.groups is not None:
        size = len(predictions.groups) / len(np.unique(predictions.groups))
    return size * metrics.grain(predictions.gold, predictions.classes, results.score, labels)


def find_diverged(results: Results) -> NDArray[np.bool_]:
    """``[recipes, seeds]``: which runs diverged, and count. None as long as no run has finished."""
    found = np.zeros((len(results.recipes), len(results.seeds)), dtype=bool)
    if results.audit is not None and any(True for _ in results.finished()):
        for r, recipe in enumerate(results.recipes):
            for s, seed in enumerate(results.seeds):
                record = recipe.records.get(seed)
                found[r, s] = record is not None and record.status == "diverged"
    return found


def count_points(results: Results, split: str, score: str | None = None) -> Points:
    """`Results.points`, and where a run diverged the majority class's score.

    Args:
        results: of a study or a table.
        split: dev or test.
        score: another one than the study's.
    """
    points, diverged = results.points(split, score), find_diverged(results)
    if results.audit is not None and diverged.any():
        points[diverged] = score_majority(results.audit, split, score or results.score)
    return points


def score_majority(audit: Audit, split: str, score: str) -> float:
    """Points of always naming the class that is most frequent in the training texts."""
    return 100 * metrics.score_of(audit.majority[split], score)


def find_majority(audit: Audit, split: str, gold: NDArray[np.int64]) -> int:
    """The number of that class. Its F1 alone is above 0; if it has no text in the split, none is."""
    f1 = [audit.majority[split]["f1"][label] for label in audit.labels]
    if max(f1) > 0:
        return int(np.argmax(f1))
    return int(np.argmin(np.bincount(gold, minlength=len(f1))))


def mean_points(results: Results, split: str) -> Points:
    """Mean of `count_points` over the seeds that have ended, ``[recipes]``; nan where none has."""
    points = count_points(results, split)
    count = np.isfinite(points).sum(axis=1)
    total = np.nansum(points, axis=1)
    means: Points = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return means


def measure_influence(
    results: Results,
    split: str,
    score: str | None = None,
    recipes: NDArray[np.bool_] | None = None,
) -> Values | None:
    """What each text contributes to a score, ``[recipes, seeds, texts]``, points; None without predictions.
    None, too, where every seed has texts of its own: nothing is crossed with them.

    With data.group it is what each group contributes, ``[recipes, seeds, groups]``.

    Of a run that diverged, to that of always naming the majority class.

    Args:
        split: dev or test.
        score: another one than the study's.
        recipes: ``[recipes]``, whose values are wanted; those of the others stay 0. All if None.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions, labels = results.predictions(split), results.labels
    if predictions is None or labels is None or results.is_nested(split):
        return None
    wanted = np.isfinite(results.points(split, score))
    if recipes is not None:
        wanted &= recipes[:, None]
    influence = np.zeros(predictions.predicted.shape, dtype=np.float32)
    influence[wanted] = metrics.influence(
        predictions.gold,
        predictions.predicted[wanted].astype(np.int64),
        predictions.classes,
        score or results.score,
        labels,
    )
    diverged = find_diverged(results) if recipes is None else find_diverged(results) & recipes[:, None]
    if results.audit is not None and diverged.any():
        number = find_majority(results.audit, split, predictions.gold)
        influence[diverged] = metrics.influence(
            predictions.gold,
            np.full(predictions.gold.shape, number, dtype=np.int64),
            predictions.classes,
            score or results.score,
            results.audit.labels,
        )
    return influence if predictions.groups is None else sum_by_group(influence, predictions.groups)
