"""One encoder layer over packed texts, as two half layers with hand-written backward passes.

Fewer passes over memory than autograd would make of it: products in the compute type (float32 or bfloat16),
everything between them, and what flows from layer to layer, in float32 (or wider).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finegrid.model.anatomy import Layer
from finegrid.model.dropout import Notes
from finegrid.model.kernels.layout import Layout
from finegrid.model.kernels.operations import operations
from finegrid.model.kernels.products import add_grad_input_, grad_input, grad_weight
from finegrid.model.low_rank import Factors, factors_of, grad_factors, low_rank_of, weight_of


@dataclass(frozen=True)
class Copies:
    """A layer's weights in the compute type; queries, keys and values side by side, for a single product."""

    qkv: tuple[Tensor, Tensor]
    attention_out: tuple[Tensor, Tensor]
    up: tuple[Tensor, Tensor]
    down: tuple[Tensor, Tensor]
    scaled: Mapping[str, Factors]  # of linear layers to whose weights something of low rank is added


@torch.no_grad()
def copy_weights(layer: Layer, dtype: torch.dtype) -> Copies:
    """Weights as they are now. Where nothing has to be converted, the very tensors."""
    three = (layer.query, layer.key, layer.value)
    weight = torch.cat([weight_of(one) for one in three], -2)
    bias = torch.cat([one.bias for one in three], -1)
    others = (layer.attention_out, layer.up, layer.down)
    pairs = [(weight, bias), *((weight_of(one), one.bias) for one in others)]
    qkv, out, up, down = ((weight.to(dtype), bias.to(dtype)) for weight, bias in pairs)
    added = {name: low_rank_of(one) for name, one in layer.linears.items()}
    scaled = {name: one.scaled(dtype) for name, one in added.items() if one is not None}
    return Copies(qkv, out, up, down, scaled)


def forward_layer(
    layer: Layer,
    x: Tensor,
    layout: Layout,
    copies: Copies,
    recompute: bool = False,
    low: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """One post-LayerNorm layer. ``[tokens, width]`` to ``[tokens, width]``.

    Returns what comes out twice: in ``x``'s type, and in that of the products if that came for nothing.

    Of stacked runs, all weights and ``x`` have one more dimension, the first; they share dropout masks.

    Args:
        layer: with its weights.
        x: what goes into it.
        layout: where the texts lie.
        copies: the weights in the type of products.
        recompute: keep nothing but ``x`` for the backward pass, which computes the layer once more.
        low: ``x`` in the type of products, if it is there.
    """
    if recompute and torch.is_grad_enabled():
        again: Tensor = Recomputed.apply(  # type: ignore[no-untyped-call]
            x, layer, layout, copies, *parameters_of(layer)
        )
        return again, None
    attended, low = AttentionHalf.apply(  # type: ignore[no-untyped-call]
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
        *factors_of(layer.query),
        *factors_of(layer.key),
        *factors_of(layer.value),
        *factors_of(layer.attention_out),
        layer,
        layout,
        copies,
        low,
    )
    out, low = FeedForwardHalf.apply(  # type: ignore[no-untyped-call]
        attended,
        layer.up.weight,
        layer.up.bias,
        layer.down.weight,
        layer.down.bias,
        layer.output_norm.weight,
        layer.output_norm.bias,
        *factors_of(layer.up),
        *factors_of(layer.down),
        layer,
        copies,
        low,
    )
    return out, low


def parameters_of(layer: Layer) -> list[Tensor]:
    """What a layer trains."""
    parts: tuple[Any, ...] = (*layer.linears.values(), layer.attention_norm, layer.output_norm)
    return [p for part in parts for p in part.parameters()]


class Recomputed(torch.autograd.Function):
    """A layer that is computed once more in its backward pass, with the very same masks: the same bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        layer, layout, copies, *_ = rest
        ctx.notes = Notes()
        with ctx.notes.note_down():
            out, _ = forward_layer(layer, x, layout, copies)
        ctx.save_for_backward(x)
        ctx.rest = layer, layout, copies
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        layer, layout, copies = ctx.rest
        x = ctx.saved_tensors[0].detach().requires_grad_(ctx.needs_input_grad[0])
        with torch.enable_grad(), ctx.notes.replay():
            out, _ = forward_layer(layer, x, layout, copies)
        needed = (ctx.needs_input_grad[0], *ctx.needs_input_grad[4:])
        pairs = zip((x, *parameters_of(layer)), needed, strict=True)
        grads = iter(torch.autograd.grad(out, [t for t, needs in pairs if needs], grad_out))
        of_x, *others = (next(grads) if needs else None for needs in needed)
        return (of_x, None, None, None, *others)


class AttentionHalf(torch.autograd.Function):
    """``norm(x + dropout(out(attention(qkv(x)))))``. Parameters are passed for autograd's sake only.

    Returns it twice: in ``x``'s type, and in that of the products if that came for nothing.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> tuple[Tensor, Tensor | None]:
        layer, layout, copies, low = rest[-4:]
        ops = operations(x, copies.qkv[0].dtype)
        of_weights = layer.attention_dropout.draw(layout.weights // layout.runs, x.device, layout.before)
        dropped = layer.hidden_dropout.draw(x.shape[-2:].numel(), x.device)
        h = x.to(copies.qkv[0].dtype) if low is None else low
        context, attended = ops.attend(*ops.linear(h, *copies.qkv), layout, of_weights)
        y, bias = ops.linear(context, *copies.attention_out)
        out, low, joined = ops.join(layer.attention_norm, x, y, bias, dropped)
        ctx.save_for_backward(h, context, *joined)
        ctx.rest = ops, layer, copies, attended, dropped
        ctx.set_materialize_grads(False)  # none for `low`
        if low is not None:
            ctx.mark_non_differentiable(low)
        return out, low

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, _: None) -> tuple[Tensor | None, ...]:
        h, context, *joined = ctx.saved_tensors
        ops, layer, copies, attended, dropped = ctx.rest
        ctx.rest = None  # autograd frees only what it saved itself
        needs, dtype = ctx.needs_input_grad, grad_out.dtype
        about = layer.attention_norm, grad_out, joined, dropped, h.dtype, needs[8]
        grad_total, grad_y, *norm, out_bias = ops.join_backward(*about)
        out = grad_weight(grad_y, context, dtype) if needs[7] else None
        grad_qkv = ops.attend_backward(grad_input(grad_y, copies.attention_out[0]), attended)
        weight = grad_weight(grad_qkv, h, dtype) if any(needs[1:4]) else None
        bias = ops.sum_tokens(grad_qkv, dtype) if any(needs[4:7]) else None
        thirds = [*thirds_of(weight, -2), *thirds_of(bias, -1)]
        pairs = [
            grad_factors(grad, h, copies.scaled.get(name), dtype)
            for name, grad in zip(("query", "key", "value"), grad_qkv.chunk(3, -1), strict=True)
        ]
        pairs.append(grad_factors(grad_y, context, copies.scaled.get("attention_out"), dtype))
        factors = [grad for pair in pairs for grad in pair]
        grad_x = add_grad_input_(grad_total, grad_qkv, copies.qkv[0]) if needs[0] else None
        return (grad_x, *thirds, out, out_bias, *norm, *factors, None, None, None, None)


class FeedForwardHalf(torch.autograd.Function):
    """``norm(x + dropout(down(activation(up(x)))))``. Returns it as `AttentionHalf` does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> tuple[Tensor, Tensor | None]:
        layer, copies, low = rest[-3:]
        ops = operations(x, copies.up[0].dtype)
        dropped = layer.output_dropout.draw(x.shape[-2:].numel(), x.device)
        h = x.to(copies.up[0].dtype) if low is None else low
        active, activated = ops.activate(layer.activation, *ops.linear(h, *copies.up))
        y, bias = ops.linear(active, *copies.down)
        out, low, joined = ops.join(layer.output_norm, x, y, bias, dropped)
        ctx.save_for_backward(h, *joined)
        ctx.rest = ops, layer, copies, dropped, active, activated
        ctx.set_materialize_grads(False)  # none for `low`
        if low is not None:
            ctx.mark_non_differentiable(low)
        return out, low

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, _: None) -> tuple[Tensor | None, ...]:
        h, *joined = ctx.saved_tensors
        ops, layer, copies, dropped, active, activated = ctx.rest
        ctx.rest = None
        needs, dtype = ctx.needs_input_grad, grad_out.dtype
        about = layer.output_norm, grad_out, joined, dropped, h.dtype, needs[4]
        grad_total, grad_y, *norm, down_bias = ops.join_backward(*about)
        down = grad_weight(grad_y, active, dtype) if needs[3] else None
        grad_active = grad_input(grad_y, copies.down[0])
        grad_wide, up_bias = ops.activate_backward(grad_active, activated, dtype, needs[2])
        up = grad_weight(grad_wide, h, dtype) if needs[1] else None
        factors = [
            *grad_factors(grad_wide, h, copies.scaled.get("up"), dtype),
            *grad_factors(grad_y, active, copies.scaled.get("down"), dtype),
        ]
        grad_x = add_grad_input_(grad_total, grad_wide, copies.up[0]) if needs[0] else None
        return (grad_x, up, up_bias, down, down_bias, *norm, *factors, None, None, None)


def thirds_of(grad: Tensor | None, dim: int) -> tuple[Tensor | None, ...]:
    return (None, None, None) if grad is None else grad.chunk(3, dim)
