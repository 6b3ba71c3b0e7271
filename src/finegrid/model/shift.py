"""What is done to the embedded words of a batch: vectors are added, or words are not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
