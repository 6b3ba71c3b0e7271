"""The five seams where a strategy may touch a fine-tuning run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ConfigDict

from finegrid.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.data.batches import Batch
    from finegrid.model.classifier import Classifier
    from finegrid.model.families import CheckpointInfo

    LossFn = Callable[[Classifier, Batch], Tensor]

ParamGroup = dict[str, Any]  # torch.optim's own format: params, lr, weight_decay
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

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this part asks of a checkpoint that it cannot do."""
        return []


class Trick(Part):
    """One change to fine-tuning. Every seam defaults to the identity.

    A concrete trick is a frozen dataclass whose fields are the factors a study can vary and whose
    defaults switch it off. It overrides only the seams it needs and is never subclassed itself.
    """

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
