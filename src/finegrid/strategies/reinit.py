"""Re-initialise the pooler and the top layers before fine-tuning.

Paper   Zhang et al., Revisiting Few-sample BERT Fine-tuning, ICLR 2021 (2006.05987), section 5.
Idea    The top layers are specialised to the pre-training task; start them afresh.
Off     ``pooler = false, layers = 0``.
Differs The paper's code draws weights from N(0, initializer_range); so do we. Google's TensorFlow code
        truncates the normal at two standard deviations; we do not.
Note    The pooler matters only where it is read: under ``model.pooling = "pooler"``. Elsewhere
        ``reinit.pooler`` is inert, as it was in the THUCNews study.
Reduces The loss stays the mean over a batch's texts.
Evidence B: one paper on small data (up to 10,000 texts), and replications of parts of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import count_noun
from finegrid.strategies.part import STRICT, Claim, Listing, OfLayers, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Reinit(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "re-initialisation",
            ("pooler", "layers"),
            "initial values",
            "B",
            synonyms=("re-init", "reinitialize", "fresh layers"),
            chinese=("重新初始化", "重初始化", "重置顶层"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"pooler": (), "layers": (0, 1, OfLayers(0.5))}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "pooler": {"initial": "pooler"},
        "layers": {"initial": "top layers"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"pooler": "nothing", "layers": "nothing"}

    pooler: Annotated[bool, Field(description="draw the pooler afresh")] = False
    layers: Annotated[int, Field(ge=0, description="how many layers to draw afresh, from the top")] = 0

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        found = []
        if self.pooler and not checkpoint.has_pooler:
            found.append(Problem('"reinit.pooler"', f"true, but {checkpoint.family} has no pooler."))
        if self.layers and checkpoint.shares_layers:
            what = f"level {self.layers}, but the layers of {checkpoint.family} share one set of weights."
            found.append(Problem('"reinit.layers"', what))
        if self.layers > checkpoint.layers:
            what = f"level {self.layers}, but the encoder has {count_noun(checkpoint.layers, 'layer')}."
            found.append(Problem('"reinit.layers"', what))
        return found

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        frozen = levels["freeze.layers"]
        if not self.layers or not frozen or self.layers + frozen <= checkpoint.layers:
            return []
        what = (
            f"{self.layers} + {frozen} layers, but the encoder has {checkpoint.layers}: some would be drawn "
            "afresh and then never trained."
        )
        return [Problem('"reinit.layers" + "freeze.layers"', what)]

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        parts = model.parts
        if self.pooler and parts.pooler is not None:
            model.redraw_(parts.pooler, "reinit")
        for layer in parts.layers[len(parts.layers) - self.layers :]:
            model.redraw_(layer.module, "reinit")
