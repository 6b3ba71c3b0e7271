"""A table by columns, each of one kind: what CSV and Parquet are written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finegrid.import_levels import written
from finegrid.recipe import Level

# time: seconds since 1970, UTC. wholes: a list of whole numbers in each cell.
Kind = Literal["text", "category", "whole", "number", "truth", "time", "wholes"]


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind
    values: Sequence[Any]  # None where there is none
    categories: tuple[str, ...] = ()  # of a category, in their order; every value is one of them


@dataclass(frozen=True)
class Frame:
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def category(name: str, values: Sequence[str | None], categories: Sequence[str] = ()) -> Column:
    """Text that is one of a few. Without ``categories``: those that occur, as they come."""
    found = dict.fromkeys(value for value in values if value is not None)
    return Column(name, "category", values, tuple(categories) or tuple(found))


def factor(name: str, values: Sequence[Level], levels: Sequence[Level]) -> Column:
    """A factor as what its levels are; of text, the first category is the baseline's level."""
    if all(isinstance(level, bool) for level in levels):
        return Column(name, "truth", values)
    if all(isinstance(level, int) and not isinstance(level, bool) for level in levels):
        return Column(name, "whole", values)
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        return Column(name, "number", [float(value) for value in values])
    return category(name, [written(value) for value in values], [written(level) for level in levels])
