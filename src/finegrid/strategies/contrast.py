"""Supervised contrastive loss: the vectors of a batch's texts of one class are drawn together.

Paper   Gunel et al., Supervised Contrastive Learning for Pre-trained Language Model Fine-tuning, ICLR 2021
        (2011.01403); Khosla et al., Supervised Contrastive Learning, NeurIPS 2020.
Idea    Of a text, others of its class in the batch should be nearer than the rest of the batch.
Off     ``weight=0``; ``tau`` does nothing then.
Exactly (1 - weight) * CE + weight * SC. SC is the mean over anchors, the texts that have another of their
        class in the batch (P_i of them), of -(1/|P_i|) sum_{j in P_i} [s_ij - log sum_{k != i} exp(s_ik)],
        where s_ij = u_i.u_j / tau and u is the vector that the head reads, of length 1. CE is what the other
        strategies of the loss make of it. A text that is alone in its class is no anchor and adds nothing,
        but is among the others; a batch without anchors has SC = 0, and trains on (1 - weight) * CE.
Differs Other code bases sum over anchors, or divide 0 by 0 where an anchor has no other of its class.
        The head's LayerNorm and dropout come after the vectors that are compared.
Note    It depends on which texts share a batch: cross it with ``training.batch_size`` to know that. With many
        classes and small batches few texts are anchors. ``training.micro_batch`` is refused beside it.
Reduces CE: mean over a batch's N texts. SC: mean over its anchors, neither over N nor over pairs.
Evidence D: gains with few texts in the paper, on a large RoBERTa; mixed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Criterion, Mixed, Outputs
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo

SHORTEST = 1e-12  # a vector of zeros has no direction; it stays 0
FAR = 1000.0  # below the least similarity: exp of it is 0 in every type


@dataclass(frozen=True, config=STRICT)
class Contrast(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "supervised contrastive",
            ("weight", "tau"),
            "losses",
            "D",
            synonyms=("SupCon", "SCL", "contrastive learning"),
            chinese=("有监督对比损失", "对比学习", "对比损失", "有监督对比学习", "监督对比学习"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"weight": (0.0, 0.1)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "weight": {"loss": "all", "gradients": "all"},
        "tau": {"loss": "all", "gradients": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"weight": "nothing", "tau": "nothing"}

    weight: Annotated[float, Field(ge=0, le=1, description="share of the contrastive loss")] = 0.0
    tau: Annotated[float, Field(ge=0.01, le=10, description="temperature of similarities")] = 0.3

    @property
    def acts(self) -> bool:
        return self.weight > 0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        portion = levels["training.micro_batch"]
        if not self.weight or not 0 < portion < levels["training.batch_size"]:
            return []
        what = (
            f"{self.weight:g} and {portion}, but the loss compares all texts of a batch, and only so many "
            "are in memory at once. Leave one of them out; run.recompute = true saves memory, too."
        )
        return [Problem('"contrast.weight" + "training.micro_batch"', what)]

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        if not self.weight:
            return criterion
        return replace(criterion, mix=(*criterion.mix, Mixed(self.weight, self.contrast)))

    def contrast(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``: 0 of texts that are no anchors; the mean over all is that over the anchors."""
        views = [
            self._of_view(features.to(logits.dtype), outputs.labels)
            for features, logits in zip(outputs.features, outputs.logits, strict=True)
        ]
        return sum(views[1:], views[0]) / len(views)

    def _of_view(self, vectors: Tensor, labels: Tensor) -> Tensor:
        vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
        itself = labels.new_ones(len(labels)).diag().bool()
        positives = (labels[:, None] == labels) & ~itself
        counts = positives.sum(-1)
        similar = vectors @ vectors.mT / self.tau
        others = similar.masked_fill(itself, -1 / self.tau - FAR)
        away = others.logsumexp(-1, keepdim=True) - similar
        each = away.masked_fill(~positives, 0.0).sum(-1) / counts.clamp(min=1)
        # The step takes the mean over all texts.
        scaled: Tensor = each * (len(labels) / (counts > 0).sum().clamp(min=1))
        return scaled
