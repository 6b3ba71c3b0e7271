"""The best recipes: all that cannot be told from the best one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Filled, Floats


@dataclass(frozen=True)
class BestSet:
    """The recipes that cannot be told from the best one.

    Attributes:
        members: Rows of ``Outcomes.recipes``, best mean first.
        best: The row with the best mean.
        gap: ``[recipes]``, points: the upper bound of recipe - best other recipe; not above 0 means not
            a member. nan for a recipe without runs.
        critical: Hsu's constant, in standard errors.
        noise: Where the noise comes from; with one seed it is the weaker claim, and named so.
    """

    members: tuple[int, ...]
    best: int
    gap: Floats
    critical: float
    noise: str


def best_set(experiment: Experiment, alpha: float = 0.05) -> BestSet | None:
    """All recipes inside the one-sided multiple-comparison-with-the-best bound (Hsu 1984), on scores of dev.

    The true best is a member in at least 1 - alpha of studies. Noise is that of recipe and seed, pooled
    over recipes, and where predictions are known that of the dev texts, pair by pair. None if no run has
    finished.
    """
    rows = np.flatnonzero(experiment.completion.kept)
    if not len(rows):
        return None
    mean = experiment.filled.score.mean(axis=1)
    variance, df, noise = _measure_pairs(experiment)
    critical = hsu_constant(len(rows), df, alpha)
    ahead = mean[:, None] - mean[None, :] + critical * np.sqrt(variance)
    np.fill_diagonal(ahead, np.inf)
    bound = ahead.min(axis=1)
    gap = np.full(len(experiment.outcomes.recipes), np.nan)
    gap[rows] = bound
    order = np.argsort(-mean, kind="stable")
    members = tuple(int(rows[index]) for index in order if bound[index] > 0 or index == order[0])
    return BestSet(members, int(rows[order[0]]), gap, critical, noise)


def _measure_pairs(experiment: Experiment) -> tuple[Floats, float, str]:
    """``[recipes, recipes]``, points squared: of the difference of two means; and its df and source.

    Not by `variance.between_seeds`: that gives each effect its own variance over seeds. Hsu's constant is for
    one variance of all recipes, the mean square that the additive model of the whole table leaves.
    """
    filled, completion = experiment.filled, experiment.completion
    recipes, seeds = filled.score.shape
    count = completion.ran_columns.sum(axis=1).astype(float)
    if seeds > 1 and recipes > 1:
        off = (
            filled.score
            - filled.score.mean(axis=1, keepdims=True)
            - filled.score.mean(axis=0)
            + filled.score.mean()
        )
        df = float(completion.ran_columns.sum() - recipes - seeds + 1)
        run_variance = float((off**2).sum() / max(df, 1.0)) if df > 0 else np.inf
        noise = "between seeds" if experiment.outcomes.splits is None else "between splits"
    else:
        stand_in = experiment.stand_in_of_one_design
        run_variance, df = stand_in.run_sd**2, stand_in.df  # not `variance`: another last bit
        noise = f"one seed: {stand_in.method}"
        if experiment.outcomes.repeats is not None:
            repeats = experiment.outcomes.repeats[completion.kept]
            count = np.isfinite(repeats).sum(axis=1).astype(float)
    run = run_variance * (1 / count[:, None] + 1 / count[None, :])
    if experiment.outcomes.splits is not None:
        run = run + 2 * run_variance * experiment.outcomes.splits.overlap
    text, seed_text = _measure_texts(filled)
    # As for effects: both sources, less what is in both, not below the larger one.
    total = np.maximum(np.maximum(run + text - seed_text, run), text)
    return np.asarray(total), max(df, 1.0), noise


def _measure_texts(filled: Filled) -> tuple[Floats, float]:
    """Of the difference of two recipes: ``[recipes, recipes]`` from texts, and the part of single runs.

    Not by `variance.text_parts`: one covariance matrix gives all pairs, which would be recipes^2 / 2 rows of
    weights there; its last bits are others, and the part of single runs is pooled here.
    """
    recipes, seeds = filled.score.shape
    if filled.influence is None:
        return np.zeros((recipes, recipes)), 0.0
    texts = filled.influence.shape[2]
    by_text = filled.influence.mean(axis=1, dtype=np.float64)  # [recipes, texts]
    covariance = np.cov(by_text) if recipes > 1 else np.zeros((1, 1))
    own = np.diag(covariance)
    text = (own[:, None] + own[None, :] - 2 * covariance) / texts
    if seeds == 1:
        return np.maximum(text, 0.0), 0.0
    squares = 0.0
    seed_mean = filled.influence.mean(axis=0, dtype=np.float64)  # [seeds, texts]
    overall = by_text.mean(axis=0)
    for recipe in range(recipes):
        off = filled.influence[recipe] - by_text[recipe] - seed_mean + overall
        squares += float(np.square(off - off.mean(axis=1, keepdims=True)).sum())
    single = squares / ((recipes - 1) * (seeds - 1) * (texts - 1)) if recipes > 1 else 0.0
    return np.maximum(text, 0.0), 2 * single / (seeds * texts)


@lru_cache(maxsize=256)
def hsu_constant(recipes: int, df: float, alpha: float) -> float:
    """The one-sided Dunnett constant of ``recipes - 1`` comparisons with one, equally often run."""
    if recipes < 2:
        return 0.0

    def uncovered(d: float) -> float:
        return 1 - alpha - _dunnett(d, recipes - 1, df)

    return float(optimize.brentq(uncovered, 0.0, 200.0, xtol=1e-6))


def _dunnett(d: float, others: int, df: float) -> float:
    """P(no other is d standard errors ahead): over the one's own deviation z, and the pooled one s."""
    points, weights = special.roots_hermitenorm(64)
    weights = weights / weights.sum()
    tail, spacing = (np.arange(200) + 0.5) / 200, 1 / 200
    s = np.sqrt(stats.chi2.ppf(tail, df) / df) if np.isfinite(df) else np.ones(1)
    inner: NDArray[np.float64] = stats.norm.cdf(points[None, :] + np.sqrt(2) * d * s[:, None]) ** others
    return float((inner @ weights).sum() * (spacing if np.isfinite(df) else 1.0))
