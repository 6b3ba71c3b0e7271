"""From an estimate and its chance to intervals, a decision, and what would settle an open one."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy import special

from finegrid.metrics import MARGIN
from finegrid.recipe.identity import Level
from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.variance import MOST_DF, Components, expected_chance

Kind = Literal["use", "avoid", "same", "open", "interact"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_SEEDS = 100  # more than this settles nothing in practice
MOST_TEXTS = 1_000_000
MOST_GROWTH = 5  # times the texts there are, or the seeds to show no difference: more is no plan
Reason = Literal["feasible", "too-small", "unknown-noise"]


@dataclass(frozen=True)
class Interval:
    """Points; from -inf to inf where nothing is known."""

    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether both ends are."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def has_width(self) -> bool:
        """Whether its ends differ by more than rounding."""
        return self.high - self.low > 1e-9 * max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Needs:
    """What would settle an open comparison if its estimate stayed as it is: totals, not additions.

    ``texts`` is None where more seeds are enough, ``seeds`` where more texts are. Totals of texts are good
    to a tenth.

    Attributes:
        reason: ``unknown-noise``: nothing is known of how far runs differ; so many seeds would tell.
            ``too-small``: nothing of this is worth telling. It would take both, or texts in no
            proportion to what there is; or the estimate is below its standard error, and a few times the
            seeds would not show that there is no difference either. To ask what would show an effect of
            that size is to ask for the power of a test after it was made, which is its p-value once more
            (Hoenig & Heisey, The American Statistician 55, 2001).
    """

    seeds: int | None
    texts: int | None
    reason: Reason = "feasible"


@dataclass(frozen=True)
class Failing:
    """How many runs fail to learn at a level, and at the baseline's (`statistics.failures`).

    Attributes:
        failed: Diverged, or done without having learned.
        diverged: Of these.
        runs: With an outcome.
        baseline_failed, baseline_runs: The same at the baseline's level.
        given: The level of another factor that all failing recipes have, if there is one such.
    """

    failed: int
    diverged: int
    runs: int
    baseline_failed: int
    baseline_runs: int
    given: tuple[str, Level] | None = None


@dataclass(frozen=True)
class Decision:
    """What an interval says at a margin. It holds no words: `finegrid.facts.decision_words` has them.

    Attributes:
        kind: ``use`` and ``avoid``: surely better, surely worse. ``same``: no difference beyond the
            margin. ``open``: none of these. ``interact``: of two strategies, that they depend on each
            other.
        measurable: Of ``same``: zero lies outside the interval all the same.
        for_speed: Of ``same``: it is surely faster.
        aliased: Of ``use``, ``avoid`` and ``same`` of a strategy: the design cannot tell its effect from
            interactions of others, so what was decided holds for their sum.
        needs: Of ``open``: what would settle it; None where its noise is not known.
        because: Of ``avoid``: that its runs surely fail more often, whatever the interval says.
        waiting: Of ``open``: it is open because runs of the plan are missing, whatever the interval says.
        at_epochs: Of ``use``, ``avoid`` and ``same``: the baseline was still rising after so many epochs, so
            this may be speed and not quality; None where it had levelled out, or nothing tells.
    """

    kind: Kind
    measurable: bool = False
    for_speed: bool = False
    aliased: bool = False
    needs: Needs | None = None
    because: Failing | None = None
    waiting: bool = False
    at_epochs: int | None = None


def plain_interval(
    estimate: float, se: float, df: float, alpha: float = 0.05, grain: float = 0.0
) -> Interval:
    """Student's interval, both sides together ``alpha``; `finest_margin`'s where nothing ever differed.

    Args:
        grain: Points that a single text moves the score by, at most; 0 where that is unknown.
    """
    half = reach(se, df, alpha, grain)
    return Interval(float(estimate - half), float(estimate + half))


def reach(se: float, df: float, alpha: float, grain: float = 0.0) -> float:
    """Half the width of the interval."""
    if not np.isfinite(se):
        return np.inf
    if se == 0:  # no text in any seed: that says how rare such a text may be, and not that there is none
        return finest_margin(grain, alpha)
    return float(special.stdtrit(df, 1 - alpha / 2) * se)


def holm(p: Floats) -> Floats:
    """Holm's adjusted p-values (Holm 1979), in the order given."""
    order = np.argsort(p, kind="stable")
    steps = (len(p) - np.arange(len(p))) * p[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def adjusted_intervals(
    estimate: Floats, se: Floats, df: Floats, alpha: float, grain: float = 0.0
) -> list[Interval]:
    """One interval per effect of a family, which leaves out zero exactly where Holm's test rejects it.

    Every bound is Bonferroni's, at ``alpha`` over the number of effects, but one: where Holm rejects, the
    bound next to zero is the one of the level at which he rejects (Serlin 1993), alpha / (effects not
    rejected before). So signs are wrong anywhere in the family in at most ``alpha`` of studies (Holm 1979),
    and "no difference beyond m", which rests on the bounds away from zero and on effects that are not
    rejected, is Bonferroni's. The bounds next to zero are on the right side of it together; that they all
    cover the effect itself is not promised. ``grain`` is that of `plain_interval`.
    """
    p = p_values(estimate, se, df)
    order = np.argsort(p, kind="stable")
    rejected = holm(p) <= alpha
    intervals: dict[int, Interval] = {}
    for step, index in enumerate(order):
        far = reach(se[index], df[index], alpha / len(p), grain)
        near = reach(se[index], df[index], alpha / (len(p) - step), grain) if rejected[index] else far
        below, above = (near, far) if estimate[index] > 0 else (far, near)
        intervals[int(index)] = Interval(float(estimate[index] - below), float(estimate[index] + above))
    return [intervals[index] for index in range(len(p))]


def p_values(estimate: Floats, se: Floats, df: Floats) -> Floats:
    """Two-sided; 1 where the standard error is not known, and where nothing ever differs."""
    ratio = np.divide(np.abs(estimate), se, out=np.where(estimate == 0, 0.0, np.inf), where=se > 0)
    return np.asarray(2 * special.stdtr(df, -ratio))


def finest_margin(grain: float, alpha: float) -> float:
    """The smallest margin that test texts can speak for, by the rule of three.

    Where no text in n tells two recipes apart, a share of up to ln(2 / alpha) / n may do so all the same
    (Hanley & Lippman-Hand, JAMA 249, 1983): nothing smaller is shown to be no difference.

    Args:
        grain: Points that a single text moves the score by, at most.
        alpha: Of the adjusted interval, already shared among the comparisons.
    """
    return min(grain * math.log(2 / alpha), 100.0)


def decide(
    interval: Interval, margin: float = MARGIN, surely_faster: bool = False, finest: float = 0.0
) -> Decision:
    """On the adjusted interval, in this order.

    Args:
        finest: The smallest margin that the test texts can speak for (`finest_margin`).
    """
    low, high = interval.low, interval.high
    if -margin <= low and high <= margin and finest <= margin:
        return Decision("same", measurable=low > 0 or high < 0, for_speed=surely_faster)
    if low > 0:
        return Decision("use")
    return Decision("avoid" if high < 0 else "open")


@dataclass(frozen=True)
class Ahead:
    """An open comparison, and what its interval will shrink by.

    Attributes:
        estimate: points.
        components: Of this effect, one value each.
        seeds, texts: As they are now; no texts where predictions are unknown.
        df_seed: Degrees of freedom of the noise between seeds, as they are now.
        alpha: Of the adjusted interval, already shared among the comparisons.
        grain: Points that a single text moves the score by, at most, as it is now.
    """

    estimate: float
    components: Components
    seeds: int
    texts: int
    df_seed: float
    alpha: float
    margin: float = MARGIN
    grain: float = 0.0

    @property
    def se(self) -> float:
        """The standard error as it is now."""
        return expected_chance(self.components, self.seeds, self.texts, self.df_seed)[0]

    def settled(self, seeds: int, texts: int) -> bool:
        return abs(self.estimate) > self._half(seeds, texts) or self.within_margin(seeds, texts)

    def within_margin(self, seeds: int, texts: int) -> bool:
        """Whether it would be no difference beyond the margin, and the texts could speak for that."""
        finest = finest_margin(self._grain(texts), self.alpha)
        return max(finest, abs(self.estimate) + self._half(seeds, texts)) <= self.margin

    def _grain(self, texts: int) -> float:
        return self.grain * self.texts / texts if texts else self.grain

    def _half(self, seeds: int, texts: int) -> float:
        df_seed = self.df_seed
        if seeds != self.seeds:
            borrowing = self.df_seed / (self.seeds - 1) if self.seeds > 1 else 1.0
            df_seed = max(seeds - 1.0, min(borrowing * (seeds - 1), MOST_DF))
        chance = expected_chance(self.components, seeds, texts, df_seed)
        return reach(*chance, self.alpha, self._grain(texts))


def mark_aliased(decision: Decision, contrast: Contrast) -> Decision:
    """The decision on a strategy, and whether it is one on its aliases as well."""
    told = decision.kind in ("use", "avoid", "same") and len(contrast.comparisons) == 1
    return replace(decision, aliased=told and bool(contrast.aliases))


def find_needs(ahead: Ahead) -> Needs:
    """More seeds; else more texts; else both, grown alike; and whether that is worth telling."""
    needs = _find_totals(ahead)
    return needs if _is_feasible(ahead, needs) else replace(needs, reason="too-small")


def _is_feasible(ahead: Ahead, needs: Needs) -> bool:
    if (needs.seeds is None) == (needs.texts is None) or (needs.texts or 0) > MOST_GROWTH * ahead.texts:
        return False
    if abs(ahead.estimate) >= ahead.se:
        return True
    seeds, texts = needs.seeds or ahead.seeds, needs.texts or ahead.texts
    return seeds <= MOST_GROWTH * ahead.seeds and ahead.within_margin(seeds, texts)


def _find_totals(ahead: Ahead) -> Needs:
    seeds, texts = ahead.seeds, ahead.texts
    of_runs = ahead.components.seed > 0 or ahead.components.seed_text > 0
    more = range(seeds + 1, MOST_SEEDS + 1) if of_runs else ()  # else more runs make nothing narrower
    sizes = _first(ahead, [(n, texts) for n in more])
    if sizes:
        return Needs(sizes[0], None)
    growth = [1.1**step for step in range(1, 200) if 0 < texts * 1.1**step <= MOST_TEXTS]
    sizes = _first(ahead, [(seeds, math.ceil(texts * by)) for by in growth])
    if sizes:
        return Needs(None, sizes[1])
    both = [(math.ceil(seeds * by), math.ceil(texts * by)) for by in growth if seeds * by <= MOST_SEEDS]
    sizes = _first(ahead, both if of_runs else [])
    return Needs(*sizes) if sizes else Needs(None, None)


def _first(ahead: Ahead, sizes: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The smallest size that settles it; if one does, so do all larger ones."""
    index = bisect_left(sizes, True, key=lambda size: ahead.settled(*size))
    return sizes[index] if index < len(sizes) else None
