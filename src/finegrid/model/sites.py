"""Dropout inside transformers' modules, with finegrid's masks.

Masks are those of the packed batch, whatever shape the encoder gives its vectors: a token keeps what it
would keep in a packed pass.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from finegrid.model.dropout import NOTES, Clock, Dropout, DropoutMask, Passes
from finegrid.model.kernels.layout import Dropped
from finegrid.model.passing import Pass, current_pass

# What a site drops: vectors of tokens, attention weights, or something that the texts of a batch share.
SiteKind = Literal["hidden", "attention", "shared"]


class HostedDropout(Dropout):
    """A site of an encoder that transformers computes."""

    def __init__(self, site: str, rate: float, clock: Clock, kind: SiteKind) -> None:
        super().__init__(site, rate, clock, "token" if kind == "hidden" else "other")
        self.kind = kind
        self._drawn: list[tuple[DropoutMask, Dropped]] = []  # in this pass, by calls
        self._at = (-1, -1)  # the pass and the bucket of the last call
        self._call = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x
        current = current_pass()
        if current.below:
            return x  # not read: the level above it is known
        dropped = self.of_pass(current, x)
        return x * self._shape(dropped, current, x).to(x.dtype).mul_(dropped.scale)

    def of_pass(self, current: Pass, x: Tensor) -> Dropped:
        """What this call of the site drops of the whole batch: the same in all its buckets."""
        counts = {
            "hidden": current.tokens * x.shape[-1],
            "attention": current.layout.weights,
            "shared": x.numel(),
        }
        before = current.layout.before if self.kind == "attention" else None
        about = counts[self.kind], x.device, before
        notes = NOTES.get()
        if current.bucket is None or (notes is not None and notes.replaying):
            drawn = self.draw(*about)
            assert drawn is not None  # it is active
            return drawn
        number, first = current.number, current.bucket.group.first
        if number != self._at[0]:
            self._drawn.clear()
        self._call = self._call + 1 if (number, first) == self._at else 0
        self._at = number, first
        if self._call == len(self._drawn):
            mask = self.mask(*about)
            assert mask is not None  # it is active
            self._drawn.append((mask, mask.draw()))
        mask, drawn = self._drawn[self._call]
        if notes is not None:
            notes.add(mask)
        return drawn

    def _shape(self, dropped: Dropped, current: Pass, x: Tensor) -> Tensor:
        bucket, keep = current.bucket, dropped.keep
        if bucket is None or self.kind == "shared":
            return keep.view_as(x)
        if self.kind == "hidden":
            return bucket.pad(keep.view(current.tokens, -1)).view_as(x)
        return keep[bucket.group.weights].view_as(x)

    def forget_(self, since: Passes | None = None) -> None:
        super().forget_(since)
        self._drawn.clear()
        self._at = (-1, -1)


def kind_of(shape: torch.Size, texts: int, length: int) -> SiteKind:
    """What a site drops that sees a tensor of this shape in a pass over so many texts of one length."""
    if len(shape) == 4 and shape[0] == texts and shape[-2:] == (length, length):
        return "attention"
    return "hidden" if len(shape) == 3 and shape[:2] == (texts, length) else "shared"
