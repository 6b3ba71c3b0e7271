"""Dropout whose masks come from named streams, one stream per step and site."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from finegrid.model.kernels.counter import counter_words
from finegrid.model.kernels.layout import Dropped
from finegrid.model.kernels.operations import kernels
from finegrid.streams import Streams

LEVELS = 1 << 16  # 16 random bits per mask: 8 would turn a rate of 0.1 into 0.1016
# Which shard of a batch this thread works on: each has masks of its own, whichever thread comes first.
SHARD: ContextVar[int] = ContextVar("SHARD", default=0)


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


@dataclass
class Clock:
    """Which step of which run the masks are drawn for. One clock is shared by all sites of a model.

    A forward pass is given its step and turns the clock to it; nobody else has to.
    """

    streams: Streams
    step: int | None = None  # None: of a pass that was given none, and then nothing can be drawn
    book: MaskBook | None = None  # of the run's family, if it has company
    keys: Mapping[str, Tensor] | None = None  # of a captured step

    def turn_to_(self, step: int | CapturedKeys | None) -> None:
        """Draw for this step from now on; counted from 0."""
        if isinstance(step, CapturedKeys):
            self.step, self.keys = step.step, step.keys
        else:
            self.step, self.keys = step, None

    def keep(self, site: str, dropped: int, count: int, device: torch.device) -> Tensor:
        """``[count]`` of 1 or 0, uint8: 0 for ``dropped`` of 65,536 values."""
        if self.step is None:
            raise ValueError(f"dropout at {site}: a forward pass in training needs its step")
        if self.book is None:
            return self._draw(site, dropped, count, device)
        self.book.turn_to_(self.step)
        if (site, dropped, count) not in self.book.masks:
            self.book.masks[site, dropped, count] = self._draw(site, dropped, count, device)
        return self.book.masks[site, dropped, count]

    def key(self, site: str, device: torch.device) -> int | Tensor | None:
        """By which a kernel draws this step's mask by itself; None where there is no such kernel."""
        if self.step is None or kernels(device) is None:
            return None
        return self._key(site)

    def forget_(self) -> None:
        """Draw this step's masks anew, whoever has seen them."""
        if self.book is not None:
            self.book.turn_to_(-1)

    def _draw(self, site: str, dropped: int, count: int, device: torch.device) -> Tensor:
        words = -(-count // 4)
        if self.keys is not None or device.type == "cuda":  # sending masks over would take longer than a step
            key = self._key(site)
            if (fused := kernels(device)) is not None:
                keep: Tensor = fused.draw_keep(key, dropped, count, device)
                return keep
            bits = counter_words(key, words, device).view(torch.int16)[:count]
        else:
            own = self.streams.bits(f"dropout/{self.step}/{site}", words)
            bits = torch.from_numpy(own.view(np.int16)[:count])
        # int16 spans -32768 to 32767: the comparison drops exactly `dropped` of the 65,536 values. In place,
        # it stays int16, which torch compares and converts ten times faster than it makes bools.
        return bits.ge_(dropped - LEVELS // 2).to(torch.uint8)

    def _key(self, site: str) -> int | Tensor:
        return self.streams.key(f"dropout/{self.step}/{site}") if self.keys is None else self.keys[site]


class Dropout(nn.Module):
    """One dropout site. Inactive in ``eval`` mode, at rate 0, and once ``silenced``."""

    def __init__(self, site: str, rate: float, clock: Clock) -> None:
        super().__init__()
        self.site = site
        self.drop_(rate)
        self.clock = clock
        self.silenced = False
        # By shard, step and passes: a second pass in one step (two views of a batch) gets masks of its own.
        self._calls: dict[int, tuple[int | None, int]] = {}

    def drop_(self, rate: float) -> None:
        """Drop at this rate from now on. What a rate drops, a higher one drops too: draws are the same."""
        self.dropped = round(rate * LEVELS)  # of LEVELS

    @property
    def active(self) -> bool:
        return self.training and not self.silenced and self.dropped > 0

    def draw(self, count: int, device: torch.device, later: bool = False) -> Dropped | None:
        """A mask for one pass of ``count`` elements; None where nothing is dropped.

        Args:
            count: of elements.
            device: where they are.
            later: whether a kernel may draw it by itself, so that it is drawn here only if it is asked for.
        """
        if not self.active:
            return None
        shard = SHARD.get()
        step, passes = self._calls.get(shard, (-1, 0))
        passes = passes + 1 if step == self.clock.step else 0
        self._calls[shard] = (self.clock.step, passes)
        site = name_pass(self.site, passes) + (f"/shard-{shard}" if shard else "")
        # The scale of survivors keeps the expectation.
        scale = LEVELS / (LEVELS - self.dropped)
        about = site, self.dropped, count, device
        key = self.clock.key(site, device) if later else None
        if key is None:
            return Dropped(self.clock.keep(*about), scale)
        return Dropped(lambda: self.clock.keep(*about), scale, key, self.dropped - LEVELS // 2)

    def forget_(self) -> None:
        """Take what comes next for the first pass of its step."""
        self._calls.clear()

    def forward(self, x: Tensor) -> Tensor:
        dropped = self.draw(x.numel(), x.device)
        return x if dropped is None else x * dropped.keep.view_as(x).to(x.dtype).mul_(dropped.scale)

    def extra_repr(self) -> str:
        return f"{self.site}, rate={self.dropped / LEVELS:g}"


def name_pass(site: str, number: int) -> str:
    """The stream of a site's masks in a pass (from 0) of one step: every view has masks of its own."""
    return f"{site}/{number}" if number else site
