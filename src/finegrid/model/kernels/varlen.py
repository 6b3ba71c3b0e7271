"""Attention over packed texts of any length as a differentiable function, for encoders of any kind."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from finegrid.model.kernels import attention
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.operations import kernels
from finegrid.model.kernels.sight import Sight


def attend_varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: Layout,
    dropped: Dropped | None,
    *,
    scale: float,
    causal: bool = False,
    window: int | None = None,
) -> Tensor:
    """Attend within each text.

    Args:
        q: ``[tokens, heads, head width]``.
        k: ``[tokens, key heads, head width]``: so many divide ``heads``, and neighbours share them.
        v: as ``k``.
        layout: where the texts lie.
        dropped: dropout of attention weights, whose mask lies as ``layout`` says.
        scale: of the scores.
        causal: whether a token sees only itself and those before it.
        window: a token sees those that are fewer than so many away; None: all.

    Returns:
        ``[tokens, heads, head width]``; 0 for tokens that belong to no text.
    """
    kind = q.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else q.dtype
    q, k, v = (states.to(dtype) for states in (q, k, v))
    with torch.autocast(kind, enabled=False):
        sight = Sight(scale, causal, window)
        fused = kernels(q.device)
        if fused is not None:
            found: Tensor | None = fused.attend_varlen(q, k, v, layout, dropped, sight)
            if found is not None:
                return found
        qkv = attention.side_by_side(q, k, v)
        computed = partial(attend, layout=layout, dropped=dropped, sight=sight)
        return attention.differentiable(qkv, computed, attention.attend_backward).view(q.shape)


def attend(
    qkv: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight
) -> tuple[Tensor, attention.Attended]:
    """By torch's operations, and 0 for tokens that belong to no text."""
    context, attended = attention.attend(qkv, layout, dropped, sight)
    if layout.real_tokens is None:
        context.mul_(layout.indices.real)
    else:
        context.view(layout.runs, -1, context.shape[1])[:, layout.real_tokens :].zero_()
    return context, attended
