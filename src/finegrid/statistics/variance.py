"""How far an effect may be off by chance: run, sample of test texts, and their product.

For an effect, d[seed, text] is what it is in one seed on one text. Seeds and texts are crossed, one value a
cell:

    variance = (MS_seed + MS_text - MS_seed x text) / (seeds texts), not below the larger single component

with Satterthwaite degrees of freedom. Here each mean square is already divided by seeds x texts, so that
the three add up to a variance of the effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from finegrid.statistics.outcomes import Filled, Floats

# How many degrees of freedom an effect may borrow from its family; docs/statistics.md has the simulation.
# Borrowing fades out between 5 and 17 seeds: were it to end at once, one more seed would widen intervals.
MOST_SHARED = 3.0  # times its own
MOST_DF = 16.0  # own and borrowed, what five seeds have at most
LEAST_RESIDUAL = (
    4  # degrees of freedom from which pooled high-order interactions are better than Lenth's method
)
LEAST_LENTH = 7  # contrasts: a two-level factorial of eight runs, the smallest in Lenth (1989)
CHUNK = 32  # contrasts at a time: 32 x 8 seeds x 10,000 texts in float32 are 10 MB


@dataclass(frozen=True)
class Noise:
    """The chance of effects, one value each.

    Attributes:
        seed, text, seed_text: ``[effects]``, points squared: mean squares over seeds x texts. nan where
            unknown.
        df_seed: ``[effects]``.
        seeds, texts: How many there were; texts is 0 without predictions.
        method: ``between seeds``, ``between seeds, moderated``, ``true repeats``, ``pooled high-order
            interactions``, ``Lenth's method`` or ``none``.
        run_sd: Standard deviation of one run, points: pooled over effects.
    """

    seed: Floats
    text: Floats
    seed_text: Floats
    df_seed: Floats
    seeds: int
    texts: int
    method: str
    run_sd: float

    @property
    def variance(self) -> Floats:
        """``[effects]``, points squared: of the effect."""
        return _total(self.seed, self.text, self.seed_text)

    @property
    def df(self) -> Floats:
        """``[effects]``: Satterthwaite's, but not below those of the scarcer source.

        Where two sources nearly cancel, as with a handful of texts, his formula counts the uncertainty of
        both and the size of neither.
        """
        df_text = max(self.texts - 1, 1)
        below = (
            self.seed**2 / self.df_seed
            + (self.text**2 + self.seed_text**2 / max(self.seeds - 1, 1)) / df_text
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            df = self.variance**2 / below
        least = np.minimum(self.df_seed, df_text) if self.texts else self.df_seed
        return np.where(below > 0, np.maximum(df, least), self.df_seed)

    def single(self) -> Components:
        """Variances of one seed, of one text and of one text in one seed."""
        texts, seeds = max(self.texts, 1), self.seeds
        return Components(
            np.maximum(self.seed - self.seed_text, 0.0) * seeds,
            np.maximum(self.text - self.seed_text, 0.0) * texts,
            self.seed_text * seeds * texts,
        )


@dataclass(frozen=True)
class Components:
    """Variances in points squared, of an effect in one seed, on one text, and on one text in one seed."""

    seed: Floats
    text: Floats
    seed_text: Floats

    def variance(self, seeds: Floats | float, texts: Floats | float) -> Floats:
        """Of the effect in a study of this many seeds and texts."""
        return np.asarray(self.seed / seeds + self.text / texts + self.seed_text / (seeds * texts))


def expected_chance(one: Components, seeds: int, texts: int, df_seed: float) -> tuple[float, float]:
    """Standard error of an effect in a study of this size, and its degrees of freedom."""
    variance = float(one.variance(seeds, max(texts, 1)))
    between = float(one.seed / seeds + one.seed_text / (seeds * max(texts, 1)))
    if between == 0:
        return float(np.sqrt(variance)), np.inf
    return float(np.sqrt(variance)), max(df_seed * (variance / between) ** 2, 1.0)


def _total(seed: Floats, text: Floats, seed_text: Floats) -> Floats:
    return np.maximum(np.maximum(seed + text - seed_text, seed), text)


def between_seeds(filled: Filled, weights: Floats) -> Noise:
    """From two seeds up. ``weights``: ``[effects, kept recipes]``, one family of effects."""
    seeds = filled.seeds
    per_seed = weights @ filled.score  # [effects, seeds], points
    seed = per_seed.var(axis=1, ddof=1) / seeds
    inflation, df = _imbalance(filled, weights)
    text, seed_text = text_parts(filled, weights)
    texts = 0 if filled.influence is None else filled.influence.shape[2]
    seed = np.where(np.isfinite(inflation), seed * inflation, np.inf)
    size = (weights**2).sum(axis=1)
    run_variance = seed * seeds / size
    method = "between seeds"
    known = run_variance[np.isfinite(run_variance)]
    run_sd = float(np.sqrt(known.mean())) if len(known) else np.nan
    if seeds <= MOST_DF and len(weights) > 2:
        run_variance, df = moderated(run_variance, df)
        seed = run_variance * size / seeds
        method = "between seeds, moderated"
    shared = seed_text * np.where(np.isfinite(inflation), inflation, 1.0)
    return Noise(seed, text, shared, df, seeds, texts, method, run_sd)


def text_parts(filled: Filled, weights: Floats) -> tuple[Floats, Floats]:
    """MS_text and MS_seed x text over seeds x texts, ``[effects]`` each; zeros without predictions."""
    if filled.influence is None:
        return np.zeros(len(weights)), np.zeros(len(weights))
    recipes, seeds, texts = filled.influence.shape
    flat = filled.influence.reshape(recipes, seeds * texts)
    text, seed_text = np.empty(len(weights)), np.zeros(len(weights))
    for start in range(0, len(weights), CHUNK):
        part = slice(start, start + CHUNK)
        d = (weights[part].astype(flat.dtype) @ flat).reshape(-1, seeds, texts)
        by_text = d.mean(axis=1, dtype=np.float64)
        text[part] = by_text.var(axis=1, ddof=1) / texts
        if seeds > 1:
            d -= by_text[:, None, :].astype(d.dtype)
            d -= d.mean(axis=2, keepdims=True)
            squares = np.einsum("est,est->e", d, d, dtype=np.float64)
            seed_text[part] = squares / ((seeds - 1) * (texts - 1)) / (seeds * texts)
    return text, seed_text


def _imbalance(filled: Filled, weights: Floats) -> tuple[Floats, Floats]:
    """By how much filled-in runs make the spread over seeds too small, and its degrees of freedom.

    Per seed, an effect is a weighted sum of finished runs, A y. The spread over seeds has the expectation
    tr(Q V) for Q = A' (I - 1/S) A / (S (S - 1)), the estimate has the variance mean(A) V mean(A)'. Both
    follow for either kind of noise: runs on their own (V = I), and effects that differ by seed (V = x x'
    inside a seed, x the effect's own direction). The larger ratio counts, and the smaller degrees of
    freedom.
    """
    seeds = filled.seeds
    if filled.operator is None:
        return np.ones(len(weights)), np.full(len(weights), seeds - 1.0)
    inflation, df = np.empty(len(weights)), np.empty(len(weights))
    recipe_of_run, seed_of_run = np.nonzero(filled.ran)
    centre = np.eye(seeds) - 1 / seeds
    for row, weight in enumerate(weights):
        a = np.einsum("r,rsn->sn", weight, np.where(weight[:, None, None] == 0, 0.0, filled.operator))
        direction = a * (weight / (weight @ weight))[recipe_of_run]
        differing = np.stack([direction[:, seed_of_run == seed].sum(axis=1) for seed in range(seeds)], axis=1)
        ratios, dfs = [], []
        for factor in (a, differing):
            spread = centre @ factor @ factor.T @ centre / (seeds * (seeds - 1))
            expected = np.trace(spread)
            enough = expected > 1e-9 * np.square(factor).sum()
            ratios.append(np.square(factor.mean(axis=0)).sum() / expected if enough else np.inf)
            dfs.append(expected**2 / np.square(spread).sum() if enough else 1.0)
        inflation[row], df[row] = max(ratios), min(dfs)
    return inflation, df


def moderated(variance: Floats, df: Floats) -> tuple[Floats, Floats]:
    """Variances ``[..., effects]`` drawn towards their mean, upwards only, and their degrees of freedom.

    How much they have in common is estimated as in Smyth (2004, section 6.2): the less their logarithms
    spread beyond chance, the more degrees of freedom the common part adds. Two changes, because with few
    effects and seeds that estimate is often "no spread at all" when one effect does vary more by seed than
    the others: the common part adds at most `MOST_SHARED` times an effect's own degrees of freedom and none
    beyond `MOST_DF`, and no variance is drawn below its own value.
    """
    usable = (variance > 0) & (df > 0) & np.isfinite(variance)
    usable &= usable.sum(axis=-1, keepdims=True) >= 3
    if not usable.any():
        return variance, df
    known, half = np.where(usable, variance, 1.0), np.where(usable, df, 2.0) / 2
    logs = np.log(known) - special.digamma(half) + np.log(half)
    chance = _mean(special.polygamma(1, half), usable)
    count = np.maximum(usable.sum(axis=-1, keepdims=True), 2)
    spread = _mean((logs - _mean(logs, usable)) ** 2, usable) * count / (count - 1) - chance
    common_df = np.full(spread.shape, np.inf)
    common_df[spread > 0] = 2 * _trigamma_inverse(spread[spread > 0])
    most = np.minimum(MOST_SHARED * df, np.maximum(MOST_DF - df, 0.0))
    added = np.where(usable, np.minimum(common_df, most), 0.0)
    drawn = (added * _mean(known, usable) + df * known) / np.where(usable, added + df, 1.0)
    return np.where(usable, np.maximum(drawn, variance), variance), df + added


def _mean(values: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Along the last axis, which is kept, of those that are usable; 0 where none is."""
    total = np.where(usable, values, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(total / np.maximum(usable.sum(axis=-1, keepdims=True), 1))


def _trigamma_inverse(values: Floats) -> Floats:
    """Newton's method on 1 / trigamma, which is nearly linear (Smyth 2004, appendix)."""
    x = 0.5 + 1 / values
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / values) / special.polygamma(2, x)
        x += step
        if (-step < 1e-8 * x).all():
            break
    return np.asarray(x)


def one_seed(
    filled: Filled, weights: Floats, leftover: Floats, reference: Floats, repeats: Floats | None = None
) -> Noise:
    """From a single seed: what is left over must stand in for the difference between runs.

    Args:
        weights: ``[effects, kept recipes]``.
        leftover: ``[kept recipes, df]``, orthonormal contrasts beyond two-factor interactions, taken to be
            noise.
        reference: ``[effects, kept recipes]``: what Lenth's method looks at, main effects and interactions.
        repeats: ``[kept recipes, repeats]``, points; true repeats, which go before everything else.
    """
    size = (weights**2).sum(axis=1)
    text, seed_text = text_parts(filled, weights)
    texts = 0 if filled.influence is None else filled.influence.shape[2]
    if repeats is not None and np.isfinite(repeats).sum(axis=1).max() > 1:
        run_variance, df, count = pure_error(repeats)
        seed, method = (weights**2 / count).sum(axis=1) * run_variance, "true repeats"
    elif leftover.shape[1] >= LEAST_RESIDUAL:
        high_order = leftover.T @ filled.score[:, 0]
        run_variance, df = float(np.square(high_order).mean()), float(len(high_order))
        seed, method = size * run_variance, "pooled high-order interactions"
        seed_text = size * text_parts(filled, leftover.T)[0].mean()
    elif len(reference) + leftover.shape[1] >= LEAST_LENTH:
        unit = np.vstack([reference / np.linalg.norm(reference, axis=1, keepdims=True), leftover.T])
        run_variance, df = lenth(unit @ filled.score[:, 0])
        seed, method = size * run_variance, "Lenth's method"
        seed_text = size * np.median(text_parts(filled, unit)[0])
    else:
        run_variance, df = np.inf, 1.0
        seed, method = np.full(len(weights), np.inf), "none"
    return Noise(
        seed, text, seed_text, np.full(len(weights), df), 1, texts, method, float(np.sqrt(run_variance))
    )


def pure_error(repeats: Floats) -> tuple[float, float, Floats]:
    """Variance of one run, its degrees of freedom, and ``[recipes]`` how often each was repeated."""
    count = np.isfinite(repeats).sum(axis=1)
    df = float((count - 1).sum())
    off = repeats - np.nanmean(repeats, axis=1, keepdims=True)
    return float(np.nansum(off**2) / df), df, count.astype(float)


def lenth(effects: Floats) -> tuple[float, float]:
    """Squared pseudo standard error and degrees of freedom of equally noisy effects (Lenth 1989)."""
    size = np.abs(effects)
    first = 1.5 * np.median(size)
    return float((1.5 * np.median(size[size <= 2.5 * first])) ** 2), len(effects) / 3
