"""Freeze the embeddings and the lowest layers.

Paper   Lee et al., What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning, 2019 (1911.03090).
Idea    The bottom layers hold general knowledge; keep it, and save their backward pass.
Off     ``layers=0``.
Differs Frozen layers keep their dropout, as in the THUCNews study, whose code called ``model.train()``.
        ``dropout = false`` silences it; where nothing is frozen, that is inert.
Reduces The loss stays the mean over a batch's texts; a step saves the backward pass of what is frozen.
Evidence A: several comparisons find that the lower half of BERT can be frozen at a loss of few points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import count_noun
from finegrid.strategies.part import STRICT, Claim, Listing, OfLayers, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Freeze(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "freezing",
            ("layers", "dropout"),
            "what trains",
            "A",
            step="0.5 with half of the layers",
            synonyms=("frozen layers", "layer freezing"),
            chinese=("冻结", "冻结层", "层冻结", "冻结底层", "参数冻结"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"layers": (0, OfLayers(0.5), OfLayers(0.75))}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        # Sites: where the baseline says dropout = false, freezing silences what it freezes.
        "layers": {"trained": "bottom layers", "sites": "bottom layers"},
        "dropout": {"sites": "bottom layers"},
    }

    layers: Annotated[int, Field(ge=0, description="how many, from the bottom, and the embeddings")] = 0
    dropout: Annotated[bool, Field(description="whether frozen layers keep their dropout")] = True

    @property
    def frozen_layers(self) -> int:
        return self.layers

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if 0 < self.layers < checkpoint.layers and checkpoint.shares_layers:
            what = (
                f"level {self.layers}, but the layers of {checkpoint.family} share one set of weights. "
                f"Freeze none, or all {checkpoint.layers}."
            )
            return [Problem('"freeze.layers"', what)]
        if self.layers <= checkpoint.layers:
            return []
        what = f"level {self.layers}, but the encoder has {count_noun(checkpoint.layers, 'layer')}."
        return [Problem('"freeze.layers"', what)]

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if self.layers == 0:
            return
        parts = model.parts
        frozen = parts.layers[: self.layers]
        for module in [*parts.embeddings, *(layer.module for layer in frozen)]:
            module.requires_grad_(False)
        model.frozen_layers = self.layers
        if not self.dropout:
            of_layers = [site for layer in frozen for site in layer.dropouts]
            for site in [*parts.embedding_dropouts, *of_layers, *model.engine.skips[: self.layers]]:
                site.silenced = True
