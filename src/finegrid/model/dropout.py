"""Dropout whose masks come from named streams, one stream per step and site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from finegrid.streams import Streams

LEVELS = 1 << 16  # 16 random bits per mask: 8 would turn a rate of 0.1 into 0.1016


@dataclass
class Clock:
    """Which step of which run the masks are drawn for. One clock is shared by all sites of a model."""

    streams: Streams
    step: int = 0


class Dropout(nn.Module):
    """One dropout site. Inactive in ``eval`` mode, at rate 0, and once ``silenced``."""

    def __init__(self, site: str, rate: float, clock: Clock) -> None:
        super().__init__()
        self.site = site
        self.dropped = round(rate * LEVELS)  # of LEVELS
        self.clock = clock
        self.silenced = False
        self._calls = (-1, 0)  # a second pass within one step (two views of a batch) gets masks of its own

    @property
    def active(self) -> bool:
        return self.training and not self.silenced and self.dropped > 0

    @property
    def scale(self) -> float:
        """What survivors are multiplied by, so that the expectation stays."""
        return LEVELS / (LEVELS - self.dropped)

    def mask(self, count: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """``[count]`` factors, 0 or ``scale``, for one pass over this site."""
        step, passes = self._calls
        passes = passes + 1 if step == self.clock.step else 0
        self._calls = (self.clock.step, passes)
        name = f"dropout/{self.clock.step}/{self.site}" + (f"/{passes}" if passes else "")
        words = self.clock.streams.bits(name, -(-count // 4))
        bits = torch.from_numpy(words.view(np.int16)[:count])
        # int16 spans -32768 to 32767: the comparison drops exactly `dropped` of the 65,536 values.
        keep = bits.to(device, non_blocking=True) >= self.dropped - LEVELS // 2
        return keep.to(dtype).mul_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x
        return x * self.mask(x.numel(), x.device, x.dtype).view_as(x)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """``dropout(x) + residual`` in one pass over memory."""
        if not self.active:
            return x + residual
        return torch.addcmul(residual, x, self.mask(x.numel(), x.device, x.dtype).view_as(x))

    def extra_repr(self) -> str:
        return f"{self.site}, rate={self.dropped / LEVELS:g}"
