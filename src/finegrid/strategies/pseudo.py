"""Pseudo-labels: texts without labels are trained on, too, with those that the baseline's run gives them.

Paper   Lee, Pseudo-Label, ICML 2013 workshop; Xie et al., Self-training with Noisy Student, CVPR 2020
        (1911.04252); of texts: Du et al., Self-training Improves Pre-training for Natural Language
        Understanding, NAACL 2021 (2010.02194).
Idea    Texts are cheap, labels are not. What a model is sure of may teach the next one.
Off     ``texts=""``; ``threshold`` and ``weight`` do nothing then.
Exactly The teacher is the study's baseline with the same seed, as its own run trains it, with the weights of
        its best epoch. It reads every text of the file without dropout. A text whose most probable class has
        a probability of ``threshold`` or more joins the training texts with that class as its label, behind
        all others, in the order of the file; the rest is left out. A loss of such a text is multiplied by
        ``weight``. One round.
Differs Noisy Student takes soft labels, balances the classes, grows the model, and goes on for rounds. Some
        train on so many unlabelled texts in every batch; here an epoch grows by the texts that were taken.
Note    Every seed has a teacher of its own, so that its luck is in the intervals; but a run and the baseline
        of its seed have this luck in common. What the teacher is wrong about and sure of is learned as truth,
        and texts may be taken of few classes. Texts that are in dev or test, perhaps with other case and
        blanks, are refused: texts of test without their labels would be training on test. An epoch has more
        steps than without, see ``texts.extra``. A study whose teacher of the first seed is sure of no text,
        or diverges, is refused; with another seed, the run is then the baseline's.
Reduces Mean over a batch's N texts, whatever their weights.
Evidence B: gains with few labels and many texts of the same kind; little with many labels.
Path    The baseline is trained once more for each seed before the first run with pseudo-labels, which is
        part of what such a run takes. Runs with other texts share no family.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Criterion, Outputs
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading, Unlabelled
from finegrid.strategies.texts import OF_TEXTS

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo

TAUGHT: Claim = {**OF_TEXTS, "loss": "all", "gradients": "all"}


@dataclass(frozen=True, config=STRICT)
class Pseudo(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "pseudo-labels",
            ("texts", "threshold", "weight"),
            "texts",
            "B",
            step="1.0, and the baseline's run before it",
            synonyms=("self-training", "unlabelled texts", "semi-supervised", "noisy student", "unlabeled"),
            chinese=("伪标签", "自训练", "无标签文本", "半监督学习", "未标注数据"),
        ),
    )
    of_one_set: ClassVar[Mapping[str, str]] = {"texts": "adds texts that a split may hold in dev or test"}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"texts": TAUGHT, "threshold": TAUGHT, "weight": TAUGHT}
    files: ClassVar[tuple[str, ...]] = ("texts",)
    taught_by_baseline: ClassVar[tuple[str, ...]] = ("texts",)
    usual: ClassVar[Mapping[str, UsualLevels]] = {}

    texts: Annotated[str, Field(description="file of texts without labels; empty: none")] = ""
    threshold: Annotated[float, Field(ge=0, le=1, description="least probability of a label")] = 0.9
    weight: Annotated[float, Field(gt=0, le=10, description="of the loss of a text so labelled")] = 1.0

    @property
    def acts(self) -> bool:
        return bool(self.texts)

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.acts or not levels["distil.teacher"] or not levels["distil.weight"]:
            return []
        what = "a teacher says nothing of texts from another file. Take one of the two out."
        return [Problem('"pseudo.texts" + "distil.weight"', what)]

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        if not self.acts or self.weight == 1:
            return criterion
        weights = OfPseudo(len(setting.texts) - setting.guessed.texts, self.weight)
        return replace(criterion, count=(*criterion.count, weights))

    @property
    def unlabelled(self) -> Unlabelled | None:
        return Unlabelled("pseudo.texts", self.texts, self.threshold) if self.acts else None

    def start_key(self, seed: int) -> Hashable | None:
        return (self.texts, seed) if self.acts else None

    def start_seconds(self, setting: Setting) -> float:
        return setting.guessed.seconds if self.acts else 0.0


@plain_dataclass(frozen=True)
class OfPseudo:
    """What the loss of a text is multiplied by.

    Attributes:
        first: number of the first text with a pseudo-label; all behind it have one, too.
        weight: of these.
    """

    first: int
    weight: float

    def __call__(self, outputs: Outputs) -> Tensor:
        """``[texts]``."""
        assert outputs.texts is not None
        guessed = (outputs.texts >= self.first).to(outputs.logits[0].dtype)
        return 1 + (self.weight - 1) * guessed
