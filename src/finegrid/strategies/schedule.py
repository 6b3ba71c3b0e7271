"""Learning-rate schedule: linear warmup, then linear decay to 0.

Paper   Devlin et al., BERT, 2019 (1810.04805), appendix A; Goyal et al. 2017 (1706.02677) for warmup.
Idea    Small first steps while Adam's moments are still poor estimates.
Off     ``warmup_ratio=0.0``: linear decay from the first step.
Exactly Of T steps, W = ceil(warmup_ratio * T) warm up. The factor at step t, counted from 0, is t / W below
        W, then (T - t) / (T - W). So with warmup the first step has rate 0, as in transformers'
        ``get_linear_schedule_with_warmup``.
Reduces The loss stays the mean over a batch's texts.
Evidence A that warmup prevents runs that fail to learn; on the mean of those that learn it does little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Strategy


@dataclass(frozen=True, config=STRICT)
class Schedule(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing("warmup", ("warmup_ratio",), "schedules", "A", synonyms=("warm-up", "warmup_proportion")),
    )
    always: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {"warmup_ratio": (0.0, 0.1)}
    touches: ClassVar[Mapping[str, Claim]] = {"warmup_ratio": {"rates": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"warmup_ratio": "nothing"}

    warmup_ratio: Annotated[float, Field(ge=0, lt=1, description="share of all steps with rising rate")] = 0.0

    def rate_factor(self, step: int, total: int) -> float:
        # Rounded first: 0.07 * 100 is 7.000000000000001, and must not warm up for 8 steps.
        warmup = math.ceil(round(self.warmup_ratio * total, 9))
        if step < warmup:
            return step / warmup
        return (total - step) / (total - warmup)
