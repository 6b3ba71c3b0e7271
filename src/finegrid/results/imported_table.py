"""The table of an imported study, as `finegrid table` prints it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from finegrid.data.markdown import escape_cell
from finegrid.errors import visible
from finegrid.spelling import format_level
from finegrid.study.imported import Imported, ImportedRow
from finegrid.study.presets import PRESETS, Preset


def render_imported(imported: Imported, style: str) -> str:
    """The table as ``markdown``, ``csv`` or ``json``; results from 0 to 1, as in the table of a study."""
    if style == "json":
        return json.dumps(as_json(imported), ensure_ascii=False, indent=1)
    preset = published(imported)
    seeded = any(row.seed is not None for row in imported.rows)
    timed = imported.seconds_per is not None
    header = ["index", *names(imported, preset), *["seed"] * seeded, "result"]
    lines = [
        [str(row.index), *cells(row, preset), *[optional(row.seed)] * seeded, result(row)]
        + [optional(row.seconds)] * timed
        for row in imported.rows
    ]
    header += [f"seconds_per_{imported.seconds_per}"] * timed
    if style == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *lines])
        return out.getvalue().rstrip("\n")
    shown = [[escape_cell(visible(cell)) for cell in line] for line in (header, *lines)]
    shown.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def imported_lines(imported: Imported) -> list[str]:
    """How a table was understood, in words."""
    repeats = len(set(imported.same_as()))
    lines = [
        f"{imported.title}: {len(imported.rows)} rows, {repeats} distinct recipes, score {imported.score}"
    ]
    for name, levels in imported.factors.items():
        inert = f" (inert: {imported.inert[name]})" if name in imported.inert else ""
        lines.append(f"  {name}: {', '.join(map(format_level, levels))}{inert}")
    return [*lines, *imported.notes]


def published(imported: Imported) -> Preset | None:
    """The preset whose factors and levels these are: its table has columns of its own."""
    layers = [
        level for name in ("reinit.layers", "freeze.layers") for level in imported.factors.get(name, [])
    ]
    half = max((level for level in layers if isinstance(level, int)), default=0)
    preset = PRESETS["thucnews64"](2 * half, "reinit.pooler" in imported.factors)
    levels = {name: set(own) for name, own in imported.factors.items()}
    return preset if levels == {name: set(own) for name, own in preset.factors.items()} else None


def names(imported: Imported, preset: Preset | None) -> list[str]:
    return [column.name for column in preset.columns] if preset else list(imported.factors)


def cells(row: ImportedRow, preset: Preset | None) -> list[str]:
    if preset is None:
        return [format_level(level) for level in row.levels.values()]
    return [
        column.off if row.levels[column.factor] == preset.factors[column.factor][0] else column.on
        for column in preset.columns
    ]


def result(row: ImportedRow) -> str:
    """Four digits after the point, or more where the table has more."""
    if row.result is None:
        return ""
    whole, _, digits = f"{row.result / 100:.10f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<4}"


def optional(value: float | None) -> str:
    return "" if value is None else str(value)


def as_json(imported: Imported) -> dict[str, Any]:
    found = [row for row in imported.rows if row.result is not None]
    best = max(found, key=lambda row: row.result or 0.0, default=None)
    worst = min(found, key=lambda row: row.result or 0.0, default=None)
    return {
        "schema": 1,
        "score": imported.score,
        "imported": imported.source,
        "rows": [
            {
                "index": row.index,
                "levels": row.levels,
                "same_as": same,
                "seed": row.seed,
                "result": None if row.result is None else round(row.result / 100, 12),
                "seconds": row.seconds,
            }
            for row, same in zip(imported.rows, imported.same_as(), strict=True)
        ],
        "inert": imported.inert,
        "best": best.index if best else None,
        "worst": worst.index if worst else None,
        "seconds_per": imported.seconds_per,
    }
