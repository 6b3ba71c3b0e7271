"""Mixout: a training step reads part of the encoder's weights as the checkpoint has them.

Paper   Lee et al., Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models, ICLR
        2020 (1909.11299).
Idea    Dropout pulls towards a network without some of its units. Mixout pulls towards the checkpoint, which
        is a better place to be pulled to.
Off     ``p=0.0``: weights are read as they are.
Exactly Of every matrix W of the encoder's layers, with W0 the checkpoint's, a step reads
        W0 + M / (1 - p) * (W - W0): M is 0 for a number with the probability p = ``p`` and 1 otherwise, each
        by itself, from the stream ``dropout/<step>/<tensor>``. Its mean is W, and at W0 it is W0. The
        gradient of W is M / (1 - p) times that of what was read. All views, passes and portions of a step
        read the same, and all runs of a family draw the same. Dev and test read W.
Differs A public code draws a column of a matrix at a time, multiplies the gradient by M without 1 / (1 - p),
        pulls the head towards its random start, and sets all dropout to 0 besides. Here the head is left
        alone, and dropout stays: set ``dropout.hidden`` and the others to vary it, too. Biases, norms and
        embeddings are not mixed.
Note    Layers that were drawn afresh have no W0, and frozen ones are at it: neither is mixed. With
        ``pretrain.tokens`` fine-tuning does not start from the checkpoint's values, and with ``lora.rank``
        all of the encoder's stay there: both are refused beside it.
Path    Stacked and captured, with masks that are drawn in the graph.
Reduces The loss stays the mean over a batch's texts.
Evidence B/D: gains and fewer failed runs in the paper, on few texts; bias correction cures most of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.prior import pulled_parameters
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Mixout(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "mixout",
            ("p",),
            "decays",
            "B/D",
            step="1.1",
            synonyms=("weight dropout", "DropConnect", "mix of pre-trained weights"),
            chinese=("权重混合", "与预训练权重混合"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"p": (0.0, 0.5)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"p": {"sites": "encoder"}}

    p: Annotated[
        float, Field(ge=0, le=0.95, description="share of the weights that a step reads as the checkpoint's")
    ] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        tokens, rank = levels["pretrain.tokens"], levels["lora.rank"]
        found = []
        if self.p and tokens:
            what = (
                f"{self.p:g} with pretrain.tokens {tokens}: fine-tuning does not start from the checkpoint's "
                "values, which mixout mixes in. Leave one of the two at 0."
            )
            found.append(Problem('"mixout.p" + "pretrain.tokens"', what))
        if self.p and rank:
            what = (
                f"{self.p:g} with rank {rank}, but what LoRA leaves at the checkpoint's values has nothing "
                "to be mixed with. Leave one of the two at 0."
            )
            found.append(Problem('"mixout.p" + "lora.rank"', what))
        return found

    @property
    def copies(self) -> int:
        """What a step reads in the place of the weights."""
        return 1 if self.p else 0

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if not self.p:
            return
        from finegrid.model.mixing import Mixing

        known = setting.anchor
        names = {p: name for p, name in matrices_with_anchor(model).items() if name in known}
        sites = {p: model.add_site_(name, self.p) for p, name in names.items()}
        model.engine.mixing = Mixing(sites, {p: known[name] for p, name in names.items()})


def matrices_with_anchor(model: Classifier) -> dict[Tensor, str]:
    """Those of layers that train and were not drawn, with their names."""
    of_layers = {p for layer in model.parts.layers for p in layer.module.parameters() if p.ndim == 2}
    pulled = pulled_parameters(model) & of_layers
    return {p: name for name, p in model.named_parameters() if p in pulled}
