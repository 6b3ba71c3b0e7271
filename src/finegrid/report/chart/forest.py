"""What each strategy is worth, with both intervals and the decision; beside it what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from finegrid.facts.decision_words import factor_parts
from finegrid.facts.report import Facts
from finegrid.facts.verdict import FactorFacts, VerdictFacts
from finegrid.report.chart.figure import ChartRows, Drawn, Spec, expr, layered, placed, scale
from finegrid.report.chart.style import (
    LONGEST_TOLD,
    Look,
    Row,
    fit_line,
    format_signed,
    level_name,
    plain,
    score_label,
    wrap_line,
    wrap_name,
)
from finegrid.spelling import seconds_digits

KINDS = ("use", "avoid", "open", "same")  # of a decision on a strategy
SHAPES = ("triangle-up", "triangle-down", "circle", "diamond")
TOP = 30  # pixels, for the headings
STEP = 44  # two lines of words
STEP_ON_PAGES = 56  # three, where the page is narrow
LINE = 16  # of one more line of words
ROOM, ROOM_SHARE, MOST_ROOM = 197, 0.335, 322  # pixels for the words: the least there is, by width, the most
NAME_LETTERS, WORD_LETTERS = 14.4, 12.4  # sizes that widths are reckoned from; names are bold
SIGNED = "datum.value === 0 ? '0' : format(datum.value, '+,~r')"  # axis labels
BEYOND = 0.75  # of the width of the plain intervals: farther ends of adjusted ones are arrows
# Lengths by width: where the plot begins and ends, where the numbers end, and the same of seconds.
WITH_SECONDS = (
    ("room", "clamp(0.13 * width, 60, 170)"),
    ("start", "narrow ? 12 : clamp(0.335 * width, 215, 340)"),
    ("numbers", "narrow ? width : width - room - 122"),
    ("end", "narrow ? width - 12 : numbers - 104"),
    ("seconds_start", "narrow ? 12 : numbers + 26"),
    ("seconds_end", "narrow ? width - 12 : numbers + 26 + room"),
)
WITHOUT_SECONDS = (
    ("start", "narrow ? 12 : clamp(0.33 * width, 215, 380)"),
    ("numbers", "width"),
    ("end", "narrow ? width - 12 : numbers - 104"),
)


def forest(facts: Facts, look: Look) -> Drawn | None:
    """None where no effect has an interval."""
    verdict = facts["verdict"]
    told = [word_lines(one, verdict, look) for one in verdict["factors"]]
    rows = placed([row_of(one, verdict, look) for one in verdict["factors"]])
    spoken = [
        {"row": n, "line": line, "lines": sum(map(len, words)), "kind": row["kind"], **said}
        for n, (words, row) in enumerate(zip(told, rows, strict=True))
        for line, said in enumerate(spoken_lines(*words))
    ]
    known = [row for row in rows if row["low"] is not None]
    if not known:
        return None
    timed = [row for row in rows if row["seconds_low"] is not None]
    more = LINE * (max((len(names) + len(words) for names, words in told), default=2) - 2)
    step = STEP_ON_PAGES if look.width == "container" else STEP
    grid = ChartRows(len(rows), step + more, TOP)
    low, high = reach(known, verdict["margin"])
    layers: list[Any] = [
        grid.lines("rows", look.colour.line),
        effects(grid, look, low, high, verdict, more),
        *words(grid, look, more),
    ]
    if timed:
        layers += seconds(grid, look, timed, more)
    layers.append(grid.hover("rows", tips(look, bool(timed))))
    data: dict[str, Sequence[Row]] = {
        "rows": rows,
        "spoken": spoken,
        "known": known,
        "timed": timed,
        "below": [row for row in known if row["adjusted_low"] < low],
        "above": [row for row in known if row["adjusted_high"] > high],
        "margin": placed(
            len(rows) * [{"margin_low": -verdict["margin"], "margin_high": verdict["margin"], "zero": 0}]
        ),
        "heads": heads(look, verdict, bool(timed)),
    }
    return Drawn(
        layered(*layers, x=True),
        data,
        grid.height,
        look.word("forest title", score=score_label(verdict["score"])),
        tuple(notes(facts, look, rows, bool(data["below"] or data["above"]))),
        WITH_SECONDS if timed else WITHOUT_SECONDS,
    )


def row_of(one: FactorFacts, verdict: VerdictFacts, look: Look) -> Row:
    has_interval = one["low"] is not None
    adjusted = one["adjusted"] if None not in one["adjusted"] else (one["low"], one["high"])
    spent: list[Any] = one["seconds_interval"] or [None, None]
    name = level_name(one["factor"], one["levels"][1])
    told = [*one["notes"], *(look.word("alias", other=other) for other in one["aliases"])]
    return {
        "label": name + (" †" if one["notes"] or one["aliases"] else ""),
        "full": look.word("instead", level=name, baseline=fit_line(str(one["levels"][0]))),
        "kind": one["decision"]["kind"],
        **decision_lines(one, verdict, look),
        "effect": one["effect"],
        "effect_text": format_signed(one["effect"]) if has_interval else "",
        "low": one["low"],
        "high": one["high"],
        "interval_text": interval_text(one, look),
        "adjusted_low": adjusted[0],
        "adjusted_high": adjusted[1],
        "adjusted_text": look.between(*adjusted) if has_interval else look.word("no interval"),
        "seconds": one["seconds"],
        "seconds_low": spent[0],
        "seconds_high": spent[1],
        "seconds_text": format_signed(one["seconds"], seconds_digits(one["seconds"])),
        "seconds_interval_text": ""
        if None in spent
        else look.between(spent[0], spent[1], seconds_digits(*spent)),
        "told": fit_line("; ".join(told), LONGEST_TOLD),
    }


def interval_text(one: FactorFacts, look: Look) -> str:
    if one["effect"] is None:
        return look.word("no estimate")
    return look.between(one["low"], one["high"])


def decision_lines(one: FactorFacts, verdict: VerdictFacts, look: Look) -> dict[str, str]:
    """The words of a decision, for a tooltip."""
    return {"decision_text": look.word("comma").join(factor_parts(one, verdict, look.lang, brief=True))}


def spoken_lines(names: Sequence[str], words: Sequence[str]) -> list[Row]:
    return [{"name": name, "words": ""} for name in names] + [{"name": "", "words": said} for said in words]


def word_lines(one: FactorFacts, verdict: VerdictFacts, look: Look) -> tuple[list[str], list[str]]:
    """Lines that fit: the name, with a mark where something must be known of it; and the decision."""
    marked = " †" if one["notes"] or one["aliases"] else ""
    room = ROOM
    if look.width != "container":
        room = round(min(max(ROOM_SHARE * look.width - 18, ROOM), MOST_ROOM))
    kind, *added = factor_parts(one, verdict, look.lang, brief=True)
    comma = look.word("comma")
    words = [kind + (comma.rstrip() if added else ""), *([comma.join(added)] if added else [])]
    names = wrap_name(level_name(one["factor"], one["levels"][1]) + marked, room, NAME_LETTERS)
    return names, [line for each in words for line in wrap_line(each, room, WORD_LETTERS)]


def reach(known: Sequence[Row], margin: float) -> tuple[float, float]:
    """Ends of the axis: all plain intervals and the margin, and adjusted ones as far as that leaves room."""
    lows = [row["low"] for row in known] + [-margin, 0.0]
    highs = [row["high"] for row in known] + [margin, 0.0]
    span = (max(highs) - min(lows)) or 1.0
    low = max(min([*lows, *(row["adjusted_low"] for row in known)]), min(lows) - BEYOND * span)
    high = min(max([*highs, *(row["adjusted_high"] for row in known)]), max(highs) + BEYOND * span)
    edge = 0.04 * (high - low)
    return low - edge, high + edge


def effects(grid: ChartRows, look: Look, low: float, high: float, verdict: VerdictFacts, more: int) -> Spec:
    """Margin, zero, both intervals and the estimate. ``more``: pixels of a third line of words."""
    lane = expr(f"narrow ? {37 + more} : 0")  # from here on down there are no words
    colour, lower = look.colour, expr(f"narrow ? {18 + more // 2} : 0")
    axis = alt.Axis(
        orient="bottom",
        title=look.word("points of", score=score_label(verdict["score"])),
        tickCount=expr("ceil((end - start) / 62)"),
        labelExpr=SIGNED,
        grid=False,
    )
    margin, known = alt.Chart(alt.NamedData("margin")), alt.Chart(alt.NamedData("known"))
    fixed = [colour.use, colour.avoid, colour.open, colour.same]
    by_kind = alt.Scale(domain=list(KINDS), range=fixed)  # as `words` has it
    filled = alt.Scale(domain=list(KINDS), range=[colour.use, colour.avoid, colour.card, colour.same])
    shape = alt.Scale(domain=list(KINDS), range=list(SHAPES))
    stroke = alt.Color("kind:N", scale=by_kind, legend=None)
    arrows = [
        alt.Chart(alt.NamedData(data))
        .mark_point(shape=f"triangle-{side}", filled=True, size=48, opacity=1, yOffset=lower)
        .encode(x=f"{field}:Q", y=grid.y(), color=stroke)
        for data, side, field in (("below", "left", "adjusted_low"), ("above", "right", "adjusted_high"))
    ]
    return layered(
        margin.mark_rect(color=colour.band, yOffset=lane).encode(
            y=grid.y("from"),
            y2="edge:Q",
            x=alt.X("margin_low:Q", scale=scale(low, high, "start", "end", clamp=True), axis=axis),
            x2="margin_high:Q",
        ),
        margin.mark_rule(color=colour.ink, strokeWidth=1, yOffset=lane).encode(
            y=grid.y("from"), y2="edge:Q", x="zero:Q"
        ),
        known.mark_rule(strokeWidth=1.4, yOffset=lower).encode(
            x="adjusted_low:Q", x2="adjusted_high:Q", y=grid.y(), color=stroke
        ),
        known.mark_rule(strokeWidth=5, yOffset=lower).encode(
            x="low:Q", x2="high:Q", y=grid.y(), color=stroke
        ),
        *arrows,
        known.mark_point(size=95, opacity=1, strokeWidth=2, yOffset=lower).encode(
            x="effect:Q",
            y=grid.y(),
            stroke=alt.Stroke("kind:N", scale=by_kind, legend=None),
            fill=alt.Fill("kind:N", scale=filled, legend=None),
            shape=alt.Shape("kind:N", scale=shape, legend=None),
        ),
    )


def words(grid: ChartRows, look: Look, more: int) -> list[alt.Chart]:
    """Name and decision on the left, numbers on the right; above the marks where it is narrow.

    ``more``: pixels of a third line of words.
    """
    colour = look.colour
    fixed = alt.Scale(domain=list(KINDS), range=[getattr(colour, kind) for kind in KINDS])
    by_kind = alt.Color("kind:N", scale=fixed, legend=None)
    beside, above = (expr(f"narrow ? {narrow - more // 2} : {wide}") for narrow, wide in ((-17, -8), (-1, 9)))
    room = expr("narrow ? width - 60 : start - 8")
    middle = "(datum.line - (datum.lines - 1) / 2)"
    lower = expr(f"narrow ? {-17 - more // 2} + {LINE} * datum.line : {LINE} * {middle}")
    style: dict[str, Any] = {"align": "left", "dy": lower, "limit": room}
    return [
        grid.texts("spoken", "name", 0, fontSize=13, fontWeight=600, **style),
        grid.texts("spoken", "words", 0, **style).encode(color=by_kind),
        grid.texts("rows", "effect_text", "numbers", align="right", fontSize=13, fontWeight=600, dy=beside),
        grid.texts("rows", "interval_text", "numbers", align="right", color=colour.muted, dy=above),
        *headings(look),
    ]


def headings(look: Look) -> list[alt.Chart]:
    """Above the columns; where it is narrow only the directions stand."""
    data = alt.Chart(alt.NamedData("heads"))
    style: dict[str, Any] = {"y": 10, "color": look.colour.muted, "fontSize": 11}
    wide = expr("narrow ? 0 : 1")
    return [
        data.mark_text(x=0, align="left", opacity=wide, **style).encode(text="strategy:N"),
        data.mark_text(x=expr("numbers"), align="right", **style).encode(text="effect:N"),
    ]


def seconds(grid: ChartRows, look: Look, timed: Sequence[Row], more: int) -> list[Any]:
    """Of more and fewer seconds the estimate and the plain interval; not where it is narrow.

    ``more``: pixels of a third line of words.
    """
    beside, above = -8, 9
    colour, wide = look.colour, expr("narrow ? 0 : 1")
    lows, highs = [row["seconds_low"] for row in timed], [row["seconds_high"] for row in timed]
    low, high = min(0.0, *lows), max(0.0, *highs)
    edge = 0.06 * (high - low) or 1.0
    ends = scale(low - edge, high + edge, "seconds_start", "seconds_end")
    axis = alt.Axis(
        orient="bottom",
        title=None,
        tickCount=expr("ceil((seconds_end - seconds_start) / 60)"),
        labelExpr=f"narrow ? '' : {SIGNED}",
        grid=False,
        domainOpacity=wide,
        tickOpacity=wide,
    )
    zero, rows = alt.Chart(alt.NamedData("margin")), alt.Chart(alt.NamedData("timed"))
    head: dict[str, Any] = {"y": 10, "align": "right", "color": colour.muted, "fontSize": 11}
    return [
        layered(
            zero.mark_rule(color=colour.ink, strokeWidth=1, opacity=wide).encode(
                y=grid.y("from"), y2="edge:Q", x=alt.X("zero:Q", scale=ends, axis=axis)
            ),
            rows.mark_rule(strokeWidth=2.5, color=colour.muted, opacity=wide).encode(
                x="seconds_low:Q", x2="seconds_high:Q", y=grid.y()
            ),
            rows.mark_point(filled=True, size=44, color=colour.ink, opacity=wide).encode(
                x="seconds:Q", y=grid.y()
            ),
        ),
        grid.texts("timed", "seconds_text", "width", align="right", dy=beside, opacity=wide, fontSize=13),
        grid.texts(
            "timed",
            "seconds_interval_text",
            "width",
            align="right",
            dy=above,
            opacity=wide,
            color=colour.muted,
        ),
        alt.Chart(alt.NamedData("heads"))
        .mark_text(x=expr("width"), opacity=wide, **head)
        .encode(text="seconds:N"),
    ]


def heads(look: Look, verdict: VerdictFacts, timed: bool) -> list[Row]:
    per = "seconds per epoch" if verdict["seconds_per"] == "epoch" else "seconds per run"
    found = {"strategy": look.word("strategy"), "effect": look.word("effect and interval")}
    return [found | ({"seconds": look.word(per)} if timed else {})]


def tips(look: Look, timed: bool) -> list[alt.Tooltip]:
    """Words under our own titles: a title goes into an expression, a value does not."""
    columns = ["full", "decision_text", "effect_text", "interval_text", "adjusted_text"]
    columns += ["seconds_text", "seconds_interval_text"] * timed + ["told"]
    return [alt.Tooltip(f"{name}:N", title=look.word(f"tip {name}")) for name in columns]


def notes(facts: Facts, look: Look, rows: Sequence[Row], has_arrows: bool) -> list[str]:
    verdict = facts["verdict"]
    decided = sum(row["low"] is not None for row in rows)  # interactions are a family of their own
    found = [look.word("how intervals", count=decided)]
    found.append(look.word("how margin", margin=f"{verdict['margin']:g}"))
    if has_arrows:
        found.append(look.word("arrows"))
    found.append(sample(facts, look))
    if any(row["low"] is None for row in rows):
        found.append(look.word("without interval"))
    if any(row["told"] for row in rows):
        found.append(look.word("daggers"))
    return [note for note in [*found, missing(facts, look)] if note]


def sample(facts: Facts, look: Look) -> str:
    """How much it rests on."""
    verdict, runs = facts["verdict"], facts["state"]["runs"]
    if verdict["texts"]:
        key, texts = "sample" if verdict["seeds"] != 1 else "sample of one seed", plain(verdict["texts"], 0)
        return look.word(key, recipes=verdict["recipes"], seeds=verdict["seeds"], texts=texts)
    return look.word("sample without texts", recipes=verdict["recipes"], runs=runs["done"])


def missing(facts: Facts, look: Look) -> str:
    """What is not in it: runs that failed, or are still to come."""
    runs = facts["state"]["runs"]
    counts = [
        look.word(
            "runs absent" if (status, facts["kind"]) == ("left", "imported") else f"runs {status}",
            count=count,
        )
        for status, count in runs.items()
        if status in ("left", "failed") and count
    ]
    if not counts:
        return ""
    return look.word("missing", counts=look.word("comma").join(counts), planned=runs["planned"])
