"""Scores of a study's results as the statistics take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.results.results import Results
from finegrid.statistics.grouped import sum_by_group
from finegrid.statistics.outcomes import Block, Outcomes, Values


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


def collect_outcomes(results: Results, split: str) -> Outcomes:
    """The study's score on dev or test, and what each text contributes to it.

    Raises:
        InputError: predictions that cannot be read.
    """
    recipes = [recipe.levels for recipe in results.recipes]
    points = results.points(split)
    if results.repeats:
        return Outcomes.of_repeats(results.factors, recipes, points)
    influence, splits = measure_influence(results, split), results.splits(split)
    return Outcomes(results.factors, recipes, points, influence, blocks=find_blocks(results), splits=splits)


def measure_influence(
    results: Results,
    split: str,
    score: str | None = None,
    recipes: NDArray[np.bool_] | None = None,
) -> Values | None:
    """What each text contributes to a score, ``[recipes, seeds, texts]``, points; None without predictions.
    None, too, where every seed has texts of its own: nothing is crossed with them.

    With data.group it is what each group contributes, ``[recipes, seeds, groups]``.

    Args:
        split: dev or test.
        score: another one than the study's.
        recipes: ``[recipes]``, whose values are wanted; those of the others stay 0. All if None.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions = results.predictions(split)
    if predictions is None or results.audit is None or results.is_nested(split):
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
        results.audit.labels,
    )
    return influence if predictions.groups is None else sum_by_group(influence, predictions.groups)
