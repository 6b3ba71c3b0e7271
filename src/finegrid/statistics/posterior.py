"""What is believed of every recipe once a study has been seen: a posterior over their differences.

A score is a function of the levels: a constant, main effects, interactions of two factors, and of more.
Each has a prior of its own scale, and what is not known of these scales is integrated over. Recipes thus lend
each other strength as far as the study shows that effects add up, and the best of many is drawn towards the
others.

    prior:  covariance of two recipes = noise^2 (t1^2 K1 + t2^2 K2 + t3^2 K3)
    K1 = sum of k_i,  K2 = sum of k_i k_j,  K3 = sum of products of three and more, fading by order
    k_i = 1 where factor i has the same level in both, -1 / (levels - 1) where not, 0 where one lacks it

The covariance of two levels depends on whether they are the same, and on nothing else: levels have no
order, no coding matters, and the baseline's is a level like the others. With two levels `k_i` is the product
of the signs, and t1 is the standard deviation of half a main effect, in units of the noise of a run.

After Gelman (Bayesian Analysis 1, 2006: half-Cauchy priors of scales) and Plumlee & Joseph (Statistica
Sinica 28, 2018: kernels by the order of effects). It is a posterior, no confidence interval:
`docs/statistics.md` says how often it held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.decide import Interval
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Filled, Floats
from finegrid.statistics.roots import find_root
from finegrid.statistics.variance import additive_residual, run_text

ORDERS = 3  # main effects, interactions of two, interactions of three and more
FADING = 0.25  # of variances of interactions, by each order beyond three
MOST_ORDER = 8  # of interactions: of more than so many factors nothing is left
SCALES = (0.4, 0.2, 0.1)  # medians of t1, t2, t3: half effects, in standard deviations of a run
GRID = (  # of each t over its median
    (0.05, 0.2, 0.45, 1.0, 2.2, 5.0, 12.0),
    (0.05, 0.3, 0.8, 2.0, 5.0, 12.0),
    (0.05, 0.5, 2.0, 8.0),
)
LEAST_SD = 0.01  # points, of a run: what is less is rounding
NOISES = 3  # places of the distribution of the noise's variance that are integrated over
# Of one seed's noise, as `variance.LUCK_RATIO`, which guards words against the largest ratio that was seen.
# Here is the middle: too much noise is no safe side for a recommendation.
EXPECTED_LUCK_RATIO = 1.5
LEAST_WEIGHT = 1e-3  # of a place of the grid, of the largest weight: what is less is left out
MOST_RECIPES = 512  # of more, interactions of three and more factors are not looked at


@dataclass(frozen=True)
class Posterior:
    """A mixture of normal distributions, one for each place of the grid that counts.

    Attributes:
        points: ``[points, factors]``, numbers of levels, -1 where a recipe lacks the factor. First the
            recipes that ran, in their order, then those that were asked for besides.
        places: ``[recipes of the study]``, each one's place among the points; -1 for one without runs.
        sizes: ``[factors]``, how many levels.
        weight: ``[grid]``, sum 1.
        scale: ``[grid, orders]``, points squared: the prior's variances.
        mean: ``[grid, points]``, points, up to a constant.
        known: ``[grid, contrasts, points]``: what the data take off a prior covariance is the product of two
            columns.
        whole: Whether interactions of three and more factors were looked at.
    """

    points: NDArray[np.int64]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    weight: Floats
    scale: Floats
    mean: Floats
    known: Floats
    whole: bool

    def compare(self, places: Sequence[int] | NDArray[np.int64], other: int) -> Differences:
        """Some points less another one."""
        chosen = np.asarray(places)
        mean = self.mean[:, chosen] - self.mean[:, [other]]
        there = self.points[[other]]
        each = kernels(self.points[chosen], there, self.sizes)[:, :, 0]  # [orders, points]
        own = kernels_of_pairs(self.points[chosen], self.points[chosen], self.sizes)
        others = kernels_of_pairs(there, there, self.sizes)
        prior = self.scale @ (own + others - 2 * each)
        moved = self.known[:, :, chosen] - self.known[:, :, [other]]
        variance = prior - np.einsum("gkp,gkp->gp", moved, moved)
        return Differences(self.weight, mean, np.sqrt(np.maximum(variance, 0.0)))


@dataclass(frozen=True)
class Differences:
    """Of some recipes from one other, points: mixtures of normal distributions.

    Attributes:
        weight: ``[grid]``.
        mean, sd: ``[grid, recipes]``.
    """

    weight: Floats
    mean: Floats
    sd: Floats

    @property
    def expected(self) -> Floats:
        """``[recipes]``, points."""
        return np.asarray(self.weight @ self.mean)

    def chance_below(self, points: float) -> Floats:
        """``[recipes]``, the probability that the difference is less than so many points."""
        return np.asarray(self.weight @ self._share_below(np.full(self.mean.shape[1], points)))

    def interval(self, number: int, share: float = 0.95) -> Interval:
        """The central interval that holds a difference with this probability."""
        mean, sd = self.mean[:, number], self.sd[:, number]
        ends = float((mean - 9 * sd).min()) - 1e-9, float((mean + 9 * sd).max()) + 1e-9

        def find(tail: float) -> float:
            def off(value: float) -> float:
                return float(self.weight @ _share(value - mean, sd)) - tail

            return find_root(off, *ends, tolerance=1e-6)

        return Interval(find((1 - share) / 2), find((1 + share) / 2))

    def _share_below(self, values: Floats) -> Floats:
        return _share(values[None, :] - self.mean, self.sd)


def _share(distance: Floats, sd: Floats) -> Floats:
    """Of a normal distribution, what lies below its mean + distance."""
    endless = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.asarray(special.ndtr(np.divide(distance, sd, out=endless, where=sd > 0)))


def find_posterior(experiment: Experiment, besides: Sequence[Levels] = ()) -> Posterior | None:
    """What a study says of its recipes.

    Args:
        experiment: the scores that it rests on.
        besides: recipes that are not in the study, whose scores follow from the effects.

    Returns:
        None where fewer than two recipes have runs, or nothing tells how far two runs of one recipe differ.
    """
    completion, outcomes = experiment.completion, experiment.outcomes
    rows = np.flatnonzero(completion.kept)
    if len(rows) < 2:
        return None
    run_variance, df = measure_run_variance(experiment)
    if not np.isfinite(run_variance) or (run_variance == 0 and not outcomes.measured):
        return None
    run_variance = max(run_variance, LEAST_SD**2)
    ran = [outcomes.recipes[int(row)] for row in rows]
    points, sizes = number_levels(outcomes.factors, [*ran, *besides])
    places = np.full(len(outcomes.recipes), -1)
    places[rows] = np.arange(len(rows))
    observed = points[: len(rows)]
    basis = contrast_basis(observed, sizes)
    score = experiment.filled.score.mean(axis=1)
    texts = _measure_texts(experiment.filled, basis)
    runs = basis @ (basis / _count_runs(experiment)).T
    cross = _project(points, observed, sizes, basis)  # [orders, points, contrasts]
    inside = np.einsum("kc,ocl->okl", basis, cross[:, : len(rows)])
    scales, prior = np.array(list(product(*GRID))) * SCALES, _half_cauchy()
    quantiles = (np.arange(NOISES) + 0.5) / NOISES
    noises = run_variance * df / (2 * special.gammaincinv(df / 2, quantiles))
    grid = [(noise, scale) for noise in noises for scale in run_variance * scales**2]
    z = basis @ score
    logs = _log_likelihoods(inside, runs, texts, z, grid) + np.log(np.tile(prior, NOISES))
    weight = np.exp(logs - logs.max())
    counts = np.flatnonzero(weight > LEAST_WEIGHT)
    mean, known = [], []
    for number in counts:
        noise, scale = grid[number]
        lower = linalg.cholesky(np.tensordot(scale, inside, 1) + noise * runs + texts, lower=True)
        column = linalg.solve_triangular(lower, np.tensordot(scale, cross, 1).T, lower=True)
        known.append(column)
        mean.append(column.T @ linalg.solve_triangular(lower, z, lower=True))
    return Posterior(
        points,
        places,
        sizes,
        weight[counts] / weight[counts].sum(),
        np.array([grid[number][1] for number in counts]),
        np.array(mean),
        np.array(known),
        len(rows) <= MOST_RECIPES,
    )


def measure_run_variance(experiment: Experiment) -> tuple[float, float]:
    """Of one run, points squared, and its degrees of freedom; of one split, where seeds draw splits.

    Runs of one seed share the order of the data and the masks, so luck goes with effects of low order. The
    largest of three counts: over all contrasts, over main effects, and what the texts that runs of a recipe
    answer differently would do if they were independent. Of two seeds, scores that happen to differ alike
    would otherwise mean that there is no luck: the prior, whose unit it is, would rule every effect out.
    """
    filled, completion = experiment.filled, experiment.completion
    if completion.columns == 1:
        stand_in = experiment.stand_in_of_one_design
        return stand_in.measured * min(stand_in.ratio, EXPECTED_LUCK_RATIO), stand_in.df
    whole, df = additive_residual(filled)
    if filled.influence is not None:
        whole = max(whole, run_text(filled) / filled.influence.shape[2])
    low = experiment.families.mains.estimators.weights
    if df <= 0 or not len(low):
        return whole, df
    _, size, span = np.linalg.svd(low, full_matrices=False)  # what they span, whichever level is first
    each = (span[size > 1e-8 * size.max()] @ filled.score).var(axis=1, ddof=1)
    return max(whole, float(each.mean())), df


def number_levels(
    factors: Mapping[str, Sequence[Level]], recipes: Sequence[Levels]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``[recipes, factors]``, numbers of levels, -1 where there is none; and ``[factors]``, how many."""
    numbers = [
        [list(levels).index(recipe[name]) if name in recipe else -1 for name, levels in factors.items()]
        for recipe in recipes
    ]
    return np.array(numbers), np.array([len(levels) for levels in factors.values()])


def kernels(left: NDArray[np.int64], right: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """``[orders, left, right]``: the covariances K1, K2, K3 of recipes, by numbers of levels."""
    return _sum_by_order(left[:, None, :], right[None, :, :], sizes)


def kernels_of_pairs(left: NDArray[np.int64], right: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """``[orders, pairs]``: the same of each recipe with the one beside it."""
    return _sum_by_order(left, right, sizes)


def _sum_by_order(left: NDArray[np.int64], right: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """Elementary symmetric polynomials of the factors' covariances; from three up they fade and are added."""
    shape = np.broadcast_shapes(left.shape, right.shape)[:-1]
    most = min(len(sizes), MOST_ORDER)
    sums = [np.ones(shape), *(np.zeros(shape) for _ in range(max(most, ORDERS)))]
    for factor, size in enumerate(sizes):
        a, b = left[..., factor], right[..., factor]
        k = np.where((a < 0) | (b < 0), 0.0, np.where(a == b, 1.0, -1 / max(size - 1, 1)))
        for order in range(min(most, factor + 1), 0, -1):  # higher ones are still 0
            sums[order] += k * sums[order - 1]
    high = sum((FADING**step * part for step, part in enumerate(sums[ORDERS:])), start=np.zeros(shape))
    return np.stack([*sums[1:ORDERS], high])


def contrast_basis(points: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """``[contrasts, recipes]``, orthonormal, each with the sum 0.

    All there are; with more than `MOST_RECIPES` those of main effects and interactions of two.
    """
    if len(points) <= MOST_RECIPES:
        return np.asarray(linalg.helmert(len(points)))
    mains = []
    for factor, size in enumerate(sizes):
        marks = (points[:, factor, None] == np.arange(size)).astype(float)
        mains.append(marks[:, 1:])
    pairs = [
        (a[:, :, None] * b[:, None, :]).reshape(len(points), -1)
        for number, a in enumerate(mains)
        for b in mains[:number]
    ]
    columns = np.hstack([*mains, *pairs])
    columns = columns - columns.mean(axis=0)
    left, size_of, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, size_of > 1e-8 * size_of.max(initial=1.0)].T)


def _project(
    points: NDArray[np.int64], observed: NDArray[np.int64], sizes: NDArray[np.int64], basis: Floats
) -> Floats:
    """``[orders, points, contrasts]``: covariances of points with contrasts of the observed ones."""
    parts = [
        kernels(points[start : start + 256], observed, sizes) @ basis.T
        for start in range(0, len(points), 256)
    ]
    return np.concatenate(parts, axis=1)


def _count_runs(experiment: Experiment) -> Floats:
    """``[kept recipes]``, how many runs each mean rests on.

    Splits of one pool share texts: a mean over K of them is worth 1 / (1 / K + test/train) splits that have
    nothing in common (`nested`).
    """
    repeats, completion = experiment.outcomes.repeats, experiment.completion
    if repeats is not None:
        return np.asarray(np.isfinite(repeats[completion.kept]).sum(axis=1), dtype=float)
    count = np.asarray(completion.ran_columns.sum(axis=1), dtype=float)
    return count if experiment.overlap == 0 else np.asarray(1 / (1 / count + experiment.overlap))


def _measure_texts(filled: Filled, basis: Floats) -> Floats:
    """``[contrasts, contrasts]``, points squared: covariance of the contrasts over samples of texts.

    Without the part of single runs, which the noise of runs holds.
    """
    contrasts = len(basis)
    if filled.influence is None:
        return np.zeros((contrasts, contrasts))
    _, seeds, texts = filled.influence.shape
    by_text = filled.influence.mean(axis=1, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(basis @ by_text)) / texts
    if seeds == 1:
        return np.asarray(covariance)
    single = run_text(filled) / (seeds * texts)
    # As for effects: what is in both sources counts once, and neither is drawn below nothing.
    values, vectors = np.linalg.eigh(covariance - single * np.eye(contrasts))
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _half_cauchy() -> Floats:
    """The prior's weight of each place of the grid: the density of each scale times its share of the grid."""
    each = []
    for grid in map(np.array, GRID):
        density = grid / (1 + grid**2)  # of the logarithm
        each.append(density * np.gradient(np.log(grid)))
    return np.array([np.prod(weights) for weights in product(*each)])


def _log_likelihoods(
    inside: Floats, runs: Floats, texts: Floats, z: Floats, grid: Sequence[tuple[float, Floats]]
) -> Floats:
    """``[grid]``, of the contrasts z at each place, up to a constant.

    The factor of the covariance with z as one row more holds what z is in units of its chance.
    """
    size = len(z)
    step = max(1, 2_000_000 // size**2)
    logs = []
    for start in range(0, len(grid), step):
        noises, scales = zip(*grid[start : start + step], strict=True)
        bordered = np.zeros((len(noises), size + 1, size + 1))
        bordered[:, :size, :size] = np.tensordot(np.array(scales), inside, 1) + texts
        bordered[:, :size, :size] += np.array(noises)[:, None, None] * runs
        bordered[:, size, :size] = z
        bordered[:, size, size] = 1e12 * (1 + z @ z)  # above its square, whatever that is
        lower = np.linalg.cholesky(bordered)
        logs.append(
            -np.log(np.diagonal(lower, 0, 1, 2)[:, :size]).sum(axis=1)
            - np.square(lower[:, size, :size]).sum(axis=1) / 2
        )
    return np.concatenate(logs)
