"""Packed batches: texts side by side in one flat array of tokens, sorted by length within the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finegrid.buckets import Cuts, round_up
from finegrid.data.tokens import Keep, TokenisedSplit
from finegrid.model.kernels.layout import Layout, Portion, cut, cut_out, lay_out

# Packed batches are filled up to multiples of so many tokens, with tokens that belong to no text and get no
# gradient. Without, almost every batch would be of a size of its own, and oneDNN compile its products anew.
GRAIN = 32


CutsOf = Callable[[NDArray[np.int64], int], Cuts]  # of sorted lengths, for so many heads


@dataclass(frozen=True)
class Prefix:
    """What frozen layers at the bottom make of a batch: the same for every run of a family."""

    hidden: Tensor  # [tokens, width], the output of the last frozen layer
    below: tuple[Tensor, ...] = ()  # [texts, width] each: what the pooling keeps of frozen levels, bottom up

    def of(self, portion: Portion, own: Batch) -> Prefix:
        """Of a portion of the batch."""
        hidden = self.hidden[portion.first_token : portion.first_token + own.real_tokens]
        end = portion.first_text + portion.texts
        return Prefix(fill_up(hidden, portion.tokens), tuple(b[portion.first_text : end] for b in self.below))

    @classmethod
    def joined(cls, prefixes: Sequence[Prefix], batches: Sequence[Batch], tokens: int) -> Prefix:
        """Of a batch of so many tokens, from those of its portions."""
        pairs = zip(prefixes, batches, strict=True)
        hidden = torch.cat([prefix.hidden[: batch.real_tokens] for prefix, batch in pairs])
        below = zip(*(prefix.below for prefix in prefixes), strict=True)
        return cls(fill_up(hidden, tokens), tuple(torch.cat(parts) for parts in below))


def fill_up(packed: Tensor, tokens: int) -> Tensor:
    """``[real tokens, width]`` with zeros, to so many tokens."""
    return torch.cat([packed, packed.new_zeros(tokens - len(packed), packed.shape[1])])


class Packed(Protocol):
    """What a model sees of a batch."""

    @property
    def ids(self) -> Tensor: ...
    @property
    def positions(self) -> Tensor: ...
    @property
    def types(self) -> Tensor: ...
    @property
    def starts(self) -> Tensor: ...
    @property
    def labels(self) -> Tensor: ...
    @property
    def texts(self) -> Tensor: ...
    @property
    def visible(self) -> Tensor | None: ...
    @property
    def prefix(self) -> Prefix | None: ...
    @property
    def portion(self) -> Portion | None: ...
    def layout(self, heads: int, runs: int = 1) -> Layout: ...
    @property
    def counts(self) -> Tensor: ...
    def portions(self, texts: int) -> Sequence[Packed]: ...
    def plain_means(self, hidden: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """Some texts, packed one after the other, shortest first."""

    ids: Tensor  # [tokens]: the texts', then fewer than GRAIN that belong to no text
    positions: Tensor  # [tokens], counted from 0 in each text
    types: Tensor  # [tokens], 0 or 1: which text of a pair
    lengths: NDArray[np.int64]  # [texts], sorted
    starts: Tensor  # [texts], where each text begins
    labels: Tensor  # [texts]
    rows: NDArray[np.int64]  # [texts], which text of the split each is
    visible: Tensor | None = None  # [tokens], False where a token's word is not read; None: all are
    prefix: Prefix | None = None
    portion: Portion | None = None  # that these texts are of the batch of a step; None: they are all of it
    whole: NDArray[np.int64] | None = None  # of a portion, the lengths of the texts of all that batch
    _layouts: dict[tuple[CutsOf, int, int], Layout] = field(default_factory=dict)  # made when asked for

    def layout(self, heads: int, runs: int = 1) -> Layout:
        """Where the texts lie during attention, of one run or of several that are stacked."""
        return self.layout_by(cut, heads, runs)

    def layout_by(self, cuts_of: CutsOf, heads: int, runs: int = 1) -> Layout:
        """The same, by a way to cut texts into groups. A portion keeps the groups of its batch."""
        if (cuts_of, heads, runs) not in self._layouts:
            self._layouts[cuts_of, heads, runs] = self._lay_out(cuts_of, heads, runs)
        return self._layouts[cuts_of, heads, runs]

    def _lay_out(self, cuts_of: CutsOf, heads: int, runs: int) -> Layout:
        lengths = torch.from_numpy(self.lengths).to(self.ids.device)
        cuts, before = cuts_of(self.lengths if self.whole is None else self.whole, heads), 0
        if self.portion is not None:
            cuts, texts = cut_out(cuts, self.portion.first_text, len(self.lengths))
            before = sum(heads * count * length**2 for count, length in texts)
        about = cuts, len(self.ids), heads, runs, self.real_tokens
        return lay_out(lengths, *about, before)

    def plain_means(self, hidden: Tensor) -> Tensor:
        """Means over the tokens of each text, ``[tokens, width]`` to ``[texts, width]``, without a kernel."""
        sums = hidden.new_zeros(len(self.lengths), hidden.shape[1])
        return sums.index_add(0, self._owner, hidden[: self.real_tokens]) / self.counts[:, None]

    def portions(self, texts: int) -> list[Batch]:
        """The batch in portions of at most so many neighbours, with what is known of each.

        Dropout masks and groups of attention stay those of the whole batch. The batch itself if it is none
        too many, or if ``texts`` is 0.
        """
        number = len(self.lengths)
        if not 0 < texts < number:
            return [self]
        found = []
        for first in range(0, number, texts):
            own = self.of_texts(first, min(first + texts, number))
            tokens, begin = len(own.ids), int(self.starts[first])
            portion = Portion(first, len(own.lengths), begin, tokens)
            own = replace(own, portion=portion, whole=self.lengths)
            found.append(own if self.prefix is None else own.with_prefix(self.prefix.of(portion, own)))
        return found

    def of_texts(self, first: int, end: int) -> Batch:
        """Some neighbours of a batch, packed by themselves, without a prefix."""
        begin, lengths = int(self.starts[first]), self.lengths[first:end]
        tokens = int(lengths.sum())
        filling = self.ids.new_zeros(round_up(tokens, GRAIN) - tokens)

        def part(values: Tensor) -> Tensor:
            return torch.cat([values[begin : begin + tokens], filling.to(values.dtype)])

        return Batch(
            ids=part(self.ids),
            positions=part(self.positions),
            types=part(self.types),
            lengths=lengths,
            starts=self.starts[first:end] - begin,
            labels=self.labels[first:end],
            rows=self.rows[first:end],
            visible=None if self.visible is None else part(self.visible),
        )

    @property
    def real_tokens(self) -> int:
        return int(self.lengths.sum())

    def with_prefix(self, prefix: Prefix) -> Batch:
        return replace(self, prefix=prefix)

    @cached_property
    def texts(self) -> Tensor:
        """``[texts]``, `rows` on the device."""
        return torch.from_numpy(self.rows).to(self.ids.device)

    @cached_property
    def counts(self) -> Tensor:
        """``[texts]``, tokens of each."""
        return torch.from_numpy(self.lengths).to(self.ids.device)

    @cached_property
    def _owner(self) -> Tensor:
        """``[real tokens]``, which text each belongs to."""
        owner = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return torch.from_numpy(owner).to(self.ids.device)


def pack(
    split: TokenisedSplit,
    rows: NDArray[np.int64],
    max_length: int,
    device: torch.device,
    keep: Keep = "head",
) -> Batch:
    """Pack the given texts of a split, cut to ``max_length`` tokens each, shortest first."""
    lengths = np.minimum(split.lengths[rows], max_length)
    order = np.argsort(lengths, kind="stable")
    rows, lengths = rows[order], lengths[order]
    ids, types = split.texts(rows, max_length, keep)
    hidden = ids < 0
    ids = np.where(hidden, ~ids, ids)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    positions = np.arange(ends[-1]) - np.repeat(starts, lengths)

    filling = np.zeros(round_up(int(ends[-1]), GRAIN) - ends[-1], dtype=np.int64)

    def tensor(*arrays: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.int64)).to(device)

    return Batch(
        ids=tensor(ids, filling),
        positions=tensor(positions, filling),
        types=tensor(types, filling),
        lengths=lengths,
        starts=tensor(starts),
        labels=tensor(split.labels[rows]),
        rows=rows,
        visible=~tensor(hidden, filling).bool() if hidden.any() else None,
    )


def training_batches(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Cut a random order into batches, never re-sorted by length: that would change the recipe."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def evaluation_batches(
    lengths: Sequence[int] | NDArray[np.int64], tokens: int
) -> Iterator[NDArray[np.int64]]:
    """Cut texts, shortest first, into batches of about ``tokens`` tokens; order does not matter here."""
    order = np.argsort(lengths, kind="stable").astype(np.int64)
    batch = np.cumsum(np.asarray(lengths)[order]) // tokens
    for value in np.unique(batch):
        yield order[batch == value]
