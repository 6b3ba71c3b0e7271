"""What each factor costs: its main effects in seconds, or in bytes of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finegrid.statistics.contrasts import Contrast
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import analyse
from finegrid.statistics.outcomes import Floats, Outcomes

WORTH_SAYING = 0.01  # of a run's seconds; what is less is no reason to use anything


@dataclass(frozen=True)
class CostEffect:
    """A comparison in seconds or bytes.

    Attributes:
        difference: In the unit of the input, mean of recipes and seeds, with its plain interval.
        ratio: Of geometric means, 1 is equal; a run that the machine held up moves it less.
        surely_less: Holm's test over all comparisons says that at least `WORTH_SAYING` of it is saved.
    """

    contrast: Contrast
    difference: float
    difference_interval: Interval
    ratio: float
    surely_less: bool


def costs(outcomes: Outcomes, spent: Floats, alpha: float = 0.05) -> list[CostEffect]:
    """Main effects in what a run costs.

    ``spent``: ``[recipes, seeds]``, above 0, nan where a run is missing.
    """
    log = replace(outcomes, score=np.log(spent), influence=None, repeats=None)
    plain = replace(outcomes, score=spent, influence=None, repeats=None)
    found = []
    for relative, absolute in zip(
        analyse(log, 0.0, alpha).effects, analyse(plain, 0.0, alpha).effects, strict=True
    ):
        found.append(
            CostEffect(
                relative.contrast,
                absolute.estimate,
                absolute.plain,
                float(np.exp(relative.estimate)),
                relative.adjusted.high < np.log1p(-WORTH_SAYING),
            )
        )
    return found


def surely_less(found: Sequence[CostEffect]) -> frozenset[tuple[str, object]]:
    """``(factor, level)`` of the comparisons that surely cost less than the baseline's level."""
    return frozenset(
        (one.contrast.comparisons[0].factor, one.contrast.comparisons[0].level)
        for one in found
        if one.surely_less
    )
