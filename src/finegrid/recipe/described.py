"""A strategy of a user's own as data: all that is known of it where its code does not run."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from finegrid.errors import input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe, recipe_with
from finegrid.strategies.part import STRICT, Aspect, Price
from finegrid.strategies.seams import Strategy, TableReading

LevelKind = Literal["bool", "int", "float", "str"]
Sign = Literal["ge", "gt", "le", "lt"]
TYPES: dict[LevelKind, type[Any]] = {"bool": bool, "int": int, "float": float, "str": str}
AS_DATA = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DescribedFactor(BaseModel):
    """One of its factors: which levels it may have, and what it is."""

    model_config = AS_DATA

    name: str  # without the part's
    kind: LevelKind
    default: Level
    description: str
    choices: tuple[str, ...] = ()  # of words, where no other ones are allowed
    bounds: dict[Sign, int | float] = {}

    @property
    def annotation(self) -> Any:
        """As a dataclass has it."""
        allowed: Any = Literal[self.choices] if self.choices else TYPES[self.kind]
        limits: dict[Any, Any] = dict(self.bounds)
        return Annotated[allowed, Field(description=self.description, **limits)]


class LevelFacts(BaseModel):
    """What it says of itself at some levels."""

    model_config = AS_DATA

    levels: Levels = {}  # by the names of its factors; empty: at any
    copies: int = 0
    frozen_layers: int = 0
    table_reading: TableReading = "in steps"


class Description(BaseModel):
    """A strategy of a user's own: its factors, its card, and what it claims."""

    model_config = AS_DATA

    name: str  # of the part of the recipe
    source: str  # as study.toml names it
    digest: str  # SHA-256 of its code, in hexadecimal digits
    card: str
    factors: tuple[DescribedFactor, ...]
    seams: tuple[str, ...]  # that it fills
    touches: dict[str, dict[Aspect, str]] = {}
    prices: dict[str, Price] = {}
    of_one_set: dict[str, str] = {}
    shares_prefix: bool = True
    facts: tuple[LevelFacts, ...]  # at all levels that a study gives it


class DescribedStrategy(Strategy):
    """Stands for a strategy where its code does not run: it fills no seam, and nothing can train by it."""

    description: ClassVar[Description]

    @classmethod
    def overrides(cls, seam: str) -> bool:
        return seam in cls.description.seams

    @property
    def copies(self) -> int:
        return self._facts.copies

    @property
    def frozen_layers(self) -> int:
        return self._facts.frozen_layers

    @property
    def table_reading(self) -> TableReading:
        return self._facts.table_reading

    @property
    def _facts(self) -> LevelFacts:
        told = self.description
        levels = {factor.name: getattr(self, factor.name) for factor in told.factors}
        found = next((facts for facts in told.facts if facts.levels in (levels, {})), None)
        if found is None:
            what = f"has levels that {told.source} was not asked about. `finegrid plan` asks it."
            raise input_error("strategies", told.name, what)
        return found


def recipe_described(descriptions: tuple[Description, ...]) -> Recipe:
    """The recipe with such strategies, everything at its default. Equal ones give equal recipes."""
    return recipe_with(tuple((one.name, make_part(one.model_dump_json())) for one in descriptions))


@cache
def make_part(text: str) -> Strategy:
    """What stands for a strategy, of its description as JSON."""
    told = Description.model_validate_json(text)
    annotations = {factor.name: factor.annotation for factor in told.factors}
    claims = {name: getattr(told, name) for name in ("touches", "prices", "of_one_set", "shares_prefix")}
    levels = {factor.name: factor.default for factor in told.factors}
    content = {"__annotations__": annotations, "__module__": __name__, "description": told}
    kind: Any = type(told.name, (DescribedStrategy,), content | claims | levels)
    part: Any = dataclass(frozen=True, config=STRICT)(kind)(**levels)
    return cast(Strategy, part)
