"""Gradual unfreezing: the head trains first, and then one layer after the other, from the top down.

Paper   Howard & Ruder, ULMFiT, ACL 2018 (1801.06146).
Idea    A head that has just been drawn sends noise down. Layers that wait for it forget less.
Off     ``every=0.0``: all train from the first step.
Exactly Of T steps and L layers, from 1 at the bottom: what lies above the layers trains from the first step,
        layer l from step ceil(``every`` * (L+1-l) * T) on, counted from 0, and the embeddings from step
        ceil(``every`` * (L+1) * T) on. What waits has no gradient: its values stay to the last bit, it has no
        moments, and Adam corrects the bias of its moments by the number of its own updates. The schedule is
        that of the run: whoever begins late begins at the rate of that step. `finegrid plan` prints the
        steps, counted from 1, and says what never trains.
Differs The paper unfreezes a layer an epoch, and restarts the schedule each time. Other codes only set
        ``requires_grad``: their optimizer, made before, then never sees what is added.
Note    Where ``clip.norm`` clips, the norm is that of what trains. With ``rates.layer_decay`` both act.
Path    Stacked, not captured: which tensors a step changes is not always the same.
Reduces The loss stays the mean over a batch's texts.
Evidence D: gains for an LSTM in the paper; with transformers mixed, and behind a warmup little is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import Lang
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup

BEGINS: dict[Lang, str] = {
    "en": "of {steps} steps, layers {layers} to 1 begin at {spelled}, embeddings at {embeddings}",
    "zh": "共 {steps} 步，第 {layers} 至 1 层从第 {spelled} 步开始训练，嵌入层从第 {embeddings} 步开始",
}
NEVER: dict[Lang, str] = {"en": "never", "zh": "（从不）"}


@plain_dataclass(frozen=True)
class Wait:
    """The factor of a group that begins after a share of the steps."""

    share: float

    def __call__(self, step: int, total: int) -> float:
        return 1.0 if step >= self.first(total) else 0.0

    def first(self, total: int) -> int:
        """The step that it begins at."""
        return ceil(self.share * total - 1e-9)  # 0.1 * 3 is a little more than 0.3


@dataclass(frozen=True, config=STRICT)
class Unfreeze(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "gradual unfreezing",
            ("every",),
            "what trains",
            "D",
            step="0.8 at 0.05",
            synonyms=("gradual_unfreezing", "layer-wise unfreezing", "chain-thaw"),
            chinese=("逐层解冻", "渐进解冻", "逐步解冻", "解冻"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"every": (0.0, 0.05)}
    reads_table: ClassVar[TableReading] = "never"
    # Gradients: where they are clipped, the norm is that of what trains.
    touches: ClassVar[Mapping[str, Claim]] = {"every": {"rates": "encoder", "gradients": "all"}}

    every: Annotated[
        float, Field(ge=0, le=1, description="share of the steps that each layer waits for the one above it")
    ] = 0.0

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.every or not checkpoint.shares_layers:
            return []
        what = (
            f"level {self.every:g}, but the layers of {checkpoint.family} share one set of weights: none can "
            "begin before another. Leave it at 0."
        )
        return [Problem('"unfreeze.every"', what)]

    def explain_level(
        self, factor: str, checkpoint: CheckpointInfo | None, steps: int, lang: Lang = "en"
    ) -> str:
        if not self.every or checkpoint is None:
            return ""
        firsts = [Wait(self.every * place).first(steps) for place in range(1, checkpoint.layers + 2)]
        *layers, embeddings = (str(first + 1) if first < steps else NEVER[lang] for first in firsts)
        return BEGINS[lang].format(
            steps=steps, layers=checkpoint.layers, spelled=" ".join(layers), embeddings=embeddings
        )

    def acts_at(self, total: int) -> int:
        return Wait(self.every).first(total) - 1 if self.every else total // 2

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Each group in several, by when they begin."""
        if not self.every:
            return groups
        places = places_of(model)
        split: list[ParamGroup] = []
        for group in groups:
            for place in sorted({places.get(p, 0) for p in group["params"]}):
                params = [p for p in group["params"] if places.get(p, 0) == place]
                own: ParamGroup = {**group, "params": params}
                split.append({**own, "factor": Wait(self.every * place)} if place else own)
        return split


def places_of(model: Classifier) -> dict[Tensor, int]:
    """How many layers below the top a parameter begins: 1 for the top one; without what begins at once."""
    parts = model.parts
    modules = [layer.module for layer in reversed(parts.layers)]
    found = [*enumerate(modules, start=1), *((len(modules) + 1, module) for module in parts.embeddings)]
    return {p: place for place, module in found for p in module.parameters()}
