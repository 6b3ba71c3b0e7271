"""Dropout whose masks come from named streams, one stream per step and site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from finegrid.model.kernels.counter import counter_words
from finegrid.model.kernels.layout import Dropped, Portion, Unit
from finegrid.model.kernels.operations import kernels
from finegrid.streams import Streams

LEVELS = 1 << 16  # 16 random bits per mask: 8 would turn a rate of 0.1 into 0.1016
# Of a site: how many passes it has seen of which step, by shard and the first text of a portion.
Passes = dict[tuple[int, int], tuple[int | None, int]]
# Which shard of a batch this thread works on: each has masks of its own, whichever thread comes first.
SHARD: ContextVar[int] = ContextVar("SHARD", default=0)


class Notes:
    """The masks that a part of a forward pass draws, in order, for when it is computed once more."""

    def __init__(self) -> None:
        self.masks: list[DropoutMask | None] = []
        self._next: int | None = None  # to be drawn again; None: they are noted down

    @contextmanager
    def note_down(self) -> Iterator[None]:
        """Note down what is drawn inside."""
        yield from self._open(None)

    @contextmanager
    def replay(self) -> Iterator[None]:
        """Draw inside what was noted down: no pass counts as made."""
        yield from self._open(0)

    def _open(self, first: int | None) -> Iterator[None]:
        self._next = first
        token = NOTES.set(self)
        try:
            yield
        finally:
            NOTES.reset(token)

    @property
    def replaying(self) -> bool:
        return self._next is not None

    def add(self, mask: DropoutMask | None) -> None:
        self.masks.append(mask)

    def take(self) -> DropoutMask | None:
        assert self._next is not None  # see `replaying`
        self._next += 1
        return self.masks[self._next - 1]


NOTES: ContextVar[Notes | None] = ContextVar("NOTES", default=None)


@dataclass
class MaskBook:
    """The masks of one step, drawn once for all runs of a family: they have the seed in common."""

    step: int = -1
    masks: dict[tuple[str, int, int], Tensor] = field(default_factory=dict)  # by site, dropped, count

    def turn_to_(self, step: int) -> None:
        if step != self.step:
            self.step = step
            self.masks.clear()


@dataclass(frozen=True)
class CapturedKeys:
    """A step whose masks are drawn by keys that lie in tensors: a captured step reads them anew each time."""

    step: int
    keys: Mapping[str, Tensor]  # of the step's streams, by site


@dataclass(frozen=True)
class DropoutMask:
    """A mask that can be drawn at any time: of values of a stream, whose name and key are settled."""

    clock: Clock
    step: int
    site: str
    dropped: int  # of LEVELS
    first: int  # value of the stream
    count: int
    device: torch.device
    key: Tensor | None  # of a captured step

    def draw(self) -> Dropped:
        """What is dropped. Where kernels draw masks, it is drawn when it is asked for: some need none."""
        scale = LEVELS / (LEVELS - self.dropped)  # of survivors: it keeps the expectation
        if kernels(self.device) is None:
            return Dropped(self.clock.keep(self), scale)
        key, lowest = self.clock.key(self), self.dropped - LEVELS // 2
        return Dropped(lambda: self.clock.keep(self), scale, key, lowest, self.first)


@dataclass
class Clock:
    """Which step of which run the masks are drawn for. One clock is shared by all sites of a model.

    A forward pass is given its step and turns the clock to it; nobody else has to.
    """

    streams: Streams
    step: int | None = None  # None: of a pass that was given none, and then nothing can be drawn
    book: MaskBook | None = None  # of the run's family, if it has company
    keys: Mapping[str, Tensor] | None = None  # of a captured step
    portion: Portion | None = None  # of the step's batch; None: all of it

    def turn_to_(self, step: int | CapturedKeys | None, portion: Portion | None = None) -> None:
        """Draw for this step from now on; counted from 0. ``portion``: that a pass reads of its batch."""
        self.portion = portion
        if isinstance(step, CapturedKeys):
            self.step, self.keys = step.step, step.keys
        else:
            self.step, self.keys = step, None

    def mask(self, site: str, dropped: int, first: int, count: int, device: torch.device) -> DropoutMask:
        """Of a site, for a pass that is made now: see `DropoutMask`."""
        if self.step is None:
            raise ValueError(f"dropout at {site}: a forward pass in training needs its step")
        key = None if self.keys is None else self.keys[site]
        return DropoutMask(self, self.step, site, dropped, first, count, device, key)

    def draw(self, site: str, dropped: int, count: int, device: torch.device) -> Dropped:
        """What is drawn once a step, however many passes and portions it has, and whoever asks.

        Args:
            site: the name of the stream; captured steps must know it.
            dropped: of `LEVELS`.
            count: how many.
            device: where they are.
        """
        return self.mask(site, dropped, 0, count, device).draw()

    def keep(self, mask: DropoutMask) -> Tensor:
        """``[count]`` of 1 or 0, uint8: 0 for ``dropped`` of 65,536 values."""
        # Of portions nothing is kept: it would come to the masks of a whole batch.
        if self.book is None or self.portion is not None:
            return self._draw(mask)
        self.book.turn_to_(mask.step)
        key = mask.site, mask.dropped, mask.count
        if key not in self.book.masks:
            self.book.masks[key] = self._draw(mask)
        return self.book.masks[key]

    def key(self, mask: DropoutMask) -> int | Tensor:
        """Of the stream that a mask's values are from."""
        return self.streams.key(f"dropout/{mask.step}/{mask.site}") if mask.key is None else mask.key

    def forget_(self) -> None:
        """Draw this step's masks anew, whoever has seen them."""
        if self.book is not None:
            self.book.turn_to_(-1)

    def _draw(self, mask: DropoutMask) -> Tensor:
        count, device = mask.count, mask.device
        before, skipped = divmod(mask.first, 4)  # a word has four values
        words, part = -(-(skipped + count) // 4), slice(skipped, skipped + count)
        key = self.key(mask)
        if (found := kernels(device)) is not None:
            keep: Tensor = found.draw_keep(key, mask.dropped, count, device, mask.first)
            return keep
        bits = counter_words(key, words, device, before).view(torch.int16)[part]
        # int16 spans -32768 to 32767: the comparison drops exactly `dropped` of the 65,536 values. In place,
        # it stays int16, which torch compares and converts ten times faster than it makes bools.
        return bits.ge_(mask.dropped - LEVELS // 2).to(torch.uint8)


class Dropout(nn.Module):
    """One dropout site. Inactive in ``eval`` mode, at rate 0, and once ``silenced``."""

    def __init__(self, site: str, rate: float, clock: Clock, unit: Unit = "token") -> None:
        super().__init__()
        self.site = site
        self.unit = unit
        self.drop_(rate)
        self.clock = clock
        self.silenced = False
        # By shard and portion, step and passes: a second pass in one step (two views of a batch) gets masks
        # of its own.
        self._calls: Passes = {}

    def drop_(self, rate: float) -> None:
        """Drop at this rate from now on. What a rate drops, a higher one drops too: draws are the same."""
        self.dropped = round(rate * LEVELS)  # of LEVELS

    @property
    def active(self) -> bool:
        return self.training and not self.silenced and self.dropped > 0

    def draw(self, count: int, device: torch.device, before: int | None = None) -> Dropped | None:
        """A mask for one pass of ``count`` elements; None where nothing is dropped.

        Args:
            count: how many.
            device: where they are.
            before: of those that the whole batch has, how many come before them, where that does not follow
                from what the site has values of.
        """
        notes = NOTES.get()
        if notes is not None and notes.replaying:
            mask = notes.take()
        else:
            mask = self.mask(count, device, before)
            if notes is not None:
                notes.add(mask)
        return None if mask is None else mask.draw()

    def draw_once(self, count: int, device: torch.device) -> Dropped | None:
        """A mask that all passes of a step have in common; None where nothing is dropped."""
        return self.clock.draw(self.site, self.dropped, count, device) if self.active else None

    def mask(self, count: int, device: torch.device, before: int | None = None) -> DropoutMask | None:
        """What `draw` draws, yet to be drawn: the pass counts as made. Arguments as there."""
        if not self.active:
            return None
        shard, portion = SHARD.get(), self.clock.portion
        key = shard, 0 if portion is None else portion.first_text
        step, passes = self._calls.get(key, (-1, 0))
        passes = passes + 1 if step == self.clock.step else 0
        self._calls[key] = (self.clock.step, passes)
        site = name_pass(self.site, passes) + (f"/shard-{shard}" if shard else "")
        if before is None:
            before = 0 if portion is None else portion.before(self.unit, count)
        return self.clock.mask(site, self.dropped, before, count, device)

    @property
    def passes(self) -> Passes:
        """Those that were made, to come back to."""
        return dict(self._calls)

    def forget_(self, since: Passes | None = None) -> None:
        """Take what comes next for the first pass of its step, or for the one after these."""
        self._calls = dict(since or {})

    def forward(self, x: Tensor) -> Tensor:
        dropped = self.draw(x.numel(), x.device)
        return x if dropped is None else x * dropped.keep.view_as(x).to(x.dtype).mul_(dropped.scale)

    def extra_repr(self) -> str:
        return f"{self.site}, rate={self.dropped / LEVELS:g}"


def skipped_layers(sites: Sequence[Dropout], layers: range) -> frozenset[int]:
    """Which of some layers a step leaves out.

    Args:
        sites: of every layer as a whole; none where no layer is ever left out.
        layers: that a pass is over; others are not asked.
    """
    cpu = torch.device("cpu")  # a GPU would have to be waited for
    drawn = {index: sites[index].draw_once(1, cpu) for index in layers if sites}
    return frozenset(index for index, one in drawn.items() if one is not None and not int(one.keep))


def name_pass(site: str, number: int) -> str:
    """The stream of a site's masks in a pass (from 0) of one step: every view has masks of its own."""
    return f"{site}/{number}" if number else site
