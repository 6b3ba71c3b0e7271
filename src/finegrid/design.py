"""A design: which recipes to run, and with which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from finegrid.recipe import Level, Levels, Recipe


@dataclass(frozen=True)
class Row:
    """One row of a study's table: one combination of levels."""

    index: int  # from 1, in the order of the table
    levels: Levels  # of the varied factors only; the rest is the baseline's
    recipe: Recipe


def full_factorial(baseline: Recipe, factors: Mapping[str, Sequence[Level]]) -> list[Row]:
    """Every combination of levels, counting like binary digits: the first factor changes slowest."""
    rows = []
    for index, combination in enumerate(product(*factors.values()), start=1):
        levels = dict(zip(factors, combination, strict=True))
        rows.append(Row(index, levels, baseline.at(levels)))
    return rows
