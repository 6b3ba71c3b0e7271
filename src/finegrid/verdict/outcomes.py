"""Scores of a study's results as the statistics take them."""

from __future__ import annotations

import numpy as np

from finegrid import metrics
from finegrid.results.results import Results
from finegrid.statistics.outcomes import Block, Outcomes


def blocks_of(results: Results) -> tuple[Block, ...]:
    """Of a decided screen: every combination of the survivors, and the fraction, which gives the rest."""
    if results.screen is None:
        return ()
    dropped = [name for name in results.factors if name not in results.screen.survivors]
    first = {name: results.factors[name][0] for name in dropped}
    whole = [all(r.levels.get(name, first[name]) == first[name] for name in dropped) for r in results.recipes]
    # A factor may do something only where a dropped one is off its first level.
    shown = {name for r, inside in zip(results.recipes, whole, strict=True) if inside for name in r.levels}
    survivors = tuple(name for name in results.factors if name in shown and name not in dropped)
    fraction = [r.rows[0] <= results.screen.rows for r in results.recipes]
    everything = tuple(results.factors)
    return (
        Block(np.array(whole), survivors, survivors),
        Block(np.array(fraction), everything, everything),
    )


def outcomes_of(results: Results, split: str, score: str | None = None) -> Outcomes:
    """Scores, and what each text contributes to them; of another score than the study's if asked."""
    blocks = blocks_of(results)
    recipes = [recipe.levels for recipe in results.recipes]
    points = results.points(split, score)
    if results.repeats:
        return Outcomes.of_repeats(results.factors, recipes, points)
    found = results.predictions(split)
    if found is None or results.audit is None:
        return Outcomes(results.factors, recipes, points, blocks=blocks)
    finished = np.isfinite(points)
    influence = np.zeros(found.predicted.shape, dtype=np.float32)
    influence[finished] = metrics.influence(
        found.gold,
        found.predicted[finished].astype(np.int64),
        found.classes,
        score or results.score,
        results.audit.labels,
    )
    return Outcomes(results.factors, recipes, points, influence, blocks=blocks)
