"""R-Drop: two views of a batch should say the same.

Paper   Wu et al., R-Drop: Regularized Dropout for Neural Networks, NeurIPS 2021 (2106.14448).
Idea    mean over texts and views of cross-entropy, plus ``alpha / 2`` times the mean over texts of half the
        sum of both Kullback-Leibler divergences between the views.
Off     ``alpha=0.0``.
Differs The paper sums both cross-entropies; here a loss is the mean of its views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.criterion import Criterion, Outputs
from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Setting, Strategy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, config=STRICT)
class RDrop(Strategy):
    # Frozen layers draw masks too: both views must not share what they make.
    shares_prefix: ClassVar[bool] = False
    touches: ClassVar[Mapping[str, Claim]] = {"alpha": {"loss": "all"}}

    alpha: float = 0.0

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        if self.alpha == 0:
            return criterion
        return replace(criterion, views=2, add=(*criterion.add, self.disagreement))

    def disagreement(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``."""
        one, other = (logits.log_softmax(-1) for logits in outputs.logits)
        both = ((one.exp() - other.exp()) * (one - other)).sum(-1)  # KL one way plus KL the other way
        return self.alpha / 4 * both
