"""R-Drop: a text is read twice with other dropout masks, and both readings should say the same.

Paper   Wu et al., R-Drop: Regularized Dropout for Neural Networks, NeurIPS 2021 (2106.14448).
Idea    Dropout trains many models at once, and a prediction should not depend on which of them makes it.
Off     ``alpha=0.0``: a batch is read once.
Exactly Two views of a batch, each with dropout masks of its own at every site. The loss of a text is
        (CE1 + CE2) / 2 + (alpha / 2) * (KL(p1 || p2) + KL(p2 || p1)) / 2, where p1 and p2 are the softmax of
        the two logits. Gradients flow through both. CE is what the other strategies of the loss make of it;
        the divergence is always that of the plain logits.
Differs The paper sums both cross-entropies, so that its loss is twice ours at the same alpha. Its code has
        three versions: one sums the divergence over the batch, against a mean of cross-entropies. Others
        take its mean over classes too, which makes it weaker by their number.
Note    A step takes as long as two, and keeps the activations of both views. Compare it at equal cost, too:
        with a baseline of twice the epochs. The mean of two views alone is a change, so that the smallest
        alpha is not the baseline. With ``head.samples`` the divergence looks at the first sample of each
        view. Where nothing is dropped both views are one: refused.
Path    In stacks and captured steps. Frozen layers draw masks for each view, so that what they make of a
        batch is not shared.
Reduces Per text; then the mean over a batch's texts, of cross-entropies and divergences alike.
Evidence B: gains on GLUE in the paper; small and mixed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Criterion, Outputs
from finegrid.strategies.dropout import rates_of
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class RDrop(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "R-Drop",
            ("alpha",),
            "losses",
            "B",
            step="2.0",
            synonyms=("rdrop", "regularized dropout", "KL regularisation", "consistency"),
            chinese=("R-Drop 正则", "dropout 一致性", "一致性正则"),
        ),
    )
    shares_prefix: ClassVar[bool] = False
    usual: ClassVar[Mapping[str, UsualLevels]] = {"alpha": (0.0, 1.0)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"alpha": {"loss": "all", "gradients": "all"}}

    alpha: Annotated[
        float,
        Field(ge=0, le=100, description="weight of the divergence of two views of a text; 0: one view"),
    ] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.alpha or drops(levels, checkpoint):
            return []
        what = (
            f"{self.alpha:g}, but nothing is dropped: both views of a text would be one. Set a rate of "
            "dropout above 0, or leave alpha at 0."
        )
        return [Problem('"rdrop.alpha" + "dropout"', what)]

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        if not self.alpha:
            return criterion
        return replace(criterion, views=2, add=(*criterion.add, self.disagreement))

    def disagreement(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``."""
        one, other = (logits.log_softmax(-1) for logits in outputs.logits)
        both = ((one.exp() - other.exp()) * (one - other)).sum(-1)  # KL one way plus KL the other way
        return self.alpha / 4 * both


def drops(levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> bool:
    """Whether a recipe drops anything anywhere on a checkpoint."""
    rates = rates_of(levels, checkpoint)
    silent = not levels["freeze.dropout"] and levels["freeze.layers"] == checkpoint.layers
    return rates.head > 0 or (max(rates.hidden, rates.attention) > 0 and not silent)
