"""Other rates for other parts of the model: lower layers learn more slowly, a fresh head faster.

Paper   Howard & Ruder, ULMFiT, ACL 2018 (1801.06146), there "discriminative fine-tuning"; Sun et al., How to
        Fine-Tune BERT, 2019 (1905.05583); Zhang et al., Few-sample BERT Fine-tuning, ICLR 2021 (2006.05987).
Idea    The bottom layers hold general knowledge and should move little. The head starts from noise, and has
        further to go than a layer that has seen much text.
Off     ``layer_decay=1.0, head=1.0``.
Exactly Of L layers, from 1 at the bottom, and with d = ``layer_decay`` and h = ``head``, the rate is
        multiplied by h in the head, by d^(L+1-l) in layer l, and by d^(L+1) in the embeddings (and
        ELECTRA's projection). The pooler is multiplied by 1 where it is the checkpoint's, by h where it was
        drawn afresh (it is missing there, or ``reinit.pooler``). What is frozen stays frozen. No weight
        decay changes: it is decoupled, but multiplied by the rate, as everywhere in AdamW.
Differs Three conventions are about: the top layer at d^0, d^1 or d^2 (ELECTRA's code). Ours is d^1, as in
        the code of Zhang et al., which also sets the head's weight decay to 0 where layers decay; we vary
        one thing. `finegrid plan` prints the multiples.
Note    The mean rate falls with d: of 12 layers at 0.9 it is 0.54 of the rate. So at a fixed rate much of
        what d does is what a lower rate does: vary ``optimizer.rate`` beside it, and read the interaction.
        It depends on L as well: 6 layers at 0.81 spread as 12 layers at 0.9. Layers drawn afresh by
        ``reinit.layers`` keep the multiples of their place.
Reduces The loss stays the mean over a batch's texts.
Evidence A/D for layer decay: it is a default of AutoGluon, and several reports find it useless or worse. B
        for the head's rate: reports that a high one cures models that do not learn.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import Lang
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup

MULTIPLES: dict[Lang, str] = {
    "en": "multiples of the rate: embeddings {embeddings:.3g}, layers 1 to {layers}: {spelled} (mean "
    "{mean:.2f}), head {head:g}",
    "zh": "学习率的倍数：嵌入层 {embeddings:.3g}，第 1 至 {layers} 层：{spelled}（平均 {mean:.2f}），分类头 "
    "{head:g}",
}


@dataclass(frozen=True, config=STRICT)
class Rates(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "layer-wise rate decay",
            ("layer_decay",),
            "rates",
            "A/D",
            synonyms=("LLRD", "layerwise learning rate decay", "discriminative fine-tuning", "lr_decay"),
            chinese=(
                "分层学习率衰减",
                "分层学习率",
                "逐层学习率衰减",
                "逐层学习率",
                "层级学习率衰减",
                "判别式微调",
            ),
        ),
        Listing(
            "head rate",
            ("head",),
            "rates",
            "B",
            synonyms=("classifier learning rate", "head_lr", "differential learning rates"),
            chinese=("分类头学习率", "差分学习率", "分类器学习率"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"layer_decay": (1.0, 0.95, 0.9), "head": (1.0, 10.0)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "layer_decay": {"rates": "encoder"},
        "head": {"rates": "head, pooler, elsewhere"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"layer_decay": "nothing", "head": "nothing"}

    layer_decay: Annotated[
        float, Field(gt=0, le=1, description="of the rate, from each layer to the one below it")
    ] = 1.0
    head: Annotated[float, Field(gt=0, le=1000, description="the head's rate, as a multiple")] = 1.0

    def multiples(self, layers: int) -> list[float]:
        """What the rate is multiplied by in the embeddings, and then in each layer from the bottom."""
        return [self.layer_decay ** (layers + 1 - depth) for depth in range(layers + 1)]

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if self.layer_decay == 1 or not checkpoint.shares_layers:
            return []
        what = f"level {self.layer_decay}, but the layers of {checkpoint.family} share one set of weights."
        return [Problem('"rates.layer_decay"', what)]

    def explain_level(
        self, factor: str, checkpoint: CheckpointInfo | None, steps: int, lang: Lang = "en"
    ) -> str:
        if factor != "layer_decay" or self.layer_decay == 1 or checkpoint is None:
            return ""
        embeddings, *layers = self.multiples(checkpoint.layers)
        spelled = " ".join(f"{multiple:.3g}" for multiple in layers)
        mean = sum(layers) / len(layers)
        return MULTIPLES[lang].format(
            embeddings=embeddings, layers=len(layers), spelled=spelled, mean=mean, head=self.head
        )

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Groups of one rate, decay and schedule: as few as there can be."""
        if self == Rates():
            return groups
        multiples = self._multiples_of(model)
        merged: dict[Hashable, ParamGroup] = {}
        for group in groups:
            for p in group["params"]:
                rate = group["lr"] * multiples.get(p, self.head)
                key = (rate, group["weight_decay"], group.get("factor"))
                merged.setdefault(key, {**group, "params": [], "lr": rate})["params"].append(p)
        return list(merged.values())

    def _multiples_of(self, model: Classifier) -> dict[Tensor, float]:
        """Of every parameter but those that are multiplied as the head is."""
        parts = model.parts
        embeddings, *layers = self.multiples(len(parts.layers))
        modules = [(module, embeddings) for module in parts.embeddings]
        modules += [(layer.module, own) for layer, own in zip(parts.layers, layers, strict=True)]
        modules += [(module, 1.0) for module in parts.above]
        if parts.pooler is not None and parts.pooler not in model.fresh:
            modules.append((parts.pooler, 1.0))
        return {p: multiple for module, multiple in modules for p in module.parameters()}
