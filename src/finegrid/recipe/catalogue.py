"""The catalogue of strategies: what there is, what people call it, and which levels are usually tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter
from rich.cells import cell_len

from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import DEFAULTS, Recipe, unknown_factor
from finegrid.recipe.words import WORDS, name_kind, name_step
from finegrid.spelling import Lang, find_near
from finegrid.strategies.part import Kind, Listing, Part

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue."""

    part: str
    listing: Listing

    @property
    def factors(self) -> tuple[str, ...]:
        return tuple(f"{self.part}.{name}" for name in self.listing.factors)

    @property
    def names(self) -> tuple[str, ...]:
        """In English."""
        return (self.listing.name, *self.listing.synonyms)

    @property
    def all_names(self) -> tuple[str, ...]:
        """In both languages."""
        return (*self.names, *self.listing.chinese)

    def as_json(self) -> dict[str, Any]:
        one = self.listing
        return {
            "name": one.name,
            "part": self.part,
            "factors": list(self.factors),
            "kind": one.kind,
            "evidence": one.evidence,
            "step": one.step,
            "synonyms": list(one.synonyms),
        }


@dataclass(frozen=True)
class Found:
    """What a name stands for: a part, and those of its factors that are meant."""

    part: str
    factors: tuple[str, ...]


def parts(blank: Recipe | None = None) -> dict[str, Part]:
    """The parts of a recipe, switched off; of finegrid's, if no other one is given."""
    blank = blank or Recipe()
    return {field.name: getattr(blank, field.name) for field in fields(blank)}


@cache
def entries() -> tuple[Entry, ...]:
    """All of them, by kind."""
    found = [Entry(name, listing) for name, part in parts().items() for listing in part.listings]
    return tuple(sorted(found, key=lambda one: KINDS.index(one.listing.kind)))


def list_json() -> dict[str, Any]:
    """The same for programs."""
    return {"schema": 1, "strategies": [entry.as_json() for entry in entries()]}


def list_lines(lang: Lang = "en") -> Iterator[str]:
    """Every strategy on a line, by kind."""
    words = WORDS[lang]
    names = {one: one.listing.name_in(lang) for one in entries()}
    width = max(map(cell_len, names.values()))
    yield words["count"].format(count=len(entries()))
    yield words["evidence"]
    for kind in KINDS:
        of_kind = [one for one in entries() if one.listing.kind == kind]
        if of_kind:
            yield ""
            yield name_kind(kind, lang)
        for one in of_kind:
            name = names[one] + " " * (width - cell_len(names[one]))
            step = words["step"].format(step=name_step(one.listing.step, lang))
            yield f"  {name}  {one.listing.evidence:<3}  {', '.join(one.factors)}{step}"
    yield ""
    yield words["read on"]


def find(name: str) -> Found:
    """What a name stands for: a factor, a part, a strategy or one of its synonyms, a factor without its part.

    Raises:
        InputError: nothing, or several things, which are named.
    """
    found = {**dict.fromkeys(look_up(name))}
    if len(found) == 1:
        return next(iter(found))
    if found:
        several = "; ".join(" + ".join(one.factors) for one in found)
        raise InputError("explain", [Problem(f'"{name}"', f"stands for several: {several}. Name one.")])
    raise InputError("explain", [Problem(f'"{name}"', describe_unknown(name))])


def look_up(name: str) -> list[Found]:
    """The nearest kind of name that there is: exact ones come before those that several may share."""
    wanted, of_parts = fold(name), parts()
    every = {part: tuple(f"{part}.{field}" for field in fields_of(of_parts[part])) for part in of_parts}
    if "." in name:
        exact = {factor: part for part, factors in every.items() for factor in factors}
        dotted = name.strip().casefold()
        return [Found(exact[dotted], (dotted,))] if dotted in exact else []
    return (
        [Found(part, factors) for part, factors in every.items() if fold(part) == wanted]
        or [Found(one.part, one.factors) for one in entries() if wanted in map(fold, one.all_names)]
        or [
            Found(part, (factor,))
            for part, factors in every.items()
            for factor in factors
            if fold(factor.partition(".")[2]) == wanted
        ]
    )


def fold(name: str) -> str:
    """A name without case, blanks and signs: ``Warm-up`` is ``warmup``."""
    return re.sub(r"[\W_]+", "", name.casefold())


def fields_of(part: Part) -> tuple[str, ...]:
    return tuple(field.name for field in fields(part))  # type: ignore[arg-type]


def describe_unknown(name: str) -> str:
    """That there is no such thing, and what comes near it."""
    if "." in name:
        return unknown_factor(name)
    several = (one.names if name.isascii() else one.all_names for one in entries())
    names = {fold(each): each for names in several for each in names}
    names |= {fold(part): part for part in parts()}
    wanted = fold(name)
    near = find_near(wanted, names, 3)
    near += [each for each in names if wanted and wanted in each and each not in near]
    if not near:
        return "no such strategy. `finegrid explain` lists all."
    told = " or ".join(json.dumps(names[one], ensure_ascii=False) for one in near[:4])
    return f"no such strategy. Did you mean {told}?"


def usual_levels(factor: str, layers: int) -> list[Level]:
    """The levels that are usually tried of a factor, its default first; empty where they must be said.

    What its part does not say is known of switches and lists of words.

    Args:
        factor: by its dotted name.
        layers: of the encoder.
    """
    part, _, name = factor.partition(".")
    of_part = parts()[part]
    told = of_part.usual_levels(name, layers)
    levels = told or allowed_levels(of_part, name)
    return list(dict.fromkeys([DEFAULTS[factor], *levels])) if levels else []


def allowed_levels(part: Part, name: str) -> tuple[Level, ...]:
    """All levels of a factor that has few: a switch, or a list of words."""
    schema: Mapping[str, Any] = TypeAdapter(type(part)).json_schema()["properties"][name]
    return (False, True) if schema.get("type") == "boolean" else tuple(schema.get("enum", ()))


def chosen_factors(found: Found) -> tuple[str, ...]:
    """Of what a name stands for, the factors to vary: of several, those whose usual levels are told."""
    if len(found.factors) == 1:
        return found.factors
    usual = parts()[found.part].usual
    return tuple(name for name in found.factors if name.partition(".")[2] in usual) or found.factors[:1]
