"""One encoder layer over packed texts, as two half layers with hand-written backward passes.

Fewer passes over memory than autograd would make of it: products in the compute type (float32 or bfloat16),
everything between them, and what flows from layer to layer, in float32 (or wider).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finegrid.model.anatomy import Layer
from finegrid.model.attention import Dropped, Layout, attend, attend_backward
from finegrid.model.products import grad_input, grad_weight, linear


@dataclass(frozen=True)
class Copies:
    """A layer's weights in the compute type; queries, keys and values side by side, for a single product."""

    qkv: tuple[Tensor, Tensor]
    attention_out: tuple[Tensor, Tensor]
    up: tuple[Tensor, Tensor]
    down: tuple[Tensor, Tensor]


@torch.no_grad()
def copy_weights(layer: Layer, dtype: torch.dtype) -> Copies:
    """Weights as they are now. Where nothing has to be converted, the very tensors."""
    three = (layer.query, layer.key, layer.value)
    weight = torch.cat([one.weight for one in three], -2)
    bias = torch.cat([one.bias for one in three], -1)
    others = (layer.attention_out, layer.up, layer.down)
    pairs = [(weight, bias), *((one.weight, one.bias) for one in others)]
    return Copies(*((weight.to(dtype), bias.to(dtype)) for weight, bias in pairs))


def forward_layer(layer: Layer, x: Tensor, layout: Layout, copies: Copies) -> Tensor:
    """One post-LayerNorm layer. ``[tokens, width]`` to ``[tokens, width]``.

    Of stacked runs, all weights and ``x`` have one more dimension, the first; they share dropout masks.
    """
    attended: Tensor = AttentionHalf.apply(  # type: ignore[no-untyped-call]
        x,
        layer.query.weight,
        layer.key.weight,
        layer.value.weight,
        layer.query.bias,
        layer.key.bias,
        layer.value.bias,
        layer.attention_out.weight,
        layer.attention_out.bias,
        layer.attention_norm.weight,
        layer.attention_norm.bias,
        layer,
        layout,
        copies,
    )
    out: Tensor = FeedForwardHalf.apply(  # type: ignore[no-untyped-call]
        attended,
        layer.up.weight,
        layer.up.bias,
        layer.down.weight,
        layer.down.bias,
        layer.output_norm.weight,
        layer.output_norm.bias,
        layer,
        copies,
    )
    return out


class AttentionHalf(torch.autograd.Function):
    """``norm(x + dropout(out(attention(qkv(x)))))``. Parameters are passed for autograd's sake only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        layer, layout, copies = rest[-3:]
        one = layer.attention_dropout.draw(layout.weights // layout.runs, x.device)
        weight_dropped = layout.for_all_runs(one)
        dropped = layer.hidden_dropout.draw(x.shape[-2:].numel(), x.device)
        h = x.to(copies.qkv[0].dtype)
        qkv = linear(h, *copies.qkv)
        context, attended = attend(qkv.flatten(0, -2), layout, weight_dropped)
        context = context.view_as(h)
        total = add_residual(x, linear(context, *copies.attention_out), dropped)
        out, mean, rstd = normalise(layer.attention_norm, total)
        ctx.save_for_backward(h, context, total, mean, rstd)
        ctx.rest = layer, layout, copies, attended, weight_dropped, dropped
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        h, context, total, mean, rstd = ctx.saved_tensors
        layer, layout, copies, attended, weight_dropped, dropped = ctx.rest
        ctx.rest = None  # autograd frees only what it saved itself
        needs = ctx.needs_input_grad
        grad_total, *norm = normalise_backward(layer.attention_norm, grad_out, total, mean, rstd)
        grad_y = through_dropout(grad_total, dropped).to(h.dtype)
        out = grads_of_linear(grad_y, context, needs[7:9], grad_out.dtype)
        grad_context = grad_input(grad_y, copies.attention_out[0])
        grad_qkv = attend_backward(grad_context.flatten(0, -2), attended, layout, weight_dropped)
        grad_qkv = grad_qkv.view(*h.shape[:-1], -1)
        weight, bias = grads_of_linear(grad_qkv, h, (any(needs[1:4]), any(needs[4:7])), grad_out.dtype)
        thirds = [*thirds_of(weight, -2), *thirds_of(bias, -1)]
        grad_x = grad_total.add_(grad_input(grad_qkv, copies.qkv[0])) if needs[0] else None
        return (grad_x, *thirds, *out, *norm, None, None, None)


class FeedForwardHalf(torch.autograd.Function):
    """``norm(x + dropout(down(activation(up(x)))))``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        layer, copies = rest[-2:]
        dropped = layer.output_dropout.draw(x.shape[-2:].numel(), x.device)
        h = x.to(copies.up[0].dtype)
        wide = linear(h, *copies.up).requires_grad_()
        with torch.enable_grad():  # whatever activation the checkpoint has, it knows its own derivative
            active = layer.activation(wide)
        total = add_residual(x, linear(active.detach(), *copies.down), dropped)
        out, mean, rstd = normalise(layer.output_norm, total)
        ctx.save_for_backward(h, total, mean, rstd)
        ctx.rest = layer, copies, dropped, wide, active
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        h, total, mean, rstd = ctx.saved_tensors
        layer, copies, dropped, wide, active = ctx.rest
        ctx.rest = None
        needs = ctx.needs_input_grad
        grad_total, *norm = normalise_backward(layer.output_norm, grad_out, total, mean, rstd)
        grad_y = through_dropout(grad_total, dropped).to(h.dtype)
        down = grads_of_linear(grad_y, active.detach(), needs[3:5], grad_out.dtype)
        (grad_wide,) = torch.autograd.grad(active, wide, grad_input(grad_y, copies.down[0]))
        up = grads_of_linear(grad_wide, h, needs[1:3], grad_out.dtype)
        grad_x = grad_total.add_(grad_input(grad_wide, copies.up[0])) if needs[0] else None
        return (grad_x, *up, *down, *norm, None, None)


def add_residual(x: Tensor, y: Tensor, dropped: Dropped | None) -> Tensor:
    """``x + dropout(y)``."""
    if dropped is None:
        return x + y
    keep = dropped.keep.view(x.shape[-2:]).to(x.dtype)
    return torch.addcmul(x, y.to(x.dtype), keep, value=dropped.scale)


def through_dropout(grad: Tensor, dropped: Dropped | None) -> Tensor:
    """The gradient of what went into a dropout."""
    return grad if dropped is None else dropped.of(grad).mul_(dropped.scale)


def normalise(norm: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNorm, and the mean and reciprocal deviation that its backward pass needs."""
    if norm.weight.ndim == 1:
        return torch.native_layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    out, mean, rstd = torch.native_layer_norm(x, norm.normalized_shape, None, None, norm.eps)
    return torch.addcmul(norm.bias[:, None], out, norm.weight[:, None]), mean, rstd


def normalise_backward(
    norm: Any, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of input, weight and bias; None for a frozen weight or bias."""
    backward, shape = torch.ops.aten.native_layer_norm_backward, norm.normalized_shape
    if norm.weight.ndim == 1:
        wanted = [True, norm.weight.requires_grad, norm.bias.requires_grad]
        grads: tuple[Tensor, Tensor | None, Tensor | None] = backward(
            grad.contiguous(), x, shape, mean, rstd, norm.weight, norm.bias, wanted
        )
        return grads
    weighted = grad * norm.weight[:, None]
    grad_x: Tensor = backward(weighted, x, shape, mean, rstd, None, None, [True, False, False])[0]
    normal = (x - mean).mul_(rstd)
    return grad_x, normal.mul_(grad).sum(-2), grad.sum(-2)


def grads_of_linear(
    grad: Tensor, x: Tensor, needs: tuple[bool, bool], dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of weight and bias, those that are needed."""
    weight = grad_weight(grad, x).to(dtype) if needs[0] else None
    bias = grad.sum(-2).to(dtype) if needs[1] else None
    return weight, bias


def thirds_of(grad: Tensor | None, dim: int) -> tuple[Tensor | None, ...]:
    return (None, None, None) if grad is None else grad.chunk(3, dim)
