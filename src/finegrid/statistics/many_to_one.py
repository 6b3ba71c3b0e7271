"""Every recipe against one of them, the baseline: paired differences with simultaneous intervals.

    against = compare_with(experiment, row_of_the_baseline)

After Dunnett (1955), for differences whose variances are not alike and are estimated apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from finegrid.metrics import MARGIN
from finegrid.statistics.decide import Decision, Interval, decide, finest_margin, plain_interval
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Filled, Floats
from finegrid.statistics.roots import find_root
from finegrid.statistics.variance import Noise, Weights, measure_imbalance_by_structure

Counts = NDArray[np.int64]
MOST_ALIKE = 0.95  # of the share of a difference's variance that all differences have in common
MOST_KINDS = 16  # of differences that are told apart exactly; more are rounded
DF_STEP, SHARE_STEP = 1.1, 0.05  # rounded to powers and multiples of these, to the more cautious side
NODES = special.roots_legendre(32)  # of the integrals over quantiles
STEEP = 6  # quantile = node ** STEEP: what decides are small variances, far out in one tail
HERMITE = special.roots_hermitenorm(40)  # symmetric, as is what is integrated: half of the nodes do


@dataclass(frozen=True)
class Difference:
    """A recipe less the baseline, on the same seeds and texts; points.

    Attributes:
        estimate: nan where the runs do not show it.
        se: Its standard error; inf where unknown.
        df: Degrees of freedom of ``se``.
        plain: The 95 % interval of this difference on its own.
        simultaneous: The interval that holds its difference together with all others.
        decision: On the simultaneous interval, at the margin.
    """

    estimate: float
    se: float
    df: float
    plain: Interval
    simultaneous: Interval
    decision: Decision


UNKNOWN = Interval(-np.inf, np.inf)
NOT_SHOWN = Difference(np.nan, np.inf, 1.0, UNKNOWN, UNKNOWN, Decision("open"))


@dataclass(frozen=True)
class ManyToOne:
    """All recipes of a study against one.

    Attributes:
        baseline: Row of ``Outcomes.recipes`` that the others are compared with.
        differences: One per row; None for the baseline itself.
        level: Chance at which each simultaneous interval misses on its own; nan if there is none.
        method: Where the noise of a run comes from; see `variance.Noise`.
    """

    baseline: int
    differences: tuple[Difference | None, ...]
    level: float
    method: str

    @property
    def better(self) -> tuple[int, ...]:
        """Rows whose simultaneous interval lies above zero, the best first."""
        found = {row: one.estimate for row, one in self._pairs if one.simultaneous.low > 0}
        return tuple(sorted(found, key=lambda row: -found[row]))

    @property
    def worse(self) -> tuple[int, ...]:
        """Rows whose simultaneous interval lies below zero, the worst first."""
        found = {row: one.estimate for row, one in self._pairs if one.simultaneous.high < 0}
        return tuple(sorted(found, key=lambda row: found[row]))

    @property
    def compared(self) -> int:
        """How many recipes have a simultaneous interval."""
        return len(self._pairs)

    @property
    def _pairs(self) -> list[tuple[int, Difference]]:
        pairs = enumerate(self.differences)
        return [(row, one) for row, one in pairs if one is not None and one.simultaneous.is_known]


def compare_with(
    experiment: Experiment, baseline: int, margin: float = MARGIN, alpha: float = 0.05
) -> ManyToOne:
    """Every recipe less the baseline.

    The simultaneous intervals all hold their differences in 1 - ``alpha`` of studies. Noise is measured as
    that of effects (`variance.between_seeds`, `variance.one_seed`), the differences being one family.

    Args:
        baseline: Row of ``Outcomes.recipes``.
        margin: Points; smaller differences are none.
        alpha: Chance that any simultaneous interval misses.
    """
    completion = experiment.completion
    found: list[Difference | None] = [NOT_SHOWN] * len(experiment.outcomes.recipes)
    found[baseline] = None
    rows = np.flatnonzero(completion.kept)
    given = np.flatnonzero(rows != baseline)
    place = np.flatnonzero(rows == baseline)
    if not len(given) or not len(place):
        return ManyToOne(baseline, tuple(found), np.nan, "none")
    weights = _subtract(given, int(place[0]), len(rows))
    noise = experiment.noise_of(weights)
    estimate = weights @ experiment.filled.score.mean(axis=1)
    se, df = np.sqrt(noise.variance), noise.df
    share = _share_chance(experiment, noise, given, int(place[0]))
    own_df, seen = _find_own_df(experiment, weights, noise), np.isfinite(se) & np.isfinite(df)
    level = find_level(df[seen], own_df[seen], share[seen], alpha)  # an endless interval always holds
    grain = experiment.outcomes.grain
    finest = finest_margin(grain, level)
    for row, mean, error, freedom in zip(rows[given], estimate, se, df, strict=True):
        one = float(mean), float(error), float(freedom)
        plain, together = (plain_interval(*one, chance, grain) for chance in (0.05, level))
        found[row] = Difference(*one, plain, together, decide(together, margin, finest=finest))
    return ManyToOne(baseline, tuple(found), level, noise.method)


def _subtract(given: Counts, place: int, recipes: int) -> Weights:
    """``[differences, recipes]``, sparse: 1 for a recipe, -1 for the baseline."""
    count = len(given)
    values = np.concatenate([np.ones(count), -np.ones(count)])
    columns = np.concatenate([given, np.full(count, place)])
    lines = np.tile(np.arange(count), 2)
    return sparse.csr_array((values, (lines, columns)), shape=(count, recipes))


def _find_own_df(experiment: Experiment, weights: Weights, noise: Noise) -> Floats:
    """``[differences]``: of ``noise.df``, those that each has of its own; it shares the others with all.

    A moderated variance is in part the mean of its family; where one seed has run, all have one stand-in.
    """
    if noise.seeds == 1:
        return np.zeros(len(noise.df))
    own = measure_imbalance_by_structure(experiment.completion, weights).df
    return np.asarray(noise.df * np.minimum(own / noise.df_seed, 1.0))


def _share_chance(experiment: Experiment, noise: Noise, given: Counts, place: int) -> Floats:
    """``[differences]``: the share of its variance that each has in common with the others.

    The baseline's runs are in all differences. They are taken to be as noisy as any other recipe's: what few
    seeds say of that is chance. What texts have in common is estimated, as the mean over the other
    differences: where correlations differ, their mean makes intervals wider (`docs/statistics.md`).
    """
    own = 0.5 * np.ones(len(given))
    repeats = experiment.outcomes.repeats
    if noise.seeds == 1 and repeats is not None:
        count = np.isfinite(repeats[experiment.completion.kept]).sum(axis=1)
        own = count[given] / (count[given] + count[place])
    known = np.isfinite(noise.variance) & (noise.variance > 0)
    common = own * noise.between + np.maximum(_covary_texts(experiment.filled, given, place), 0.0)
    common = np.maximum(common - own * noise.seed_text, 0.0)
    share = np.divide(common, noise.variance, out=own, where=known)
    return np.clip(share, 0.0, MOST_ALIKE)


def _covary_texts(filled: Filled, given: Counts, place: int) -> Floats:
    """``[differences]``, points squared: mean covariance with the others, by the texts."""
    if filled.influence is None or len(given) < 2:
        return np.zeros(len(given))
    by_text = filled.influence.mean(axis=1, dtype=np.float64)
    by_text -= by_text.mean(axis=1, keepdims=True)
    d = by_text[given] - by_text[place]  # [differences, texts]
    with_others = d @ d.sum(axis=0) - np.einsum("dt,dt->d", d, d)
    return np.asarray(with_others / ((len(given) - 1) * (filled.texts - 1) * filled.texts))


def find_level(df: Floats, own_df: Floats, share: Floats, alpha: float = 0.05) -> float:
    """The level of single two-sided intervals that together hold all differences in 1 - ``alpha`` of studies.

    With equal variances of equal size it is that of Dunnett's test.

    Args:
        df: ``[differences]``, degrees of freedom of each standard error.
        own_df: ``[differences]``, as many of them as are independent of those of the others.
        share: ``[differences]``, correlations by one common factor: that of two is the root of their product.
    """
    if len(df) < 2:
        return alpha
    kinds, count = _sort_kinds(df, own_df / df, share)

    @cache  # the search asks for its ends again
    def missing(log_level: float) -> float:
        return float(cover_together(np.exp(log_level), kinds, count) - (1 - alpha))

    low, high = float(np.log(alpha / len(df))), float(np.log(alpha))
    if missing(low) <= 0:  # to the accuracy of the integral, Bonferroni's
        return float(np.exp(low))
    if missing(high) >= 0:  # and where all are one and the same, that of one
        return alpha
    return float(np.exp(find_root(missing, low, high, tolerance=1e-3)))


def _sort_kinds(df: Floats, own: Floats, share: Floats) -> tuple[Floats, Counts]:
    """Differences that are alike are counted once. ``[kinds, 3]``, ``[kinds]``."""
    each = np.stack([df, own, share], axis=1)
    kinds, count = np.unique(each, axis=0, return_counts=True)
    if len(kinds) > MOST_KINDS:
        each[:, 0] = np.maximum(DF_STEP ** np.floor(np.log(df) / np.log(DF_STEP)), 1.0)
        each[:, 1] = np.minimum(np.ceil(own / SHARE_STEP) * SHARE_STEP, 1.0)
        each[:, 2] = np.floor(share / SHARE_STEP) * SHARE_STEP
        kinds, count = np.unique(each, axis=0, return_counts=True)
    return kinds, count


def cover_together(level: float, kinds: Floats, count: Counts) -> float:
    """The chance that intervals, each of ``level`` on its own, hold all differences together.

    Difference i over its standard error is (sqrt(share) Z + sqrt(1 - share) Z_i) / sqrt((Y + X_i) / df) with
    normal Z and Z_i, chi-squared Y (shared) and X_i (own): integrals over Z and over the quantile of Y, and
    inside over that of X_i.

    Args:
        kinds: ``[kinds, 3]``: degrees of freedom, the part of them that is a difference's own, share.
        count: ``[kinds]``, differences of each kind.
    """
    nodes = (NODES[0] + 1) / 2
    weights = NODES[1] / 2 * STEEP * nodes ** (STEEP - 1)
    nodes = nodes**STEEP
    z, chance = (half[HERMITE[0] > 0] for half in HERMITE)
    chance = chance / chance.sum()
    logs = np.zeros((len(nodes), len(z)))
    for (df, own, share), number in zip(kinds, count, strict=True):
        reach = -special.stdtrit(df, level / 2)
        shared_part = _chi_squared(nodes, df * (1 - own))
        own_part = _chi_squared(nodes, df * own)
        s = np.sqrt((shared_part[:, None, None] + own_part[:, None]) / df)  # [shared, own, 1]
        shift, rest = np.sqrt(share) * z, np.sqrt(1 - share)
        held = special.ndtr((reach * s - shift) / rest) - special.ndtr((-reach * s - shift) / rest)
        with np.errstate(divide="ignore"):
            logs += number * np.log(np.einsum("o,soz->sz", weights, held))
    return float(weights @ np.exp(logs) @ chance)


def _chi_squared(chance: Floats, df: float) -> Floats:
    """Its quantiles; 0 without degrees of freedom."""
    return 2 * special.gammaincinv(df / 2, chance) if df > 1e-9 else np.zeros(len(chance))
