"""Whether training had ended too early: were scores on dev still rising at the last epoch?

The last epoch is often the best one of a long training, too, since rates decay to nothing and every score has
its chance. So a rise counts only where it is too large for chance, and large enough to matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Curve = Sequence[float]  # points on dev, epoch by epoch
ERRORS = 2.0  # standard errors that a rise has to be larger than
LEAST_DF = 4  # below, the spread between seeds is no measure of chance


@dataclass(frozen=True)
class Rise:
    """What the last epoch gained.

    Attributes:
        last: Curves that are best at their last epoch.
        curves: How many there are.
        gain: Of the last epoch over the best one before, mean over curves, points.
        error: Its standard error.
    """

    last: int
    curves: int
    gain: float
    error: float

    def counts(self, margin: float) -> bool:
        """Whether most curves end at their best, and the gain is beyond chance and beyond the margin."""
        return 2 * self.last > self.curves and self.gain > max(margin, ERRORS * self.error)


def measure_rise(
    baseline: Sequence[Curve], others: Sequence[Sequence[Curve]], sampling: float
) -> Rise | None:
    """What the last epoch gains in the baseline.

    Args:
        baseline: a curve of every seed.
        others: the same of the other recipes. They tell with it how far seeds differ in that gain.
        sampling: standard deviation that a change has from dev being a sample of texts, points; for studies
            with too few seeds to tell more.

    Returns:
        None without a curve of two epochs.
    """
    gains = [gain_of(curve) for curve in baseline if len(curve) > 1]
    if not gains:
        return None
    each = [gains, *([gain_of(curve) for curve in one if len(curve) > 1] for one in others)]
    df = sum(max(0, len(one) - 1) for one in each)
    squares = sum(float(np.var(one) * len(one)) for one in each if one)
    spread = float(np.sqrt(squares / df)) if df >= LEAST_DF else sampling
    last = sum(gain > 0 for gain in gains)
    return Rise(last, len(gains), float(np.mean(gains)), spread / float(np.sqrt(len(gains))))


def gain_of(curve: Curve) -> float:
    """Of the last epoch over the best one before."""
    return curve[-1] - max(curve[:-1])
