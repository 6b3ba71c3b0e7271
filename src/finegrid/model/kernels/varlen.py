"""Attention over packed texts of any length: grouped queries, windows and causal masks."""

from __future__ import annotations

import torch
from torch import Tensor

from finegrid.model.kernels.layout import Dropped, Layout


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
    """Attend within each text: ``[tokens, heads, head width]``; zeros for tokens that belong to no text."""
    repeats = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(repeats, 1) for t in (k, v))
    outs, end = [], 0
    for group in layout.groups:
        texts = layout.texts_of(group)
        keep = None
        if dropped is not None:
            shape = (group.texts, q.shape[1], group.length, group.length)
            keep = dropped.keep[group.weights].view(shape)
        for row, n in enumerate(layout.lengths[texts].tolist()):
            start, end = end, end + n
            a, b, c = (t[start:end].transpose(0, 1) for t in (q, k, v))
            scores = a @ b.transpose(1, 2) * scale
            i = torch.arange(n, device=q.device)
            gap = i[:, None] - i[None, :]
            if causal:
                scores = scores.masked_fill(gap < 0, -torch.inf)
            if window:
                scores = scores.masked_fill(gap.abs() >= window, -torch.inf)
            weights = scores.softmax(-1)
            if keep is not None and dropped is not None:
                weights = weights * keep[row, :, :n, :n].to(weights.dtype) * dropped.scale
            outs.append((weights @ c).transpose(0, 1))
    outs.append(q.new_zeros(len(q) - end, *q.shape[1:]))
    return torch.cat(outs)
