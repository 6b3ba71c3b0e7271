"""Label smoothing: a little of every class in every target.

Paper   Szegedy et al., Rethinking the Inception Architecture, CVPR 2016 (1512.00567).
Idea    target = (1 - epsilon) * one-hot + epsilon / classes; the mean over texts of cross-entropy with it.
Off     ``epsilon=0.0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.criterion import Criterion
from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Setting, Strategy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, config=STRICT)
class Smoothing(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"epsilon": {"loss": "all"}}

    epsilon: float = 0.0

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return replace(criterion, soften=(*criterion.soften, self.smooth)) if self.epsilon else criterion

    def smooth(self, targets: Tensor) -> Tensor:
        return (1 - self.epsilon) * targets + self.epsilon / targets.shape[-1]
