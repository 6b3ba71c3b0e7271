"""AdamW by torch's fused kernel, with or without Adam's bias correction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.optim.updater import State, Update, zeros_like_each

BETAS = (0.9, 0.999)  # Devlin et al. 2019, appendix A.2; also torch's defaults
EPS = 1e-8
# A step number at which Adam's corrections are 1 to the last bit: up to a beta of 1 - 1e-7.
UNCORRECTED = 1e9


@dataclass(frozen=True)
class AdamW:
    """The update rule of AdamW. Its state: the first and the second moment of every parameter."""

    bias_correction: bool = True
    beta1: float = BETAS[0]
    beta2: float = BETAS[1]
    eps: float = EPS
    names = ("first", "second")
    evaluated = ""

    @property
    def key(self) -> str:
        of_moments = f"betas {self.beta1} {self.beta2}, eps {self.eps}"
        return f"adamw, {of_moments}, bias correction {self.bias_correction}"

    def new_state(self, p: Tensor) -> State:
        return zeros_like_each(p, self.names)

    def number_for_graphs(self, updates: int) -> float:
        """What stands for the number of the update where it lies in a tensor."""
        return float(updates) if self.bias_correction else UNCORRECTED

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> AdamW:
        return self

    def update_(self, update: Update) -> None:
        rate, eps, decay, number = update.rate, self.eps, update.decay, update.number
        if not isinstance(number, Tensor):
            count = number
            # Not torch.tensor, which would wait for a GPU.
            number = torch.full((), float(count), device=update.params[0].device)
            if not self.bias_correction:
                # The kernel always corrects. These three undo it exactly:
                # rate' / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps') = rate * m / (sqrt(v) + eps)
                root = (1 - self.beta2**count) ** 0.5
                undo = (1 - self.beta1**count) / root
                rate, eps, decay = rate * undo, eps / root, decay / undo
        torch._fused_adamw_(
            update.params,
            update.grads,
            [moments["first"] for moments in update.state],
            [moments["second"] for moments in update.state],
            [],
            [number] * len(update.params),
            lr=rate,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )
