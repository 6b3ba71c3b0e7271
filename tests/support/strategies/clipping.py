"""Gradient clipping by the norm over all tensors of a run.

Paper   Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013 (1211.5063).
Idea    g *= min(1, limit / (|g| + 1e-6)), right before the update, as ``torch.nn.utils.clip_grad_norm_``.
Off     ``limit=0.0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Price
from finegrid.strategies.seams import Strategy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, config=STRICT)
class Clipping(Strategy):
    touches: ClassVar[Mapping[str, Claim]] = {"limit": {"gradients": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"limit": "nothing"}

    limit: float = 0.0

    def change_gradients_(self, gradients: list[Tensor]) -> None:
        import torch

        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, torch.clamp(self.limit / (norm + 1e-6), max=1.0))
