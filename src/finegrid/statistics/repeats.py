"""Repeats with predictions: runs of each recipe that have nothing in common but the texts they are scored on.

Seeds are crossed with recipes; repeats lie within them. So the chance of a run is pure error, pooled over the
recipes, and the sample of texts is what all runs share:

    variance = (MS_run - MS_text-in-run) w^2 / runs + MS_text, not below the larger of the two sources

Both sources hold the noise of single texts in single runs, hence the subtraction, as in `variance`. With
one run of each recipe nothing tells how far runs differ: then the interval covers the sample of texts alone,
and its method says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.outcomes import Filled, Floats, Outcomes, Values
from finegrid.statistics.variance import Noise, Weights, pure_error, text_parts

REPEATS, TEXTS_ALONE = "repeats", "texts alone"  # where noise is from, as `Noise.method` says


def of_runs(
    factors: Mapping[str, Sequence[Level]], recipes: Sequence[Levels], score: Floats, influence: Values
) -> Outcomes:
    """Outcomes of repeats whose predictions are known.

    Args:
        factors, recipes: As in `Outcomes`.
        score: ``[recipes, repeats]``, points; nan where a recipe has fewer.
        influence: ``[recipes, repeats, texts]``, points; not read where the score is nan.
    """
    there = np.isfinite(score)
    count = np.maximum(there.sum(axis=1), 1)
    known = np.where(there[:, :, None], influence.astype(float), 0.0)
    mean = known.sum(axis=1) / count[:, None]
    off = np.where(there[:, :, None], known - mean[:, None, :], 0.0)
    freedom = (there.sum(axis=1) - 1) * (influence.shape[2] - 1)
    squares = np.square(off).sum(axis=(1, 2))
    single = np.divide(squares, freedom, out=np.full(len(squares), np.nan), where=freedom > 0)
    if (pooled := freedom[freedom > 0].sum()) > 0:  # of a recipe with one run, what the others have
        single = np.where(np.isfinite(single), single, squares[freedom > 0].sum() / pooled)
    totals = np.where(there, score, 0.0).sum(axis=1)
    points = np.where(there.any(axis=1), totals / count, np.nan)
    return Outcomes(
        factors, recipes, points[:, None], mean[:, None, :], score, run_text=np.nan_to_num(single)
    )


def count_runs(repeats: Floats) -> int:
    """How many runs each recipe has: the harmonic mean, which is what variances go by, rounded."""
    count = np.isfinite(repeats).sum(axis=1)
    count = count[count > 0]
    return round(len(count) / float((1 / count).sum())) if len(count) else 0


def between_repeats(filled: Filled, weights: Weights, repeats: Floats, run_text: Floats) -> Noise:
    """The chance of weighted sums of recipe means.

    Args:
        filled: Of `of_runs`.
        weights: ``[effects, kept recipes]``, an array or a sparse one.
        repeats: ``[kept recipes, repeats]``, points; nan where a recipe has fewer.
        run_text: ``[kept recipes]``, points squared: of one text in one run.
    """
    text, _ = text_parts(filled, weights)
    texts = filled.texts
    if np.isfinite(repeats).sum(axis=1).max() < 2:
        none, df = np.zeros(len(text)), np.full(len(text), max(texts - 1.0, 1.0))
        return Noise(none, text, none, df, 1, texts, TEXTS_ALONE, np.nan)
    variance, df_run, count = pure_error(repeats)
    share = weights**2 / count
    seed, seed_text = share.sum(axis=1) * variance, share @ run_text / texts
    df, sd = np.full(len(text), df_run), float(np.sqrt(variance))
    return Noise(seed, text, seed_text, df, count_runs(repeats), texts, REPEATS, sd)


def between_pairs(filled: Filled, repeats: Floats, run_text: Floats) -> tuple[Floats, float, str]:
    """``[recipes, recipes]``, points squared: of the difference of two means; its df, and where it is from.

    Hsu's constant is for one number of degrees of freedom: the fewest that a pair has.
    """
    recipes = len(repeats)
    pairs = list(combinations(range(recipes), 2))
    weights = np.zeros((len(pairs), recipes))
    for row, (one, other) in enumerate(pairs):
        weights[row, [one, other]] = 1.0, -1.0
    noise = between_repeats(filled, weights, repeats, run_text)
    variance = np.zeros((recipes, recipes))
    for value, (one, other) in zip(noise.variance, pairs, strict=True):
        variance[one, other] = variance[other, one] = value
    return variance, float(noise.df.min()) if pairs else 1.0, noise.method
