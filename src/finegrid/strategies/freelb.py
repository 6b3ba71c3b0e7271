"""Free large-batch adversarial training: words climb step by step, and every step's gradients are spent.

Paper   Zhu et al., FreeLB: Enhanced Adversarial Training for Natural Language Understanding, ICLR 2020
        (1909.11764).
Idea    The passes that look for where the loss is high have gradients too. Their mean is that of a larger
        batch, of texts moved in many ways.
Off     ``steps=0``; ``step_size`` and ``epsilon`` do nothing then.
Exactly A batch is read ``steps`` times. r is a text's move, of all its tokens with [CLS] and [SEP] as one
        vector of d numbers. In the first pass each of them is drawn uniformly from -epsilon / sqrt(d) to
        epsilon / sqrt(d). After each pass r = B(r + step_size * g / |g|), where g is the gradient of the loss
        by r, and B takes what is longer than epsilon back to that length, text by text. All passes have the
        same dropout masks. The gradients that are spent are the mean of those of all passes. What is recorded
        as the loss is that of the first pass, of words that are moved at random.
Differs The paper's code draws from a range of its own, and often has no ball at all; here the start lies in
        the ball. Its passes share dropout masks as ours do; simple copies of it draw new ones in each.
Note    The start is as long as epsilon at most, and about 0.58 of it. ``steps=1`` is noise alone, without a
        climb: what it does is not the work of adversaries. A batch is never read unmoved. Both lengths are in
        units of the checkpoint's own embeddings. Frozen layers, or a frozen table, are passed through; what
        frozen layers make of a batch is then not shared. With R-Drop both views have the same r. It is
        refused beside another strategy that reads a batch once more.
Path    Neither stacked nor captured: a run steps by itself.
Reduces All passes: mean over a batch's texts, and then over the passes. Norms are those of a text.
Evidence C: gains on GLUE in the paper, BERT-base from 78.3 to 79.4; little replicated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Packed


@dataclass(frozen=True, config=STRICT)
class FreeLb(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "FreeLB",
            ("steps", "step_size", "epsilon"),
            "gradients",
            "C",
            step="3.0",
            synonyms=("free large-batch", "adversarial training", "adversarial perturbation"),
            chinese=("FreeLB 对抗训练", "对抗训练", "对抗扰动"),
        ),
    )
    shares_prefix: ClassVar[bool] = False  # frozen layers make something else of moved words
    shifts: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {"steps": (0, 3)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "steps": {"loss": "all", "gradients": "all"},
        "step_size": {"gradients": "all"},
        "epsilon": {"loss": "all", "gradients": "all"},
    }

    steps: Annotated[int, Field(ge=0, le=30, description="moved passes over a batch; 0: one, not moved")] = 0
    step_size: Annotated[float, Field(gt=0, le=100, description="how far a step moves a text's words")] = 0.1
    epsilon: Annotated[float, Field(gt=0, le=100, description="how far a text's words may be moved")] = 0.5

    @property
    def acts(self) -> bool:
        return self.steps > 0

    def form(self, setting: Setting) -> Hashable:
        return "freelb", self.steps, self.step_size if self.steps > 1 else None, self.epsilon

    def move_words(self, model: Classifier, batch: Packed, step: int) -> None:
        if not self.steps:
            return
        from finegrid.model.draws import draw_uniform
        from finegrid.model.shift import scale_texts

        shift = model.shift
        assert shift is not None  # see `shifts`
        width = shift.values.shape[1]
        drawn = draw_uniform(model.clock.streams, f"freelb/{step}", batch, width).to(shift.values.dtype)
        reach = self.epsilon / (batch.counts * width).sqrt()
        shift.move_(scale_texts(drawn, reach, batch), followed=self.steps > 1)

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        import torch

        from finegrid.model.shift import climb_in_ball

        shift = model.shift
        for left in reversed(range(self.steps - 1)):
            assert shift is not None  # see `shifts`
            moved = climb_in_ball(shift, self.step_size, self.epsilon, batch)
            shift.move_(moved, followed=left > 0)
            model.draw_again_()
            backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if self.steps > 1:
            torch._foreach_mul_(gradients, 1 / self.steps)
