"""Self-attention over packed texts: one function for every family of models.

Texts attend in groups: neighbours in a packed batch (which is sorted by length), padded to the longest of
them where that is cheaper than one more group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.model.kernels.layout import Dropped, Group, Layout


@dataclass(frozen=True)
class Attended:
    """What the backward pass of `attend` needs."""

    parts: Tensor  # [3, places, head width]: queries, keys and values, laid out
    weights: Tensor  # [layout.weights] before dropout, at least float32
    kept: Tensor  # the same after dropout (but for its scale), in the type of the products
    layout: Layout
    dropped: Dropped | None  # of all runs


def attend(qkv: Tensor, layout: Layout, dropped: Dropped | None) -> tuple[Tensor, Attended]:
    """Attend within each text.

    Args:
        qkv: ``[tokens, 3 * width]``, queries, keys and values side by side; of stacked runs, run after run.
        layout: where the texts lie.
        dropped: dropout of one run's attention weights, or None.

    Returns:
        The context ``[tokens, width]``, and what the backward pass needs.
    """
    width = qkv.shape[1] // 3 // layout.heads
    dropped = layout.for_all_runs(dropped)
    parts = qkv.view(-1, width).index_select(0, layout.indices.parts).view(3, -1, width)
    scores = qkv.new_empty(layout.weights)
    for _, (q, k, _), (score,) in by_group(layout, parts, scores):
        torch.baddbmm(score, q, k.transpose(1, 2), beta=0, alpha=width**-0.5, out=score)
    # Softmax runs in at least float32: more exact, and torch's bf16 one is six times slower on CPUs.
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    weights = torch.empty_like(scores)
    pairs = zip(by_group(layout, parts, scores, weights), layout.masks, strict=True)
    for (group, _, (score, p)), (padding, real) in pairs:
        by_head = (group.texts, layout.heads, group.length, group.length)
        score.view(by_head).add_(padding)
        torch.softmax(score, -1, out=p)
        p.view(by_head).mul_(real)
    kept = (weights if dropped is None else dropped.of(weights)).to(qkv.dtype)
    context = qkv.new_empty(layout.places, width)
    scale = 1.0 if dropped is None else dropped.scale
    for group, (_, _, v), (p,) in by_group(layout, parts, kept):
        out = context[group.places].view(v.shape)
        torch.baddbmm(out, p, v, beta=0, alpha=scale, out=out)
    merged = context.index_select(0, layout.indices.rows_back).view(len(qkv), -1)
    return merged, Attended(parts, weights, kept, layout, dropped)


def attend_backward(grad_context: Tensor, attended: Attended) -> Tensor:
    """The gradient ``[tokens, 3 * width]`` of what went into `attend`."""
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
    alpha = width**-0.5  # of the scores
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
