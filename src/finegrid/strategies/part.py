"""What a recipe is made of: parts, whose fields are its factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict

from finegrid.errors import Problem

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo

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
# embeddings) with the name of the factor that says how many.
Claim = Mapping[Aspect, str]
# What moving a factor does to the time of a run: nothing; or what a step takes, or what comes before the
# first step. Runs that differ only where it is nothing take the same time, and may share a family.
Price = Literal["nothing", "step", "start"]
STRICT = ConfigDict(extra="forbid", strict=True)  # for every part of a recipe: no 1 for true, no "6" for 6


class Part:
    """One part of a recipe: a frozen dataclass whose fields are factors."""

    # What each factor may change, proved on the real model before a study (audit/proof.py).
    touches: ClassVar[Mapping[str, Claim]] = {}
    # What each factor does to the time of a run; "step" of those that are not here.
    prices: ClassVar[Mapping[str, Price]] = {}

    @classmethod
    def claim(cls, factor: str) -> Claim:
        return cls.touches.get(factor, {})

    @classmethod
    def price(cls, factor: str) -> Price:
        return cls.prices.get(factor, "step")

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this part asks of a checkpoint that it cannot do."""
        return []
