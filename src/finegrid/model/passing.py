"""One pass of a hosted encoder: where its texts lie, and which of its layers are computed.

An encoder's parts find the pass that they are in by `current_pass`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from finegrid.model.dropout import Notes
from finegrid.model.kernels.layout import Bucket, Layout

CURRENT: ContextVar[Pass] = ContextVar("CURRENT")
NUMBERS = count()


@dataclass
class Pass:
    """What is asked of a forward pass, and what it has come to.

    Attributes:
        layout: of the packed batch.
        tokens: of it.
        layers: how often layers are called in a whole pass.
        start: the first layer that is computed; those below return what they are given.
        end: and the one after the last.
        hidden: the level ``start``, in the encoder's own shape, if it is known.
        visit: is given the number of a level and its vectors, in the encoder's own shape.
        bucket: the part of the batch that the pass is over; None: all of it, packed.
        number: of the pass, of all passes of a process; that of all buckets of a batch is one.
    """

    layout: Layout
    tokens: int
    layers: int
    start: int
    end: int
    hidden: Tensor | None
    visit: Callable[[int, Tensor], None]
    bucket: Bucket | None = None
    number: int = field(default_factory=lambda: next(NUMBERS))
    skipped: frozenset[int] = frozenset()  # layers that are left out: they return what they are given
    recompute: bool = False  # layers keep nothing but their input, and are computed once more
    called: int = 0  # layers, so far
    attended: int = 0  # calls of finegrid's attention, so far

    @property
    def below(self) -> bool:
        """Whether what is computed now is not read: the level above it is known."""
        return self.hidden is not None and self.called <= self.start

    def through_layer(
        self, compute: Callable[..., Any], returns: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What a layer returns.

        Args:
            compute: the layer's own pass.
            returns: how many things it returns, its vectors first; 0: only them, by themselves.
            args: what transformers gives to the layer.
            kwargs: the same by name.
        """
        index = self.called
        self.called += 1
        named = "hidden_states" in kwargs
        hidden = kwargs["hidden_states"] if named else args[0]
        if index == self.start and self.hidden is not None:
            hidden = self.hidden
        if index >= self.start:
            self.visit(index, hidden)
        if self.start <= index < self.end and index not in self.skipped:
            if named:
                kwargs = {**kwargs, "hidden_states": hidden}
            else:
                args = (hidden, *args[1:])
            returned = (self._twice(compute) if self.recompute else compute)(*args, **kwargs)
            hidden = returned[0] if returns else returned
        else:
            returned = alone(hidden, returns)
        if index + 1 == self.layers:
            if self.start == self.layers and self.hidden is not None:
                hidden = self.hidden
                returned = alone(hidden, returns)
            self.visit(index + 1, hidden)
        return returned

    def _twice(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """The same, computed once more in the backward pass, with the same masks."""

        def checkpointed(*args: Any, **kwargs: Any) -> Any:
            notes = Notes()

            def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
                return notes.note_down(), self._once_more(notes)

            whole = partial(compute, **kwargs)
            return checkpoint(
                whole, *args, context_fn=contexts, use_reentrant=False, preserve_rng_state=False
            )

        return checkpointed

    @contextmanager
    def _once_more(self, notes: Notes) -> Iterator[None]:
        with passing(self), notes.replay():
            yield


def alone(hidden: Tensor, returns: int) -> Any:
    """Vectors as a layer returns them that has computed nothing beside."""
    return (hidden, *[None] * (returns - 1)) if returns else hidden


@contextmanager
def passing(current: Pass) -> Iterator[None]:
    """All that is computed inside belongs to this pass."""
    token = CURRENT.set(current)
    try:
        yield
    finally:
        CURRENT.reset(token)


def current_pass() -> Pass:
    """The pass that is computed now.

    Raises:
        LookupError: there is none.
    """
    return CURRENT.get()
