"""What each factor costs: its main effects in seconds, or in bytes of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import UNKNOWN, analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats

WORTH_SAYING = 0.01  # of a run's seconds; what is less is no reason to use anything


@dataclass(frozen=True)
class CostEffect:
    """A comparison in seconds or bytes.

    Attributes:
        difference: In the unit of the input, mean of recipes and seeds, with its plain interval. Where all
            runs of a kind are told to cost the same, that was not measured, and there is no interval.
        ratio: Of geometric means, 1 is equal; a run that the machine held up moves it less.
        surely_less: Holm's test over all comparisons says that at least `WORTH_SAYING` of it is saved.
    """

    contrast: Contrast
    difference: float
    difference_interval: Interval
    ratio: float
    surely_less: bool


def compare_costs(experiment: Experiment, spent: Floats, alpha: float = 0.05) -> list[CostEffect]:
    """Main effects in what a run costs.

    Args:
        experiment: Of the same runs, whatever its scores are.
        spent: ``[recipes, seeds]``, above 0, nan where a run is missing.
    """
    experiment = experiment.without_splits()
    relative = analyse_mains(experiment.with_scores(np.log(spent)), 0.0, alpha)
    absolute = analyse_mains(experiment.with_scores(spent), 0.0, alpha)
    return [
        CostEffect(
            ratio.contrast,
            difference.estimate,
            difference.plain if difference.plain.has_width else UNKNOWN,
            float(np.exp(ratio.estimate)),
            ratio.adjusted.high < np.log1p(-WORTH_SAYING),
        )
        for ratio, difference in zip(relative, absolute, strict=True)
    ]


def surely_less(effects: Sequence[CostEffect]) -> frozenset[tuple[str, object]]:
    """``(factor, level)`` of the comparisons that surely cost less than the baseline's level."""
    comparisons = [effect.contrast.comparisons[0] for effect in effects if effect.surely_less]
    return frozenset((comparison.factor, comparison.level) for comparison in comparisons)
