"""What LoRA adds to linear layers: products of two narrow matrices, which train in the weight's place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finegrid.model.initial import Initial
from finegrid.model.kernels.products import grad_input, grad_weight, linear
from finegrid.streams import Streams

NAME = "low_rank"  # of the module inside a linear layer
Factors = tuple[Tensor, Tensor]  # a ``[rank, in]`` and b ``[out, rank]``


class LowRank(nn.Module):
    """``scale * b @ a``, which is added to the weight of a linear layer: nothing at first, since b is 0.

    Attributes:
        a: ``[rank, in]``.
        b: ``[out, rank]``.
        scale: a number; of stacked runs, whose tensors all have one more dimension, ``[runs, 1, 1]``.
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float, streams: Streams, stream: str) -> None:
        """Draw a from U(-1/sqrt(in), 1/sqrt(in)), which is ``kaiming_uniform_`` with its ``a`` of sqrt(5).

        Args:
            layer: the linear layer.
            rank: of what is added.
            scale: of it.
            streams: the run's random numbers.
            stream: where they come from.
        """
        super().__init__()
        bound = layer.in_features**-0.5
        drawn = Initial("uniform", -bound, bound).draw(streams, stream, (rank, layer.in_features))
        self.a = nn.Parameter(torch.from_numpy(drawn).to(layer.weight))
        self.b = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        self.scale: float | Tensor = scale

    def forward(self, x: Tensor) -> Tensor:
        """What is added to the output of the layer."""
        return F.linear(F.linear(x, self.a), self.b) * self.scale

    def added_to(self, weight: Tensor) -> Tensor:
        """A weight with it."""
        return linear(self.b * self.scale, self.a.mT, None).add_(weight)

    def scaled(self, dtype: torch.dtype) -> Factors:
        """Both factors times the scale: what the gradient of the other one is computed with."""
        return (self.a * self.scale).to(dtype), (self.b * self.scale).to(dtype)


def low_rank_of(layer: nn.Module) -> LowRank | None:
    """What is added to a linear layer's weight, if anything."""
    found: LowRank | None = getattr(layer, NAME, None)
    return found


def attach_(layer: nn.Linear, added: LowRank) -> None:
    """Add it to what a linear layer computes from now on, whoever computes the layer."""
    layer.add_module(NAME, added)
    layer.register_forward_hook(add_output)


def add_output(layer: nn.Module, args: Any, output: Tensor) -> Tensor | None:
    """After transformers has called a layer. Passes of ours read `weight_of` instead."""
    added = low_rank_of(layer)
    return None if added is None else output + added(args[0])


def weight_of(layer: nn.Linear) -> Tensor:
    """A layer's weight with what is added to it; where nothing is, the very tensor."""
    added = low_rank_of(layer)
    return layer.weight if added is None else added.added_to(layer.weight)


def factors_of(layer: nn.Linear) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """What trains of what is added."""
    added = low_rank_of(layer)
    return (None, None) if added is None else (added.a, added.b)


def grad_factors(
    grad: Tensor, x: Tensor, scaled: Factors | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Gradients of a and b without that of the weight, which alone would be as dear as the layer.

    Args:
        grad: ``[rows, out]``.
        x: ``[rows, in]``, what went into the layer.
        scaled: see `LowRank.scaled`; None where nothing is added.
        dtype: of the gradients.
    """
    if scaled is None:
        return None, None
    a, b = scaled
    # A third of a wider tensor: as the second matrix of a product oneDNN would take a thousand times as long.
    grad = grad.contiguous()
    # That of b is computed transposed: oneDNN is several times faster where the narrow side comes first.
    return grad_weight(grad_input(grad, b), x, dtype), grad_weight(linear(x, a, None), grad, dtype).mT


@torch.no_grad()
def merge_(root: nn.Module) -> None:
    """Put into the weights of all layers what is added to them: they are plain ones again.

    New tensors, since what does not train is shared with other runs.
    """
    for layer in [module for module in root.modules() if isinstance(module, nn.Linear)]:
        if low_rank_of(layer) is not None:
            layer.weight = nn.Parameter(weight_of(layer), requires_grad=False)
            delattr(layer, NAME)
