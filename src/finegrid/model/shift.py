"""Vectors that are added to the embedded words of a batch: to see where the loss rises, and to go there."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from finegrid.model.dropout import Clock
from finegrid.model.packing.batches import fill_up
from finegrid.model.passing import CURRENT


class Shift:
    """What is added to the output of the table of words, in every pass over a batch. All 0 at first.

    Attributes:
        values: ``[tokens, width of the table]``, in the order of the packed batch. After a backward pass
            their ``grad`` is that of the loss by the embedded words, whether the table trains or not.
    """

    def __init__(self, table: nn.Embedding, tokens: int, clock: Clock) -> None:
        self.clock = clock
        self.values = table.weight.detach().new_zeros(tokens, table.weight.shape[1]).requires_grad_()

    @property
    def gradient(self) -> Tensor:
        """``[tokens, width of the table]``."""
        assert self.values.grad is not None  # a pass over all texts came before
        return self.values.grad

    def move_(self, values: Tensor) -> None:
        """Add these from now on."""
        self.values = values.detach()

    def __call__(self, table: nn.Module, args: Any, output: Tensor) -> Tensor:
        """After the table was looked up, for a portion, or for texts that are padded to one length."""
        current = CURRENT.get(None)  # of an encoder that transformers computes
        if current is not None and current.below:
            return output  # not read: the level above it is known
        own = self.values
        if (portion := self.clock.portion) is not None:
            begin = portion.first_token
            own = fill_up(own[begin : begin + portion.tokens], portion.tokens)
        if current is not None and current.bucket is not None:
            own = current.bucket.pad(own)  # what padding gets is never read
        return output + own.view_as(output)
