"""Learning-rate schedule: warmup, then one of several ways down; linear decay to 0 by default.

Paper   Devlin et al., BERT, 2019 (1810.04805), appendix A; Goyal et al. 2017 (1706.02677) for warmup. One
        cycle: Smith & Topin, Super-Convergence (1708.07120). Warmup, stable, decay ("wsd"): MiniCPM
        (2404.06395).
Idea    Small first steps while Adam's moments are still poor estimates; small last ones so that the weights
        settle. Shapes differ in how long the rate stays high between.
Off     ``warmup_ratio=0.0, shape="linear", floor=0.0``: linear decay from the first step.
Exactly Of T steps, W = ceil(warmup_ratio * T) warm up. The factor at step t, counted from 0, is t / W below
        W. So with warmup the first step has rate 0, as in transformers'
        ``get_linear_schedule_with_warmup``. From W on, with u = (t - W) / (T - W):
        ``linear`` 1 - u; ``constant`` 1; ``cosine`` (1 + cos(pi u)) / 2;
        ``inverse-sqrt`` sqrt(V / (t + V - W)), V = max(W, 1);
        ``wsd`` 1 until u = 1 - s, then 1 - (u - 1 + s) / s, where s is ``decay_share``;
        ``one-cycle`` as torch's ``OneCycleLR``: by cosine from 1/25 to 1 at step 0.3 T - 1, then by cosine
        to 1e-4/25 at step T - 1. It has a warmup of its own, so ``warmup_ratio`` with it is refused.
        ``floor`` f makes f + (1 - f) * factor of every factor after the warmup.
Differs ``OneCycleLR`` also cycles Adam's beta1, unless told ``cycle_momentum=False``; we leave beta1 alone.
        transformers' inverse square root has a time scale of 10,000 steps where there is no warmup; ours is
        then one step, and the rate falls at once: give it a warmup.
Note    Shapes differ in the mean of their factors: constant 1, ``wsd`` with 0.2 0.9, linear and cosine 0.5.
        So a shape at a fixed rate is also a higher or lower rate: vary ``optimizer.rate`` beside it, and
        read the interaction. `finegrid plan` prints the mean factor beside each shape. ``decay_share`` is
        inert but for ``wsd``.
Reduces The loss stays the mean over a batch's texts.
Evidence A that warmup prevents runs that fail to learn; on the mean of those that learn it does little. Of
        shapes that end low, differences are within noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import Lang
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo

Shape = Literal["linear", "constant", "cosine", "inverse-sqrt", "wsd", "one-cycle"]
# Of one cycle, torch's defaults: the share of steps that rise, and what the peak is divided by.
RISING, FIRST, LAST = 0.3, 25.0, 25.0 * 1e4
MEAN_FACTOR: dict[Lang, str] = {
    "en": "mean factor {factor:.2f} in {steps:,} steps",
    "zh": "{steps:,} 步的平均系数为 {factor:.2f}",
}


@dataclass(frozen=True, config=STRICT)
class Schedule(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "warmup",
            ("warmup_ratio",),
            "schedules",
            "A",
            synonyms=("warm-up", "warmup_proportion"),
            chinese=("预热", "学习率预热", "热身"),
        ),
        Listing(
            "schedule shape",
            ("shape", "decay_share", "floor"),
            "schedules",
            "A",
            synonyms=("lr_scheduler_type", "cosine", "OneCycleLR", "WSD", "constant", "min_lr"),
            chinese=("调度形状", "学习率调度", "学习率衰减", "余弦退火", "余弦", "线性衰减", "单周期"),
        ),
    )
    always: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "warmup_ratio": (0.0, 0.1),
        "shape": (),
        "floor": (0.0, 0.1),
    }
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "warmup_ratio": {"rates": "all"},
        "shape": {"rates": "all"},
        "decay_share": {"rates": "all"},
        "floor": {"rates": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {
        "warmup_ratio": "nothing",
        "shape": "nothing",
        "decay_share": "nothing",
        "floor": "nothing",
    }

    warmup_ratio: Annotated[float, Field(ge=0, lt=1, description="share of all steps with rising rate")] = 0.0
    shape: Annotated[Shape, Field(description="how the rate goes on after the warmup")] = "linear"
    decay_share: Annotated[
        float, Field(gt=0, le=1, description="of the steps after the warmup, those in which wsd decays")
    ] = 0.2
    floor: Annotated[float, Field(ge=0, lt=1, description="what the factor falls to, instead of 0")] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if self.shape != "one-cycle" or not self.warmup_ratio:
            return []
        what = (
            f"one-cycle with warmup_ratio {self.warmup_ratio:g}, but one-cycle has a warmup of its own. "
            "Leave the ratio at 0 with it."
        )
        return [Problem('"schedule.shape" + "schedule.warmup_ratio"', what)]

    def explain_level(
        self, factor: str, checkpoint: CheckpointInfo | None, steps: int, lang: Lang = "en"
    ) -> str:
        if factor != "shape":
            return ""
        return MEAN_FACTOR[lang].format(factor=self.mean_factor(steps), steps=steps)

    def mean_factor(self, total: int) -> float:
        """Of all steps of a run: at equal rates, how high a schedule is on the whole."""
        return sum(self.rate_factor(step, total) for step in range(total)) / total

    def rate_factor(self, step: int, total: int) -> float:
        # Rounded first: 0.07 * 100 is 7.000000000000001, and must not warm up for 8 steps.
        warmup = math.ceil(round(self.warmup_ratio * total, 9))
        if self.shape == "one-cycle":
            return self._cycle(step, total)
        if step < warmup:
            return step / warmup
        return self._raise(self._decay(step, warmup, total))

    def _decay(self, step: int, warmup: int, total: int) -> float:
        """The factor after the warmup."""
        if self.shape == "constant":
            return 1.0
        if self.shape == "inverse-sqrt":
            scale = max(warmup, 1)
            return math.sqrt(scale / (step + scale - warmup))
        if self.shape == "cosine":
            return (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
        left = (total - step) / (total - warmup)
        return min(1.0, left / self.decay_share) if self.shape == "wsd" else left

    def _cycle(self, step: int, total: int) -> float:
        top, end = RISING * total - 1, total - 1
        if step <= top:
            return anneal(1 / FIRST, 1.0, step / top)
        return self._raise(anneal(1.0, 1 / LAST, (step - top) / (end - top)))

    def _raise(self, factor: float) -> float:
        return self.floor + (1 - self.floor) * factor if self.floor else factor


def anneal(first: float, last: float, share: float) -> float:
    """From one value to another along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
