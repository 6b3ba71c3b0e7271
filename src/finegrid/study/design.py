"""A design: which recipes to run, and with which seeds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

from finegrid.errors import Problem
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.study.bundles import NO_BUNDLES, Bundles, unbundle
from finegrid.study.fraction import make_fraction

DesignKind = Literal["full", "fractional", "one-at-a-time", "screen"]
OF_FRACTIONS: tuple[DesignKind, ...] = ("fractional", "screen")
Resolution = Literal[3, 4, 5]
Factors = Mapping[str, Sequence[Level]]
MOST_ROWS = 4096  # twelve factors of two levels; a full factorial of more is never what somebody wants


@dataclass(frozen=True)
class Row:
    """One row of a study's table: one combination of levels."""

    index: int  # from 1, in the order of the table
    levels: Levels  # of the varied factors only; the rest is the baseline's
    recipe: Recipe
    bundled: Mapping[str, Levels] = field(default_factory=dict)  # by bundle, what its level sets


def plan_rows(
    kind: DesignKind,
    resolution: Resolution,
    baseline: Recipe,
    factors: Factors,
    bundles: Bundles = NO_BUNDLES,
) -> list[Row]:
    """The rows of a design without `find_design_problems`. Row 1 has every first level.

    Of a screen, those of its fraction: `plan_screen` has the rest.
    """
    if kind == "full":
        return plan_full(baseline, factors, bundles)
    if kind in OF_FRACTIONS:
        return plan_fraction(baseline, factors, resolution, bundles)
    return plan_one_at_a_time(baseline, factors, bundles)


def plan_full(baseline: Recipe, factors: Factors, bundles: Bundles = NO_BUNDLES) -> list[Row]:
    """Every combination of levels, counting like binary digits: the first factor changes slowest."""
    return number_rows(baseline, factors, product(*factors.values()), bundles)


def plan_fraction(
    baseline: Recipe, factors: Factors, resolution: Resolution, bundles: Bundles = NO_BUNDLES
) -> list[Row]:
    """The smallest fraction of two-level factors that reaches a resolution, in the order of the full one.

    Where no fraction does, that is every combination.
    """
    bits = make_fraction(len(factors), resolution)
    combinations = (
        [levels[bit] for levels, bit in zip(factors.values(), row, strict=True)] for row in bits.tolist()
    )
    return number_rows(baseline, factors, combinations, bundles)


def plan_screen(
    baseline: Recipe,
    factors: Factors,
    resolution: Resolution,
    survivors: Collection[str],
    bundles: Bundles = NO_BUNDLES,
) -> list[Row]:
    """A fraction of all factors, then what it lacks of every combination of the survivors.

    The other factors are at their first level in the rows that are added.
    """
    first = plan_fraction(baseline, factors, resolution, bundles)
    combinations = product(*(lv if name in survivors else lv[:1] for name, lv in factors.items()))
    in_fraction = {tuple(row.levels.values()) for row in first}
    more = (levels for levels in combinations if levels not in in_fraction)
    return number_rows(baseline, factors, [*(row.levels.values() for row in first), *more], bundles)


def plan_one_at_a_time(baseline: Recipe, factors: Factors, bundles: Bundles = NO_BUNDLES) -> list[Row]:
    """The first level of everything, then every other level of every factor by itself."""
    return number_rows(baseline, factors, (one.values() for one in move_one_at_a_time(factors)), bundles)


def move_one_at_a_time(factors: Factors) -> list[Levels]:
    """The levels of `plan_one_at_a_time`, in its order."""
    first = {name: levels[0] for name, levels in factors.items()}
    moved = [{**first, name: level} for name, levels in factors.items() for level in levels[1:]]
    return [first, *moved]


def number_rows(
    baseline: Recipe,
    factors: Factors,
    combinations: Iterable[Iterable[Level]],
    bundles: Bundles = NO_BUNDLES,
) -> list[Row]:
    """Rows from 1; a combination has a level for every factor."""
    rows = []
    for index, combination in enumerate(combinations, start=1):
        levels = dict(zip(factors, combination, strict=True))
        bundled = {name: bundle.levels[str(levels[name])] for name, bundle in bundles.items()}
        rows.append(Row(index, levels, baseline.at(unbundle(levels, bundles)), bundled))
    return rows


def find_design_problems(kind: DesignKind, resolution: Resolution, factors: Factors) -> list[Problem]:
    """Why a kind of design cannot be made of these factors; empty where it can."""
    if kind in OF_FRACTIONS:
        many = {name: len(levels) for name, levels in factors.items() if len(levels) > 2}
        if many:
            return [
                Problem(f'factors."{name}"', describe_too_many_levels(count)) for name, count in many.items()
            ]
    # A screen may come to have every combination.
    rows = count_rows("full" if kind == "screen" else kind, resolution, factors)
    if rows <= MOST_ROWS:
        return []
    smaller = ', or set design.kind = "fractional"' if kind in ("full", "screen") else ""
    instead = f"Vary fewer factors{smaller}"
    what = f"{rows:,} combinations of levels, but a study has {MOST_ROWS:,} at most. {instead}."
    return [Problem("[factors]", what)]


def describe_too_many_levels(count: int) -> str:
    return (
        f'{count} levels, but a fraction takes two of each factor. Keep two, or set design.kind = "full" or '
        '"one-at-a-time".'
    )


def count_rows(kind: DesignKind, resolution: Resolution, factors: Factors) -> int:
    """How many rows a design has, without making them: there may be billions."""
    if kind in OF_FRACTIONS:
        return len(make_fraction(len(factors), resolution))
    sizes = [len(levels) for levels in factors.values()]
    return math.prod(sizes) if kind == "full" else 1 + sum(sizes) - len(sizes)
