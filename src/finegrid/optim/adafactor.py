"""Adafactor with a fixed rate: a matrix's squares by row and column (Shazeer & Stern 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import State, Update, as_tensor

FORGETTING = -0.8  # section 7 of the paper (1804.04235): at update t, t ** -0.8 of a mean is new
TINY = 1e-30  # the paper's eps1
LARGEST = 1.0  # root mean square of a step before the rate, the paper's d


@dataclass(frozen=True)
class Adafactor:
    """The update rule of Adafactor. Its state: mean squares of rows and columns, or of a vector's numbers."""

    names = ("rows", "columns", "second")
    evaluated = ""
    key = "adafactor"

    def new_state(self, p: Tensor) -> State:
        if p.ndim < 2:
            return {"second": torch.zeros_like(p)}
        return {"rows": torch.zeros_like(p[..., :1]), "columns": torch.zeros_like(p[..., :1, :])}

    def number_for_graphs(self, updates: int) -> float:
        return float(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> Adafactor:
        return self

    def update_(self, update: Update) -> None:
        rate, number = (as_tensor(one, update.params[0]) for one in (update.rate, update.number))
        new = number**FORGETTING
        for p, grad, state in zip(update.params, update.grads, update.state, strict=True):
            step = grad * mean_squares_(grad, state, new).clamp_(min=TINY).rsqrt_()
            size = (step.norm() / step.numel() ** 0.5 / LARGEST).clamp(min=1.0)
            p.mul_(1 - rate * update.decay)
            p.sub_(step.mul_(rate / size))


def mean_squares_(grad: Tensor, state: State, new: Tensor) -> Tensor:
    """Take a gradient into the state, and return what that says of every number's mean square."""
    squares = grad.square()
    if grad.ndim < 2:
        return state["second"].lerp_(squares, new).clone()
    rows = state["rows"].lerp_(squares.mean(-1, keepdim=True), new)
    columns = state["columns"].lerp_(squares.mean(-2, keepdim=True), new)
    return rows / rows.mean(-2, keepdim=True).clamp(min=TINY) * columns
