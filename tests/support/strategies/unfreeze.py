"""Train the head alone for a while.

Paper   Howard & Ruder, ULMFiT, ACL 2018 (1801.06146), there "gradual unfreezing".
Idea    The factor of everything but the head is 0 for a share of the steps.
Off     ``wait=0.0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Strategy

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup


@dataclass(frozen=True, config=STRICT)
class Unfreeze(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"wait": {"rates": "all", "update": "all"}}

    wait: float = 0.0

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        if self.wait == 0:
            return groups
        head = set(model.head.parameters())
        split: list[ParamGroup] = []
        for group in groups:
            above = [p for p in group["params"] if p in head]
            below = [p for p in group["params"] if p not in head]
            split += [{**group, "params": above}] if above else []
            split += [{**group, "params": below, "factor": self.factor}] if below else []
        return split

    def factor(self, step: int, total: int) -> float:
        return 0.0 if step < self.wait * total else 1.0

    def acts_at(self, total: int) -> int:
        return int(self.wait * total) if self.wait else total // 2
