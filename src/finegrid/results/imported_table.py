"""The table of an imported study, as `finegrid table` prints it."""

from __future__ import annotations

from typing import Any

from finegrid.in_chinese import translate
from finegrid.results.render import format_levels, name_columns, render_table
from finegrid.results.words import say
from finegrid.spelling import Lang, format_level
from finegrid.study.imported import Imported, ImportedRow
from finegrid.study.presets import Preset, thucnews64
from finegrid.words import SHARED


def render_imported(imported: Imported, style: str, lang: Lang = "en") -> str:
    """The table as ``markdown``, ``csv`` or ``json``; results from 0 to 1, as in the table of a study.

    Results on a scale of their own are as they are. ``lang`` is of Markdown: programs read the others.
    """
    lang = lang if style == "markdown" else "en"
    preset = find_preset(imported)
    seeded = any(row.seed is not None for row in imported.rows)
    timed = imported.seconds_per is not None
    header = [say("index", lang), *name_columns(imported.factors, preset), *[say("seed", lang)] * seeded]
    header.append(say("result", lang))
    if timed:
        header.append(say(f"seconds per {imported.seconds_per}", lang))
    rows = [
        [
            str(row.index),
            *format_levels(row.levels, preset),
            *[format_optional(row.seed)] * seeded,
            format_result(imported, row),
            *[format_optional(row.seconds)] * timed,
        ]
        for row in imported.rows
    ]
    return render_table(header, rows, as_json(imported), style)


def imported_lines(imported: Imported, lang: Lang = "en") -> list[str]:
    """How a table was understood, in words."""
    rows, recipes = len(imported.rows), len(set(imported.same_as()))
    title = translate(imported.title, lang)
    lines = [say("imported", lang, title=title, rows=rows, recipes=recipes, score=imported.score)]
    for name, levels in imported.factors.items():
        told = SHARED[lang]["list comma"].join(map(format_level, levels))
        reason = translate(imported.inert.get(name, ""), lang)
        lines.append(say("inert" if reason else "factor", lang, factor=name, levels=told, reason=reason))
    return [*lines, *(translate(note, lang) for note in imported.notes)]


def find_preset(imported: Imported) -> Preset | None:
    """The preset whose factors and levels these are: its table has columns of its own."""
    layers = [
        level for name in ("reinit.layers", "freeze.layers") for level in imported.factors.get(name, [])
    ]
    half = max((level for level in layers if isinstance(level, int)), default=0)
    preset = thucnews64(2 * half, "reinit.pooler" in imported.factors)
    varied = {name: set(levels) for name, levels in imported.factors.items()}
    return preset if varied == {name: set(levels) for name, levels in preset.factors.items()} else None


def format_result(imported: Imported, row: ImportedRow) -> str:
    """Four digits after the point, or more where the table has more."""
    if row.result is None:
        return ""
    if imported.scale == "own":
        return f"{row.result:.12g}"
    whole, _, digits = f"{row.result / 100:.10f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<4}"


def format_optional(value: float | None) -> str:
    return "" if value is None else str(value)


def as_json(imported: Imported) -> dict[str, Any]:
    measured = [row for row in imported.rows if row.result is not None]
    sign = -1 if imported.lower_is_better else 1
    best = max(measured, key=lambda row: sign * (row.result or 0.0), default=None)
    worst = min(measured, key=lambda row: sign * (row.result or 0.0), default=None)
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
                "result": imported.as_written(row),
                "seconds": row.seconds,
            }
            for row, same in zip(imported.rows, imported.same_as(), strict=True)
        ],
        "inert": imported.inert,
        "lower_is_better": imported.lower_is_better,
        "best": best.index if best else None,
        "worst": worst.index if worst else None,
        "seconds_per": imported.seconds_per,
    }
