"""Score against seconds: what the best recipe for its time is, and what more seconds buy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import Facts
from finegrid.report.chart.figure import Drawn, expr, layered
from finegrid.report.chart.recipes import ROLES, recipe_row
from finegrid.report.chart.style import Look, Row, score_label

HEIGHT = 340  # pixels
SHAPES = ("diamond", "square", "circle", "circle")
SIZES = (150, 100, 70, 30)
STRENGTHS = (1.0, 1.0, 0.9, 0.55)
BEYOND = 0.4  # of the span of the means: farther ends of intervals are cut
INSIDE = 0.06  # of the height: from its edge to the words beside an interval that goes beyond it
NAMED = 6  # recipes of the frontier that have their row beside them


def frontier(facts: Facts, look: Look) -> Drawn | None:
    """None where no recipe has both a score and seconds."""
    recipes = facts["recipes"]
    rows = [recipe_row(one, look, facts["verdict"]["score_digits"]) for one in recipes]
    known = [
        {**row, "size": SIZES[at], "strength": STRENGTHS[at]}
        for row in rows
        if row["low"] is not None and row["seconds"] is not None
        for at in [ROLES.index(row["role"])]
    ]
    if not known:
        return None
    known.sort(key=lambda row: -ROLES.index(row["role"]))  # what matters is drawn last
    path = sorted((row for row in known if row["on_frontier"]), key=lambda row: row["seconds"])
    low, high = reach(known)
    marked = [row for row in known if row["role"] != "other"]
    is_cut = any(row["low"] < low or row["high"] > high for row in marked)
    edge = INSIDE * (high - low)  # words are inside the axes
    told = [
        {**row, "words_low": max(row["low"], low + edge), "words_high": min(row["high"], high - edge)}
        for row in names(known, path, look)
    ]
    data: dict[str, Sequence[Row]] = {
        "recipes": known,
        "marked": marked,
        "path": path,
        "above": [row for row in told if not row["below"]],
        "below": [row for row in told if row["below"]],
    }
    return Drawn(
        layered(*layers(facts, look, known)),
        data,
        HEIGHT,
        look.word("frontier title", score=score_label(facts["verdict"]["score"])),
        tuple(notes(facts, look, len(rows) - len(known), is_cut, len(path) > 1)),
    )


def layers(facts: Facts, look: Look, known: Sequence[Row]) -> Iterator[alt.Chart]:
    colour, score = look.colour, facts["verdict"]["score"]
    per = "seconds per epoch" if facts["verdict"]["seconds_per"] == "epoch" else "seconds per run"
    sideways = alt.Scale(zero=False, nice=False, padding=16)
    low, high = reach(known)
    x = alt.X("seconds:Q", scale=sideways, axis=alt.Axis(title=look.word(per), grid=False, tickCount=6))
    y = alt.Y(
        "low:Q", scale=alt.Scale(zero=False, nice=False, domain=[low, high]), axis=vertical(look, score)
    )
    inks = [colour.use, colour.ink, colour.muted, colour.faint]
    ink = alt.Color("role:N", scale=alt.Scale(domain=list(ROLES), range=inks), legend=None)
    shape = alt.Shape("role:N", scale=alt.Scale(domain=list(ROLES), range=list(SHAPES)), legend=None)
    recipes = alt.Chart(alt.NamedData("recipes"))
    line: dict[str, Any] = {"color": colour.muted, "strokeDash": [4, 3], "strokeWidth": 1.2}
    yield (
        alt.Chart(alt.NamedData("path"))
        .mark_line(**line)
        .encode(x=x, y=alt.Y("test:Q", axis=vertical(look, score)), order="seconds:Q")
    )
    intervals = alt.Chart(alt.NamedData("marked"))
    yield intervals.mark_rule(strokeWidth=1.4, opacity=expr("datum.strength"), clip=True).encode(
        x=x, y=y, y2="high:Q", color=ink
    )
    yield recipes.mark_point(filled=True, opacity=expr("datum.strength"), size=expr("datum.size")).encode(
        x=x, y="test:Q", color=ink, shape=shape, tooltip=tips(look)
    )
    for below in (False, True):
        for halo in (True, False):
            yield label(look, ink, below, halo)


def reach(known: Sequence[Row]) -> tuple[float, float]:
    """Ends of the axis of scores: all means, and intervals as far as that leaves room for the means."""
    means = [row["test"] for row in known]
    span = (max(means) - min(means)) or max(row["high"] - row["low"] for row in known) or 1.0
    low = max(min(row["low"] for row in known), min(means) - BEYOND * span)
    high = min(max(row["high"] for row in known), max(means) + BEYOND * span)
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def tips(look: Look) -> list[alt.Tooltip]:
    fields = ("recipe", "rows", "test_text", "interval_text", "seconds_text", "role_word")
    return [alt.Tooltip(f"{field}:N", title=look.word(f"tip {field}")) for field in fields]


def label(look: Look, ink: alt.Color, below: bool, halo: bool) -> alt.Chart:
    """Names of the few recipes that have one, above or below the interval; first a halo, then words."""
    words: dict[str, Any] = {
        "dy": 13 if below else -12,
        "align": expr("datum.side"),
        "fontWeight": 600,
        "limit": expr("0.6 * width"),
    }
    if halo:
        words |= {"stroke": look.colour.card, "strokeWidth": 5, "strokeJoin": "round"}
    named: alt.Chart = alt.Chart(alt.NamedData("below" if below else "above")).mark_text(**words)
    encoded: alt.Chart = named.encode(
        x="seconds:Q", y="words_low:Q" if below else "words_high:Q", text="name:N"
    )
    return encoded if halo else encoded.encode(color=ink)


def vertical(look: Look, score: str) -> alt.Axis:
    """Its title lies flat, above it."""
    return alt.Axis(
        title=look.word("points of", score=score_label(score)),
        titleAlign="left",
        titleAnchor="end",
        titleAngle=0,
        titleX=0,
        titleY=-14,
        domain=False,
        ticks=False,
        tickCount=6,
    )


def names(known: Sequence[Row], path: Sequence[Row], look: Look) -> Iterator[Row]:
    """Beside which points words stand: recommended, baseline, and the rows of the frontier."""
    times = [row["seconds"] for row in known]
    middle = (min(times) + max(times)) / 2
    told = [row for row in known if row["role"] in ("recommended", "baseline")]
    told += [row for row in path if row["role"] == "frontier"] if len(path) <= NAMED else []
    top = max((row["test"] for row in told), default=0.0)
    for row in told:
        said = row["role_word"] if row["role"] != "frontier" else ""
        number = look.word("rows of" if "," in row["rows"] else "row of", rows=row["rows"])
        yield {
            **row,
            "name": f"{said} ({number})" if said else number,
            "side": "left" if row["seconds"] < middle else "right" if row["seconds"] > middle else "center",
            "below": row["test"] < top,
        }


def notes(facts: Facts, look: Look, left_out: int, cut: bool, has_path: bool) -> Iterator[str]:
    best = facts["verdict"]["best"]
    yield look.word("how points")
    if best is not None and has_path:
        yield look.word("how frontier", split=look.word(best["chosen_on"]))
    if cut:
        yield look.word("cut")
    if left_out:
        yield look.word("frontier lacks", count=left_out)
