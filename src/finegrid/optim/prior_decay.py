"""An update rule that pulls some parameters towards values of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import Around, Update, UpdateRule, as_tensor


@dataclass(frozen=True)
class PriorDecay(Around):
    """An update rule that pulls some parameters before another rule updates all.

    Attributes:
        decay: how strongly.
        anchor: of the parameters that are pulled, where to.
    """

    decay: float
    anchor: Mapping[Tensor, Tensor]

    @property
    def own_key(self) -> str:
        return f"prior decay {self.decay}"

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> UpdateRule:
        inner = self.inner.for_stand_in(p, stand_in, anchor)
        return PriorDecay(inner, self.decay, {stand_in: anchor}) if p in self.anchor else inner

    def update_(self, update: Update) -> None:
        if pulled := [p for p in update.params if p in self.anchor]:
            anchors = [self.anchor[p].to(p.dtype) for p in pulled]
            share = as_tensor(update.rate * self.decay, pulled[0])  # a number is slower, and rounds otherwise
            torch._foreach_lerp_(pulled, anchors, [share] * len(pulled))
        self.inner.update_(update)
