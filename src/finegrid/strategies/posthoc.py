"""What is done after training: which epoch counts, and what becomes of its logits.

Paper   ``tau``: Menon et al., Long-tail learning via logit adjustment, 2021 (2007.07314), the post-hoc form.
        ``temperature``: Guo et al., On Calibration of Modern Neural Networks, 2017.
Idea    Frequent classes have logits that are too high where all classes count alike; and logits of a network
        that was trained to the end are too far apart.
Off     ``epoch="best", tau=0, temperature="none"``.
Exactly ``epoch`` last: the last one counts, whatever dev says. ``tau``: logits z - tau log(pi), with pi the
        shares of the training texts that the classes have, before dev chooses the epoch. A class without
        training texts is taken to be as frequent as the most frequent one. ``temperature`` dev: logits / T
        with the T (0.05 to 20) that makes the mean log loss of dev smallest, at the epoch that was chosen.
Differs As the papers. ``tau`` of the loss adjusts training instead: use one of the two.
Note    Free: all levels are scored in one run. A temperature changes no answer, and so no score; log loss and
        Brier score show it. What `finegrid fit` keeps has both in the last layer of the head.
Reduces The loss stays the mean over a batch's texts; training is not touched.
Evidence A for ``temperature`` (calibration) and for ``tau`` (imbalance); ``epoch`` D: within noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Listing, Price, UsualLevels
from finegrid.strategies.scoring import FreePart, Scoring

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class Posthoc(FreePart):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "last or best epoch",
            ("epoch",),
            "free",
            "D",
            synonyms=("early stopping", "load_best_model"),
            chinese=("最后一轮或最佳轮", "最佳轮次", "最后一轮", "最优检查点"),
        ),
        Listing(
            "logit adjustment after training",
            ("tau",),
            "free",
            "A",
            synonyms=("prior correction", "threshold"),
            chinese=("训练后的 logit 校正", "先验校正", "阈值"),
        ),
        Listing(
            "temperature",
            ("temperature",),
            "free",
            "A",
            synonyms=("calibration", "temperature scaling"),
            chinese=("温度", "温度缩放", "校准", "概率校准"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"epoch": (), "tau": (0.0, 1.0), "temperature": ()}
    prices: ClassVar[Mapping[str, Price]] = dict.fromkeys(("epoch", "tau", "temperature"), "nothing")
    keeps_answers: ClassVar[frozenset[str]] = frozenset({"temperature"})

    epoch: Annotated[Literal["best", "last"], Field(description="which one counts")] = "best"
    tau: Annotated[float, Field(ge=0, description="times log class shares, off the logits")] = 0.0
    temperature: Annotated[Literal["none", "dev"], Field(description="what logits are divided by")] = "none"

    def score_by(self, scoring: Scoring) -> Scoring:
        last, cools = self.epoch == "last", self.temperature == "dev"
        return replace(scoring, last_epoch=last, tau=self.tau, cools=cools)

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        found = []
        if self.epoch == "last" and levels["average.soup"]:
            what = "a soup is made of the best epochs, and the last one is asked for. Keep one of the two."
            found.append(Problem('"posthoc.epoch" + "average.soup"', what))
        if self.tau:
            what = "both correct for the sizes of classes, so together they do it twice. Keep one of the two."
            for factor, off in (("loss.weights", "none"), ("loss.prior_tau", 0)):
                if levels[factor] != off:
                    found.append(Problem(f'"posthoc.tau" + "{factor}"', what))
        return found
