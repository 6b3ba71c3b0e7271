"""How a run is scored: with which weights, at which epoch, and what is done to its logits then.

Free factors say it. All their levels are scored in one training: they change no run, cost none, and share
its whole trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from finegrid.strategies.part import Part


@dataclass(frozen=True)
class Moving:
    """An exponential moving average over about ``window`` of all steps."""

    window: float
    copies: ClassVar[int] = 1  # of what trains that it needs while the run goes on


@dataclass(frozen=True)
class EpochEnds:
    """The mean of the weights at the ends of the latest epochs."""

    count: int

    @property
    def copies(self) -> int:
        return self.count


@dataclass(frozen=True)
class Snapshots:
    """The mean of the latest snapshots, taken evenly over ``window`` of all steps."""

    window: float
    count: ClassVar[int] = 5
    copies: ClassVar[int] = 5


Averaging = Moving | EpochEnds | Snapshots


@dataclass(frozen=True)
class Scoring:
    """One way to score a run. The default is the run's own: its best epoch on dev, logits as they are.

    Attributes:
        averaging: the weights to predict with; None: those that trained.
        soup: from how many of its best epochs a soup is made, which then has the weights; 0: none is.
        last_epoch: whether the last epoch counts, in place of the best.
        tau: how often the logarithm of a class's share of the training texts is taken off its logit.
        cools: whether logits are divided by the temperature that suits dev best.
    """

    averaging: Averaging | None = None
    soup: int = 0
    last_epoch: bool = False
    tau: float = 0.0
    cools: bool = False

    @property
    def copies(self) -> int:
        """How often it keeps what a run trains, at most, beside what the run keeps itself."""
        if self.averaging is not None:
            return self.averaging.copies + 1  # and the one it has chosen
        if self.soup:
            return self.soup + 1
        return 1 if self.last_epoch or self.tau else 0  # those of an epoch of its own

    def passes(self, epochs: int) -> tuple[int, int]:
        """How often it predicts dev, and test, at most, beside the run itself."""
        if self.averaging is not None:
            return epochs, 1
        if self.soup:
            return self.soup - 1, 1
        return 0, 1 if self.last_epoch or self.tau else 0


class FreePart(Part):
    """A part whose factors say how a run is scored. They move no run, and are in no run's name."""

    free: ClassVar[bool] = True
    # Factors that leave every answer as it is, and so every score; they move log loss and Brier score alone.
    keeps_answers: ClassVar[frozenset[str]] = frozenset()

    def score_by(self, scoring: Scoring) -> Scoring:
        """Return how a run is scored with this part's levels."""
        return scoring
