"""Lion: the sign of a mean gradient, and one moment (Chen et al. 2023, 2302.06675)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import State, Update, as_tensor, in_pieces, zeros_like_each


@dataclass(frozen=True)
class Lion:
    """The update rule of Lion. Its state: the mean gradient of every parameter."""

    beta1: float
    beta2: float
    names = ("first",)
    evaluated = ""

    @property
    def key(self) -> str:
        return f"lion, betas {self.beta1} {self.beta2}"

    def new_state(self, p: Tensor) -> State:
        return zeros_like_each(p, self.names)

    def number_for_graphs(self, updates: int) -> float:
        return float(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> Lion:
        return self

    def update_(self, update: Update) -> None:
        rate = as_tensor(update.rate, update.params[0])
        for piece in in_pieces(update):
            first = [state["first"] for state in piece.state]
            steps = torch._foreach_lerp(first, piece.grads, 1 - self.beta1)
            torch._foreach_sign_(steps)
            torch._foreach_mul_(steps, rate)
            torch._foreach_mul_(piece.params, 1 - rate * piece.decay)
            torch._foreach_sub_(piece.params, steps)
            torch._foreach_lerp_(first, piece.grads, 1 - self.beta2)
