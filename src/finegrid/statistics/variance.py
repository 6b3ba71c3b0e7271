"""How far an effect may be off by chance: run, sample of test texts, and their product.

For an effect, d[seed, text] is what it is in one seed on one text. Seeds and texts are crossed, one value a
cell:

    variance = (MS_seed + MS_text - MS_seed x text) / (seeds texts), not below the larger single component

with Satterthwaite degrees of freedom. Here each mean square is already divided by seeds x texts, so that
the three add up to a variance of the effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from finegrid.statistics.least_squares import Residual
from finegrid.statistics.outcomes import Completion, Filled, Floats

Weights = Any  # [effects, recipes]: floats, dense or (`scipy.sparse`) mostly zeros

# How many degrees of freedom an effect may borrow from its family; docs/statistics.md has the simulation.
# Borrowing fades out between 5 and 17 seeds: were it to end at once, one more seed would widen intervals.
MOST_SHARED = 3.0  # times its own
MOST_DF = 16.0  # own and borrowed, what five seeds have at most
LEAST_RESIDUAL = (
    4  # degrees of freedom from which pooled high-order interactions are better than Lenth's method
)
NO_SPREAD = 1e-12  # points squared: what is below is rounding
LEAST_LENTH = 7  # contrasts: a two-level factorial of eight runs, the smallest in Lenth (1989)
# Runs of one seed share the order of the data and the masks, so their luck goes with effects of low order:
# their variance by seed is 1.1 to 2.4 times that of high orders (docs/statistics.md). One seed cannot tell.
LUCK_RATIO = 2.0
CHUNK = 32  # contrasts at a time: 32 x 8 seeds x 10,000 texts in float32 are 10 MB


@dataclass(frozen=True)
class Noise:
    """The chance of effects, one value each.

    Attributes:
        seed: ``[effects]``, points squared: mean square between seeds, over seeds x texts. nan where
            unknown.
        text: ``[effects]``, the same between texts.
        seed_text: ``[effects]``, the same of text in seed.
        df_seed: ``[effects]``, degrees of freedom of ``seed``.
        seeds: How many there were.
        texts: How many there were; 0 without predictions.
        method: ``between seeds``, ``between seeds, moderated``, ``between splits``, ``true repeats``,
            ``true repeats and high-order interactions``, ``pooled high-order interactions``, ``Lenth's
            method`` or ``none``; `repeats` has two more.
        run_sd: Standard deviation of one run, points: pooled over effects.
        overlap: Where ``seed`` is between splits of one pool: test over training texts (`nested`). It adds
            to one over the number of splits.
    """

    seed: Floats
    text: Floats
    seed_text: Floats
    df_seed: Floats
    seeds: int
    texts: int
    method: str
    run_sd: float
    overlap: float = 0.0

    @property
    def variance(self) -> Floats:
        """``[effects]``, points squared: of the effect."""
        return _total(self.between, self.text, self.seed_text)

    @property
    def between(self) -> Floats:
        """``[effects]``, points squared: what ``seed`` makes of the effect, with what splits share."""
        return self.seed * (1 + self.seeds * self.overlap)

    @property
    def df(self) -> Floats:
        """``[effects]``: Satterthwaite's, but not below those of the scarcer source.

        Where two sources nearly cancel, as with a handful of texts, his formula counts the uncertainty of
        both and the size of neither.
        """
        df_text = max(self.texts - 1, 1)
        below = (
            self.between**2 / self.df_seed
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
            overlap=self.overlap,
        )


@dataclass(frozen=True)
class Components:
    """Variances in points squared, of an effect in one seed, on one text, and on one text in one seed.

    ``overlap``: of splits that take the place of seeds, as in `Noise`; no number of them averages it out.
    """

    seed: Floats
    text: Floats
    seed_text: Floats
    overlap: float = field(default=0.0, kw_only=True)

    @property
    def parts(self) -> tuple[Floats, Floats, Floats]:
        return self.seed, self.text, self.seed_text

    def variance(self, seeds: Floats | float, texts: Floats | float) -> Floats:
        """Of the effect in a study of this many seeds and texts."""
        between = self.seed * (1 / seeds + self.overlap) if self.overlap else self.seed / seeds
        return np.asarray(between + self.text / texts + self.seed_text / (seeds * texts))


def expected_chance(components: Components, seeds: int, texts: int, df_seed: float) -> tuple[float, float]:
    """Standard error of an effect in a study of this size, and its degrees of freedom."""
    variance = float(components.variance(seeds, max(texts, 1)))
    shared = components.seed * components.overlap
    between = float(components.seed / seeds + shared + components.seed_text / (seeds * max(texts, 1)))
    if between == 0:
        return float(np.sqrt(variance)), np.inf
    return float(np.sqrt(variance)), max(df_seed * (variance / between) ** 2, 1.0)


def _total(seed: Floats, text: Floats, seed_text: Floats) -> Floats:
    return np.maximum(np.maximum(seed + text - seed_text, seed), text)


@dataclass(frozen=True)
class Imbalance:
    """What filled-in runs do to the spread over seeds, one value for each of some effects.

    Attributes:
        inflation: ``[effects]``, by how much the spread over seeds must be enlarged; inf where it shows
            nothing.
        df: ``[effects]``, degrees of freedom that it has.
    """

    inflation: Floats
    df: Floats


def between_seeds(
    filled: Filled,
    weights: Weights,
    imbalance: Imbalance,
    asked: Sequence[int] | None = None,
    overlap: float = 0.0,
) -> Noise:
    """From two seeds up, or two splits of a pool.

    Args:
        weights: ``[effects, kept recipes]``, one family of effects.
        imbalance: Of these weights (`measure_imbalance`).
        asked: Places of the effects whose noise is wanted; all if None. The others lend it their variance
            between seeds, but what they are on single texts is not looked at.
        overlap: Of splits, as in `Noise`.
    """
    chosen = slice(None) if asked is None else list(asked)
    seeds = filled.seeds
    per_seed = weights @ filled.score  # [effects, seeds], points
    seed = per_seed.var(axis=1, ddof=1) / seeds
    inflation, df = imbalance.inflation, imbalance.df
    text, seed_text = text_parts(filled, weights[chosen])
    seed = np.multiply(seed, inflation, out=np.full_like(seed, np.inf), where=np.isfinite(inflation))
    size = (weights**2).sum(axis=1)
    run_variance = seed * seeds / size
    method = "between seeds"
    known = run_variance[np.isfinite(run_variance)]
    run_sd = float(np.sqrt(known.mean())) if len(known) else np.nan
    split_of_seed = filled.completion.split_of_seed
    # Splits are not moderated: docs/statistics.md has what that would cost.
    if split_of_seed is None and seeds <= MOST_DF and weights.shape[0] > 2:
        run_variance, df = moderate(run_variance, df)
        seed = run_variance * size / seeds
        method = "between seeds, moderated"
    shared = seed_text * np.where(np.isfinite(inflation), inflation, 1.0)[chosen]
    method = method if split_of_seed is None else "between splits"
    return Noise(seed[chosen], text, shared, df[chosen], seeds, filled.texts, method, run_sd, overlap)


def additive_residual(filled: Filled) -> tuple[float, float]:
    """Mean square that the additive model of recipes and seeds leaves, points squared, and its df.

    Of a run, pooled over all recipes; of a split, where seeds draw splits. inf without degrees of freedom.
    """
    score, completion = filled.score, filled.completion
    off = score - score.mean(axis=1, keepdims=True) - score.mean(axis=0) + score.mean()
    df = float(completion.ran_columns.sum() - sum(score.shape) + 1)
    return (float((off**2).sum() / df), df) if df > 0 else (np.inf, df)


def run_text(filled: Filled) -> float:
    """Variance of one text in one run beyond recipe, seed and text, points squared; pooled over recipes."""
    assert filled.influence is not None
    recipes, seeds, texts = filled.influence.shape
    if recipes < 2 or seeds < 2:
        return 0.0
    by_text = filled.influence.mean(axis=1, dtype=np.float64)  # [recipes, texts]
    seed_mean = filled.influence.mean(axis=0, dtype=np.float64)  # [seeds, texts]
    overall, squares = by_text.mean(axis=0), 0.0
    for recipe in range(recipes):
        off = filled.influence[recipe] - by_text[recipe] - seed_mean + overall
        squares += float(np.square(off - off.mean(axis=1, keepdims=True)).sum())
    return float(squares / ((recipes - 1) * (seeds - 1) * (texts - 1)))


def text_parts(filled: Filled, weights: Weights) -> tuple[Floats, Floats]:
    """MS_text and MS_seed x text over seeds x texts, ``[effects]`` each; zeros without predictions."""
    effects = weights.shape[0]
    if filled.influence is None:
        return np.zeros(effects), np.zeros(effects)
    recipes, seeds, texts = filled.influence.shape
    flat = filled.influence.reshape(recipes, seeds * texts)
    text, seed_text = np.empty(effects), np.zeros(effects)
    for start in range(0, effects, CHUNK):
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


def measure_imbalance(completion: Completion, weights: Weights) -> Imbalance:
    """By how much filled-in runs make the spread over seeds too small, and its degrees of freedom.

    Per seed, an effect is a weighted sum of finished runs, A y. The spread over seeds has the expectation
    tr(Q V) for Q = A' (I - 1/S) A / (S (S - 1)), the estimate has the variance mean(A) V mean(A)'. Both
    follow for either kind of noise: runs on their own (V = I), and effects that differ by seed (V = x x'
    inside a seed, x the effect's own direction). The larger ratio counts, and the smaller degrees of
    freedom.

    Args:
        weights: ``[effects, kept recipes]``.
    """
    seeds, average = completion.columns, completion.average
    if completion.gaps is None:
        return Imbalance(np.ones(weights.shape[0]), np.full(weights.shape[0], seeds - 1.0))
    if completion.operator is None:
        return measure_imbalance_by_structure(completion, weights)
    inflation, df = np.empty(len(weights)), np.empty(len(weights))
    recipe_of_run, seed_of_run = np.nonzero(completion.ran)
    centre = np.eye(seeds) - 1 / seeds
    for row, weight in enumerate(weights):
        used = np.where(weight[:, None, None] == 0, 0.0, completion.operator)
        a = np.einsum("r,rsn->sn", weight, used)
        column_of_run = seed_of_run
        if average is not None:
            a, column_of_run = average.T @ a, (average > 0).argmax(axis=1)[seed_of_run]
        direction = a * (weight / (weight @ weight))[recipe_of_run]
        by_seed = [direction[:, column_of_run == column].sum(axis=1) for column in range(seeds)]
        ratios, dfs = [], []
        for factor in (a, np.stack(by_seed, axis=1)):
            quadratic = centre @ factor @ factor.T @ centre / (seeds * (seeds - 1))
            expected = np.trace(quadratic)
            enough = expected > 1e-9 * np.square(factor).sum()
            ratios.append(np.square(factor.mean(axis=0)).sum() / expected if enough else np.inf)
            dfs.append(expected**2 / np.square(quadratic).sum() if enough else 1.0)
        inflation[row], df[row] = max(ratios), min(dfs)
    return Imbalance(inflation, df)


def measure_imbalance_by_structure(completion: Completion, weights: Weights) -> Imbalance:
    """The same as `measure_imbalance`, to rounding, at a cost that does not grow with the runs squared.

    Args:
        weights: ``[effects, kept recipes]``, an array or a sparse one.
    """
    seeds, gaps, average = completion.columns, completion.gaps, completion.average
    if gaps is None:
        return Imbalance(np.ones(weights.shape[0]), np.full(weights.shape[0], seeds - 1.0))
    centre = np.eye(seeds) - 1 / seeds
    product, direct = gaps.spreads(weights)
    if average is not None:
        product, direct = average.T @ product @ average, average.T @ direct @ (average > 0)
    ratios, dfs = [], []
    for spread in (product, direct @ direct.transpose(0, 2, 1)):
        quadratic = centre @ spread @ centre / (seeds * (seeds - 1))
        expected = np.trace(quadratic, axis1=1, axis2=2)
        enough = expected > 1e-9 * np.trace(spread, axis1=1, axis2=2)
        ratio = np.divide(spread.mean(axis=(1, 2)), expected, out=np.full(len(enough), np.inf), where=enough)
        squares = np.square(quadratic).sum(axis=(1, 2))
        ratios.append(ratio)
        dfs.append(np.divide(expected**2, squares, out=np.ones(len(enough)), where=enough))
    return Imbalance(np.maximum(*ratios), np.minimum(*dfs))


def moderate(variance: Floats, df: Floats) -> tuple[Floats, Floats]:
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


@dataclass(frozen=True)
class StandIn:
    """What stands in for the difference between runs where there is a single seed.

    Attributes:
        method: As in `Noise`.
        measured: Variance of one run, points squared; inf if nothing stands in.
        df: Its degrees of freedom.
        seed_text: Of one text in one run, over texts, points squared.
        count: ``[kept recipes]``, how often each was repeated; None without true repeats.
        ratio: Of the variance that effects of low order have by seed to what was measured.
    """

    method: str
    measured: float
    df: float
    seed_text: float = 0.0
    count: Floats | None = None
    ratio: float = 1.0

    @property
    def variance(self) -> float:
        """Of one run as effects of low order vary by it, points squared."""
        return self.ratio * self.measured

    @property
    def run_sd(self) -> float:
        """Standard deviation of one run, points, as measured."""
        return float(np.sqrt(self.measured))

    def without_zero(self) -> StandIn:
        """The same; nothing where it says that runs never differ."""
        return self if self.variance > NO_SPREAD else StandIn("none", np.inf, 1.0)


NOTHING = StandIn("none", np.inf, 1.0)


def find_stand_in(
    filled: Filled, leftover: Floats | Residual, reference: Floats, repeats: Floats | None = None
) -> StandIn:
    """The first of: true repeats, pooled high-order interactions, Lenth's method, nothing.

    True repeats stand alone where they have at least as many degrees of freedom as what comes next. A single
    repeated row has one, and Student's quantile of one is 12.7: then high-order interactions are pooled with
    it, weighted by degrees of freedom, or Lenth's method takes its place.

    Args:
        leftover: ``[kept recipes, df]``, orthonormal contrasts beyond two-factor interactions, taken to be
            noise; of many recipes, the projection on them.
        reference: ``[effects, kept recipes]``: what Lenth's method looks at, main effects and interactions.
        repeats: ``[kept recipes, repeats]``, points; true repeats.
    """
    if repeats is not None and np.isfinite(repeats).sum(axis=1).max(initial=0) > 1:
        return _with_repeats(filled, leftover, reference, repeats)
    ratio = LUCK_RATIO if repeats is None else 1.0  # repeats share nothing
    if isinstance(leftover, Residual):
        return _pool_high_order(filled, leftover, ratio)
    if leftover.shape[1] >= LEAST_RESIDUAL:
        high_order = leftover.T @ filled.score[:, 0]
        variance, df = float(np.square(high_order).mean()), float(len(high_order))
        seed_text = float(text_parts(filled, leftover.T)[0].mean())
        return StandIn("pooled high-order interactions", variance, df, seed_text, ratio=ratio)
    if len(reference) + leftover.shape[1] >= LEAST_LENTH:
        unit = np.vstack([reference / np.linalg.norm(reference, axis=1, keepdims=True), leftover.T])
        variance, df = lenth(unit @ filled.score[:, 0])
        seed_text = float(np.median(text_parts(filled, unit)[0]))
        return StandIn("Lenth's method", variance, df, seed_text, ratio=ratio)
    return NOTHING


def _with_repeats(filled: Filled, leftover: Floats | Residual, reference: Floats, repeats: Floats) -> StandIn:
    """Of a table in which some recipe was repeated. Everything here is the variance of a single run."""
    variance, df, count = pure_error(repeats)
    score = filled.score[:, 0]
    if isinstance(leftover, Residual):
        spare, share, left = leftover.df, leftover.share, leftover.take_out(score)
    else:
        spare, share = leftover.shape[1], np.square(leftover).sum(axis=1)
        left = leftover.T @ score
    if df < spare >= LEAST_RESIDUAL:
        # A mean of n runs has 1/n of the variance of one: so much of it is in these contrasts.
        expected = float((share / count).sum())
        pooled = (df * variance + spare * float(np.square(left).sum()) / expected) / (df + spare)
        return StandIn("true repeats and high-order interactions", pooled, df + spare, count=count)
    if not isinstance(leftover, Residual) and LEAST_LENTH - len(reference) <= spare < LEAST_RESIDUAL:
        rows = np.vstack([reference, leftover.T])
        single = (rows @ score) / np.sqrt((np.square(rows) / count).sum(axis=1))
        by_lenth, its_df = lenth(single)
        if df < its_df:
            return StandIn("Lenth's method", by_lenth, its_df, count=count)
    return StandIn("true repeats", variance, df, count=count)


def without_zeros(noise: Noise) -> Noise:
    """The same, with the noise unknown where runs that are there never differed."""
    seed = np.where(noise.seed > NO_SPREAD, noise.seed, np.inf)
    run_sd = noise.run_sd if noise.run_sd**2 > NO_SPREAD else np.nan
    return replace(noise, seed=seed, run_sd=run_sd)


def _pool_high_order(filled: Filled, residual: Residual, ratio: float) -> StandIn:
    """Pooled high-order interactions, from what the model leaves: sums of squares need no basis of it."""
    df = residual.df
    variance = float(np.square(residual.take_out(filled.score[:, 0])).sum() / df)
    seed_text = 0.0
    if filled.influence is not None:
        left = residual.take_out(filled.influence[:, 0])
        left -= left.mean(axis=1, keepdims=True)
        seed_text = float(np.square(left).sum() / (df * (filled.texts - 1) * filled.texts))
    return StandIn("pooled high-order interactions", variance, float(df), seed_text, ratio=ratio)


def one_seed(filled: Filled, weights: Weights, stand_in: StandIn) -> Noise:
    """From a single seed. ``weights``: ``[effects, kept recipes]``."""
    size = (weights**2).sum(axis=1)
    text, _ = text_parts(filled, weights)
    seed_text = size * stand_in.seed_text
    if stand_in.method == "none":
        seed = np.full(len(size), np.inf)
    elif stand_in.count is not None:
        seed = (weights**2 / stand_in.count).sum(axis=1) * stand_in.variance
    else:
        seed = size * stand_in.variance
    df = np.full(len(size), stand_in.df)
    return Noise(seed, text, seed_text, df, 1, filled.texts, stand_in.method, stand_in.run_sd)


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
