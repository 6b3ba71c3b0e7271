"""A design: which recipes to run, and with which seeds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from finegrid.errors import Problem
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.study.fraction import fraction

Kind = Literal["full", "fractional", "one-at-a-time", "screen"]
OF_FRACTIONS: tuple[Kind, ...] = ("fractional", "screen")
Resolution = Literal[3, 4, 5]
Factors = Mapping[str, Sequence[Level]]
MOST_ROWS = 4096  # twelve factors of two levels; a full factorial of more is never what somebody wants


@dataclass(frozen=True)
class Row:
    """One row of a study's table: one combination of levels."""

    index: int  # from 1, in the order of the table
    levels: Levels  # of the varied factors only; the rest is the baseline's
    recipe: Recipe


def plan_rows(kind: Kind, resolution: Resolution, baseline: Recipe, factors: Factors) -> list[Row]:
    """The rows of a design that `design_problems` has nothing against. Row 1 has every first level.

    Of a screen, those of its fraction: `screened` has the rest.
    """
    if kind == "full":
        return full_factorial(baseline, factors)
    if kind in OF_FRACTIONS:
        return fractional(baseline, factors, resolution)
    return one_at_a_time(baseline, factors)


def full_factorial(baseline: Recipe, factors: Factors) -> list[Row]:
    """Every combination of levels, counting like binary digits: the first factor changes slowest."""
    return numbered(baseline, factors, product(*factors.values()))


def fractional(baseline: Recipe, factors: Factors, resolution: Resolution) -> list[Row]:
    """The smallest fraction of two-level factors that reaches a resolution, in the order of the full one.

    Where no fraction does, that is every combination.
    """
    bits = fraction(len(factors), resolution)
    combinations = (
        [levels[bit] for levels, bit in zip(factors.values(), row, strict=True)] for row in bits.tolist()
    )
    return numbered(baseline, factors, combinations)


def screened(
    baseline: Recipe, factors: Factors, resolution: Resolution, survivors: Collection[str]
) -> list[Row]:
    """A fraction of all factors, then what it lacks of every combination of the survivors.

    The other factors are at their first level in the rows that are added.
    """
    first = fractional(baseline, factors, resolution)
    combinations = product(*(lv if name in survivors else lv[:1] for name, lv in factors.items()))
    taken = {tuple(row.levels.values()) for row in first}
    more = (levels for levels in combinations if levels not in taken)
    return numbered(baseline, factors, [*(row.levels.values() for row in first), *more])


def one_at_a_time(baseline: Recipe, factors: Factors) -> list[Row]:
    """The first level of everything, then every other level of every factor by itself."""
    first = {name: levels[0] for name, levels in factors.items()}
    moved = [{**first, name: level} for name, levels in factors.items() for level in levels[1:]]
    return numbered(baseline, factors, (levels.values() for levels in [first, *moved]))


def numbered(baseline: Recipe, factors: Factors, combinations: Iterable[Iterable[Level]]) -> list[Row]:
    """Rows from 1; a combination has a level for every factor."""
    rows = []
    for index, combination in enumerate(combinations, start=1):
        levels = dict(zip(factors, combination, strict=True))
        rows.append(Row(index, levels, baseline.at(levels)))
    return rows


def design_problems(kind: Kind, resolution: Resolution, factors: Factors) -> list[Problem]:
    """What a kind of design cannot do with these factors."""
    if kind in OF_FRACTIONS:
        many = {name: len(levels) for name, levels in factors.items() if len(levels) > 2}
        if many:
            return [Problem(f'factors."{name}"', more_than_two(count)) for name, count in many.items()]
    # A screen may come to have every combination.
    rows = count_rows("full" if kind == "screen" else kind, resolution, factors)
    if rows <= MOST_ROWS:
        return []
    smaller = ', or set design.kind = "fractional"' if kind in ("full", "screen") else ""
    instead = f"Vary fewer factors{smaller}"
    found = f"{rows:,} combinations of levels, but a study has {MOST_ROWS:,} at most. {instead}."
    return [Problem("[factors]", found)]


def more_than_two(count: int) -> str:
    return (
        f'{count} levels, but a fraction takes two of each factor. Keep two, or set design.kind = "full" or '
        '"one-at-a-time".'
    )


def count_rows(kind: Kind, resolution: Resolution, factors: Factors) -> int:
    """How many rows a design has, without making them: there may be billions."""
    if kind in OF_FRACTIONS:
        return len(fraction(len(factors), resolution))
    sizes = [len(levels) for levels in factors.values()]
    return math.prod(sizes) if kind == "full" else 1 + sum(sizes) - len(sizes)
