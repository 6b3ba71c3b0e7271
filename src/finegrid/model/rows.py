"""The rows of a table of words that a study's texts need: an encoder holds and trains no others.

A row that no text needs gets no gradient, and nothing reads it. So what is computed with the rest is the same
to the last bit: rows keep their order, and an update is that of every number by itself.
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# torch sums squares in lanes, at most so many, one number after the other: rows of zeros change no sum as
# long as every row begins in the first lane. So on CPUs; GPUs cut sums by their size.
LANES = 16
HELD = "held_rows"  # the attribute of a table that lacks rows


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that are held of a table.

    Attributes:
        ids: ``[rows]``, of words, ascending.
        places: ``[words]``, which row of the smaller table each word has; -1: none.
    """

    ids: Tensor
    places: Tensor
    _spread: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict, repr=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Rows:
        return self  # all runs of a study share it

    def __call__(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Before the table is looked up: words become rows. One that has none is out of the table's range."""
        return (self.places[args[0]], *args[1:])

    @cached_property
    def digest(self) -> str:
        """What tells these rows from others of the same table."""
        return hashlib.sha256(self.ids.cpu().numpy().tobytes()).hexdigest()[:16]

    def spread(self, gradient: Tensor) -> Tensor:
        """A gradient as it would be of the whole table: the same tensor every time, to be read at once."""
        about = gradient.shape[1], gradient.dtype
        if about not in self._spread:
            self._spread[about] = gradient.new_zeros(len(self.places), gradient.shape[1])
        return self._spread[about].zero_().index_copy_(0, self.ids, gradient)


def choose_rows(ids: Sequence[NDArray[Any]], words: int, device: torch.device) -> Rows | None:
    """Rows for texts.

    Args:
        ids: of all words that occur.
        words: how many the table has.
        device: of the models that will hold them.

    Returns:
        None if the table has no others.
    """
    occurs = np.zeros(words, dtype=bool)
    for some in ids:
        occurs[some] = True
    if occurs.all():
        return None
    chosen = torch.from_numpy(np.flatnonzero(occurs))
    places = torch.full((words,), -1, dtype=torch.int64)
    places[chosen] = torch.arange(len(chosen))
    return Rows(chosen.to(device), places.to(device))


def held_rows(table: nn.Module) -> Rows | None:
    """What a table holds; None: all its rows."""
    rows: Rows | None = getattr(table, HELD, None)
    return rows


def take_rows(values: Tensor, rows: Rows | None) -> Tensor:
    """Of a whole table's values, ``[words, ...]``, those of some rows; None: all."""
    return values if rows is None else values[rows.ids.to(values.device)]


@torch.no_grad()
def hold_rows_(table: nn.Embedding, rows: Rows) -> None:
    """Drop all other rows of a table. It goes on to be asked for words by their ids, as before."""
    become_(table, take_rows(table.weight.data, rows), rows)


@torch.no_grad()
def hold_all_(table: nn.Embedding, values: Tensor) -> None:
    """Give a table that lacks rows all of them. ``values``: ``[words, width]``."""
    become_(table, values.to(table.weight), None)


def become_(table: nn.Embedding, values: Tensor, rows: Rows | None) -> None:
    """Change a table in place: whoever has it, or its parameter, has it still."""
    if (before := held_rows(table)) is not None:
        hooks = table._forward_pre_hooks
        del hooks[next(key for key, hook in hooks.items() if hook is before)]
        if table.padding_idx is not None:
            table.padding_idx = int(before.ids[table.padding_idx])
    table.weight.data, table.num_embeddings = values, len(values)
    object.__setattr__(table, HELD, rows)
    if rows is not None:
        table.register_forward_pre_hook(rows)
        if table.padding_idx is not None:  # its row gets no gradient
            table.padding_idx = int(rows.places[table.padding_idx])


@contextmanager
def gradients_as_of_all(table: nn.Embedding, gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients whose sums of squares are those that they have where the table holds all its rows.

    Args:
        table: that may lack rows.
        gradients: of a model. What happens to those that are yielded happens to these.
    """
    rows, own = held_rows(table), table.weight.grad
    if rows is None or own is None or (own.device.type == "cpu" and own.shape[1] % LANES == 0):
        yield gradients
        return
    whole = rows.spread(own)
    yield [whole if gradient is own else gradient for gradient in gradients]
    own.copy_(whole[rows.ids])


def copy_encoder(encoder: Any, rows: Rows | None) -> Any:
    """A copy of one that holds all rows, or of it with some only: the whole table is then not copied.

    Args:
        encoder: of transformers.
        rows: to hold; None: all.
    """
    empty = [each for part in encoder.modules() for each in vars(part).values() if is_empty(each)]
    copied: dict[int, Any] = {id(each): OrderedDict() for each in empty}
    if rows is None:
        return copy.deepcopy(encoder, copied)
    weight = encoder.get_input_embeddings().weight
    some = nn.Parameter(take_rows(weight.detach(), rows), requires_grad=weight.requires_grad)
    twin = copy.deepcopy(encoder, {**copied, id(weight): some})
    become_(twin.get_input_embeddings(), some.data, rows)
    return twin


def is_empty(value: Any) -> bool:
    """A module has a dozen ordered dicts for its hooks, and copying these took most of the time of a copy."""
    return type(value) is OrderedDict and not value
