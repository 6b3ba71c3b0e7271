"""Self-attention over packed texts: one function for every family of models.

Short texts attend in groups: neighbours in a packed batch (which is sorted by length), padded to the longest
of them where that is cheaper than one more group. Long ones attend block by block: see `blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from finegrid.model.kernels.blocks import attend_long_, attend_long_back_
from finegrid.model.kernels.layout import Dropped, Group, Layout
from finegrid.model.kernels.sight import WHOLE, Sight


@dataclass(frozen=True)
class ByGroup:
    """What the backward pass of `attend_by_group` needs."""

    parts: Tensor  # [3, places, head width]: queries, keys and values, laid out
    weights: Tensor  # [layout.weights] before dropout, at least float32
    kept: Tensor  # the same after dropout (but for its scale), in the type of the products
    layout: Layout
    dropped: Dropped | None  # of all runs
    alpha: float


@dataclass(frozen=True)
class Attended:
    """What the backward pass of `attend` needs."""

    layout: Layout
    by_group: ByGroup | None  # of the short texts, if there are any
    long: tuple[Tensor, Dropped | None, Sight] | None  # what went in, if there are long texts


def attend(
    qkv: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight = WHOLE
) -> tuple[Tensor, Attended]:
    """Attend within each text.

    Args:
        qkv: ``[tokens, 3 * width]``, queries, keys and values side by side; of stacked runs, run after run.
        layout: where the texts lie.
        dropped: dropout of one run's attention weights, or None.
        sight: what a token attends to.

    Returns:
        The context ``[tokens, width]``, and what the backward pass needs. What belongs to no text gets
        something finite.
    """
    short = layout.by_group
    if short is None:
        context, by_groups = attend_by_group(qkv, layout, dropped, sight)
        return context, Attended(layout, by_groups, None)
    context, of_short = qkv.new_zeros(len(qkv), qkv.shape[1] // 3), None
    if short.groups:
        context, of_short = attend_by_group(qkv, short, dropped, sight)
    attend_long_(context, qkv, layout, dropped, sight)
    return context, Attended(layout, of_short, (qkv, dropped, sight))


def attend_backward(grad_context: Tensor, attended: Attended) -> Tensor:
    """The gradient ``[tokens, 3 * width]`` of what went into `attend`."""
    if attended.by_group is not None:
        grad_qkv = attend_by_group_backward(grad_context, attended.by_group)
    else:
        grad_qkv = grad_context.new_zeros(len(grad_context), 3 * grad_context.shape[1])
    if attended.long is not None:
        attend_long_back_(grad_qkv, grad_context, attended.long[0], attended.layout, *attended.long[1:])
    return grad_qkv


def side_by_side(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``[tokens, heads, head width]``, of ``k`` and ``v`` perhaps fewer heads, as ``[tokens, 3 * width]``."""
    repeats = q.shape[1] // k.shape[1]
    k, v = (states if repeats == 1 else states.repeat_interleave(repeats, 1) for states in (k, v))
    return torch.cat([states.flatten(1) for states in (q, k, v)], 1)


def differentiable(
    qkv: Tensor,
    attend: Callable[[Tensor], tuple[Tensor, Any]],
    attend_backward: Callable[[Tensor, Any], Tensor],
) -> Tensor:
    """What ``attend`` makes of ``[tokens, 3 * width]``, for autograd."""
    context: Tensor = PackedAttention.apply(qkv, attend, attend_backward)  # type: ignore[no-untyped-call]
    return context


class PackedAttention(torch.autograd.Function):
    """See `differentiable`. ``attend`` returns what ``attend_backward`` needs as well."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        attend: Callable[[Tensor], tuple[Tensor, Any]],
        attend_backward: Callable[[Tensor, Any], Tensor],
    ) -> Tensor:
        context, ctx.attended = attend(qkv)
        ctx.attend_backward = attend_backward
        return context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        attended, ctx.attended = ctx.attended, None  # autograd frees only what it saved itself
        return ctx.attend_backward(grad, attended), None, None


def attend_by_group(
    qkv: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight
) -> tuple[Tensor, ByGroup]:
    width = qkv.shape[1] // 3 // layout.heads
    dropped, alpha = layout.for_all_runs(dropped), sight.scale_for(width)
    parts = qkv.view(-1, width).index_select(0, layout.indices.parts).view(3, -1, width)
    scores = qkv.new_empty(layout.weights)
    for _, (q, k, _), (score,) in by_group(layout, parts, scores):
        torch.baddbmm(score, q, k.transpose(1, 2), beta=0, alpha=alpha, out=score)
    # Softmax runs in at least float32: more exact, and torch's bf16 one is six times slower on CPUs.
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    weights = torch.empty_like(scores)
    pairs = zip(by_group(layout, parts, scores, weights), layout.masks, strict=True)
    for (group, _, (score, p)), (padding, real) in pairs:
        by_head = (group.texts, layout.heads, group.length, group.length)
        score.view(by_head).add_(padding if sight.whole else unseen(layout, group, sight))
        torch.softmax(score, -1, out=p)
        p.view(by_head).mul_(real)
    kept = (weights if dropped is None else dropped.of(weights)).to(qkv.dtype)
    context = qkv.new_empty(layout.places, width)
    scale = 1.0 if dropped is None else dropped.scale
    for group, (_, _, v), (p,) in by_group(layout, parts, kept):
        out = context[group.places].view(v.shape)
        torch.baddbmm(out, p, v, beta=0, alpha=scale, out=out)
    merged = context.index_select(0, layout.indices.rows_back).view(len(qkv), -1)
    return merged, ByGroup(parts, weights, kept, layout, dropped, alpha)


def unseen(layout: Layout, group: Group, sight: Sight) -> Tensor:
    """``[texts, 1, length, length]``, 0 or -inf: added to scores of keys that a query does not see."""
    own = layout.lengths[layout.texts_of(group)].repeat(layout.runs)[:, None, None, None]
    place = torch.arange(group.length, device=own.device)
    # What fills up sees what the last token sees: no row is without a key.
    queries = torch.minimum(place[:, None], own - 1)
    seen = sight.seen(queries, place) & (place < own)
    return torch.zeros(seen.shape, device=own.device).masked_fill_(~seen, -torch.inf)


def attend_by_group_backward(grad_context: Tensor, attended: ByGroup) -> Tensor:
    """The gradient ``[tokens, 3 * width]`` of what went into `attend_by_group`: 0 beside its texts."""
    parts, weights, kept = attended.parts, attended.weights, attended.kept
    layout, dropped = attended.layout, attended.dropped
    width = parts.shape[-1]
    grad_places = grad_context.view(-1, width).index_select(0, layout.indices.rows)
    scale = 1.0 if dropped is None else dropped.scale
    grad_weights = parts.new_empty(layout.weights)
    for group, (_, _, v), (grad_p,) in by_group(layout, parts, grad_weights):
        grad = grad_places[group.places].view(v.shape)
        torch.baddbmm(grad_p, grad, v.transpose(1, 2), beta=0, alpha=scale, out=grad_p)
    grad_weights = grad_weights.to(weights.dtype)
    if dropped is not None:
        grad_weights = dropped.of(grad_weights)
    grad_scores = torch.empty_like(weights)
    for _, _, (grad_p, p, grad_score) in by_group(layout, parts, grad_weights, weights, grad_scores):
        torch._softmax_backward_data(grad_p, p, -1, p.dtype, grad_input=grad_score)
    grad_scores = grad_scores.to(parts.dtype)
    grad_parts = torch.empty_like(parts)
    alpha = attended.alpha
    for group, (q, k, _), (grad_score, p) in by_group(layout, parts, grad_scores, kept):
        grad = grad_places[group.places].view(q.shape)
        grad_q, grad_k, grad_v = (part[group.places].view(q.shape) for part in grad_parts)
        torch.baddbmm(grad_q, grad_score, k, beta=0, alpha=alpha, out=grad_q)
        torch.baddbmm(grad_k, grad_score.transpose(1, 2), q, beta=0, alpha=alpha, out=grad_k)
        torch.baddbmm(grad_v, p.transpose(1, 2), grad, beta=0, alpha=scale, out=grad_v)
    back = grad_parts.view(-1, width).index_select(0, layout.indices.parts_back)
    grad_qkv = back.view(len(grad_context), -1)
    if layout.real_tokens is None:
        return grad_qkv.mul_(layout.indices.real)
    grad_qkv.view(layout.runs, -1, grad_qkv.shape[1])[:, layout.real_tokens :].zero_()
    return grad_qkv


def by_group(
    layout: Layout, parts: Tensor, *weights: Tensor
) -> Iterator[tuple[Group, tuple[Tensor, ...], list[Tensor]]]:
    """Every group with its queries, keys and values, and its own of flat attention weights.

    Yields:
        The group, three of ``[texts * heads, length, head width]``, ``[texts * heads, length, length]`` each.
    """
    for group in layout.groups:
        shape = (group.texts * layout.heads, group.length)
        own = parts[:, group.places].view(3, *shape, -1).unbind()
        yield group, own, [flat[group.weights].view(*shape, group.length) for flat in weights]
