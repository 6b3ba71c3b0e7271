"""Self-attention over packed texts: no padding, no mask, one function for every family of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Texts of one length, which lie next to each other in a packed batch."""

    rows: slice  # their tokens
    texts: int
    length: int  # tokens of each

    def weights(self, heads: int) -> int:
        """How many attention weights the group has."""
        return self.texts * heads * self.length * self.length


def group_by_length(lengths: NDArray[np.int64]) -> tuple[Group, ...]:
    """Group sorted lengths ``[texts]``."""
    values, counts = np.unique(lengths, return_counts=True)
    ends = np.cumsum(values * counts)
    return tuple(
        Group(slice(int(end - value * count), int(end)), int(count), int(value))
        for end, value, count in zip(ends, values, counts, strict=True)
    )


class PackedAttention(torch.autograd.Function):
    """Attention within each text of a packed batch.

    Texts of equal length lie next to each other, so a group is a dense batch of small products. One
    function for all groups: slicing per group under autograd would add a zero-filled tensor per slice.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int, groups: tuple[Group, ...], mask: Tensor | None) -> Tensor:
        """Attend.

        Args:
            ctx: autograd's.
            qkv: ``[tokens, 3 * width]``, queries, keys and values side by side.
            heads: number of heads; divides the width.
            groups: where the texts lie.
            mask: ``[sum of group.weights(heads)]`` dropout factors, or None.

        Returns:
            ``[tokens, width]``.
        """
        tokens, width = qkv.shape[0], qkv.shape[1] // 3
        scale = (width // heads) ** -0.5
        out = qkv.new_empty(tokens, width)
        kept = []
        used = 0
        for group in groups:
            q, k, v = split_heads(qkv[group.rows], 3, group.texts, heads)
            p = (
                torch.bmm(q, k.transpose(1, 2)).mul_(scale).softmax(-1).to(qkv.dtype)
            )  # autocast makes it float32
            dropped = p
            if mask is not None:
                dropped = p * mask[used : used + p.numel()].view_as(p)
                used += p.numel()
            merge_heads_(out[group.rows], torch.bmm(dropped, v)[None], group.texts)
            kept.append(p)
        ctx.save_for_backward(qkv, mask, *kept)
        ctx.heads, ctx.groups, ctx.scale = heads, groups, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None, None]:
        qkv, mask, *kept = ctx.saved_tensors
        grad_qkv = torch.empty_like(qkv)
        used = 0
        for group, p in zip(ctx.groups, kept, strict=True):
            q, k, v = split_heads(qkv[group.rows], 3, group.texts, ctx.heads)
            (grad,) = split_heads(grad_out[group.rows], 1, group.texts, ctx.heads)
            grad_p = torch.bmm(grad, v.transpose(1, 2))
            dropped = p
            if mask is not None:
                factors = mask[used : used + p.numel()].view_as(p)
                used += p.numel()
                grad_p.mul_(factors)
                dropped = p * factors
            # d softmax = p * (g - sum(g * p)), with the scale of the scores folded in.
            grad_p.sub_((grad_p * p).sum(-1, keepdim=True)).mul_(p).mul_(ctx.scale)
            grads = p.new_empty(3, *q.shape)
            torch.bmm(grad_p, k, out=grads[0])
            torch.bmm(grad_p.transpose(1, 2), q, out=grads[1])
            torch.bmm(dropped.transpose(1, 2), grad, out=grads[2])
            merge_heads_(grad_qkv[group.rows], grads, group.texts)
        return grad_qkv, None, None, None


def split_heads(rows: Tensor, parts: int, texts: int, heads: int) -> Tensor:
    """``[texts * length, parts * width]`` to contiguous ``[parts, texts * heads, length, head width]``."""
    length = rows.shape[0] // texts
    by_head = rows.view(texts, length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return by_head.reshape(parts, texts * heads, length, -1)


def merge_heads_(rows: Tensor, by_head: Tensor, texts: int) -> None:
    """Write the inverse of `split_heads` into ``rows``."""
    parts, texts_heads, length, width = by_head.shape
    heads = texts_heads // texts
    source = by_head.view(parts, texts, heads, length, width).permute(1, 3, 0, 2, 4)
    rows.view(texts, length, parts, heads, width).copy_(source)
