"""The best recipes: all that cannot be told from the best one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import DENSE, Filled, Floats
from finegrid.statistics.repeats import between_pairs
from finegrid.statistics.roots import find_root
from finegrid.statistics.variance import NO_SPREAD, additive_residual, run_text


@dataclass(frozen=True)
class BestSet:
    """The recipes that cannot be told from the best one.

    Attributes:
        members: Rows of ``Outcomes.recipes``, best mean first.
        best: The row with the best mean.
        gap: ``[recipes]``, points: the upper bound of recipe - best other recipe; below 0 means not a
            member. nan for a recipe without runs.
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
    bound = np.empty(len(rows))
    for start in range(0, len(rows), DENSE):
        some = np.arange(start, min(start + DENSE, len(rows)))
        reach = critical * np.sqrt(variance(some)) if len(rows) > 1 else 0.0  # alone, it has no rival
        ahead = mean[some, None] - mean[None, :] + reach
        ahead[some - start, some] = np.inf
        bound[some] = ahead.min(axis=1)
    gap = np.full(len(experiment.outcomes.recipes), np.nan)
    gap[rows] = bound
    order = np.argsort(-mean, kind="stable")
    members = tuple(int(rows[index]) for index in order if bound[index] >= 0)
    return BestSet(members, int(rows[order[0]]), gap, critical, noise)


Pairs = Callable[[NDArray[np.int64]], Floats]  # places of some recipes -> [some, recipes], points squared


def _measure_pairs(experiment: Experiment) -> tuple[Pairs, float, str]:
    """Variances of the difference of two means; and their df and source.

    Not by `variance.between_seeds`: that gives each effect its own variance over seeds. Hsu's constant is for
    one variance of all recipes, the mean square that the additive model of the whole table leaves.
    """
    filled, completion = experiment.filled, experiment.completion
    if experiment.known_repeats is not None:
        known, freedom, method = between_pairs(filled, *experiment.known_repeats)
        return lambda some: known[some], freedom, method
    recipes, seeds = filled.score.shape
    count = completion.ran_columns.sum(axis=1).astype(float)
    if seeds > 1 and recipes > 1:
        run_variance, df = additive_residual(filled)
        noise = "between seeds" if experiment.outcomes.splits is None else "between splits"
        if not experiment.outcomes.measured and run_variance <= NO_SPREAD:
            run_variance, noise = np.inf, "none"
    else:
        stand_in = experiment.stand_in_of_one_design
        # Not `variance`: another last bit.
        run_variance, df = stand_in.ratio * stand_in.run_sd**2, stand_in.df
        noise = f"one seed: {stand_in.method}"
        if experiment.outcomes.repeats is not None:
            repeats = experiment.outcomes.repeats[completion.kept]
            count = np.isfinite(repeats).sum(axis=1).astype(float)
    texts, seed_text = _measure_texts(filled)
    overlap = experiment.overlap

    def measure(some: NDArray[np.int64]) -> Floats:
        run = run_variance * (1 / count[some, None] + 1 / count[None, :] + 2 * overlap)
        text = texts(some)
        # As for effects: both sources, less what is in both, not below the larger one.
        return np.asarray(np.maximum(np.maximum(run + text - seed_text, run), text))

    return measure, max(df, 1.0), noise


def _measure_texts(filled: Filled) -> tuple[Pairs, float]:
    """Of the difference of two recipes: variances from texts, and the part of single runs.

    Not by `variance.text_parts`: one covariance matrix gives all pairs, which would be recipes^2 / 2 rows of
    weights there; its last bits are others, and the part of single runs is pooled here.
    """
    recipes, seeds = filled.score.shape
    if filled.influence is None:
        return lambda some: np.zeros((len(some), recipes)), 0.0
    texts = filled.influence.shape[2]
    by_text = filled.influence.mean(axis=1, dtype=np.float64)  # [recipes, texts]
    covariance, own = _covary(by_text)

    def measure(some: NDArray[np.int64]) -> Floats:
        text = (own[some, None] + own[None, :] - 2 * covariance(some)) / texts
        return np.asarray(np.maximum(text, 0.0))

    return measure, 2 * run_text(filled) / (seeds * texts)


def _covary(by_text: Floats) -> tuple[Pairs, Floats]:
    """Covariances of some recipes with all, and ``[recipes]`` variances."""
    recipes, texts = by_text.shape
    if recipes <= DENSE:
        whole = np.cov(by_text) if recipes > 1 else np.zeros((1, 1))
        return lambda some: np.asarray(whole[some]), np.diag(whole)
    centred = by_text - by_text.mean(axis=1, keepdims=True)
    own = np.einsum("rt,rt->r", centred, centred) / (texts - 1)
    return lambda some: np.asarray(centred[some] @ centred.T / (texts - 1)), own


@lru_cache(maxsize=256)
def hsu_constant(recipes: int, df: float, alpha: float) -> float:
    """The one-sided Dunnett constant of ``recipes - 1`` comparisons with one, equally often run."""
    if recipes < 2:
        return 0.0

    def uncovered(d: float) -> float:
        return 1 - alpha - _dunnett(d, recipes - 1, df)

    return find_root(uncovered, 0.0, 200.0, tolerance=1e-6)


def _dunnett(d: float, others: int, df: float) -> float:
    """P(no other is d standard errors ahead): over the one's own deviation z, and the pooled one s."""
    points, weights = special.roots_hermitenorm(64)
    weights = weights / weights.sum()
    tail, spacing = (np.arange(200) + 0.5) / 200, 1 / 200
    s = np.sqrt(2 * special.gammaincinv(df / 2, tail) / df) if np.isfinite(df) else np.ones(1)
    inner: NDArray[np.float64] = special.ndtr(points[None, :] + np.sqrt(2) * d * s[:, None]) ** others
    return float((inner @ weights).sum() * (spacing if np.isfinite(df) else 1.0))
