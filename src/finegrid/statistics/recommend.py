"""Which recipe to use: the one of which most is expected, unless it may well be worse than the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid.metrics import TOLERANCE
from finegrid.statistics.decide import Interval
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.posterior import Posterior

MOST_CHANCE = 0.1  # that a recommended recipe is worse than the baseline by more than the tolerance
WORTH_SAVING = 0.05  # of the seconds; a recipe that saves less is not called cheaper


@dataclass(frozen=True)
class Expectation:
    """What is expected of a recipe less another one, points; posterior.

    Attributes:
        recipe: Row of ``Outcomes.recipes``.
        gain: Posterior mean.
        interval: Which holds it with a probability of 95 %.
        chance_worse: Probability that it is worse by more than the tolerance.
    """

    recipe: int
    gain: float
    interval: Interval
    chance_worse: float


@dataclass(frozen=True)
class Recommendation:
    """What to use, and what else could be.

    Attributes:
        tolerance: Points.
        baseline: Row of the baseline.
        recommended: Against the baseline; the baseline itself where nothing is safe and better.
        tempting: Against the baseline: the recipe of which most is expected, where it is not safe enough;
            else None.
        cheaper: Against the recommended one: takes fewer seconds, is safe, and costs the least; else None.
        frontier: Against the baseline: the safe recipes of which more is expected than of any safe one that
            takes no longer, fewest seconds first. Empty without seconds. The last one is recommended.
        gains: ``[recipes]``, expected against the baseline; nan without runs.
        chances_worse: ``[recipes]``, of being worse than it by more than the tolerance; nan without runs.
        allowed: ``[recipes]``, which could be recommended; the baseline always.
        whole: Whether interactions of three and more factors were looked at.
    """

    tolerance: float
    baseline: int
    recommended: Expectation
    tempting: Expectation | None
    cheaper: Expectation | None
    frontier: tuple[Expectation, ...]
    gains: Floats
    chances_worse: Floats
    allowed: NDArray[np.bool_]
    whole: bool

    @property
    def keeps_baseline(self) -> bool:
        return self.recommended.recipe == self.baseline


def recommend(
    posterior: Posterior,
    baseline: int,
    seconds: Floats,
    tolerance: float = TOLERANCE,
    risky: NDArray[np.bool_] | None = None,
) -> Recommendation | None:
    """Choose by expected score among the recipes that are hardly worse than the baseline.

    Args:
        posterior: Of the scores that choose, dev's.
        baseline: Row of ``Outcomes.recipes``.
        seconds: ``[recipes]``, of a run; nan where they are not known.
        tolerance: Points.
        risky: ``[recipes]``, those not to recommend whatever their scores (`failures`).

    Returns:
        None where the baseline has no runs.
    """
    if posterior.places[baseline] < 0:
        return None
    rows = np.flatnonzero(posterior.places >= 0)
    against = posterior.compare(posterior.places[rows], int(posterior.places[baseline]))
    gains, chances = np.full((2, len(posterior.places)), np.nan)
    gains[rows], chances[rows] = against.expected, against.chance_below(-tolerance)
    allowed = (chances <= MOST_CHANCE) & ~(np.zeros(len(gains), bool) if risky is None else risky)
    allowed[baseline] = True
    place_of = {int(row): place for place, row in enumerate(rows)}

    def expect(row: int) -> Expectation:
        chance = float(chances[row])
        return Expectation(row, float(gains[row]), against.interval(place_of[row]), chance)

    chosen = max(np.flatnonzero(allowed), key=lambda row: (gains[row], row == baseline))
    best = int(np.nanargmax(gains))
    frontier = _find_frontier(np.flatnonzero(allowed), gains, seconds, int(chosen))
    return Recommendation(
        tolerance,
        baseline,
        expect(int(chosen)),
        None if allowed[best] else expect(best),
        _find_cheaper(posterior, frontier, seconds, tolerance),
        tuple(expect(row) for row in frontier),
        gains,
        chances,
        allowed,
        posterior.whole,
    )


def _find_frontier(rows: NDArray[np.int64], gains: Floats, seconds: Floats, chosen: int) -> list[int]:
    """Fewest seconds first; the last one is the chosen one."""
    known = [int(row) for row in rows if np.isfinite(seconds[row]) and row != chosen]
    if not np.isfinite(seconds[chosen]):
        return []
    kept: list[int] = []
    for row in sorted(known, key=lambda row: (seconds[row], -gains[row])):
        if seconds[row] < seconds[chosen] and (not kept or gains[row] > gains[kept[-1]]):
            kept.append(row)
    return [*kept, chosen]


def _find_cheaper(
    posterior: Posterior, frontier: list[int], seconds: Floats, tolerance: float
) -> Expectation | None:
    """Of those that save something: the one that loses more than the tolerance with the smallest chance."""
    if not frontier:
        return None
    *others, chosen = frontier
    others = [row for row in others if seconds[row] <= (1 - WORTH_SAVING) * seconds[chosen]]
    if not others:
        return None
    against = posterior.compare(posterior.places[others], int(posterior.places[chosen]))
    chances = against.chance_below(-tolerance)
    least = int(np.argmin(chances))
    return Expectation(
        others[least], float(against.expected[least]), against.interval(least), float(chances[least])
    )
