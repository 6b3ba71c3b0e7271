"""Adversarial training on the table of word embeddings, as in contest code.

Paper   Miyato et al., Adversarial Training Methods for Semi-Supervised Text Classification, ICLR 2017
        (1605.07725).
Idea    A second pass with the table moved by epsilon * g / |g|; its gradients are added.
Off     ``epsilon=0.0``.
Differs One norm over the table and the batch; the paper's is one for each text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Strategy

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Packed


@dataclass(frozen=True, config=STRICT)
class Fgm(Strategy):
    shares_prefix: ClassVar[bool] = False  # what the moved table makes of a batch is another
    touches: ClassVar[Mapping[str, Claim]] = {"epsilon": {"gradients": "all"}}

    epsilon: float = 0.0

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        table = model.parts.word_embeddings.weight
        if table.grad is None:
            return  # frozen
        before = table.detach().clone()
        table.data.add_(table.grad, alpha=self.epsilon / float(table.grad.norm()))
        backward()
        table.data.copy_(before)
