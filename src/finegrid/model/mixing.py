"""Matrices of layers that are partly put back to other values, anew in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from finegrid.model.anatomy import Layer
from finegrid.model.dropout import Dropout
from finegrid.model.kernels.layout import Dropped


class Affine(NamedTuple):
    """What a layer reads of a linear one."""

    weight: Tensor
    bias: Tensor

    def parameters(self) -> Iterator[Tensor]:
        """As those of a module, in its order."""
        yield from self


@dataclass(frozen=True, eq=False)
class Mixing:
    """What of a model is put back, and to which values.

    Attributes:
        sites: of every such matrix, which tell whether it is, and draw what is.
        anchors: their other values.
    """

    sites: Mapping[Tensor, Dropout]
    anchors: Mapping[Tensor, Tensor]

    def draw(self, p: Tensor) -> Dropped | None:
        """What keeps its own value in this step: all passes and portions of it have it in common."""
        site = self.sites.get(p)
        return None if site is None else site.draw_once(p.numel(), p.device)

    def of(self, p: Tensor) -> Tensor:
        """A matrix as this step reads it: ``p`` itself where nothing is put back."""
        drawn = self.draw(p)
        if drawn is None:
            return p
        mixed: Tensor = Mix.apply(  # type: ignore[no-untyped-call]
            p, self.anchors[p], drawn.keep.view_as(p), drawn.scale
        )
        return mixed

    def of_layer(self, layer: Layer) -> Layer:
        """A layer with such matrices; itself where none is put back."""
        return with_weights(layer, self.of)

    def around(self, layer: nn.Module, compute: Callable[..., Any]) -> Callable[..., Any]:
        """A layer's own pass, with such matrices in the place of its parameters."""
        swapped = Swapped(layer, compute)

        def compute_mixed(*args: Any, **kwargs: Any) -> Any:
            read = {name: self.of(p) for name, p in swapped.named_parameters() if p in self.sites}
            return functional_call(swapped, read, args, kwargs)

        return compute_mixed


class Mix(torch.autograd.Function):
    """``anchor + keep * scale * (p - anchor)``: at the anchor itself where p is, to the last bit."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, anchor: Tensor, keep: Tensor, scale: float | Tensor) -> Tensor:
        ctx.keep, ctx.scale = keep, scale
        anchor = anchor.to(p.dtype)
        return torch.addcmul(anchor, p - anchor, keep.to(p.dtype).mul_(scale))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad * ctx.keep.to(grad.dtype).mul_(ctx.scale), None, None, None


class Swapped(nn.Module):
    """A layer under a name, whose own pass is given: what parameters are swapped in."""

    def __init__(self, layer: nn.Module, compute: Callable[..., Any]) -> None:
        super().__init__()
        self.layer, self.compute = layer, compute

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.compute(*args, **kwargs)


def with_weights(layer: Layer, read: Callable[[Tensor], Tensor]) -> Layer:
    """A layer whose matrices are read so; itself where all are read as they are."""
    parts: dict[str, Any] = {}
    for name, own in layer.linears.items():
        weight = read(own.weight)
        if weight is not own.weight:
            parts[name] = Affine(weight, own.bias)
    return replace(layer, **parts) if parts else layer


def mix_stacked(whole: Tensor, own: Sequence[Tensor], mixings: Sequence[Mixing | None]) -> Tensor:
    """A matrix of stacked runs as this step reads it.

    Args:
        whole: ``[runs, ...]``.
        own: every run's part of it.
        mixings: of every run; None: it has none.
    """
    drawn = [None if mixing is None else mixing.draw(p) for p, mixing in zip(own, mixings, strict=True)]
    if not any(drawn):
        return whole
    anchors = [
        mixing.anchors[p] if mixing and one else p.detach()
        for p, one, mixing in zip(own, drawn, mixings, strict=True)
    ]
    keeps = [
        one.keep.view_as(p) if one else torch.ones_like(p, dtype=torch.uint8)
        for p, one in zip(own, drawn, strict=True)
    ]
    scales = [one.scale if one else 1.0 for one in drawn]
    scale: float | Tensor = scales[0]
    if len(set(scales)) > 1:
        each = [torch.full((), one, dtype=whole.dtype, device=whole.device) for one in scales]
        scale = torch.stack(each).view(-1, *[1] * (whole.ndim - 1))  # nothing is sent over in a graph
    mixed: Tensor = Mix.apply(  # type: ignore[no-untyped-call]
        whole, join_equal(anchors), join_equal(keeps), scale
    )
    return mixed


def join_equal(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors as one with a leading dimension; one of them where all are the same."""
    same = all(one.data_ptr() == tensors[0].data_ptr() for one in tensors)
    return tensors[0] if same else torch.stack([*tensors])
