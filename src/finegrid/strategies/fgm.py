"""Adversarial training: a batch is read once more, with every text's embedded words moved for the worse.

Paper   Miyato et al., Adversarial Training Methods for Semi-Supervised Text Classification, ICLR 2017
        (1605.07725); in Chinese contest code as FGM, the fast gradient method.
Idea    A model whose answer changes when its input hardly moves has learned something else than the text.
Off     ``epsilon=0.0``: a batch is read once.
Exactly g_i is the gradient of the loss by the embedded words of text i, all its tokens with [CLS] and [SEP],
        as one vector. r_i = epsilon * g_i / |g_i|, and 0 where g_i is 0. A second pass reads the batch with
        r_i added to the embedded words, and with dropout masks of its own; its gradients are added to those
        of the first. What is recorded as the loss is that of the first pass.
Differs Contest code moves the embedding table, by one norm over the batch: a text is moved the less the more
        texts there are, and a word that occurs twice gets the sum. Its 1.0 over a batch of 32 texts is about
        1 / sqrt(32) = 0.18 a text here; at 1.0 a small encoder may learn next to nothing. The paper moves
        embeddings that were normalised first; our epsilon is in units of the checkpoint's own.
Note    Both losses are means over the batch, so that gradients are about twice as long: AdamW does not mind,
        ``clip.norm`` does. With frozen layers, or a frozen table, texts are moved all the same; what frozen
        layers make of a batch is then not shared. Where a loss compares the texts of a batch, g_i is the
        gradient of all of it. With R-Drop both views have the same r_i. It is refused
        beside another strategy that reads a batch once more.
Path    Neither stacked nor captured: a run steps by itself.
Reduces Both passes: mean over a batch's texts. The norm is that of a text, over its tokens and their width.
Evidence B/D: popular in Chinese contests; gains elsewhere are inconsistent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Packed


@dataclass(frozen=True, config=STRICT)
class Fgm(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "FGM",
            ("epsilon",),
            "gradients",
            "B/D",
            step="2.0",
            synonyms=("adversarial training", "fast gradient method", "adversarial perturbation"),
            chinese=("FGM 对抗训练", "对抗训练", "对抗扰动", "快速梯度法"),
        ),
    )
    shares_prefix: ClassVar[bool] = False  # frozen layers make something else of moved words
    shifts: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {"epsilon": (0.0, 0.2)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"epsilon": {"gradients": "all"}}

    epsilon: Annotated[
        float, Field(ge=0, le=100, description="how far the embedded words of a text are moved; 0: not")
    ] = 0.0

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        if not self.epsilon:
            return
        from finegrid.model.shift import directions

        assert model.shift is not None  # see `shifts`
        model.shift.move_(self.epsilon * directions(model.shift.gradient, batch))
        backward()
