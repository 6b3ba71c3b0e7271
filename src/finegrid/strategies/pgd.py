"""Adversarial training in several small steps: embedded words climb within a ball, and are trained on there.

Paper   Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (1706.06083):
        projected gradient descent.
Idea    One long step along a gradient misses where the loss is highest nearby; several short ones find it.
Off     ``steps=0``; ``step_size`` and ``epsilon`` do nothing then.
Exactly A first pass reads the batch as it is and leaves its gradients. g is the gradient of the loss by the
        embedded words of a text, all its tokens with [CLS] and [SEP], as one vector. In each of ``steps``
        further passes r = B(r + step_size * g / |g|), with g of the pass before and r = 0 at first; B takes
        what is longer than epsilon back to that length, text by text. The gradients of the last pass are
        added to those of the first; the passes between leave none in weights. All moved passes have one set
        of dropout masks, the one that ``fgm`` has for its own. What is recorded as the loss is that of the
        first pass.
Differs The paper trains on the last pass alone, starts at random in the ball and takes steps by signs;
        contest code adds the gradients of the first pass, as we do. But it moves the embedding table, by one
        norm over the batch: a text is moved the less the more texts there are. Its usual numbers, 3 steps of
        0.3 in a ball of 1, never come to the edge of the ball.
Note    ``steps=1`` is ``fgm`` with the shorter of step_size and epsilon, to the last bit. epsilon does
        nothing if steps * step_size is below it. Both are in units of the checkpoint's own embeddings.
        Gradients are about twice as long: AdamW does not mind, ``clip.norm`` does. Frozen layers are passed
        through as with ``fgm``, and what they make of a batch is not shared. With R-Drop both views have the
        same r. It is refused beside another strategy that reads a batch once more.
Path    Neither stacked nor captured: a run steps by itself.
Reduces All passes: mean over a batch's texts. Norms are those of a text, over its tokens and their width.
Evidence D: popular in Chinese contests; not shown to be better than ``fgm`` at equal cost.
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

INSIDE = 1 - 1e-5  # of the radius: what is shorter is surely not cut back, whatever rounding makes of it


@dataclass(frozen=True, config=STRICT)
class Pgd(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "PGD",
            ("steps", "step_size", "epsilon"),
            "gradients",
            "D",
            step="3.5",
            synonyms=("projected gradient descent", "adversarial training", "adversarial perturbation"),
            chinese=("PGD 对抗训练", "投影梯度下降", "对抗训练", "对抗扰动"),
        ),
    )
    shares_prefix: ClassVar[bool] = False  # frozen layers make something else of moved words
    shifts: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {"steps": (0, 3)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "steps": {"gradients": "all"},
        "step_size": {"gradients": "all"},
        "epsilon": {"gradients": "all"},
    }

    steps: Annotated[int, Field(ge=0, le=30, description="moved passes over a batch; 0: none")] = 0
    step_size: Annotated[float, Field(gt=0, le=100, description="how far a step moves a text's words")] = 0.5
    epsilon: Annotated[float, Field(gt=0, le=100, description="how far all steps together may move them")] = (
        1.0
    )

    @property
    def acts(self) -> bool:
        return self.steps > 0

    def form(self, setting: Setting) -> Hashable:
        """One step goes as far as both lengths allow; and several may never come to the edge of the ball."""
        first = min(self.step_size, self.epsilon)
        if self.steps == 1:
            return "pgd", 1, first
        inside = self.steps * self.step_size < INSIDE * self.epsilon
        return "pgd", self.steps, self.step_size, None if inside else self.epsilon

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        from finegrid.model.shift import climb_in_ball, directions

        shift, made = model.shift, model.passes
        for left in reversed(range(self.steps)):
            assert shift is not None  # see `shifts`
            if left + 1 == self.steps:
                moved = min(self.step_size, self.epsilon) * directions(shift.gradient, batch)
            else:
                moved = climb_in_ball(shift, self.step_size, self.epsilon, batch)
            shift.move_(moved, followed=left > 0)
            model.draw_again_(made)
            with model.holding_weights(left > 0):
                backward()
