"""Which tokens of its text a token attends to, and how scores are scaled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sight:
    """Of one attention: all of a text, what came before, or a window."""

    scale: float | None = None  # of the scores; None: 1 / sqrt(head width)
    causal: bool = False  # a token sees itself and those before it
    window: int | None = None  # and those that are fewer than so many away

    @property
    def whole(self) -> bool:
        """Whether a token sees all of its text."""
        return not self.causal and self.window is None

    def scale_for(self, width: int) -> float:
        return width**-0.5 if self.scale is None else self.scale

    def keys_of(self, first: int, end: int, keys: int) -> tuple[int, int]:
        """Where those begin and end that any of the queries ``first`` to ``end`` sees, of so many."""
        start = 0 if self.window is None else max(0, first - self.window + 1)
        if self.causal:
            keys = min(keys, end)
        return start, keys if self.window is None else min(keys, end + self.window - 1)

    def seen(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Whether a query sees a key, by their places in the text."""
        away = queries - keys
        seen = torch.ones_like(away, dtype=torch.bool)
        if self.causal:
            seen &= away >= 0
        if self.window is not None:
            seen &= away.abs() < self.window
        return seen


WHOLE = Sight()
