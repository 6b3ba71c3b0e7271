"""Renders a table of recipes, a study's or an imported one, as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finegrid.data.markdown import escape_cell
from finegrid.errors import visible, visible_json
from finegrid.recipe.identity import Levels
from finegrid.spelling import format_level
from finegrid.study.presets import Preset


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], content: Mapping[str, Any], style: str
) -> str:
    """The table as ``markdown`` or ``csv``, or its ``content`` as ``json``.

    Args:
        header: names of the columns.
        rows: the cells of each row, as many as there are columns.
        content: what a program reads of the table.
        style: the format.
    """
    if style == "json":
        return visible_json(json.dumps(content, ensure_ascii=False, indent=1))
    if style == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        return out.getvalue().rstrip("\n")
    lines = [[escape_cell(visible(cell)) for cell in cells] for cells in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def name_columns(factors: Iterable[str], preset: Preset | None) -> list[str]:
    """The factors' columns, as the preset's published table calls them where there is one."""
    return list(factors) if preset is None else [column.name for column in preset.columns]


def format_levels(levels: Levels, preset: Preset | None) -> list[str]:
    """A row's levels, as the preset's published table writes them where there is one."""
    if preset is None:
        return [format_level(level) for level in levels.values()]
    return [
        column.off if levels[column.factor] == preset.factors[column.factor][0] else column.on
        for column in preset.columns
    ]
