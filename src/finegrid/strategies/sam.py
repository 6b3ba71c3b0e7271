"""Sharpness-aware minimisation: the gradient that is spent is the one at nearby weights whose loss is higher.

Paper   Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021
        (2010.01412); of language models: Bahri et al., ACL 2022 (2110.08529).
Idea    Weights whose neighbours have a low loss, too, generalise better than the bottom of a narrow valley.
Off     ``rho=0.0``: a batch is read once.
Exactly g is the gradient of the batch's loss by all that trains, as one vector. The weights go to
        w + rho * g / |g|, the batch is read again with the very same dropout masks, and the weights are put
        back, to the last bit. The gradient from there replaces g. Where g is 0 nothing moves. What is
        recorded as the loss is that at w.
Differs Others draw other dropout masks for the second pass, and so climb one function and descend another.
        Some leave out biases and norms, or take a norm per tensor. AWP (adversarial weight perturbation)
        adds both gradients; it is not offered, since this is the same seam with better evidence.
Note    rho is a length over all weights: the same number is a smaller change of a larger model. The weights
        are kept once more for the time of a step. With ``clip.norm`` the second gradient is clipped.
        It is refused beside another strategy that reads a batch once more: sam would throw its gradients
        away.
Path    Neither stacked nor captured: a run steps by itself. What frozen layers make of a batch is the same in
        both passes, and shared.
Reduces Both passes: mean over a batch's texts. The norm is that of the gradient of this mean.
Evidence B/D: gains in both papers; asked for, and little replicated in fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from torch import nn

    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Packed


@dataclass(frozen=True, config=STRICT)
class Sam(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "SAM",
            ("rho",),
            "gradients",
            "B/D",
            step="2.0",
            synonyms=("sharpness-aware minimization", "sharpness", "AWP", "adversarial weight perturbation"),
            chinese=("SAM 锐度感知", "锐度感知最小化", "平坦极小值", "权重扰动"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"rho": (0.0, 0.05)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"rho": {"gradients": "all"}}

    rho: Annotated[float, Field(ge=0, le=10, description="how far all weights go uphill; 0: not")] = 0.0

    @property
    def copies(self) -> int:
        return 1 if self.rho else 0

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        if not self.rho:
            return
        weights = [p for p in model.parameters() if p.grad is not None]
        before = [p.detach().clone() for p in weights]
        try:
            climb_(weights, model.parts.embedding_table, self.rho)
            model.draw_again_()
            backward()
        finally:
            for p, value in zip(weights, before, strict=True):
                p.data.copy_(value)


def climb_(weights: list[nn.Parameter], table: nn.Embedding, length: float) -> None:
    """Move weights along their gradients, so far in all, and forget these.

    Args:
        weights: of a model, with gradients.
        table: the model's, of words.
        length: of the way, over all weights.
    """
    import torch

    from finegrid.model.rows import gradients_as_of_all

    gradients = [p.grad for p in weights if p.grad is not None]
    with torch.no_grad(), gradients_as_of_all(table, gradients) as of_all:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(of_all)))
    scale = (length / norm).where(norm > 0, 0.0)
    for p, gradient in zip(weights, gradients, strict=True):
        p.data.add_(gradient.mul_(scale))
        p.grad = None
