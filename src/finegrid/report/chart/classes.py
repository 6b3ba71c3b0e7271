"""How well the recommended recipe does each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import ClassesFacts, ClassFacts, Facts
from finegrid.report.chart.figure import ChartRows, Drawn, expr, layered, placed, scale
from finegrid.report.chart.style import Look, Row, fit_line, plain

STEP, TOP = 26, 24  # pixels
SIGNALS = (
    ("start", "narrow ? clamp(0.3 * width, 84, 150) : clamp(0.26 * width, 160, 300)"),
    ("end", "narrow ? width - 52 : width - 216"),
)


def classes(facts: Facts, look: Look) -> Drawn | None:
    """None where there are no predictions."""
    found = facts["classes"]
    if found is None:
        return None
    groups = grouped(found)
    rows = placed(
        [row for name, those in groups for row in rows_of(name if len(groups) > 1 else "", those, look)]
    )
    known = [row for row in rows if row["low"] is not None]
    grid = ChartRows(len(rows), STEP, TOP)
    ends = [row[end] for row in known for end in ("low", "high")] or [0.0, 100.0]
    edge = 0.04 * (max(ends) - min(ends)) or 1.0
    data: dict[str, Sequence[Row]] = {
        "rows": rows,
        "known": known,
        "heads": [{name: look.word(f"head {name}") for name in ("class", "f1", "texts")}],
    }
    return Drawn(
        layered(*layers(grid, look, min(ends) - edge, max(ends) + edge)),
        data,
        grid.height,
        look.word("classes title" if facts["verdict"]["best"] else "classes title so far"),
        tuple(notes(found, look, any(row["lacks"] for row in rows))),
        SIGNALS,
    )


def grouped(found: ClassesFacts) -> list[tuple[str, list[ClassFacts]]]:
    """The classes that are shown, the highest F1 first: of few all, of many in groups with names."""
    by_label = {one["label"]: one for one in found["classes"]}
    groups = [
        (name, sorted([by_label[label] for label in labels], key=lambda one: -(one["f1"] or 0.0)))
        for name, labels in (("classes common", found["common"]), ("classes lowest", found["lowest"]))
    ]
    return [(name, those) for name, those in groups if those]


def rows_of(name: str, classes: Sequence[ClassFacts], look: Look) -> Iterator[Row]:
    """Of one group, with a row that names it, if it has a name."""
    if name:
        fields = ("label", "f1_text", "interval_text", "texts_text", "precision_text", "recall_text")
        title = {"title": look.word(name), "f1": None, "low": None, "high": None, "lacks": False}
        yield {**title, **dict.fromkeys(fields, "")}
    for one in classes:
        yield row_of(one, look)


def row_of(one: ClassFacts, look: Look) -> Row:
    low, high = one["f1_interval"]
    return {
        "title": "",
        "lacks": low is None,
        "label": fit_line(one["label"]),
        "f1": one["f1"],
        "low": low,
        "high": high,
        "f1_text": "" if low is None else plain(one["f1"], 1),
        "interval_text": look.between(low, high, 1, sign=False),
        "texts_text": plain(one["texts"], 0),
        "precision_text": plain(one["precision"], 1),
        "recall_text": plain(one["recall"], 1),
    }


def layers(grid: ChartRows, look: Look, low: float, high: float) -> list[Any]:
    colour, known = look.colour, alt.Chart(alt.NamedData("known"))
    axis = alt.Axis(
        orient="bottom", title=look.word("f1 axis"), tickCount=expr("ceil((end - start) / 62)"), grid=False
    )
    x = alt.X("low:Q", scale=scale(low, high, "start", "end"), axis=axis)
    wide = expr("narrow ? 0 : 1")
    quiet: dict[str, Any] = {"align": "right", "color": colour.muted, "opacity": wide}
    head: dict[str, Any] = {"y": 8, "color": colour.muted, "fontSize": 11}
    heads = alt.Chart(alt.NamedData("heads"))
    fields = ("label", "f1_text", "interval_text", "precision_text", "recall_text", "texts_text")
    return [
        grid.lines("rows", colour.line),
        layered(
            known.mark_rule(strokeWidth=3.4, color=colour.use, opacity=0.55).encode(
                x=x, x2="high:Q", y=grid.y()
            ),
            known.mark_point(size=62, filled=True, opacity=1, color=colour.use).encode(x="f1:Q", y=grid.y()),
        ),
        grid.texts("rows", "label", 0, align="left", limit=expr("start - 16"), fontSize=13),
        grid.texts("rows", "title", 0, align="left", fontSize=12, color=colour.muted, fontWeight=600),
        grid.texts("rows", "f1_text", "narrow ? width : width - 152", align="right", fontWeight=600),
        grid.texts("rows", "interval_text", "width - 56", **quiet),
        grid.texts("rows", "texts_text", "width", **quiet),
        heads.mark_text(x=0, align="left", **head).encode(text="class:N"),
        heads.mark_text(x=expr("narrow ? width : width - 56"), align="right", **head).encode(text="f1:N"),
        heads.mark_text(x=expr("width"), align="right", opacity=wide, **head).encode(text="texts:N"),
        grid.hover(
            "rows", [alt.Tooltip(f"{field}:N", title=look.word(f"class {field}")) for field in fields]
        ),
    ]


def notes(found: ClassesFacts, look: Look, lacks: bool) -> Iterator[str]:
    yield look.word("how classes", rows=look.rows(found["rows"]), seeds=found["seeds"])
    if found["lowest"]:
        shown = {"common": len(found["common"]), "lowest": len(found["lowest"])}
        yield look.word("some classes", **shown, count=f"{found['all']:,}")
        yield look.word("all classes")
    if lacks:
        yield look.word("without interval")
