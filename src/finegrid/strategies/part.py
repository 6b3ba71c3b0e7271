"""What a recipe is made of: parts, whose fields are its factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict

from finegrid.errors import Problem
from finegrid.spelling import Lang

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
    "end",  # after which epochs it may end
]
# Where: "all", "encoder" (all but the head), places such as "head, pooler", "vectors" (biases and LayerNorm),
# or "top layers", "bottom layers" (those with the embeddings) with the name of the factor that says how many.
Claim = Mapping[Aspect, str]
# What moving a factor does to the time of a run: nothing; or what a step takes, or what comes before the
# first step. Runs that differ only where it is nothing take the same time, and may share a family. "prefix":
# nothing, but it changes what frozen layers make of a text, so that runs that freeze some share no family.
# "length": a step costs the same, but a run may take fewer; such runs share a family, but no price.
Price = Literal["nothing", "prefix", "step", "start", "length"]
Kind = Literal[
    "rates",
    "decays",
    "gradients",
    "updates",
    "losses",
    "initial values",
    "what trains",
    "architecture",
    "texts",
    "schedules",
    "free",
]
# A: several independent controlled comparisons. B: one paper, and a default that ships or a replication.
# C: the paper alone. D: mixed, or negative.
Evidence = Literal["A", "B", "C", "D", "A/D", "B/D"]
# Of a factor that names a teacher: not a kept model's folder, but columns of the training file.
COLUMNS = "columns"
STRICT = ConfigDict(extra="forbid", strict=True)  # for every part of a recipe: no 1 for true, no "6" for 6


@dataclass(frozen=True)
class Listing:
    """How `finegrid explain` lists a strategy among all others.

    Attributes:
        name: as papers and users call it.
        factors: of the part, without its name; every factor of a part is in one listing.
        kind: what it changes.
        evidence: how well its worth is known; the card says from where.
        step: what it takes of a step at its usual level, as a multiple of a step without it; "0.5" is half.
        synonyms: other names that people look for, and abbreviations.
        chinese: its name in Chinese, and then other names that people look for.
    """

    name: str
    factors: tuple[str, ...]
    kind: Kind
    evidence: Evidence
    step: str = "1.0"
    synonyms: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()

    def name_in(self, lang: Lang) -> str:
        """English where it has no other name."""
        return next(iter(self.chinese), self.name) if lang == "zh" else self.name


@dataclass(frozen=True)
class OfLayers:
    """A level that counts layers, as a share of those that the encoder has."""

    share: float


UsualLevels = tuple[bool | int | float | str | OfLayers, ...]


class Part:
    """One part of a recipe: a frozen dataclass whose fields are factors."""

    listings: ClassVar[tuple[Listing, ...]] = ()
    # Whether its levels are scored in one run, and so move none (`scoring.FreePart`).
    free: ClassVar[bool] = False
    # The levels of each factor that are usually tried, () for all of a switch or of a list of words; without
    # factors that only tune another one.
    usual: ClassVar[Mapping[str, UsualLevels]] = {}

    # What each factor may change, proved on the real model before a study (audit/proof.py).
    touches: ClassVar[Mapping[str, Claim]] = {}
    # What each factor does to the time of a run; "step" of those that are not here.
    prices: ClassVar[Mapping[str, Price]] = {}
    # Factors whose levels name a file or a folder, relative to the study's folder; "" names none. What these
    # hold is part of the ids of the runs that read them (study/contents.py).
    files: ClassVar[tuple[str, ...]] = ()
    # Of these, the ones that name a teacher: the folder of a kept model, or `COLUMNS`.
    teachers: ClassVar[tuple[str, ...]] = ()
    # Of the files, those that the baseline's run reads as a teacher: it is part of those ids, too.
    taught_by_baseline: ClassVar[tuple[str, ...]] = ()
    # Factors that cannot be moved where seeds draw texts of their own (design.resample), and why.
    of_one_set: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def claim(cls, factor: str) -> Claim:
        return cls.touches.get(factor, {})

    @classmethod
    def price(cls, factor: str) -> Price:
        return cls.prices.get(factor, "step")

    def explain_level(
        self, factor: str, checkpoint: CheckpointInfo | None, steps: int, lang: Lang = "en"
    ) -> str:
        """What the level of a factor amounts to, for `finegrid plan`; empty where the level says it all.

        Args:
            factor: of this part, without its name.
            checkpoint: that the recipe is for; None where nobody knows what it is like.
            steps: of a run.
            lang: en or zh.
        """
        return ""

    @classmethod
    def usual_levels(cls, factor: str, layers: int) -> tuple[bool | int | float | str, ...]:
        """What is usually tried of a factor, with an encoder of so many layers; empty if nothing is told."""
        levels = cls.usual.get(factor, ())
        return tuple(int(layers * one.share) if isinstance(one, OfLayers) else one for one in levels)

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this part asks of a checkpoint that it cannot do."""
        return []

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        """What this part asks for that contradicts another part.

        Args:
            levels: of the whole recipe, by dotted names.
            checkpoint: that the recipe is for.
        """
        return []
