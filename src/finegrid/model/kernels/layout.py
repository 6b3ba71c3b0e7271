"""Where the texts of a packed batch lie during attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finegrid.buckets import GRAIN, Cuts, group_ends, round_up

# What one more group costs, in attention weights. Measured on one Zen 5 core: some 20 calls of 4 us each,
# against 8 ns for all that is done with one weight, forward and backward.
GROUP_COST = 10_000
# Padded tokens of texts that attend by groups, all weights of a batch at once, and attention weights of all
# heads of one. What has more of both attends block by block: only tokens, not weights, are kept for the
# backward pass. With fewer weights its calls cost more than they save: measured on one Zen 5 core.
LONGEST_BY_GROUP, WEIGHTS_BY_GROUP = 128, 1 << 19


# What a site has values of: of every token of a batch, of every text, or of neither of them.
Unit = Literal["token", "text", "other"]


@dataclass(frozen=True)
class Portion:
    """Where some neighbours of a batch lie in it, packed by themselves: they draw the batch's own masks."""

    first_text: int
    texts: int
    first_token: int
    tokens: int  # of the portion, with those at its end that belong to no text

    def before(self, unit: Unit, count: int) -> int:
        """How many values of a site belong to what lies before the portion, which has ``count`` of them."""
        if unit == "token":
            return self.first_token * (count // self.tokens)
        return self.first_text * (count // self.texts) if unit == "text" else 0


@dataclass(frozen=True)
class Group:
    """Some texts that attend in one product, padded to the longest of them."""

    first: int  # which text of a run is its first
    texts: int  # of all runs
    length: int  # tokens of the longest, rounded up
    places: slice  # where its padded tokens lie: [texts, heads, length] of one head each
    weights: slice  # where its attention weights lie: [texts, heads, length, length]


@dataclass(frozen=True)
class Bucket:
    """Texts that are padded to one length: a group of the layout."""

    group: Group
    tokens: Tensor  # [texts, length], which token of the packed batch lies there; padding repeats the last
    real: Tensor  # [texts, length], 1 or 0
    rows: Tensor  # [real tokens], which places are real, shortest text first

    def pad(self, packed: Tensor) -> Tensor:
        """``[tokens, ...]`` to ``[texts, length, ...]``; padding repeats a text's last token."""
        rows = packed.index_select(0, self.tokens.view(-1))
        return rows.view(*self.tokens.shape, *packed.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """``[texts, length, width]`` to ``[real tokens, width]``."""
        return padded.reshape(-1, padded.shape[-1]).index_select(0, self.rows)


@dataclass(frozen=True)
class Layout:
    """Where a packed batch lies during attention. The same for all layers and all runs of a family.

    Of several runs stacked, ``tokens`` and ``texts`` are those of all runs, run after run.
    """

    heads: int
    runs: int
    tokens: int  # of one run
    real_tokens: int | None  # of one run: what follows belongs to no text. None: only the device knows
    lengths: Tensor  # [texts] of one run
    starts: Tensor  # [texts], where each begins
    groups: tuple[Group, ...]
    places: int  # padded tokens of all groups, times heads
    weights: int  # attention weights of all groups
    before: int = 0  # those of one run that come before, where these texts are a portion of their batch

    @cached_property
    def indices(self) -> Indices:
        """Made when first asked for: kernels that find their texts themselves do without."""
        return index(self)

    @cached_property
    def masks(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Of every group: see `masks`."""
        found = []
        for group in self.groups:
            own = self.lengths[self.texts_of(group)].repeat(self.runs)[:, None]
            found.append(masks(torch.arange(group.length, device=own.device) < own))
        return tuple(found)

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The groups of one run, each padded to its longest text."""
        return tuple(map(self._bucket_of, self.groups))

    def _bucket_of(self, group: Group) -> Bucket:
        texts = self.texts_of(group)
        starts, lengths = self.starts[texts, None], self.lengths[texts, None]
        place = torch.arange(group.length, device=lengths.device)
        real = place < lengths
        tokens = starts + torch.minimum(place, lengths - 1)
        return Bucket(group, tokens, real.long(), real.view(-1).nonzero()[:, 0])

    @cached_property
    def host_lengths(self) -> list[int]:
        """`lengths`, known to the host: on a GPU it has to wait for them."""
        found: list[int] = self.lengths.tolist()
        return found

    @cached_property
    def host_starts(self) -> list[int]:
        """`starts`, likewise."""
        found: list[int] = self.starts.tolist()
        return found

    @cached_property
    def by_group(self) -> Layout | None:
        """The texts that attend by groups, the shortest. None: all do, as where the host knows no lengths."""
        if self.real_tokens is None or not self.is_long(self.groups[-1]):
            return None
        groups = tuple(group for group in self.groups if not self.is_long(group))
        texts = self.texts_of(groups[-1]).stop if groups else 0
        return replace(
            self,
            real_tokens=sum(self.host_lengths[:texts]),
            lengths=self.lengths[:texts],
            starts=self.starts[:texts],
            groups=groups,
            places=groups[-1].places.stop if groups else 0,
            weights=groups[-1].weights.stop if groups else 0,
        )

    def is_long(self, group: Group) -> bool:
        """Whether its texts attend block by block."""
        return group.length > LONGEST_BY_GROUP and self.heads * group.length**2 > WEIGHTS_BY_GROUP

    @cached_property
    def mask_places(self) -> tuple[Tensor, Tensor]:
        """``[texts]`` each: where a text's weights begin in the batch's mask, and its padded length."""
        begins, padded = [], []
        for group in self.groups:
            own = self.lengths[self.texts_of(group)]
            number = torch.arange(len(own), device=own.device)
            begin = self.before + self.weights_of_one_run(group).start
            begins.append(number * (self.heads * group.length**2) + begin)
            padded.append(torch.full_like(own, group.length))
        return torch.cat(begins), torch.cat(padded)

    def weights_of_one_run(self, group: Group) -> slice:
        """Where a group's attention weights lie in those of one run."""
        return slice(group.weights.start // self.runs, group.weights.stop // self.runs)

    def texts_of(self, group: Group) -> slice:
        """Which texts of a run are in a group."""
        return slice(group.first, group.first + group.texts // self.runs)

    def for_all_runs(self, dropped: Dropped | None) -> Dropped | None:
        """Dropout of one run's attention weights, repeated for all runs: they have the seed in common."""
        if dropped is None or (self.runs == 1 and len(dropped.keep) == self.weights):
            return dropped
        own = (dropped.keep[self.weights_of_one_run(group)] for group in self.groups)
        keep = [part.repeat(self.runs) for part in own]
        return Dropped(torch.cat(keep), dropped.scale)


@dataclass(frozen=True)
class Indices:
    """Which rows are gathered to attend, and which to come back."""

    real: Tensor  # [tokens, 1], True where a token belongs to a text
    parts: Tensor  # [3 * places], rows of ``[tokens * 3 * heads, head width]``: queries, keys, values
    rows: Tensor  # [places], rows of ``[tokens * heads, head width]``
    parts_back: Tensor  # [tokens * 3 * heads], places: the inverse of ``parts``
    rows_back: Tensor  # [tokens * heads], places: the inverse of ``rows``


def cut(lengths: NDArray[np.int64], heads: int, group_cost: int = GROUP_COST) -> Cuts:
    """The cheapest groups for sorted lengths."""
    ends = group_ends(lengths.tolist(), lambda length: heads * length**2, group_cost)
    return tuple((end, round_up(int(lengths[end - 1]), GRAIN)) for end in ends)


def cut_out(cuts: Cuts, first: int, texts: int) -> tuple[Cuts, list[tuple[int, int]]]:
    """The groups of so many neighbours, and what lies before them: texts and their length, by group."""
    own, below, begin = [], [], 0
    for end, length in cuts:
        if begin < first:
            below.append((min(end, first) - begin, length))
        if end > first and begin < first + texts:
            own.append((min(end, first + texts) - first, length))
        begin = end
    return tuple(own), below


def lay_out(
    lengths: Tensor,
    cuts: Cuts,
    tokens: int,
    heads: int,
    runs: int = 1,
    real_tokens: int | None = None,
    before: int = 0,
) -> Layout:
    """Plan attention.

    Args:
        lengths: ``[texts]``, sorted: texts of so many tokens, packed one after the other.
        cuts: of the texts into groups; no text may be longer than its group.
        tokens: of the packed batch; at the end there may be some that belong to no text.
        heads: of the model.
        runs: stacked runs, one after the other, each with all these texts.
        real_tokens: the sum of the lengths, where it is known here.
        before: attention weights of a run that come before, of the rest of the batch.
    """
    groups = []
    places = weights = first = 0
    for end, length in cuts:
        texts = (end - first) * runs
        size = texts * heads * length
        here = slice(places, places + size), slice(weights, weights + size * length)
        groups.append(Group(first, texts, length, *here))
        places, weights, first = places + size, weights + size * length, end
    starts = lengths.cumsum(0) - lengths
    return Layout(heads, runs, tokens, real_tokens, lengths, starts, tuple(groups), places, weights, before)


def index(layout: Layout) -> Indices:
    """From the lengths to the last index where they are."""
    lengths, starts, heads, runs = layout.lengths, layout.starts, layout.heads, layout.runs

    def count(number: int) -> Tensor:
        return torch.arange(number, device=lengths.device)

    head, of_run = count(heads), count(runs)[:, None]
    rows = []
    # Of every text: the place of its first token in the first run; places to the next run, to the next head.
    begins, strides, padded = [], [], []
    for group in layout.groups:
        texts, here = group.texts // runs, layout.texts_of(group)
        own = lengths[here].repeat(runs)[:, None]
        first = (starts[here] + of_run * layout.tokens).view(-1, 1)
        # A padded place repeats the text's last token; masks keep it out of everything.
        token = first + torch.minimum(count(group.length), own - 1)
        rows.append((token[:, None, :] * heads + head[:, None]).view(-1))
        area = heads * group.length
        begins.append(group.places.start + count(texts) * area)
        strides.append(torch.full_like(starts[here], texts * area))
        padded.append(torch.full_like(starts[here], group.length))
    row, part = torch.cat(rows), count(3)[:, None]
    parts = (row // heads * 3 * heads + row % heads) + part * heads
    owner = torch.searchsorted(lengths.cumsum(0), count(layout.tokens), right=True)
    real, owner = owner < len(lengths), owner.clamp(max=len(lengths) - 1)
    begin, stride, length_of = (torch.cat(each)[owner] for each in (begins, strides, padded))
    begin = begin + count(layout.tokens) - starts[owner] + of_run * stride
    place = begin[..., None] + length_of[:, None] * head
    # What belongs to no text reads the first place of its own run: another one may have diverged.
    own_run = (of_run * strides[0][0])[..., None]
    back = torch.where(real[:, None], place, own_run).view(runs * layout.tokens, heads)
    parts_back = back[:, None, :] + part * layout.places
    return Indices(real.repeat(runs)[:, None], parts.view(-1), row, parts_back.view(-1), back.view(-1))


def masks(real: Tensor) -> tuple[Tensor, Tensor]:
    """From which places are real, ``[texts, length]``, what keeps the others out.

    Returns:
        ``[texts, 1, 1, length]``, 0 or -inf: added to the scores of keys that are not real; and
        ``[texts, 1, length, 1]``, 1 or 0: queries that are real.
    """
    padding = torch.zeros(real.shape, device=real.device).masked_fill_(~real, -torch.inf)
    return padding[:, None, None, :], real.float()[:, None, :, None]


@dataclass(frozen=True)
class Dropped:
    """Dropout on something: which elements survive, and what survivors are multiplied by."""

    drawn: Tensor | Callable[[], Tensor]  # uint8, flat, 1 or 0; or what draws it
    scale: float
    # By which a kernel that needs no mask draws its bits itself (see `counter_words`), if there is one.
    key: int | Tensor | None = None
    lowest: int = 0  # of 16 bits, as a signed number: what is less is dropped
    first: int = 0  # value of the stream, where the mask is of tokens

    @cached_property
    def keep(self) -> Tensor:
        """The mask, drawn when first asked for."""
        return self.drawn if isinstance(self.drawn, Tensor) else self.drawn()

    def key_on(self, device: torch.device) -> Tensor:
        """The key as a tensor there."""
        assert self.key is not None
        if isinstance(self.key, Tensor):
            return self.key
        return torch.full((), self.key, dtype=torch.int64, device=device)

    def of(self, x: Tensor) -> Tensor:
        """``x`` with its dropped elements at 0; ``scale`` is left to whoever uses it next."""
        return x * self.keep.view(x.shape[-2:]).to(x.dtype)  # stacked runs have one mask for all of them
