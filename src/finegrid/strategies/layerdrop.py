"""LayerDrop: a training step leaves out whole layers, by chance.

Paper   Fan et al., Reducing Transformer Depth on Demand with Structured Dropout, ICLR 2020 (1909.11556), in
        pre-training; Huang et al., Deep Networks with Stochastic Depth, ECCV 2016 (1603.09382).
Idea    Layers that cannot count on each other overfit less together.
Off     ``p=0.0``: every step has all layers.
Exactly Of L layers, from 1 at the bottom, a step leaves out layer l with the probability ``p`` * l / L: what
        goes into it comes out of it. One number a layer and step decides, from the stream
        ``dropout/<step>/layer.<l-1>.whole``: all views, passes and portions of a step leave out the same
        layers, and so do all runs of a family. Nothing is rescaled. Dev and test have all layers. A layer
        that is left out has no gradient, and the step leaves its values and moments alone.
Differs LayerDrop leaves out all layers with one probability, and prunes some for good after training.
        Stochastic depth scales what a layer adds; in encoders with LayerNorm after the sum there is no such
        branch. Codes that set gradients to 0 instead of none let Adam's moments move a layer that was left
        out.
Note    Frozen layers are left out as others are, unless ``freeze.dropout = false``. Adam corrects the bias of
        the moments by the number of the run's updates: a layer's first ones are a little smaller where it
        was left out before. ALBERT's one layer is left out time by time.
Path    Neither stacked nor captured: a run steps by itself.
Reduces The loss stays the mean over a batch's texts.
Evidence D: for pre-training and pruning it helps; of fine-tuning alone little is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class LayerDrop(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "LayerDrop",
            ("p",),
            "architecture",
            "D",
            step="0.95 at 0.1",
            synonyms=("layer dropout", "stochastic depth", "drop path"),
            chinese=("随机丢层", "层丢弃", "随机深度"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"p": (0.0, 0.1)}
    stackable: ClassVar[bool] = False
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"p": {"sites": "encoder"}}

    p: Annotated[float, Field(ge=0, le=0.9, description="how often a step leaves out the top layer")] = 0.0

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        layers = len(model.parts.layers) if self.p else 0
        model.engine.skips += [
            model.add_site_(f"layer.{index}.whole", self.p * (index + 1) / layers) for index in range(layers)
        ]
