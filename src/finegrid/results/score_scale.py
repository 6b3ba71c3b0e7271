"""How a score that is told becomes points of which more is better, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
SAYS_LITTLE = 0.4  # of the whole scale: an interval of a score that is wider than this


@dataclass(frozen=True)
class ScoreScale:
    """The scale of a score, as its study or table tells it.

    Effects are in points of which more is better. Of accuracy and alike these are the scores themselves, 0 to
    100. Scores stay as they were told: an error rate of 6.2 is 6.2, and better than one of 6.4.

    Attributes:
        point: What a point is of the scores that are told.
        lower_is_better: As of errors and losses.
        low, high: What a score can be, as it is told; infinite where that is not known.
    """

    point: float = 1.0
    lower_is_better: bool = False
    low: float = 0.0
    high: float = 100.0

    @property
    def sign(self) -> float:
        return -1.0 if self.lower_is_better else 1.0

    @property
    def digits(self) -> int:
        """After the point, of a score that is told: to a tenth of a point on a scale of its own."""
        return 2 if self.point == 1 else max(0, math.ceil(1 - math.log10(self.point)))

    @property
    def widest(self) -> float:
        """An interval of a score that is wider than this says that too little has run."""
        return SAYS_LITTLE * (self.high - self.low)

    def to_points(self, told: Points) -> Points:
        return np.asarray(told * (self.sign / self.point))

    def to_told(self, points: float) -> float:
        return float(points * self.sign * self.point)

    def tell_range(self, low: float, high: float) -> tuple[float, float]:
        """An interval of points as one of scores, cut where no score can be; without ends, it stays so."""
        if not (np.isfinite(low) and np.isfinite(high)):
            return -np.inf, np.inf
        ends = sorted((self.to_told(low), self.to_told(high)))
        return max(ends[0], self.low), min(ends[1], self.high)
