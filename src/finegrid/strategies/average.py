"""Predict with averaged weights: of the latest steps, of the latest epochs, or of the best ones.

Paper   ``ema``: Polyak & Juditsky, Acceleration of stochastic approximation by averaging, 1992. ``lawa``:
        2209.14981, latest weight averaging. ``last``: the same at the ends of epochs; cf. 2212.05956, SWA
        for pre-trained language models. ``soup``: Wortsman et al., Model soups, 2022, here of one run.
Idea    Late in training weights wander around a better point; their mean is nearer to it.
Off     ``ema=0, last=1, lawa=0, soup=0``.
Exactly ``ema`` s, of T steps: m = d m + (1 - d) theta after each update, with d = 1 - 1 / (s T), and at
        update t (from 0) not above t / (t + 1): the plain mean of all so far until the window is full, so
        that the random head is not in it. A window s of 0.05 of 300 steps is d = 0.933.
        ``last`` k: at epoch e, the mean of the weights at the ends of the last min(k, e) epochs.
        ``lawa`` s: the mean of the latest 5 snapshots, one every s T / 5 steps.
        ``soup`` k: of the k epochs that are best on dev, best first, one joins the mean if dev does not fall.
Differs Papers tell EMA's decay d; a window is told here, since d = 0.999 would leave 74 % of the start after
        300 steps. Others begin with (1 + t) / (10 + t), under which no window is longer than a ninth of
        the run, so that levels above that would be one and the same. Soups are usually of several runs;
        those of one run share its head, which others do not.
Note    Free: all levels are scored in one run, and each chooses its epoch on dev by itself. That costs a pass
        over dev after every epoch, and copies of the weights. A soup uses dev more than once; the record
        says how often. Means are of the weights that train.
Reduces The loss stays the mean over a batch's texts; training is not touched.
Evidence B for ``ema``: a common default. B/D for ``last``, ``lawa`` and ``soup``: mixed for fine-tuning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Listing, Price, UsualLevels
from finegrid.strategies.scoring import Averaging, EpochEnds, FreePart, Moving, Scoring, Snapshots

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class Average(FreePart):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "moving average",
            ("ema",),
            "free",
            "B",
            synonyms=("EMA", "exponential moving average", "Polyak"),
            chinese=("滑动平均", "指数滑动平均", "指数移动平均", "移动平均"),
        ),
        Listing(
            "average of the last epochs",
            ("last",),
            "free",
            "B/D",
            synonyms=("SWA", "stochastic weight averaging", "checkpoint averaging"),
            chinese=("最近几轮的平均", "随机权重平均", "检查点平均"),
        ),
        Listing(
            "latest weight averaging",
            ("lawa",),
            "free",
            "B/D",
            synonyms=("LAWA", "checkpoint averaging"),
            chinese=("最近权重平均", "最新权重平均"),
        ),
        Listing(
            "greedy soup",
            ("soup",),
            "free",
            "B/D",
            synonyms=("model soup", "weight averaging"),
            chinese=("贪心模型汤", "模型汤", "权重平均"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "ema": (0.0, 0.05),
        "last": (1, 3),
        "lawa": (0.0, 0.2),
        "soup": (0, 3),
    }
    prices: ClassVar[Mapping[str, Price]] = dict.fromkeys(("ema", "last", "lawa", "soup"), "nothing")

    ema: Annotated[float, Field(ge=0, le=1, description="window of a moving average, of all steps")] = 0.0
    last: Annotated[int, Field(ge=1, description="epochs whose ends are averaged")] = 1
    lawa: Annotated[float, Field(ge=0, le=1, description="window of five snapshots, of all steps")] = 0.0
    soup: Annotated[int, Field(ge=0, description="best epochs that a greedy soup is made of")] = 0

    def score_by(self, scoring: Scoring) -> Scoring:
        averaging: Averaging | None = scoring.averaging
        if self.ema:
            averaging = Moving(self.ema)
        elif self.last > 1:
            averaging = EpochEnds(self.last)
        elif self.lawa:
            averaging = Snapshots(self.lawa)
        return replace(scoring, averaging=averaging, soup=self.soup)

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        asked = {"ema": self.ema > 0, "last": self.last > 1, "lawa": self.lawa > 0, "soup": self.soup > 0}
        on = [f'"average.{name}"' for name, acts in asked.items() if acts]
        if len(on) < 2:
            return []
        return [Problem(" + ".join(on), "two kinds of averages, but one set of weights predicts. Keep one.")]
