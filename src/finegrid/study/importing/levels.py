"""Reads the levels of factors as an imported table writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from finegrid.data.delimited import Line
from finegrid.data.findings import FileFindings, quote
from finegrid.recipe.identity import Level
from finegrid.study.presets import thucnews64

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MOST_LEVELS = 8  # from so many rows on, a factor with another level in each looks like a result


def parse_number(cell: str) -> float | None:
    """A finite number as it is written in code, or None."""
    value = float(cell) if NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def read_published_levels(
    columns: Mapping[str, list[str]], findings: FileFindings
) -> dict[str, list[Level]] | None:
    """``[rows]`` levels of our factors, if these are the columns and levels of preset thucnews64."""
    cells = {
        name.casefold(): [parse_number(cell) for cell in column_cells]
        for name, column_cells in columns.items()
    }
    layers = [value for name in ("reinit_layers", "frozen_layers") for value in cells.get(name, []) if value]
    half = int(max(layers, default=1))
    preset = thucnews64(2 * max(half, 1), "reinit_pooler" in cells)
    if len(cells) < len(columns) or set(cells) != {column.name for column in preset.columns}:
        return None
    levels: dict[str, list[Level]] = {}
    for name in cells:
        column = next(column for column in preset.columns if column.name == name)
        off, on = preset.factors[column.factor]
        meaning = {float(column.off): off, float(column.on): on}
        unknown = next((row for row, value in enumerate(cells[name]) if value not in meaning), None)
        if unknown is not None:
            cell = next(
                column_cells[unknown] for column, column_cells in columns.items() if column.casefold() == name
            )
            findings.warnings.append(
                f"columns are named like those of the preset thucnews64, but {quote(name)} has the level "
                f"{quote(cell)}: names and levels were taken as they are"
            )
            return None
        levels[column.factor] = [meaning[value] for value in cells[name] if value is not None]
    return levels


def read_plain_levels(
    columns: Mapping[str, list[str]], lines: list[Line], findings: FileFindings
) -> dict[str, list[Level]]:
    """``[rows]`` levels of each column: whole numbers, numbers, true and false, or text."""
    levels = {}
    for name, cells in columns.items():
        for (place, _), cell in zip(lines, cells, strict=True):
            if not cell:
                what = f'no level of {quote(name)}. Fill it in (for "does not apply", write none)'
                findings.add_problem("no level", what, place)
        levels[name] = parse_levels(cells)
        if len(set(levels[name])) == len(cells) >= MOST_LEVELS:
            findings.warnings.append(
                f"factor {quote(name)} has another level in every row. If it is a result, take the column out"
            )
    return levels


def parse_levels(cells: Sequence[str]) -> list[Level]:
    """Levels of one column, all of one type, so that 6 and 6.0 are the same and 6 and "none" comparable."""
    if all(WHOLE.fullmatch(cell) for cell in cells):
        return [int(cell) for cell in cells]
    numbers = [parse_number(cell) for cell in cells]
    if None not in numbers:
        return [value for value in numbers if value is not None]
    words = [cell.casefold() for cell in cells]
    if set(words) <= {"true", "false"}:
        return [word == "true" for word in words]
    return list(cells)
