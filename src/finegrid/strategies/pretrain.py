"""Pre-train the encoder on the study's own training texts before fine-tuning, without their labels.

Paper   Sun et al., How to Fine-Tune BERT for Text Classification?, 2019 (1905.05583), section 5.4; Gururangan
        et al., Don't Stop Pretraining, ACL 2020 (2004.10964), there "task-adaptive".
Idea    The encoder gets used to the words and the kind of text before it is asked for classes.
Off     ``tokens=0``.
Exactly ``tokens`` are seen, in as many passes as that takes, by `finegrid pretrain`'s objective: masked
        language and pairs of halves (docs/pretraining.md). Texts of dev and test are never seen. It is done
        once for each seed, before the pooler or layers are drawn afresh, and kept in the study's ``cache``.
        ``shared = true`` does it once for all seeds: cheaper, but chance in pre-training is then no longer in
        any interval, and the verdict says so.
Differs Sun et al. also pre-train on texts of other data sets of the field. For that, pre-train by hand and
        give the result to ``finegrid init --model``.
Reduces Pre-training's loss is the mean over its masked tokens; fine-tuning's is not changed.
Evidence A: gains in several comparisons, largest where the field's words are rare elsewhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, SharedChance, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Pretrain(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "further pre-training",
            ("tokens", "rate", "shared"),
            "initial values",
            "A",
            step="1.0, and the pre-training before it",
            synonyms=("TAPT", "task-adaptive pretraining", "MLM"),
            chinese=(
                "继续预训练",
                "任务自适应预训练",
                "进一步预训练",
                "二次预训练",
                "增量预训练",
                "领域预训练",
            ),
        ),
    )
    of_one_set: ClassVar[Mapping[str, str]] = {"tokens": "reads the texts of one training set"}
    usual: ClassVar[Mapping[str, UsualLevels]] = {"tokens": (0, 1_000_000)}
    reads_table: ClassVar[TableReading] = "before steps"
    touches: ClassVar[Mapping[str, Claim]] = {
        "tokens": {"initial": "all"},
        "rate": {"initial": "all"},
        "shared": {"initial": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"tokens": "start", "rate": "start", "shared": "start"}

    reads_texts: ClassVar[bool] = True

    tokens: Annotated[int, Field(ge=0, description="training texts' tokens to see, over all passes")] = 0
    rate: Annotated[float, Field(gt=0, le=1, description="peak learning rate of pre-training")] = 1e-4
    shared: Annotated[bool, Field(description="once for all seeds")] = False

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if self.tokens and checkpoint.family != "bert":
            what = f"level {self.tokens}, but only BERT can be pre-trained, not {checkpoint.family}."
            return [Problem('"pretrain.tokens"', what)]
        return []

    def surely_differs(self, other: Pretrain) -> bool:
        return self != other and min(self.tokens, other.tokens) > 0

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if self.tokens:
            model.load_encoder_(setting.pretraining.weights(*self._made_of(setting.seed)))

    def start_key(self, seed: int) -> Hashable | None:
        return self._made_of(seed) if self.tokens else None

    def start_seconds(self, setting: Setting) -> float:
        return setting.pretraining.seconds(*self._made_of(setting.seed)) if self.tokens else 0.0

    @property
    def shares_chance(self) -> SharedChance | None:
        return "pretraining" if self.tokens and self.shared else None

    def _made_of(self, seed: int) -> tuple[int, float, int | None]:
        return self.tokens, self.rate, None if self.shared else seed
