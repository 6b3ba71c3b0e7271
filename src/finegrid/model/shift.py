"""What is done to the embedded words of a batch: vectors are added, or words are not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.model.dropout import Clock
from finegrid.model.packing.batches import Packed, fill_up
from finegrid.model.passing import CURRENT
from finegrid.model.pooling import maxima


class Shift:
    """What is added to the output of the table of words, in every pass over a batch. All 0 at first.

    Attributes:
        values: ``[tokens, width of the table]``, in the order of the packed batch. After a backward pass
            their ``grad`` is that of the loss by the embedded words, whether the table trains or not.
    """

    def __init__(self, table: nn.Embedding, batch: Packed, clock: Clock) -> None:
        self.clock = clock
        self.first_token = 0 if batch.portion is None else batch.portion.first_token
        tokens, width = len(batch.ids), table.weight.shape[1]
        self.values = table.weight.detach().new_zeros(tokens, width).requires_grad_()

    @property
    def gradient(self) -> Tensor:
        """``[tokens, width of the table]``."""
        assert self.values.grad is not None  # a pass over all texts came before
        return self.values.grad

    def move_(self, values: Tensor, followed: bool = False) -> None:
        """Add these from now on. ``followed``: passes over them leave a gradient here, too."""
        self.values = values.detach().requires_grad_(followed)

    def __call__(self, table: nn.Module, args: Any, output: Tensor) -> Tensor:
        """After the table was looked up, for a portion, or for texts that are padded to one length."""
        current = CURRENT.get(None)  # of an encoder that transformers computes
        if current is not None and current.below:
            return output  # not read: the level above it is known
        own = self.values
        if (portion := self.clock.portion) is not None:
            begin = portion.first_token - self.first_token
            own = fill_up(own[begin : begin + portion.tokens], portion.tokens)
        if current is not None and current.bucket is not None:
            own = current.bucket.pad(own)  # what padding gets is never read
        return output + own.view_as(output)


def measure_lengths(values: Tensor, batch: Packed) -> Tensor:
    """``[texts]`` in float64: of each text, all its tokens' ``[tokens, width]`` as one vector."""
    squares = values.double().square().sum(-1, keepdim=True)  # float32 would lose what is below 1e-20
    return (batch.plain_means(squares)[:, 0] * batch.counts).sqrt()


def scale_texts(values: Tensor, scales: Tensor, batch: Packed) -> Tensor:
    """``[tokens, width]``, those of each text multiplied by its scale; 0 of tokens that belong to none."""
    each = scales.repeat_interleave(batch.counts)
    scaled = torch.zeros_like(values)
    scaled[: len(each)] = values[: len(each)] * each[:, None]
    return scaled


def directions(gradient: Tensor, batch: Packed) -> Tensor:
    """A gradient ``[tokens, width]``, with that of each text at length 1; one of length 0 stays."""
    lengths = measure_lengths(gradient, batch)
    return scale_texts(gradient, lengths.reciprocal().where(lengths > 0, 0.0), batch)


def directions_by_maximum(gradient: Tensor, batch: Packed, heads: int) -> Tensor:
    """The same, with the largest number of each text at 1 or -1. ``heads``: of the encoder."""
    largest = maxima(gradient.abs().amax(-1, keepdim=True), batch.layout(heads))[:, 0].double()
    return scale_texts(gradient, largest.reciprocal().where(largest > 0, 0.0), batch)


def climb_in_ball(shift: Shift, length: float, radius: float, batch: Packed) -> Tensor:
    """Where each text comes to by so long a step along its gradient; back to the radius if that is beyond."""
    moved = shift.values.detach() + length * directions(shift.gradient, batch)
    lengths = measure_lengths(moved, batch)
    return scale_texts(moved, (radius / lengths).where(lengths > radius, 1.0), batch)


@contextmanager
def hiding_words(table: nn.Embedding, visible: Tensor | None) -> Iterator[None]:
    """Until the end, let what the table of words gives be 0 for some tokens of a packed batch.

    Args:
        table: of words.
        visible: ``[tokens]``, False where the word is not read; None: all are.
    """
    if visible is None:
        yield
        return

    def hide(table: nn.Module, args: Any, output: Tensor) -> Tensor:
        current = CURRENT.get(None)  # of an encoder that transformers computes
        own = visible[:, None].to(output.dtype)
        if current is not None and current.bucket is not None:
            own = current.bucket.pad(own)
        return output * own.view(*output.shape[:-1], 1)

    hook = table.register_forward_hook(hide)
    try:
        yield
    finally:
        hook.remove()
