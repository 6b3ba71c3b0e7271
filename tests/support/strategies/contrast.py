"""Supervised contrastive loss on the texts' vectors.

Paper   Gunel et al., Supervised Contrastive Learning for Pre-trained Language Model Fine-tuning, ICLR 2021
        (2011.01403).
Idea    Of each text that has another of its class in the batch: minus the mean over those of the log of the
        share of their similarity in that of all others. ``weight`` times it is added to its loss.
Off     ``weight=0.0``.
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

TEMPERATURE = 0.3


@dataclass(frozen=True, config=STRICT)
class Contrast(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"weight": {"loss": "all"}}

    weight: float = 0.0

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return replace(criterion, add=(*criterion.add, self.contrast)) if self.weight else criterion

    def contrast(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``; 0 of a text that is alone in its class."""
        vectors = outputs.features[0]
        vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        alike = (outputs.labels[:, None] == outputs.labels[None, :]).to(vectors.dtype)
        itself = alike.new_ones(len(alike)).diag()
        similar = vectors @ vectors.transpose(-1, -2) / TEMPERATURE - 1e4 * itself
        positives = alike - itself
        told = -(positives * similar.log_softmax(-1)).sum(-1) / positives.sum(-1).clamp(min=1)
        weighted: Tensor = self.weight * told
        return weighted
