"""Every recipe with its seeds as dots, best first, with mean and interval, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import Facts, ReportRecipe
from finegrid.report.chart.figure import ChartRows, Drawn, expr, layered, placed, scale
from finegrid.report.chart.recipes import ROLES, recipe_row
from finegrid.report.chart.style import Look, Row, level_name, plain, score_label

STEP = 20  # pixels
MOST = 64  # recipes; of more the best ones, the baseline and the recommended one
MOST_LEVELS = 24  # columns of levels; with more there are none
COLUMN, MANY, CLOSER = 17, 10, 13  # pixels from one level to the next; of more levels than so many
SLOPE = -52  # degrees, of the levels' names
TOP, MOST_TOP = 30, 170  # pixels, for headings without and with names of levels
LETTER = 3.9  # pixels of height that a letter of a sloping name takes


def seeds(facts: Facts, look: Look) -> Drawn | None:
    """None where no run has finished."""
    sign = 1 if facts["verdict"]["lower_is_better"] else -1
    recipes = sorted(facts["recipes"], key=lambda one: sign * (one["test"] or 0.0))
    recipes.sort(key=lambda one: one["test"] is None)
    if not recipes or recipes[0]["test"] is None:
        return None
    kept = [one for n, one in enumerate(recipes) if n < MOST or one["baseline"] or one["recommended"]]
    rows = placed([row_of(one, look, facts) for one in kept])
    dots = [
        {"row": row["row"], "score": run["test"]}
        for row, one in zip(rows, kept, strict=True)
        for run in one["runs"]
        if run["status"] == "done"
    ]
    levels = levels_of(facts)
    longest = max((len(row["level"]) for row in levels), default=0)
    grid = ChartRows(len(rows), STEP, min(MOST_TOP, TOP + LETTER * longest) if levels else TOP, TOP)
    known = [row for row in rows if row["low"] is not None]
    all_there = all(row["done"] == row["planned"] for row in rows)
    data: dict[str, Sequence[Row]] = {
        "rows": rows,
        "known": known,
        "dots": dots,
        "levels": levels,
        "cells": cells(rows, kept, levels),
        "named": [row for row in rows if row["beside"]],
        "baseline": [row for row in known if row["role"] == "baseline"],
        "heads": [{name: look.word(f"head {name}") for name in ("rows", "interval")}],
    }
    return Drawn(
        layered(*layers(grid, look, facts, levels, *reach(dots, known))),
        data,
        grid.height,
        look.word("seeds title", score=score_label(facts["verdict"]["score"])),
        tuple(notes(facts, look, rows, len(recipes), bool(levels))),
        (
            ("rows_end", "narrow ? 46 : 52"),
            ("start", f"narrow ? 60 : {52 + column_of(levels) * len(levels) + (118 if all_there else 176)}"),
            ("end", "narrow ? width - 52 : width - 152"),
        ),
    )


def row_of(recipe: ReportRecipe, look: Look, facts: Facts) -> Row:
    row = recipe_row(recipe, look, facts["verdict"]["score_digits"])
    beside = [row["role_word"]] if row["role"] in ("recommended", "baseline") else []
    absent = "absent" if facts["kind"] == "imported" else "left"
    states = {absent if run["status"] == "left" else run["status"] for run in recipe["runs"]} - {"done"}
    if row["test"] is None:
        why = look.word("comma").join(look.word(f"state {state}") for state in sorted(states))
        return {**row, "interval_text": why, "beside": look.word("comma").join(beside)}
    if row["done"] < row["planned"]:
        beside.append(look.word("of runs", done=row["done"], planned=row["planned"]))
    return {**row, "beside": look.word("comma").join(beside)}


def levels_of(facts: Facts) -> list[Row]:
    """A column for every level but the first ones, if they are few enough."""
    found = [(name, level) for name, (_, *others) in facts["state"]["factors"].items() for level in others]
    if len(found) > MOST_LEVELS:
        return []
    return [
        {"column": n, "level": level_name(name, level), "name": name, "value": level}
        for n, (name, level) in enumerate(found)
    ]


def column_of(levels: Sequence[Row]) -> int:
    return COLUMN if len(levels) <= MANY else CLOSER


def cells(rows: Sequence[Row], recipes: Sequence[ReportRecipe], levels: Sequence[Row]) -> list[Row]:
    """Which recipe has which level."""
    return [
        {
            "row": row["row"],
            "column": each["column"],
            "role": row["role"],
            "has": int(recipe["levels"].get(each["name"]) == each["value"]),
        }
        for row, recipe in zip(rows, recipes, strict=True)
        for each in levels
    ]


def reach(dots: Sequence[Row], known: Sequence[Row]) -> tuple[float, float]:
    values = [dot["score"] for dot in dots] + [row[end] for row in known for end in ("low", "high")]
    edge = 0.03 * (max(values) - min(values)) or 1.0
    return min(values) - edge, max(values) + edge


def layers(
    grid: ChartRows, look: Look, facts: Facts, levels: Sequence[Row], low: float, high: float
) -> list[Any]:
    colour = look.colour
    inks = [colour.use, colour.ink, colour.muted, colour.muted]
    ink = alt.Color("role:N", scale=alt.Scale(domain=list(ROLES), range=inks), legend=None)
    axis = alt.Axis(
        orient="bottom",
        title=look.word("points of", score=score_label(facts["verdict"]["score"])),
        tickCount=expr("ceil((end - start) / 62)"),
        grid=False,
    )
    x = alt.X("score:Q", scale=scale(low, high, "start", "end"), axis=axis)
    dots, known = alt.Chart(alt.NamedData("dots")), alt.Chart(alt.NamedData("known"))
    wide, quiet, column = expr("narrow ? 0 : 1"), colour.muted, column_of(levels)
    small: dict[str, Any] = {"align": "right", "color": quiet, "fontSize": 11}
    return [
        grid.lines("rows", colour.line),
        layered(
            alt.Chart(alt.NamedData("baseline"))
            .mark_rule(
                color=colour.ink,
                strokeDash=[2, 3],
                strokeWidth=1,
                y=expr(f"{grid.y_of_heads} - 4"),
                y2=expr("height"),
            )
            .encode(x="test:Q"),
            known.mark_rule(strokeWidth=2.4).encode(x="low:Q", x2="high:Q", y=grid.y(), color=ink),
            known.mark_tick(thickness=2.6, size=12, opacity=1).encode(x="test:Q", y=grid.y(), color=ink),
            dots.mark_point(size=24, strokeWidth=1.1, opacity=1, color=colour.ink, fill=colour.card).encode(
                x=x, y=grid.y()
            ),
        ),
        *matrix(grid, look, ink, column),
        grid.texts(
            "named",
            "beside",
            f"rows_end + {column * len(levels)} + 14",
            align="left",
            fontWeight=600,
            limit=expr(f"start - rows_end - {column * len(levels)} - 20"),
            opacity=wide,
        ).encode(color=ink),
        grid.texts("rows", "rows", "rows_end", limit=50, **small),
        grid.texts("rows", "test_text", "narrow ? width : width - 100", align="right", fontWeight=600),
        grid.texts("rows", "interval_text", "width", opacity=wide, **small),
        *(
            alt.Chart(alt.NamedData("heads"))
            .mark_text(x=expr(place), y=expr(f"{grid.y_of_heads} - 12"), opacity=shade, **small)
            .encode(text=f"{name}:N")
            for name, place, shade in (("rows", "rows_end", 1), ("interval", "width", wide))
        ),
        grid.hover("rows", tips(look)),
    ]


def matrix(grid: ChartRows, look: Look, ink: alt.Color, column: int) -> list[alt.Chart]:
    """A dot where a recipe has a level; the levels' names slope above. Not where it is narrow."""
    colour, place = look.colour, f"rows_end + 14 + {column} * datum.column"
    dots, names = alt.Chart(alt.NamedData("cells")), alt.Chart(alt.NamedData("levels"))
    return [
        dots.mark_point(
            filled=True,
            size=14,
            color=colour.line,
            opacity=expr("narrow || datum.has ? 0 : 1"),
            x=expr(place),
        ).encode(y=grid.y()),
        dots.mark_point(
            filled=True, size=50, opacity=expr("narrow || !datum.has ? 0 : 1"), x=expr(place)
        ).encode(y=grid.y(), color=ink),
        names.mark_text(
            x=expr(place),
            y=grid.top - 8,
            angle=360 + SLOPE,
            align="left",
            color=colour.muted,
            fontSize=11,
            limit=(grid.top - TOP) / LETTER * 6.4,
            opacity=expr("narrow ? 0 : 1"),
        ).encode(text="level:N"),
    ]


def tips(look: Look) -> list[alt.Tooltip]:
    fields = ("recipe", "rows", "test_text", "interval_text", "seconds_text", "role_word")
    return [alt.Tooltip(f"{field}:N", title=look.word(f"tip {field}")) for field in fields]


def notes(facts: Facts, look: Look, rows: Sequence[Row], count: int, has_levels: bool) -> Iterator[str]:
    yield look.word("how repeats" if facts["state"]["repeats"] else "how seeds")
    if has_levels:
        yield look.word("how levels")
    if len(rows) < count:
        yield look.word("best of", shown=len(rows), count=plain(count, 0))
    without = sum(row["test"] is None for row in rows)
    if without:
        yield look.word("without runs", count=without)
    if any(row["test"] is not None and row["low"] is None for row in rows):
        yield look.word("means without interval")
