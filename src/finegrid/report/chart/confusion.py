"""Which classes the recommended recipe takes for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import ClassesFacts, Facts
from finegrid.report.chart.figure import ChartRows, Drawn, expr, layered, scale
from finegrid.report.chart.style import Look, Row, fit_line, is_wide, plain

TOP = 24  # pixels, for headings
MOST_BELOW, LETTER = 92, 4.4  # pixels, for the sloping names of columns, and what a letter takes of it
STEPS = ((12, 34, 12), (25, 24, 11), (1000, 15, 9))  # up to so many classes: pixels of a cell, of letters
MOST_WRITTEN = 15  # classes; with more the cells are too small for numbers
MOST_NARROW = 12  # classes; of more the names of columns lie upon each other on a phone: rows have the same
SMALL = 0.005  # shares below are not written
WHITE_ABOVE = 0.35  # share above which a cell is dark enough for light letters
SIGNALS = (("start", "narrow ? clamp(0.24 * width, 70, 130) : clamp(0.22 * width, 130, 240)"),)


def confusion(facts: Facts, look: Look) -> Drawn | None:
    """None where there are no predictions."""
    found = facts["classes"]
    if found is None:
        return None
    labels = [fit_line(label) for label in found["labels"]]
    step, size = next((pixels, letter) for most, pixels, letter in STEPS if len(labels) <= most)
    grid = ChartRows(len(labels), step, TOP)
    cells = list(cells_of(found, labels))
    data: dict[str, Sequence[Row]] = {
        "right": [cell for cell in cells if cell["row"] == cell["column"]],
        "wrong": [cell for cell in cells if cell["row"] != cell["column"] and cell["count"] > 0],
        "all": [cell for cell in cells if cell["count"] == 0],
        "labels": [{"row": n, "label": label} for n, label in enumerate(labels)],
        "heads": [{name: look.word(f"head {name}") for name in ("gold", "said")}],
    }
    return Drawn(
        layered(*layers(grid, look, len(labels), size)),
        data,
        grid.height + min(MOST_BELOW, 18 + LETTER * max(map(letters, labels))),
        look.word("confusion title" if facts["verdict"]["best"] else "confusion title so far"),
        tuple(notes(found, look)),
        SIGNALS,
    )


def letters(text: str) -> int:
    """As wide as so many Latin ones."""
    return sum(2 if is_wide(char) else 1 for char in text)


def cells_of(found: ClassesFacts, labels: Sequence[str]) -> Iterator[Row]:
    """Counts, and shares of the texts of the true class."""
    by_label = {one["label"]: one for one in found["classes"]}
    for row, (counts, label) in enumerate(zip(found["confusion"], found["labels"], strict=True)):
        one = by_label[label]
        for column, count in enumerate(counts):
            share = count / one["texts"] if one["texts"] else 0.0
            written = len(labels) <= MOST_WRITTEN and share >= SMALL
            yield {
                "row": row,
                "column": column,
                "from": row - 0.5,
                "edge": row + 0.5,
                "left": column - 0.5,
                "right": column + 0.5,
                "count": count,
                "share": round(share, 4),
                "text": f"{100 * share:.0f}" if written else "",
                "gold": labels[row],
                "said": labels[column],
                "count_text": f"{plain(count, 1)} / {plain(one['texts'], 0)}",
                "share_text": f"{100 * share:.1f} %",
            }


def layers(grid: ChartRows, look: Look, count: int, size: int) -> list[Any]:
    colour = look.colour
    x = alt.X("left:Q", scale=scale(-0.5, count - 0.5, "start", "width"), axis=None)
    place = f"start + (width - start) * (datum.column + 0.5) / {count}"
    slope = f"start + (width - start) * (datum.row + 0.5) / {count} + 4"
    fields = ("gold", "said", "count_text", "share_text")
    tips = [alt.Tooltip(f"{field}:N", title=look.word(f"cell {field}")) for field in fields]
    head: dict[str, Any] = {"y": 8, "color": colour.muted, "fontSize": 11}
    heads, labels = alt.Chart(alt.NamedData("heads")), alt.Chart(alt.NamedData("labels"))
    cells = [
        alt.Chart(alt.NamedData(data))
        .mark_rect(stroke=colour.card, strokeWidth=1.5)
        .encode(
            x=x,
            x2="right:Q",
            y=grid.y("from"),
            y2="edge:Q",
            tooltip=tips,
            color=alt.Color(
                "share:Q",
                scale=alt.Scale(type="sqrt", interpolate="rgb", domain=[0, 1], range=[colour.band, ink]),
                legend=None,
            ),
        )
        for data, ink in (("all", colour.band), ("right", colour.use), ("wrong", colour.avoid))
    ]
    numbers = [
        grid.texts(
            data,
            "text",
            place,
            align="center",
            fontSize=11,
            color=expr(f"datum.share > {WHITE_ABOVE} ? '{colour.card}' : '{colour.ink}'"),
        )
        for data in ("right", "wrong")
    ]
    return [
        layered(*cells, color=True),
        *numbers,
        grid.texts("labels", "label", "start - 10", align="right", fontSize=size, limit=expr("start - 14")),
        labels.mark_text(
            x=expr(slope),
            y=grid.height + 10,
            angle=318,
            align="right",
            limit=104,
            fontSize=size,
            color=colour.ink,
            opacity=expr("narrow ? 0 : 1") if count > MOST_NARROW else 1,
        ).encode(text="label:N"),
        heads.mark_text(x=expr("start - 10"), align="right", **head).encode(text="gold:N"),
        heads.mark_text(x=expr("start"), align="left", **head).encode(text="said:N"),
    ]


def notes(found: ClassesFacts, look: Look) -> Iterator[str]:
    named = {"rows": look.rows(found["rows"]), "seeds": found["seeds"]}
    if len(found["labels"]) == found["all"]:
        yield look.word("how confusion", **named)
        return
    yield look.word("how some confusion", **named)
    yield look.word("some confusion", shown=len(found["labels"]), count=f"{found['all']:,}")
