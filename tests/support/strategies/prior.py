"""Decay towards the checkpoint's values, not towards 0.

Paper   Li et al., Explicit Inductive Bias for Transfer Learning, ICML 2018 (1802.01483), there L2-SP.
Idea    theta -= rate * pull * (theta - theta of the checkpoint), before the update.
Off     ``pull=0.0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Price
from finegrid.strategies.seams import Setting, Strategy

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import Update, UpdateRule


@dataclass(frozen=True, config=STRICT)
class Prior(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"pull": {"update": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"pull": "nothing"}

    shows_after: ClassVar[int] = 2  # at the checkpoint's values nothing pulls

    pull: float = 0.0

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule | None:
        if self.pull == 0:
            return rule
        assert rule is not None
        anchor = setting.anchor
        kept: dict[Tensor, Tensor] = {
            p: anchor[name] for name, p in model.named_parameters() if name in anchor
        }
        return PriorRule(rule, self.pull, kept)


@plain_dataclass(frozen=True)
class PriorRule:
    inner: UpdateRule
    pull: float
    anchor: Mapping[Tensor, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @property
    def key(self) -> str:
        return f"{self.inner.key}, pulled by {self.pull}"

    def number_for_graphs(self, updates: int) -> float:
        return self.inner.number_for_graphs(updates)

    def update_(self, update: Update) -> None:
        for p in update.params:
            if p in self.anchor:
                p.sub_(update.rate * self.pull * (p - self.anchor[p]))
        self.inner.update_(update)
