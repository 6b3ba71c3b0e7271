"""Lion: the sign of a moving average.

Paper   Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023 (2302.06675).
Idea    theta -= rate * (sign(0.9 m + 0.1 g) + decay * theta), then m = 0.99 m + 0.01 g.
Off     ``on=False``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.optim.updater import zeros_like_each
from finegrid.strategies.part import STRICT, Claim
from finegrid.strategies.seams import Setting, Strategy

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import State, Update, UpdateRule


@dataclass(frozen=True, config=STRICT)
class Lion(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"on": {"update": "all"}}

    on: bool = False

    @property
    def copies(self) -> int:
        return -1 if self.on else 0  # one moment less than AdamW

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> Any:
        return LionRule() if self.on else rule


class LionRule:
    names = ("mean",)
    evaluated = ""
    key = "lion"

    def new_state(self, p: Tensor) -> State:
        return zeros_like_each(p, self.names)

    def number_for_graphs(self, updates: int) -> float:
        return float(updates)

    def update_(self, update: Update) -> None:
        for p, grad, own in zip(update.params, update.grads, update.state, strict=True):
            direction = (0.9 * own["mean"] + 0.1 * grad).sign()
            p.sub_(update.rate * (direction + update.decay * p))
            own["mean"].lerp_(grad, 0.01)
