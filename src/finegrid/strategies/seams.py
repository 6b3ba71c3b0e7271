"""The seams at which a strategy may touch a fine-tuning run, and what the planner must know of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self, get_args

from finegrid.errors import Problem
from finegrid.strategies.part import Aspect, Claim, Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from finegrid.data.tokens import TokenisedSplit
    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Batch, Packed
    from finegrid.optim.updater import ParamGroup, UpdateRule
    from finegrid.strategies.criterion import Criterion, Outputs
    from finegrid.streams import Streams


class MorePretraining(Protocol):
    """More pre-training of the study's checkpoint on its training texts. Made once, then kept.

    Both take the tokens to see, the peak rate, and a seed; None for what all seeds share.
    """

    def weights(self, tokens: int, rate: float, seed: int | None) -> Mapping[str, Tensor]:
        """The encoder's tensors by name."""
        ...

    def seconds(self, tokens: int, rate: float, seed: int | None) -> float:
        """What it took; 0 where it was not done yet."""
        ...


class Features(Protocol):
    """What a model makes of the training texts before its head. Made once for equal encoders, then kept."""

    seconds: float  # that making took of those that were asked for last; 0 where none were

    def of(self, model: Classifier) -> Tensor:
        """``[texts, width]`` in float32, in the order of the texts. Without dropout."""
        ...


class Lessons(Protocol):
    """What others say of the training texts. Worked out once, then kept."""

    def logits(self, teacher: str, ids: NDArray[np.int64]) -> Tensor:
        """``[texts, classes]`` of a teacher, on the run's device. All runs share them: read them only.

        Args:
            teacher: a level that names one.
            ids: of the texts of the run.
        """
        ...


# When a strategy looks at more of the encoder's table of words than at a row by itself. Runs hold and train
# the rows that their study's texts need: "never", from the start; "before steps", once the model is prepared;
# "in steps", not at all.
TableReading = Literal["never", "before steps", "in steps"]
TABLE_READINGS: tuple[TableReading, ...] = get_args(TableReading)
# What of chance all seeds may share.
SharedChance = Literal["pretraining", "teacher"]


@dataclass(frozen=True)
class Unlabelled:
    """Texts without labels that a run trains on, with those that the baseline's run gives them.

    Attributes:
        factor: that names their file.
        path: of the file, from the study's folder.
        threshold: the least probability of a label.
    """

    factor: str
    path: str
    threshold: float


@dataclass(frozen=True)
class Guessed:
    """Of a run's texts, those whose labels a teacher has guessed: the last ones.

    Attributes:
        texts: how many.
        seconds: that the teacher took.
    """

    texts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What a run is built in: all that a strategy may ask for beside the model.

    Attributes:
        seed: of the run.
        streams: the run's random numbers, by name.
        texts: that the run trains on.
        classes: how many there are; a training set may lack one that dev has.
        pretraining: more of it, on these texts.
        teachers: what they say of these texts.
        read_anchor: see `anchor`; called only by strategies that need it.
        features: of these texts, for strategies that come after all that changes the encoder.
        pack: texts by their numbers among these, as the run reads them.
        guessed: the texts whose labels a teacher has guessed.
    """

    seed: int
    streams: Streams
    texts: TokenisedSplit
    classes: int
    pretraining: MorePretraining
    teachers: Lessons
    read_anchor: Callable[[], Mapping[str, Tensor]]
    features: Features
    pack: Callable[[NDArray[np.int64]], Batch]
    guessed: Guessed = Guessed()

    @property
    def anchor(self) -> Mapping[str, Tensor]:
        """The checkpoint's own values, on the run's device, by the names of the classifier's parameters.

        All runs share them: read them only. What the checkpoint lacks (the head, a missing pooler) is not
        there.
        """
        return self.read_anchor()


class Averager(Protocol):
    """Weights to evaluate with, other than the last ones."""

    def update(self) -> None:
        """Take in the weights after an update. In captured steps it may read nothing back from a GPU."""
        ...

    def applied(self) -> AbstractContextManager[None]: ...

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name: saved with a run's state, and filled in place when it resumes."""
        ...


class Strategy(Part):
    """One change to fine-tuning. Every seam defaults to the identity.

    A concrete strategy is a frozen dataclass whose fields are the factors a study can vary and whose
    defaults switch it off. It overrides only the seams it needs and is never subclassed itself. While it is
    switched off, none of its seams is called, and the run takes the path it would take without it.
    """

    # Whether it acts at its defaults too, as optimizer and schedule do: no run is without them.
    always: ClassVar[bool] = False
    # Whether all it does in a step can be captured in a CUDA graph: pure on tensors, nothing read back.
    capturable: ClassVar[bool] = True
    # Whether a run with it may be stacked: it needs no pass of its own model.
    stackable: ClassVar[bool] = True
    # Whether what frozen layers make of a batch may be computed once, for all runs and views of a family. If
    # not, its factors must have a price: a family then shares it as a whole, or does not.
    shares_prefix: ClassVar[bool] = True
    # Whether its passes move the embedded words of a batch by `Classifier.shift`, in which the first pass
    # then leaves a gradient. Such a strategy shares no prefix.
    shifts: ClassVar[bool] = False
    # Whether `prepare_model` reads the training texts: what it makes then differs where these do.
    reads_texts: ClassVar[bool] = False
    # Whether what becomes of a row of the table of words may depend on others. "never" promises that no seam
    # reads, draws or norms the table as a whole, and that an update rule changes each number by itself; but
    # `change_gradients_` may take norms.
    reads_table: ClassVar[TableReading] = "in steps"

    @property
    def acts(self) -> bool:
        """Whether it is switched on."""
        return self.always or self != type(self)()

    # What a run is made of

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        """Change the model in place, once, before the optimizer is built. To draw: ``model.redraw_``."""

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Return the parameter groups that the optimizer will receive."""
        return groups

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule | None:
        """Return what turns gradients into new values. None before the optimizer has said what it is."""
        return rule

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        """Return the loss to minimise, as a function of logits, labels and features."""
        return criterion

    def averager(self, model: Classifier) -> Averager | None:
        """Return the weights to evaluate with, if they are not the last ones."""
        return None

    # What happens in a step

    def rewrite(self, texts: TokenisedSplit, epoch: int, streams: Streams) -> TokenisedSplit:
        """Return the texts of a batch as they are read in an epoch (counted from 0): none may get longer.

        What is drawn may depend on a text's number, but not on the others of its batch. What frozen layers
        make of a text is then not kept for other epochs.
        """
        return texts

    @property
    def hides_words(self) -> bool:
        """Whether it leaves tokens whose words are not read (``~token``)."""
        return False

    def rate_factor(self, step: int, total: int) -> float:
        """What all rates are multiplied by at ``step`` (from 0) of ``total`` steps."""
        return 1.0

    def move_words(self, model: Classifier, batch: Packed, step: int) -> None:
        """Move the words of a batch before it is first read, of a strategy that ``shifts``."""

    def more_losses(
        self, model: Classifier, batch: Packed, outputs: Outputs, read: Callable[[], Tensor], step: int
    ) -> Tensor | None:
        """What is added to the losses of a batch or a portion of it, ``[texts]``, by more passes over it.

        Args:
            model: that has read it.
            batch: that is read.
            outputs: what the model has said of it.
            read: reads it once more, for its logits ``[texts, classes]``, as the first of ``outputs``.
            step: of the run, from 0.
        """
        return None

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        """Add to the gradients by more passes: ``backward()`` reads the batch once more and adds its own."""

    def change_gradients_(self, gradients: list[Tensor]) -> Tensor | None:
        """Change the gradients in place, right before they are spent: pure on tensors, nothing read back.

        Args:
            gradients: of all parameters that train and have one.

        Returns:
            Of a strategy that clips, a number in a tensor: 1 if it did, 0 if not, nan where the gradients are
            not finite. The record has the share of steps that were clipped.
        """
        return None

    # What planning and proof must know

    @property
    def frozen_layers(self) -> int:
        """How many layers it freezes, from the bottom."""
        return 0

    @property
    def unlabelled(self) -> Unlabelled | None:
        """The texts that it has the baseline's run label."""
        return None

    @property
    def table_reading(self) -> TableReading:
        """``reads_table``, where it depends on the levels."""
        return self.reads_table

    @property
    def copies(self) -> int:
        """How often it keeps what a run trains, beside weights, gradients, moments and the best weights."""
        return 0

    @property
    def shares_chance(self) -> SharedChance | None:
        """Whether all seeds share a draw of chance, which is then in no interval; None: they do not."""
        return None

    def start_key(self, seed: int) -> Hashable | None:
        """What decides something dear that is made before the first step; runs with equal keys share it."""
        return None

    def start_seconds(self, setting: Setting) -> float:
        """What making it took, when it was made."""
        return 0.0

    def find_lacking(self, mask: int | None) -> list[Problem]:
        """What it asks of a tokeniser that it does not have. ``mask``: the number of its mask token."""
        return []

    # How many steps the proof makes until its effect shows: more than one where the first changes nothing.
    shows_after: ClassVar[int] = 1

    def acts_at(self, total: int) -> int:
        """A step (from 0) of ``total`` at which its effect shows, for the proof: by default the middle."""
        return total // 2

    def form(self, setting: Setting) -> Hashable:
        """What it comes to in the steps of a study: where forms are equal, runs are. None: to nothing."""
        return repr(self)

    def surely_differs(self, other: Self) -> bool:
        """Whether two settings cannot be one run, known without building them: for what is dear to build."""
        return False

    @classmethod
    def overrides(cls, seam: str) -> bool:
        return getattr(cls, seam) is not getattr(Strategy, seam)

    @classmethod
    def reads_again(cls) -> bool:
        """Whether it reads a batch once more, by passes of its own.

        A run with such passes steps by itself, neither stacked nor captured, and has one such strategy.
        """
        return any(map(cls.overrides, SECOND_PASSES))

    @classmethod
    def claim(cls, factor: str) -> Claim:
        """What ``touches`` says of a factor; where it says nothing, whatever the strategy's seams reach."""
        seams = [seam for seam in REACH if cls.overrides(seam)]
        return cls.touches.get(factor, {aspect: "all" for seam in seams for aspect in REACH[seam]})


# What a strategy can change by rights at each seam.
REACH: dict[str, tuple[Aspect, ...]] = {
    "prepare_model": ("initial", "trained", "sites"),
    "param_groups": ("rates", "decays"),
    "update_rule": ("update",),
    "criterion": ("loss", "gradients"),
    "averager": ("averages",),
    "rate_factor": ("rates",),
    "rewrite": ("data",),
    "move_words": ("loss", "gradients"),
    "more_losses": ("loss", "gradients"),
    "more_gradients": ("gradients",),
    "change_gradients_": ("gradients",),
}
SECOND_PASSES = ("move_words", "more_losses", "more_gradients")
# Seams whose effect no hash of tensors and rates shows.
IN_STEPS = ("rewrite", "criterion", "averager", *SECOND_PASSES, "change_gradients_")
