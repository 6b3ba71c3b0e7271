"""Schedule-free AdamW: steps are taken beside a mean of all steps, which is what predicts (2405.15682)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import State, Update, as_tensor, zeros_like_each

LEAST = 1e-38  # of the sum of weights, while all rates were 0


@dataclass(frozen=True)
class ScheduleFree:
    """The update rule. Parameters hold y, where gradients are taken.

    Its state: the second moment, z (where AdamW without momentum would be), x (the mean of z, weighted by
    squares of the rates), and the sum of those weights.
    """

    bias_correction: bool
    beta1: float
    beta2: float
    eps: float
    names = ("second", "z", "x", "weights")
    evaluated = "x"

    @property
    def key(self) -> str:
        of_moments = f"betas {self.beta1} {self.beta2}, eps {self.eps}"
        return f"schedule-free, {of_moments}, bias correction {self.bias_correction}"

    def new_state(self, p: Tensor) -> State:
        begun = {"z": p.detach().clone(), "x": p.detach().clone()}
        return zeros_like_each(p, ("second",)) | begun | {"weights": p.detach().new_zeros(())}

    def number_for_graphs(self, updates: int) -> float:
        return float(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> ScheduleFree:
        return self

    def update_(self, update: Update) -> None:
        rate, number = (as_tensor(one, update.params[0]) for one in (update.rate, update.number))
        correction = self._correction(number)
        for p, grad, state in zip(update.params, update.grads, update.state, strict=True):
            second, z, x = state["second"], state["z"], state["x"]
            second.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
            step = grad / (second / correction).sqrt_().add_(self.eps)
            z.sub_(step.add_(p, alpha=update.decay).mul_(rate))
            weights = state["weights"].add_(rate.square())
            x.lerp_(z, rate.square() / weights.clamp(min=LEAST))
            p.copy_(torch.lerp(z, x, self.beta1))

    def _correction(self, number: Tensor) -> Tensor:
        """What share of a mean square is of gradients, not of the 0 that it began with."""
        if not self.bias_correction or not self.beta2:
            return torch.ones_like(number)
        return -torch.expm1(number * math.log(self.beta2))  # 1 - beta2 ** t, to the last digits
