"""Factors of three and more levels: the best level, and how sure it is.

The table of effects compares every level with the baseline's. That two levels are both better than it does
not say which of them to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from finegrid.recipe.identity import Level
from finegrid.statistics.decide import Interval, plain_interval
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats

LEAST_LEVELS = 3  # of two, the table of effects says it
MOST_LEVELS = 16  # 120 pairs; what has more, as a name of each run has, is no ladder


@dataclass(frozen=True)
class Ladder:
    """The levels of a factor, compared with each other.

    Attributes:
        factor: Which.
        levels: Those that the runs compare, best first.
        effects: Of each, points: its mean less the baseline level's, as in the table of effects.
        difference: Points: the best level less the next one.
        interval: Of that, simultaneous over all pairs of levels of all ladders; without ends where the noise
            is not known.
        contenders: Levels that cannot be told from the best one, with it; all where the noise is not known.
    """

    factor: str
    levels: tuple[Level, ...]
    effects: tuple[float, ...]
    difference: float
    interval: Interval
    contenders: tuple[Level, ...]

    @property
    def best(self) -> Level:
        return self.levels[0]

    @property
    def runner_up(self) -> Level:
        return self.levels[1]

    @property
    def is_clear(self) -> bool:
        """Whether the best level is surely better than every other."""
        return len(self.contenders) == 1


def compare_levels(experiment: Experiment, alpha: float = 0.05) -> tuple[Ladder, ...]:
    """Of every factor with three levels or more that the runs compare; not of those with very many.

    Which level is best is seen in the same runs. So each pair of levels gets Bonferroni's interval over all
    pairs of all ladders: whichever pair is then looked at, it holds (Hochberg & Tamhane 1987, chapter 2).
    Differences are paired: inside seeds, and over the same recipes as the effects.
    """
    weights = weigh_levels(experiment)
    found = {
        factor: levels for factor, levels in weights.items() if LEAST_LEVELS <= len(levels) <= MOST_LEVELS
    }
    pairs = sum(len(levels) * (len(levels) - 1) // 2 for levels in found.values())
    return tuple(compare_one(experiment, factor, levels, alpha / pairs) for factor, levels in found.items())


def weigh_levels(experiment: Experiment) -> dict[str, dict[Level, Floats]]:
    """By factor and level, weights over the recipes that ran of that level less the baseline's.

    Of the baseline's level they are 0. Levels that the runs do not compare with it are left out.
    """
    family = experiment.families.mains
    found: dict[str, dict[Level, Floats]] = {}
    for number, weights in zip(family.given, family.estimators.weights, strict=True):
        (compared,) = family.contrasts[number].comparisons
        of_factor = found.setdefault(compared.factor, {compared.baseline: np.zeros(len(weights))})
        of_factor[compared.level] = weights
    return found


def compare_one(experiment: Experiment, factor: str, levels: dict[Level, Floats], alpha: float) -> Ladder:
    """``alpha``: of one pair."""
    means = experiment.filled.score.mean(axis=1)
    effects = {level: float(weights @ means) for level, weights in levels.items()}
    order = sorted(levels, key=lambda level: -effects[level])  # of equals, the one that stands first
    # All pairs are one family: their variance between seeds is moderated together.
    pairs = list(combinations(order, 2))
    noise = experiment.measure_noise(np.array([levels[a] - levels[b] for a, b in pairs]))
    grain = experiment.outcomes.grain
    intervals = {
        (a, b): plain_interval(effects[a] - effects[b], float(np.sqrt(variance)), float(df), alpha, grain)
        for (a, b), variance, df in zip(pairs, noise.variance, noise.df, strict=True)
    }
    best, runner_up, *_ = order
    return Ladder(
        factor,
        tuple(order),
        tuple(effects[level] for level in order),
        effects[best] - effects[runner_up],
        intervals[best, runner_up],
        tuple(level for level in order if level == best or not intervals[best, level].low > 0),
    )
