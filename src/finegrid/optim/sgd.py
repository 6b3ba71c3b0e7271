"""Stochastic gradient descent with momentum (Polyak 1964), as `torch.optim.SGD` writes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import State, Update, as_tensor, in_pieces, zeros_like_each


@dataclass(frozen=True)
class Sgd:
    """The update rule of SGD. Its state: the momentum of every parameter."""

    momentum: float
    names = ("first",)
    evaluated = ""

    @property
    def key(self) -> str:
        return f"sgd, momentum {self.momentum}"

    def new_state(self, p: Tensor) -> State:
        return zeros_like_each(p, self.names)

    def number_for_graphs(self, updates: int) -> float:
        return float(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> Sgd:
        return self

    def update_(self, update: Update) -> None:
        rate = as_tensor(update.rate, update.params[0])
        for piece in in_pieces(update):
            first = [state["first"] for state in piece.state]
            torch._foreach_mul_(first, self.momentum)
            torch._foreach_add_(first, piece.grads)
            torch._foreach_mul_(piece.params, 1 - rate * piece.decay)
            torch._foreach_sub_(piece.params, torch._foreach_mul(first, rate))
