"""Factors of three levels or more: what each level is worth against the first, level by level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import Facts
from finegrid.facts.verdict import FactorFacts
from finegrid.recipe.identity import Level
from finegrid.report.chart.figure import Drawn, expr, layered, scale
from finegrid.report.chart.forest import decision_lines
from finegrid.report.chart.style import Look, Row, fit_line, format_signed, score_label
from finegrid.spelling import format_level

MOST = 8  # factors; the others are in the table
HEAD, PLOT, FOOT = 34, 150, 40  # pixels of a factor: its name, its plot, the names of its levels
STEP = HEAD + PLOT + FOOT
DECADE = 10.0  # from the smallest level to the largest: from here on a logarithmic axis
TICKS = 4
BEYOND = 0.75  # of the width of the plain intervals: adjusted ones are cut there
LEFT, RIGHT = 58, 22  # pixels beside the plot


def levels(facts: Facts, look: Look) -> Drawn | None:
    """None where no factor has three levels with a known effect."""
    verdict = facts["verdict"]
    found: dict[str, list[FactorFacts]] = {}
    for one in verdict["factors"]:
        if one["low"] is not None:
            found.setdefault(one["factor"], []).append(one)
    drawn = [(name, each) for name, each in found.items() if len(each) > 1][:MOST]
    if not drawn:
        return None
    points: list[Row] = []
    ticks: list[Row] = []
    names: list[Row] = []
    heads: list[Row] = []
    for number, (name, each) in enumerate(drawn):
        top = number * STEP + HEAD
        low, high = reach(each)
        heads.append({"y": top - 22, "text": fit_line(name), "unit": scale_words(each, look)})
        ticks += [
            {
                "y": to_pixels(value, low, high, top),
                "text": format_signed(value, digits) or "0",
                "zero": not value,
            }
            for value, digits in find_ticks(low, high)
        ]
        for row in points_of(each, facts, look):
            row = {**row, "factor": fit_line(name), "panel": number}
            for end in ("effect", "low", "high", "adjusted_low", "adjusted_high"):
                value = min(max(row[end], low), high)
                row[f"{end}_y"] = to_pixels(value, low, high, top)
            points.append(row)
            names.append({"x": row["x"], "y": top + PLOT + 16, "text": row["level"]})
    lines = [row for row in points if row["ordered"]]
    data: dict[str, Sequence[Row]] = {
        "points": points,
        "others": [row for row in points if not row["first"]],
        "lines": lines,
        "ticks": ticks,
        "names": names,
        "heads": heads,
    }
    return Drawn(
        layered(*layers(look, len(drawn) * STEP)),
        data,
        len(drawn) * STEP,
        look.word("levels title", score=score_label(verdict["score"])),
        tuple(notes(look, bool(lines), len(drawn) < sum(len(each) > 1 for each in found.values()))),
    )


def points_of(each: list[FactorFacts], facts: Facts, look: Look) -> Iterator[Row]:
    """The first level, at nothing, and the others against it; from left to right where they are numbers."""
    first = each[0]["levels"][0]
    found = [(first, None), *((one["levels"][1], one) for one in each)]
    ordered = all(is_number(level) for level, _ in found)
    if ordered:
        found.sort(key=lambda one: float(one[0]))
    places = place([level for level, _ in found])
    for (level, one), x in zip(found, places, strict=True):
        told: Row = {"effect": 0.0, "low": 0.0, "high": 0.0, "adjusted_low": 0.0, "adjusted_high": 0.0}
        said = {"effect_text": look.word("first level"), "interval_text": "", "decision_text": ""}
        if one is not None:
            low, high = one["adjusted"] if None not in one["adjusted"] else (one["low"], one["high"])
            told = {"effect": one["effect"], "low": one["low"], "high": one["high"]}
            told |= {"adjusted_low": low, "adjusted_high": high}
            said = {
                "effect_text": format_signed(one["effect"]),
                "interval_text": look.between(one["low"], one["high"]),
                "decision_text": decision_lines(one, facts["verdict"], look)["decision_text"],
            }
        name = fit_line(format_level(level), 40)
        yield {**told, **said, "x": x, "level": name, "first": one is None, "ordered": ordered}


def is_number(level: Level) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and math.isfinite(level)


def place(found: Sequence[Level]) -> list[float]:
    """From 0 to 1: by size where all are numbers, by its logarithm over a decade and more; else evenly."""
    if not all(is_number(level) for level in found):
        return [index / (len(found) - 1) for index in range(len(found))]
    sizes = [float(level) for level in found]
    if is_wide(sizes):
        sizes = [math.log10(size) for size in sizes]
    low, high = min(sizes), max(sizes)
    return [(size - low) / (high - low) for size in sizes]


def is_wide(sizes: Sequence[float]) -> bool:
    return min(sizes) > 0 and max(sizes) / min(sizes) >= DECADE


def scale_words(each: list[FactorFacts], look: Look) -> str:
    found = [each[0]["levels"][0], *(one["levels"][1] for one in each)]
    numbers = [float(level) for level in found if is_number(level)]
    return look.word("log scale") if len(numbers) == len(found) and is_wide(numbers) else ""


def reach(each: list[FactorFacts]) -> tuple[float, float]:
    """Ends of the axis of points: all plain intervals, and adjusted ones as far as that leaves room."""
    lows = [one["low"] or 0.0 for one in each] + [0.0]
    highs = [one["high"] or 0.0 for one in each] + [0.0]
    adjusted = [end for one in each for end in one["adjusted"] if end is not None]
    span = (max(highs) - min(lows)) or 1.0
    low = max(min([*lows, *adjusted]), min(lows) - BEYOND * span)
    high = min(max([*highs, *adjusted]), max(highs) + BEYOND * span)
    edge = 0.05 * (high - low)
    return low - edge, high + edge


def find_ticks(low: float, high: float) -> list[tuple[float, int]]:
    """Round values inside, each with the digits after the point that it takes."""
    rough = (high - low) / TICKS
    power = math.floor(math.log10(rough))
    step = min((one for one in (1, 2, 5, 10) if one * 10**power >= rough), default=10) * 10**power
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(number * step, digits) for number in numbers]


def to_pixels(value: float, low: float, high: float, top: float) -> float:
    return round(top + PLOT * (high - value) / (high - low), 2)


def layers(look: Look, height: float) -> Iterator[alt.Chart]:
    colour = look.colour
    across = scale(-0.04, 1.04, LEFT, f"width - {RIGHT}")
    x = alt.X("x:Q", scale=across, axis=None)
    y_scale = alt.Scale(domain=[0, height], range=[0, height], nice=False, zero=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=None)

    ticks, points = alt.Chart(alt.NamedData("ticks")), alt.Chart(alt.NamedData("points"))
    others = alt.Chart(alt.NamedData("others"))
    ends: dict[str, Any] = {"x": LEFT, "x2": expr(f"width - {RIGHT}")}
    shade = alt.condition("datum.zero", alt.value(colour.faint), alt.value(colour.line))
    yield ticks.mark_rule(strokeWidth=1, **ends).encode(y=y("y"), color=shade)
    yield ticks.mark_text(x=LEFT - 8, align="right", color=colour.muted, fontSize=11).encode(
        y=y("y"), text="text:N"
    )
    lines = alt.Chart(alt.NamedData("lines")).mark_line(strokeWidth=2, color=colour.use, opacity=0.55)
    yield lines.encode(x=x, y=y("effect_y"), detail="panel:N", order="x:Q")
    yield others.mark_rule(strokeWidth=1.2, color=colour.use).encode(
        x=x, y=y("adjusted_low_y"), y2="adjusted_high_y:Q"
    )
    yield others.mark_rule(strokeWidth=4, color=colour.use).encode(x=x, y=y("low_y"), y2="high_y:Q")
    tips = ("factor", "level", "effect_text", "interval_text", "decision_text")
    fill = alt.condition("datum.first", alt.value(colour.card), alt.value(colour.use))
    yield points.mark_point(size=80, opacity=1, strokeWidth=2, stroke=colour.use).encode(
        x=x,
        y=y("effect_y"),
        fill=fill,
        tooltip=[alt.Tooltip(f"{tip}:N", title=look.word(f"tip {tip}")) for tip in tips],
    )
    names = alt.Chart(alt.NamedData("names")).mark_text(color=colour.muted, limit=expr("0.3 * width"))
    yield names.encode(x=x, y=y("y"), text="text:N")
    heads = alt.Chart(alt.NamedData("heads"))
    yield heads.mark_text(x=0, align="left", fontWeight=600).encode(y=y("y"), text="text:N")
    yield heads.mark_text(x=expr("width"), align="right", color=colour.muted).encode(y=y("y"), text="unit:N")


def notes(look: Look, has_lines: bool, some: bool) -> Iterator[str]:
    yield look.word("how level points")
    if has_lines:
        yield look.word("how level lines")
    if some:
        yield look.word("some factors", shown=MOST)
