"""Evaluate with an exponential moving average of the weights.

Paper   Polyak & Juditsky, Acceleration of stochastic approximation by averaging, 1992.
Idea    m = decay * m + (1 - decay) * theta after each update, from the initial values on.
Off     ``decay=0.0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Strategy

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Ema(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"decay": {"averages": "all"}}

    decay: float = 0.0

    @property
    def copies(self) -> int:
        return 1 if self.decay else 0

    def averager(self, model: Classifier) -> MovingAverage | None:
        return MovingAverage(model, self.decay) if self.decay else None


class MovingAverage:
    def __init__(self, model: Classifier, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.means = {name: p.detach().clone() for name, p in self.weights.items()}

    def update(self) -> None:
        for name, p in self.weights.items():
            self.means[name].lerp_(p.detach(), 1 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        last = {name: p.detach().clone() for name, p in self.weights.items()}
        for name, p in self.weights.items():
            p.data.copy_(self.means[name])
        try:
            yield
        finally:
            for name, p in self.weights.items():
                p.data.copy_(last[name])

    def tensors(self) -> dict[str, Tensor]:
        return self.means
