"""Knowledge distillation: learn from what a teacher says of the training texts, beside their labels.

Paper   Hinton et al., Distilling the Knowledge in a Neural Network, 2015 (1503.02531).
Idea    A teacher's probabilities tell which wrong classes are nearly right; a label does not.
Off     ``weight=0`` or ``teacher=""``; ``temperature`` does nothing then.
Exactly (1 - weight) * CE + weight * T^2 * (1/N) sum_i KL(softmax(t_i / T) || softmax(z_i / T)), with the
        teacher's logits t, the model's plain logits z, and T the ``temperature``. CE is what the other
        strategies of the loss make of it: weights, prior, smoothing and focal act on it alone.
        ``teacher`` is the folder of a model that `finegrid fit` has kept, relative to the study's folder: it
        reads the training texts once, without dropout, with its own tokeniser and length, and its logits are
        kept in the study's ``cache``. Its labels must be the study's, in whichever order. Or ``teacher`` is
        "columns": the training file has a column "probability:<label>" for each label, as `finegrid predict
        --out` writes them beside its own, so that any model, or soft labels, can teach. Then t is the log of
        the probabilities, those below 1e-7 taken as 1e-7.
        What the teacher says is part of a run's identity: another teacher under the same name is another run.
Differs Code bases differ in the reduction: a mean over texts and classes is C times weaker, T^2 is left out,
        or stands at the labels' part, or the teacher keeps its dropout. No layers or vectors are matched.
Note    All runs learn from one teacher: its luck is in no interval, and the verdict says so. A teacher that
        has been trained on texts of dev or test passes on what it has seen; one kept from this study has not
        been. One that was trained with smoothing is a poorer teacher.
Reduces The sum over classes, then the mean over a batch's N texts.
Evidence A for small models taught by large ones; of a teacher of the same size there is less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Criterion, Mixed, Outputs
from finegrid.strategies.part import STRICT, Claim, Listing, Price
from finegrid.strategies.seams import Setting, SharedChance, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class Distil(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "knowledge distillation",
            ("weight", "temperature", "teacher"),
            "losses",
            "A",
            step="1.0, and the teacher's one pass before it",
            synonyms=("KD", "distillation", "teacher student", "soft labels"),
            chinese=("知识蒸馏", "蒸馏", "教师模型", "师生模型", "软标签"),
        ),
    )
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        name: {"loss": "all", "gradients": "all"} for name in ("weight", "temperature", "teacher")
    }
    prices: ClassVar[Mapping[str, Price]] = {
        "weight": "nothing",
        "temperature": "nothing",
        "teacher": "nothing",
    }
    files: ClassVar[tuple[str, ...]] = ("teacher",)
    teachers: ClassVar[tuple[str, ...]] = ("teacher",)

    weight: Annotated[float, Field(ge=0, le=1, description="share of the teacher's part of the loss")] = 0.0
    temperature: Annotated[
        float, Field(ge=0.1, le=100, description="that logits are divided by in the teacher's part")
    ] = 2.0
    teacher: Annotated[
        str, Field(description="folder of a kept model, or columns: probabilities in the training file")
    ] = ""

    @property
    def acts(self) -> bool:
        return self.weight > 0 and bool(self.teacher)

    @property
    def shares_chance(self) -> SharedChance | None:
        return "teacher" if self.acts else None

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.weight or self.teacher:
            return []
        what = (
            f"{self.weight:g}, but distil.teacher names nobody. Give it the folder of a kept model "
            '(finegrid fit), or "columns".'
        )
        return [Problem('"distil.weight"', what)]

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.acts or not levels["texts.extra"]:
            return []
        what = "a teacher says nothing of texts from another file. Take one of the two out."
        return [Problem('"distil.weight" + "texts.extra"', what)]

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        if not self.acts:
            return criterion
        distance = Distance(setting.teachers.logits(self.teacher, setting.texts.ids), self.temperature)
        return replace(criterion, mix=(*criterion.mix, Mixed(self.weight, distance)))


@plain_dataclass(frozen=True)
class Distance:
    """How far a model is from its teacher.

    Attributes:
        logits: of the teacher, of all training texts, ``[all texts, classes]``; all runs share them.
        temperature: of both.
    """

    logits: Tensor
    temperature: float

    def __call__(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``, the mean over the views, and over the head's passes of each."""
        assert outputs.texts is not None
        said = self.logits[outputs.texts].to(outputs.logits[0].dtype)
        wanted = (said / self.temperature).log_softmax(-1)
        passes = [*outputs.logits, *(z for more in outputs.more_logits for z in more)]
        each = [(wanted.exp() * (wanted - (z / self.temperature).log_softmax(-1))).sum(-1) for z in passes]
        return self.temperature**2 * sum(each[1:], each[0]) / len(each)
