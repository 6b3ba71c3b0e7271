"""Strategies that depend on each other: what one is worth at either level of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.decision_words import decision_of, decision_words
from finegrid.facts.report import Facts
from finegrid.facts.verdict import InteractionFacts
from finegrid.report.chart.figure import ChartRows, Drawn, expr, layered, scale
from finegrid.report.chart.forest import SIGNED
from finegrid.report.chart.style import Look, Row, fit_line, format_signed, level_name, score_label
from finegrid.spelling import format_level

MOST = 6  # panels
STEP, TOP = 22, 6  # pixels
PANEL = 5.0  # rows from one panel to the next: two lines of heading, two of marks, and room
FIRST = 1.85  # rows from the heading to the first line of marks
SIGNALS = (
    ("start", "narrow ? 92 : clamp(0.31 * width, 215, 340)"),
    ("end", "narrow ? width - 56 : width - 176"),
)


def interactions(facts: Facts, look: Look) -> Drawn | None:
    """None where no interaction is estimated at both levels, with intervals."""
    known = [one for one in facts["verdict"]["interactions"] if drawable(one)]
    if not known:
        return None
    known.sort(key=lambda one: (not one["matters"], -abs(one["effect"] or 0.0)))
    kept = known[:MOST]
    margin = facts["verdict"]["margin"]
    heads = [head_of(n, one, margin, look) for n, one in enumerate(kept)]
    rows = [row for n, one in enumerate(kept) for row in rows_of(n, one, look)]
    grid = ChartRows(PANEL * len(kept) - 0.6, STEP, TOP)
    ends = [row[end] for row in rows for end in ("low", "high")]
    edge = 0.05 * (max(0.0, *ends) - min(0.0, *ends)) or 1.0
    data: dict[str, Sequence[Row]] = {
        "heads": heads,
        "rows": rows,
        "hovered": [{**row, "from": row["row"] - 0.5, "edge": row["row"] + 0.5} for row in rows],
        "pairs": [
            {"row": first["row"], "to": second["row"], "effect": first["effect"], "other": second["effect"]}
            for first, second in zip(rows[::2], rows[1::2], strict=True)
        ],
        "zero": [
            {"zero": 0, "from": each["row"] + FIRST - 0.6, "to": each["row"] + FIRST + 1.6} for each in heads
        ],
    }
    return Drawn(
        layered(*layers(grid, look, facts, min(0.0, *ends) - edge, max(0.0, *ends) + edge)),
        data,
        grid.height,
        look.word("interactions title", score=score_label(facts["verdict"]["score"])),
        tuple(notes(facts, look, len(kept), len(known), any(one["aliases"] for one in kept))),
        SIGNALS,
    )


def drawable(one: InteractionFacts) -> bool:
    first = one["conditional"][:2]
    known = [each["low"] for each in first] + [one["effect"], one["low"]]
    return len(first) == 2 and None not in known


def head_of(number: int, one: InteractionFacts, margin: float, look: Look) -> Row:
    first, second = one["factors"]
    text = look.word(
        "interaction", effect=format_signed(one["effect"]), interval=look.between(one["low"], one["high"])
    )
    words = decision_words(decision_of(one["decision"]), margin, look.lang)
    return {
        "row": number * PANEL,
        "name": look.word("by", level=level_name(first, one["levels"][0][1]), other=fit_line(second))
        + (" †" if one["aliases"] else ""),
        "told": look.word("comma").join([text, words]),
        "ink": "strong" if one["matters"] else "quiet",
    }


def rows_of(number: int, one: InteractionFacts, look: Look) -> Iterator[Row]:
    """The effect of the first strategy at both levels of the second."""
    first, second = one["factors"]
    for place, each in enumerate(one["conditional"][:2]):
        level = fit_line(format_level(each["given"][1]))
        yield {
            "row": number * PANEL + FIRST + place,
            "label": look.word("with", level=f"{fit_line(second)} = {level}"),
            "brief": f"= {level}",
            "level": ("first", "other")[place],
            "effect": each["effect"],
            "low": each["low"],
            "high": each["high"],
            "effect_text": format_signed(each["effect"]),
            "interval_text": look.between(each["low"], each["high"]),
            "strategy": level_name(first, one["levels"][0][1]),
            "ink": "strong" if one["matters"] else "quiet",
        }


def layers(grid: ChartRows, look: Look, facts: Facts, low: float, high: float) -> list[Any]:
    colour = look.colour
    inks = alt.Scale(domain=["strong", "quiet"], range=[colour.use, colour.open])
    fills = alt.Scale(domain=["first", "other"], range=[colour.card, colour.ink])
    ink = alt.Color("ink:N", scale=inks, legend=None)
    axis = alt.Axis(
        orient="bottom",
        title=look.word("points of", score=score_label(facts["verdict"]["score"])),
        tickCount=expr("ceil((end - start) / 62)"),
        labelExpr=SIGNED,
        grid=False,
    )
    x = alt.X("zero:Q", scale=scale(low, high, "start", "end"), axis=axis)
    rows, pairs = alt.Chart(alt.NamedData("rows")), alt.Chart(alt.NamedData("pairs"))
    wide, narrow = expr("narrow ? 0 : 1"), expr("narrow ? 1 : 0")
    quiet: dict[str, Any] = {"color": colour.muted}
    zero = alt.Chart(alt.NamedData("zero")).mark_rule(color=colour.ink, strokeWidth=1)
    return [
        layered(
            zero.encode(x=x, y=grid.y("from"), y2="to:Q"),
            pairs.mark_rule(color=colour.faint, strokeDash=[2, 2]).encode(
                x="effect:Q", x2="other:Q", y=grid.y(), y2="to:Q"
            ),
            rows.mark_rule(strokeWidth=3.4).encode(x="low:Q", x2="high:Q", y=grid.y(), color=ink),
            rows.mark_point(size=62, opacity=1, strokeWidth=2).encode(
                x="effect:Q",
                y=grid.y(),
                stroke=alt.Stroke("ink:N", scale=inks, legend=None),
                fill=alt.Fill("level:N", scale=fills, legend=None),
            ),
        ),
        grid.texts("heads", "name", 0, align="left", fontSize=13, fontWeight=600, limit=expr("width")),
        grid.texts("heads", "told", 0, align="left", dy=17, limit=expr("width")).encode(
            color=alt.Color("ink:N", scale=inks, legend=None)
        ),
        grid.texts("rows", "label", 12, align="left", limit=expr("start - 24"), opacity=wide, **quiet),
        grid.texts("rows", "brief", 12, align="left", limit=expr("start - 20"), opacity=narrow, **quiet),
        grid.texts("rows", "effect_text", "narrow ? width : width - 120", align="right", fontWeight=600),
        grid.texts("rows", "interval_text", "width", align="right", opacity=wide, **quiet),
        grid.hover("hovered", tips(look)),
    ]


def tips(look: Look) -> list[alt.Tooltip]:
    fields = {
        "strategy": "full",
        "label": "given",
        "effect_text": "effect_text",
        "interval_text": "interval_text",
    }
    return [alt.Tooltip(f"{field}:N", title=look.word(f"tip {name}")) for field, name in fields.items()]


def notes(facts: Facts, look: Look, kept: int, known: int, has_aliases: bool) -> Iterator[str]:
    yield look.word("how interactions")
    if kept < known:
        yield look.word("some interactions", shown=kept, count=known)
    lacking = len(facts["verdict"]["interactions"]) - known
    if lacking:
        yield look.word("interactions lack", count=lacking)
    if has_aliases:
        yield look.word("daggers")
