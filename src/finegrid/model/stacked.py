"""Encoder layers of several runs as one layer, whose weights have a leading dimension of runs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.model.anatomy import Layer
from finegrid.model.low_rank import low_rank_of

PARTS = ("query", "key", "value", "attention_out", "attention_norm", "up", "down", "output_norm")


@dataclass(frozen=True)
class Stacked:
    """One parameter of every run, and the tensor that holds them all: the runs' are views of it."""

    whole: nn.Parameter  # [runs, ...]
    own: tuple[nn.Parameter, ...]

    def hand_out_gradients_(self) -> None:
        """Give every run its part of the gradient."""
        grads = [None] * len(self.own) if self.whole.grad is None else self.whole.grad
        for p, grad in zip(self.own, grads, strict=True):
            p.grad = grad if p.requires_grad else None
        self.whole.grad = None


def stack_layers_(layers: Sequence[Layer]) -> tuple[Layer, list[Stacked]]:
    """Make one layer of the same layer of several runs. Their parameters keep their values, but move into it.

    Its dropout is that of the first: runs of one family draw the same masks.
    """
    stacked: list[Stacked] = []
    modules: dict[str, Any] = {}
    for part in PARTS:
        modules[part] = twin = copy.deepcopy(getattr(layers[0], part))
        each = [getattr(layer, part) for layer in layers]
        for name, _ in each[0].named_parameters():
            own = tuple(one.get_parameter(name) for one in each)
            # No gradient is computed of what trains in none of the runs.
            whole = nn.Parameter(join_(own), requires_grad=any(p.requires_grad for p in own))
            inside, _, last = name.rpartition(".")
            setattr(twin.get_submodule(inside), last, whole)
            stacked.append(Stacked(whole, own))
        if (added := low_rank_of(twin)) is not None:
            scales = [of_run.scale for one in each if (of_run := low_rank_of(one)) is not None]
            added.scale = added.a.new_tensor(scales)[:, None, None]
    return replace(layers[0], **modules), stacked


@torch.no_grad()
def join_(own: Sequence[nn.Parameter]) -> Tensor:
    whole = torch.stack(tuple(own))
    for p, part in zip(own, whole, strict=True):
        p.data = part
    return whole
