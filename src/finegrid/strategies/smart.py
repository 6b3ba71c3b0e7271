"""Smoothness: what is predicted of a text should not change when its embedded words hardly move.

Paper   Jiang et al., SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through
        Principled Regularized Optimization, ACL 2020 (1911.03437); the search for the worst move is that of
        Miyato et al., Virtual Adversarial Training, TPAMI 2018 (1704.03976).
Idea    Adversaries need no labels: of all small moves, take the one that changes the prediction most, and
        make it change less.
Off     ``weight=0.0``; ``epsilon`` and ``noise`` do nothing then.
Exactly p is the softmax of a text's logits, and p(r) that with r added to its embedded words, all its tokens
        with [CLS] and [SEP]. A text is read thrice: as it is, at r0, whose numbers are drawn from
        N(0, noise^2), and at r = epsilon * g / max|g|, where g is the gradient of KL(p(r0) || p) by r0, p
        held fixed, and the maximum is over all numbers of the text. Its loss is L + weight *
        (KL(p(r) || p) + KL(p || p(r))), where L is its loss without the strategy, and gradients flow through
        p(r) and p, not through r. All three passes have the same dropout masks. Where g is 0 so is r. What is
        recorded as the loss is all of it.
Differs The paper's code takes the maximum token by token, and never scales the direction: every token moves
        by up to 1, whatever its epsilon says. It draws other dropout masks for each pass, whose noise is far
        larger than r0, and so climbs along the masks. The paper's noise of 1e-5 is below what products in
        bf16 can tell: the direction is chance there. Its epsilon, 1e-5 too, hardly changes a prediction. Its
        other half, steps that stay near the last weights (Bregman), is not offered.
Note    epsilon is the largest change of any one number of a text's embeddings, in the checkpoint's own units,
        not a length as with ``fgm``. A step keeps the activations of two readings. Compare it at equal cost,
        too. With R-Drop and ``head.samples`` p is that of the first reading; with ``mixup`` it is that of the
        mixed vectors. Frozen layers are passed through, and what they make of a batch is not shared. It is
        refused beside another strategy that reads a batch once more.
Path    Neither stacked nor captured: a run steps by itself.
Reduces Both divergences: summed over classes and added, not halved; then the mean over a batch's texts.
Evidence B: gains on GLUE in the paper, most with few texts; a default in its authors' library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.criterion import Outputs
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Packed


@dataclass(frozen=True, config=STRICT)
class Smart(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "SMART",
            ("weight", "epsilon", "noise"),
            "losses",
            "B",
            step="2.8",
            synonyms=(
                "VAT",
                "virtual adversarial training",
                "smoothness regularization",
                "adversarial training",
            ),
            chinese=("SMART 平滑正则", "虚拟对抗训练", "平滑正则", "对抗训练"),
        ),
    )
    shares_prefix: ClassVar[bool] = False  # frozen layers make something else of moved words
    usual: ClassVar[Mapping[str, UsualLevels]] = {"weight": (0.0, 1.0)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "weight": {"loss": "all", "gradients": "all"},
        "epsilon": {"loss": "all", "gradients": "all"},
        "noise": {"loss": "all", "gradients": "all"},
    }

    weight: Annotated[
        float, Field(ge=0, le=100, description="weight of what the worst small move changes; 0: not sought")
    ] = 0.0
    epsilon: Annotated[
        float, Field(gt=0, le=100, description="how far the worst move goes in any one number of a text")
    ] = 0.05
    noise: Annotated[
        float, Field(gt=0, le=100, description="standard deviation of the move that it is sought from")
    ] = 0.01

    @property
    def acts(self) -> bool:
        return self.weight > 0

    def more_losses(
        self, model: Classifier, batch: Packed, outputs: Outputs, read: Callable[[], Tensor], step: int
    ) -> Tensor | None:
        if not self.weight:
            return None
        from finegrid.model.draws import draw_normal
        from finegrid.model.shift import directions_by_maximum

        log_p, heads = outputs.logits[0].log_softmax(-1), model.parts.layers[0].heads
        with model.shifting(batch):
            shift = model.shift
            assert shift is not None  # it is open
            drawn = draw_normal(model.clock.streams, f"smart/{step}", batch, shift.values.shape[1])
            shift.move_(self.noise * drawn.to(shift.values.dtype), followed=True)
            model.draw_again_()
            with model.holding_weights():
                divergence(read().log_softmax(-1), log_p.detach()).sum().backward()
            shift.move_(self.epsilon * directions_by_maximum(shift.gradient, batch, heads))
            model.draw_again_()
            log_q = read().log_softmax(-1)
        return self.weight * (divergence(log_q, log_p) + divergence(log_p, log_q))


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) of each text, ``[texts, classes]`` to ``[texts]``."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)
