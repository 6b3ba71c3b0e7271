"""Layer-wise learning-rate decay: lower layers learn more slowly.

Paper   Howard & Ruder, ULMFiT, ACL 2018 (1801.06146), there "discriminative fine-tuning".
Idea    lr(layer) = lr * decay ** (layers + 1 - layer), counted from 1 at the bottom; embeddings are layer 0;
        pooler and head keep the rate.
Off     ``decay=1.0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Price
from finegrid.strategies.seams import Strategy

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup


@dataclass(frozen=True, config=STRICT)
class Layerwise(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"decay": {"rates": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"decay": "nothing"}

    decay: float = 1.0

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        if self.decay == 1:
            return groups
        parts = model.parts
        modules = [(0, module) for module in parts.embeddings]
        modules += [(number, layer.module) for number, layer in enumerate(parts.layers, start=1)]
        top = len(parts.layers) + 1
        depths = {p: number for number, module in modules for p in module.parameters()}
        return [
            {**group, "params": own, "lr": group["lr"] * self.decay ** (top - depth)}
            for group in groups
            for depth in range(top + 1)
            if (own := [p for p in group["params"] if depths.get(p, top) == depth])
        ]
