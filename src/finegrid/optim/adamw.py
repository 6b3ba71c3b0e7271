"""The optimizer's step: torch's fused AdamW, made to run with or without bias correction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BETAS = (0.9, 0.999)  # Devlin et al. 2019, appendix A.2; also torch's defaults
EPS = 1e-8
UNCORRECTED = 1e9  # a step number at which Adam's corrections are 1 to the last bit


@dataclass
class Moments:
    first: Tensor
    second: Tensor


class AdamW:
    """AdamW over parameter groups. Parameters that get no gradient are left alone."""

    def __init__(self, groups: Iterable[ParamGroup], bias_correction: bool = True) -> None:
        self.groups = list(groups)
        self.bias_correction = bias_correction
        self.steps = 0
        self.moments: dict[Tensor, Moments] = {}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update once, at ``factor`` times every group's rate."""
        self.steps += 1
        for group in self.groups:
            if params := self._with_moments(group):
                self._fused(params, group["lr"] * factor, group["weight_decay"])

    @torch.no_grad()
    def step_by_tensors(self, rates: Tensor, count: Tensor) -> None:
        """The same, but for rounding, with all that changes from step to step in tensors, for CUDA graphs.

        Args:
            rates: ``[groups]``, the schedule's factor included.
            count: Adam's number of the step, from 1; `UNCORRECTED` without bias correction.
        """
        for group, rate in zip(self.groups, rates, strict=False):
            if params := self._with_moments(group):
                self._call(params, rate, EPS, group["weight_decay"], count)

    def _with_moments(self, group: ParamGroup) -> list[Tensor]:
        """The parameters of a group that have a gradient."""
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if p not in self.moments:
                self.moments[p] = Moments(torch.zeros_like(p), torch.zeros_like(p))
        return params

    def _fused(self, params: list[Tensor], rate: float, decay: float) -> None:
        eps = EPS
        if not self.bias_correction:
            # The kernel always corrects. These three undo it exactly:
            # rate' / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps') = rate * m / (sqrt(v) + eps)
            root = (1 - BETAS[1] ** self.steps) ** 0.5
            undo = (1 - BETAS[0] ** self.steps) / root
            rate, eps, decay = rate * undo, eps / root, decay / undo
        # Not torch.tensor, which would wait for a GPU.
        count = torch.full((), float(self.steps), device=params[0].device)
        self._call(params, rate, eps, decay, count)

    def _call(
        self, params: list[Tensor], rate: float | Tensor, eps: float, decay: float, count: Tensor
    ) -> None:
        moments = [self.moments[p] for p in params]
        torch._fused_adamw_(
            params,
            [p.grad for p in params if p.grad is not None],
            [moment.first for moment in moments],
            [moment.second for moment in moments],
            [],
            [count] * len(params),
            lr=rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=decay,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self) -> None:
        for group in self.groups:
            for p in group["params"]:
                p.grad = None


ParamGroup = dict[str, Any]  # torch.optim's own format: params, lr, weight_decay
