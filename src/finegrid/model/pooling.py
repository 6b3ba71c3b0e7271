"""Token vectors to one vector a text: all of it pure on tensors, so that captured steps can hold it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from finegrid.encoders.poolings import OF_FIRST_TOKENS, TOP_LAYERS, Pooling, levels_below
from finegrid.model.kernels.layout import Layout
from finegrid.model.kernels.operations import means_by_kernel
from finegrid.model.packing.batches import Packed


class Pool(nn.Module):
    """A pooling, with its parameters if it has some.

    Of every level but the last it keeps one vector a text, never the tokens: `read`. A pooling by the
    checkpoint's own pooler is that of ``cls``; the pooler itself belongs to the encoder.
    """

    def __init__(self, pooling: Pooling, layers: int, width: int, heads: int) -> None:
        """
        Args:
            pooling: how token vectors become one.
            layers: of the encoder; at least as many as the pooling reads.
            width: of the encoder's vectors.
            heads: of its attention, whose layout of a batch it shares.
        """
        super().__init__()
        self.pooling, self.heads = pooling, heads
        self.levels = levels_below(pooling, layers)
        self.width = width * (TOP_LAYERS[pooling] if pooling == "concat-last-4" else 1)  # of its vectors
        if pooling == "weighted":
            self.scores = nn.Parameter(torch.zeros(layers + 1))
        if pooling == "attention":
            self.dense = linear(width, width, bias=False)
            self.score = linear(width, 1, bias=False)

    @property
    def key(self) -> str:
        """Of what `read` makes of the levels below the last; empty where it reads none."""
        kind = "cls" if self.pooling in OF_FIRST_TOKENS else "mean"
        return "-".join([kind, *map(str, self.levels)]) if self.levels else ""

    def read(self, hidden: Tensor, batch: Packed) -> Tensor:
        """What is kept of a level below the last: ``[tokens, width]`` to ``[texts, width]``."""
        return hidden[batch.starts] if self.pooling in OF_FIRST_TOKENS else means(hidden, batch)

    def forward(self, below: Sequence[Tensor], last: Tensor, batch: Packed, dtype: torch.dtype) -> Tensor:
        """One vector a text, ``[texts, width]``. Means and maxima run over real tokens only.

        Args:
            below: ``[texts, width]`` each, of the levels that are read beside the last, bottom up.
            last: ``[tokens, width]``, the last layer's output.
            batch: where the texts lie.
            dtype: of the encoder's products.
        """
        match self.pooling:
            case "max":
                return maxima(last, batch.layout(self.heads))
            case "last-token":
                return last[batch.starts + batch.counts - 1]
            case "attention":
                scores = self._scores_of(last, dtype)
                return weighted_means(last, scores, batch, batch.layout(self.heads))
            case "first-last-mean":
                # The mean of means equals the mean over tokens of (first + last) / 2, with fewer additions.
                return (below[0] + means(last, batch)) / 2
        levels = [*below, self.read(last, batch)]
        match self.pooling:
            case "weighted":
                return (self.scores.softmax(0)[:, None, None] * torch.stack(levels)).sum(0)
            case "concat-last-4":
                return torch.cat(levels, -1)
            case "cls-max-3":
                return reduce(torch.maximum, levels)
        return sum(levels[1:], levels[0]) / len(levels) if below else levels[0]

    def _scores_of(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """``[tokens]``: how much each token says; the large product in the type of the encoder's."""
        mixed = hidden.to(dtype) @ self.dense.weight.T.to(dtype)
        scores: Tensor = self.score(mixed.to(hidden.dtype).tanh())
        return scores[:, 0]


def means(hidden: Tensor, batch: Packed) -> Tensor:
    """Means over the tokens of each text: ``[tokens, width]`` to ``[texts, width]``."""
    by_kernel = means_by_kernel(hidden, batch.starts, batch.counts)
    return batch.plain_means(hidden) if by_kernel is None else by_kernel


def weighted_means(hidden: Tensor, scores: Tensor, batch: Packed, layout: Layout) -> Tensor:
    """Means over the tokens of each text by the softmax of their scores.

    Args:
        hidden: ``[tokens, width]``.
        scores: ``[tokens]``.
        batch: where the texts lie.
        layout: the same during attention.
    """
    owner = owners(layout)
    highest = maxima(scores.detach()[:, None], layout)[:, 0]
    # Any number for what belongs to no text, if only it is finite: means leave it out.
    real = owner < len(layout.lengths)
    share = torch.where(real, scores - highest[owner.clamp(max=len(layout.lengths) - 1)], 0.0).exp()[:, None]
    return means(hidden * share, batch) / means(share, batch)


def maxima(hidden: Tensor, layout: Layout) -> Tensor:
    """The largest of each column over the tokens of each text: ``[tokens, width]`` to ``[texts, width]``."""
    found: Tensor = Maxima.apply(hidden, layout)  # type: ignore[no-untyped-call]
    return found


def owners(layout: Layout) -> Tensor:
    """``[tokens]``, which text each belongs to; the number of texts where to none."""
    tokens = torch.arange(layout.tokens, device=layout.lengths.device)
    return torch.searchsorted(layout.lengths.cumsum(0), tokens, right=True)


class Maxima(torch.autograd.Function):
    """The gradient goes to the one token that won: compared, not scattered, so that no addition is atomic."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, layout: Layout) -> Tensor:
        values, winners = [], []
        for group in layout.groups:
            texts = layout.texts_of(group)
            start, last = layout.starts[texts, None], layout.lengths[texts, None] - 1
            place = torch.arange(group.length, device=hidden.device)
            # A padded place repeats the text's last token, which changes no maximum.
            largest, where = hidden[start + torch.minimum(place, last)].max(1)
            values.append(largest)
            winners.append(start + torch.minimum(where, last))
        ctx.layout = layout
        ctx.save_for_backward(torch.cat(winners))
        return torch.cat(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (winners,) = ctx.saved_tensors
        owner = owners(ctx.layout).clamp(max=len(winners) - 1)
        tokens = torch.arange(len(owner), device=grad.device)[:, None]
        return torch.where(winners[owner] == tokens, grad[owner], 0.0), None


def linear(before: int, after: int, bias: bool = True) -> nn.Linear:
    """A linear layer whose values are yet to be drawn: as `skip_init`, which imports torch's compiler."""
    with torch.device("meta"):
        layer = nn.Linear(before, after, bias)
    layer.weight = nn.Parameter(torch.empty(after, before))
    if bias:
        layer.bias = nn.Parameter(torch.empty(after))
    return layer
