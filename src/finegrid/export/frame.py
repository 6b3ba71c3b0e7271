"""A table by columns, each of one kind: what CSV and Parquet are written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finegrid.recipe.identity import Level
from finegrid.spelling import format_level

# time: seconds since 1970, UTC. wholes: a list of whole numbers in each cell.
ColumnKind = Literal["text", "category", "whole", "number", "truth", "time", "wholes"]


@dataclass(frozen=True)
class FrameColumn:
    name: str
    kind: ColumnKind
    values: Sequence[Any]  # None where there is none
    categories: tuple[str, ...] = ()  # of a category, in their order; every value is one of them


@dataclass(frozen=True)
class Frame:
    columns: tuple[FrameColumn, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __getitem__(self, name: str) -> FrameColumn:
        return next(column for column in self.columns if column.name == name)


def make_category(name: str, values: Sequence[str | None], categories: Sequence[str] = ()) -> FrameColumn:
    """Text that is one of a few. Without ``categories``: those that occur, as they come."""
    occurring = dict.fromkeys(value for value in values if value is not None)
    return FrameColumn(name, "category", values, tuple(categories) or tuple(occurring))


def make_factor(name: str, values: Sequence[Level], levels: Sequence[Level]) -> FrameColumn:
    """A factor as what its levels are; of text, the first category is the baseline's level."""
    if all(isinstance(level, bool) for level in levels):
        return FrameColumn(name, "truth", values)
    if all(isinstance(level, int) and not isinstance(level, bool) for level in levels):
        return FrameColumn(name, "whole", values)
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        return FrameColumn(name, "number", [float(value) for value in values])
    return make_category(
        name, [format_level(value) for value in values], [format_level(level) for level in levels]
    )
