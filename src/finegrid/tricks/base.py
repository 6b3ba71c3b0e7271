"""The five seams where a strategy may touch a fine-tuning run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import ConfigDict

from finegrid.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.data.batches import Batch
    from finegrid.model.classifier import Classifier
    from finegrid.model.families import CheckpointInfo

    LossFn = Callable[[Classifier, Batch], Tensor]

ParamGroup = dict[str, Any]  # torch.optim's own format: params, lr, weight_decay
# What moving a level may change of a run. Loss, gradients and update count only where nothing before them in
# the list explains them: other initial values change the loss, and are claimed as initial values.
Aspect = Literal[
    "initial",  # values before training
    "trained",  # which tensors train
    "rates",
    "decays",
    "sites",  # active dropout sites
    "data",  # which tokens, in which portions
    "pooling",
    "averages",  # the weights to evaluate with
    "loss",
    "gradients",
    "update",  # what the optimizer makes of a gradient
]
# Where: "all", "pooler", "vectors" (biases and LayerNorm), or "top layers", "bottom layers" (those with the
# embeddings) with the name of the knob that says how many.
Claim = Mapping[Aspect, str]
STRICT = ConfigDict(extra="forbid", strict=True)  # for every part of a recipe: no 1 for true, no "6" for 6


class Averager(Protocol):
    """Weights to evaluate with, other than the last ones."""

    def update(self) -> None: ...

    def applied(self) -> AbstractContextManager[None]: ...

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name: saved with a run's state, and filled in place when it resumes."""
        ...


class Part:
    """One part of a recipe: a frozen dataclass whose fields are factors."""

    # What each knob may change, proved on the real model before a study (proof.py).
    touches: ClassVar[Mapping[str, Claim]] = {}

    @classmethod
    def claim(cls, knob: str) -> Claim:
        return cls.touches.get(knob, {})

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this part asks of a checkpoint that it cannot do."""
        return []


class Trick(Part):
    """One change to fine-tuning. Every seam defaults to the identity.

    A concrete trick is a frozen dataclass whose fields are the factors a study can vary and whose
    defaults switch it off. It overrides only the seams it needs and is never subclassed itself.
    """

    @classmethod
    def claim(cls, knob: str) -> Claim:
        """What a knob says in ``touches``; of one that says nothing, whatever the trick's seams can reach."""
        seams = [seam for seam in REACH if getattr(cls, seam) is not getattr(Trick, seam)]
        return cls.touches.get(knob, {aspect: "all" for seam in seams for aspect in REACH[seam]})

    def surely_differs(self, other: Self) -> bool:
        """Whether two settings cannot be one run, known without building them: for what is dear to build."""
        return False

    def prepare_model(self, model: Classifier) -> None:
        """Change the model in place, once, before the optimizer is built. To draw: ``model.redraw_``."""

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Return the parameter groups the optimizer will receive."""
        return groups

    def wrap_loss(self, loss_fn: LossFn) -> LossFn:
        """Return the loss to minimise."""
        return loss_fn

    def after_backward(self, model: Classifier, batch: Batch, loss_fn: LossFn) -> None:
        """Add to the gradients, between ``backward`` and the optimizer step."""

    def averager(self, model: Classifier) -> Averager | None:
        """Return the weights to evaluate with, if they are not the last ones."""
        return None


# What a strategy can change by rights at each seam.
REACH: dict[str, tuple[Aspect, ...]] = {
    "prepare_model": ("initial", "trained", "sites"),
    "param_groups": ("rates", "decays"),
    "wrap_loss": ("loss", "gradients"),
    "after_backward": ("gradients",),
    "averager": ("averages",),
}
