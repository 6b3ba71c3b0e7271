"""The five seams where a strategy may touch a fine-tuning run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from finegrid.strategies.part import Aspect, Claim, Part

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.data.tokens import TokenisedSplit
    from finegrid.model.classifier import Classifier
    from finegrid.model.packing.batches import Batch
    from finegrid.optim.adamw import ParamGroup
    from finegrid.streams import Streams

    LossFn = Callable[[Classifier, Batch], Tensor]


@dataclass(frozen=True)
class Setting:
    """What a run is built in: all that a strategy may ask for beside the model.

    Attributes:
        seed: of the run.
        streams: the run's random numbers, by name.
        texts: the training texts.
        pretrain: the encoder's tensors by name after more pre-training on these texts: see
            `pretraining.further.FurtherPretraining.weights`.
    """

    seed: int
    streams: Streams
    texts: TokenisedSplit
    pretrain: Callable[[int, float, int | None], Mapping[str, Tensor]]


class Averager(Protocol):
    """Weights to evaluate with, other than the last ones."""

    def update(self) -> None: ...

    def applied(self) -> AbstractContextManager[None]: ...

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name: saved with a run's state, and filled in place when it resumes."""
        ...


class Strategy(Part):
    """One change to fine-tuning. Every seam defaults to the identity.

    A concrete strategy is a frozen dataclass whose fields are the factors a study can vary and whose
    defaults switch it off. It overrides only the seams it needs and is never subclassed itself.
    """

    @classmethod
    def claim(cls, factor: str) -> Claim:
        """What ``touches`` says of a factor; where it says nothing, whatever the strategy's seams reach."""
        seams = [seam for seam in REACH if getattr(cls, seam) is not getattr(Strategy, seam)]
        return cls.touches.get(factor, {aspect: "all" for seam in seams for aspect in REACH[seam]})

    def surely_differs(self, other: Self) -> bool:
        """Whether two settings cannot be one run, known without building them: for what is dear to build."""
        return False

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
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
