"""How long and in what portions a run trains.

Epochs  Every epoch sees all training texts once, in an order of its own. Dev chooses the best epoch.
Batch   The last batch of an epoch may be smaller; nothing is dropped.
Patience Early stopping: a run ends once dev has not got better for so many epochs.
Paper   ``patience``: Prechelt, Early Stopping - But When?, 1998.
Idea    Epochs after the best one cost time and are thrown away: dev chooses an earlier one anyway.
Off     ``patience=0``.
Exactly After each epoch e of ``epochs``: the run ends if e - b >= ``patience``, where b is the epoch that is
        best so far on dev, of equals the earliest. It then predicts test with the weights of epoch b, as
        every run does.
Differs The rate still decays by the *planned* ``epochs``, not by those that are run: nobody knows beforehand
        when a run will end. A run that ends early has not seen the small rates of the end of its schedule,
        where dev often gets better once more: it may cost points.
Note    It is chosen on dev, as the epoch is; under ``protocol = "best-test"`` on test, as that is there.
        Levels of ``epochs - 1`` and more can end nothing. Forecasts count all planned epochs. In a family or
        a stack the other runs go on; results are those of the run alone. ``posthoc.epoch = "last"``
        contradicts it.
Micro   ``micro_batch`` saves memory: a batch is read in portions of so many texts, shortest first, whose
        gradients add up to that of the mean over the batch's texts. Clipping, optimizer and averages see
        that one. Every text has the dropout masks that it has in the whole batch, so all portions give the
        same gradient to rounding. Last digits differ: it is part of a run's id. ``micro_batch >=
        batch_size`` does nothing. Very small portions are slower. On a GPU, steps are not captured.
Reduces The loss stays the mean over a batch's texts; until it ends, a run has the same bits as without.
Evidence B/D: a common default where many epochs are planned; with 3 epochs it saves nothing.
"""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.spelling import Lang
from finegrid.strategies.part import STRICT, Claim, Listing, Part, Price, UsualLevels

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo

ENDS: dict[Lang, str] = {
    "en": "ends a run after {patience} epochs without a better dev score, from epoch {first} on; rates decay "
    "by the planned {epochs} epochs",
    "zh": "验证集得分连续 {patience} 轮没有提高即结束运行，最早在第 {first} 轮；学习率仍按计划的 {epochs} 轮"
    "衰减",
}


@dataclass(frozen=True, config=STRICT)
class Training(Part):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "epochs",
            ("epochs",),
            "schedules",
            "A",
            synonyms=("longer training", "num_train_epochs"),
            chinese=("轮数", "训练轮数", "训练轮次", "迭代轮数"),
        ),
        Listing(
            "batch size",
            ("batch_size", "micro_batch"),
            "texts",
            "B/D",
            synonyms=(
                "per_device_train_batch_size",
                "micro-batches",
                "gradient accumulation",
                "gradient_accumulation_steps",
            ),
            chinese=("批大小", "批量大小", "批次大小", "批量", "微批", "梯度累积"),
        ),
        Listing(
            "early stopping",
            ("patience",),
            "schedules",
            "B/D",
            synonyms=("early_stopping_patience",),
            chinese=("早停", "提前停止", "早停法"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "epochs": (3, 6),
        "batch_size": (32, 16),
        "patience": (0, 3),
    }
    touches: ClassVar[Mapping[str, Claim]] = {
        "epochs": {"rates": "all"},  # the schedule ends later
        "batch_size": {"data": "all", "rates": "all"},
        "micro_batch": {"data": "all"},  # last digits
        "patience": {"end": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"patience": "length"}

    epochs: Annotated[int, Field(ge=1, le=10_000, description="passes over the training texts")] = 3
    batch_size: Annotated[int, Field(ge=1, description="texts per step")] = 32
    micro_batch: Annotated[
        int, Field(ge=0, description="texts of a batch that are in memory at once; 0: all")
    ] = 0
    patience: Annotated[
        int, Field(ge=0, le=10_000, description="epochs without a better dev score that end a run; 0: none")
    ] = 0

    @property
    def earliest_end(self) -> int:
        """The first epoch, from 1, after which a run may end."""
        return min(self.epochs, self.patience + 1) if self.patience else self.epochs

    @property
    def portion(self) -> int:
        """Texts of a batch that are in memory at once; 0 where that is all of them."""
        return self.micro_batch if self.micro_batch < self.batch_size else 0

    @property
    def form(self) -> Hashable:
        """What it comes to: patience that can end no run is none, nor are portions of whole batches."""
        return self.epochs, self.batch_size, self.portion, self.earliest_end

    def ends(self, epoch: int, best_epoch: int) -> bool:
        """Whether a run ends early after an epoch, given the one that is best so far; both from 1."""
        return bool(self.patience) and epoch - best_epoch >= self.patience

    def explain_level(
        self, factor: str, checkpoint: "CheckpointInfo | None", steps: int, lang: Lang = "en"
    ) -> str:
        if factor != "patience" or not self.patience:
            return ""
        return ENDS[lang].format(patience=self.patience, first=self.earliest_end, epochs=self.epochs)

    def conflicts(self, levels: Mapping[str, Any], checkpoint: "CheckpointInfo") -> list[Problem]:
        if not self.patience or levels["posthoc.epoch"] != "last":
            return []
        what = "the last epoch of a run that ends early is one that dev found worse. Keep one of the two."
        return [Problem('"training.patience" + "posthoc.epoch"', what)]
