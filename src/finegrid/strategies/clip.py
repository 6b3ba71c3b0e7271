"""Clip gradients whose norm over all tensors of a run is too long.

Paper   Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013 (1211.5063).
Idea    A few batches have gradients many times as long as the others'. Shorten those, keep their direction.
Off     ``norm=0.0``: nothing is clipped.
Exactly n is the root of the sum of the squares of all gradients of the run, right before the update. With
        c = ``norm``, every gradient is multiplied by min(1, c / (n + 1e-6)), as torch's
        ``clip_grad_norm_`` does. Of stacked runs, each has a norm of its own. A norm that is not finite ends
        the run as diverged: where steps are captured once its epoch is over, else at once.
Differs Hugging Face's Trainer clips at 1.0 unless told otherwise. Some codes clip every tensor by its own
        norm, which is another strategy.
Note    To Adam a constant factor on all gradients is the same as none. So clipping only weighs steps within
        its moments, and a limit that clips every step does nearly nothing, as one that clips none does
        nothing. The ledger keeps the share of steps that were clipped, and the verdict warns of both.
Reduces The loss stays the mean over a batch's texts; the norm is that of the gradient of this mean.
Evidence B: a default of many trainers; it helps against divergence, and rarely moves the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, config=STRICT)
class Clip(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "gradient clipping",
            ("norm",),
            "gradients",
            "B",
            synonyms=("max_grad_norm", "clip_grad_norm", "gradient norm"),
            chinese=("梯度裁剪", "梯度截断", "梯度范数"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"norm": (0.0, 1.0)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"norm": {"gradients": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"norm": "nothing"}

    norm: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="the longest gradient of a run; 0 clips none")
    ] = 0.0

    def change_gradients_(self, gradients: list[Tensor]) -> Tensor | None:
        if self.norm == 0:
            return None
        import torch

        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        share = self.norm / (norm + 1e-6)
        torch._foreach_mul_(gradients, share.clamp(max=1.0))
        clipped: Tensor = (share < 1) + 0 * norm  # nan where the norm is not finite
        return clipped
