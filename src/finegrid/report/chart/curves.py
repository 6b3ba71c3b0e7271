"""How training went: score on dev and loss by epoch, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from finegrid.facts.report import CurveFacts, Facts
from finegrid.report.chart.figure import Drawn, Spec, layered
from finegrid.report.chart.recipes import role_of
from finegrid.report.chart.style import Look, Row, plain, score_label

TOP, SCORES, GAP, LOSSES = 26, 210, 44, 120  # pixels: room, height of the upper part, room, of the lower
HEIGHT = TOP + SCORES + GAP + LOSSES
MOST = 200  # faint lines; of more the first seed's alone, then every so manieth
MOST_TICKS = 12
ROLES = ("recommended", "baseline", "other")


def curves(facts: Facts, look: Look) -> Drawn | None:
    """None where no run says how its epochs went."""
    roles = {row: role_of(one) for one in facts["recipes"] for row in one["rows"]}
    named: list[Row] = []
    others: list[Row] = []
    for role in ("baseline", "recommended"):
        for run, one in enumerate(facts["curves"]):
            if roles[one["row"]] == role:
                named += points_of(run, one, role, look)
    faint = [(n, one) for n, one in enumerate(facts["curves"]) if roles[one["row"]] in ("frontier", "other")]
    drawn = thinned(faint)
    for run, one in drawn:
        others += points_of(run, one, "other", look)
    if not named and not others:
        return None
    data: dict[str, Sequence[Row]] = {
        "named": named,
        "others": others,
        "chosen": [row for row in named if row["chosen"]],
    }
    with_loss = any(row["loss"] is not None for row in [*named, *others])
    return Drawn(
        layered(*layers(facts, look, with_loss)),
        data,
        HEIGHT if with_loss else TOP + SCORES,
        look.word("curves title", score=score_label(facts["verdict"]["score"])),
        tuple(notes(facts, look, len(drawn), len(faint))),
    )


def thinned(runs: list[tuple[int, CurveFacts]]) -> list[tuple[int, CurveFacts]]:
    if len(runs) <= MOST:
        return runs
    first = min(one["seed"] for _, one in runs)
    of_first = [(run, one) for run, one in runs if one["seed"] == first]
    return of_first[:: -(-len(of_first) // MOST)]


def points_of(run: int, one: CurveFacts, role: str, look: Look) -> Iterator[Row]:
    more = {"row": one["row"], "seed": one["seed"]} if role != "other" else {}
    for epoch, (score, loss) in enumerate(zip(one["dev"], one["loss"], strict=True), 1):
        yield {
            "run": run,
            "role": look.word(f"legend {role}"),
            "epoch": epoch,
            "dev": score,
            "loss": loss,
            **(more | {"chosen": epoch == one["best_epoch"]} if more else {}),
        }


def layers(facts: Facts, look: Look, with_loss: bool) -> list[Spec]:
    score = look.word("points of", score=score_label(facts["verdict"]["score"]))
    last = max(len(one["dev"]) for one in facts["curves"])
    ticks = list(range(1, last + 1, -(-last // MOST_TICKS)))
    upper = part(look, "dev", look.word("on dev", score=score), ticks, TOP, TOP + SCORES)
    if not with_loss:
        return [upper]
    lower = part(look, "loss", look.word("loss"), ticks, TOP + SCORES + GAP, HEIGHT)
    return [layered(upper, lower, y=True)]


def part(look: Look, field: str, title: str, ticks: list[int], top: float, bottom: float) -> Spec:
    """Lines over epochs between two heights."""
    colour = look.colour
    inks = alt.Scale(
        domain=[look.word(f"legend {role}") for role in ROLES], range=[colour.use, colour.ink, colour.faint]
    )
    x, y = epochs_of(look, ticks), values_of(field, title, (top, bottom), count=5)
    legend = alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=2.5, symbolOpacity=1, offset=6)
    ink = alt.Color("role:N", scale=inks, legend=legend)
    others, lines = alt.Chart(alt.NamedData("others")), alt.Chart(alt.NamedData("named"))
    marks: list[Any] = [
        others.mark_line(strokeWidth=1, opacity=0.32).encode(x=x, y=y, detail="run:N", color=ink),
        lines.mark_line(strokeWidth=2).encode(x=x, y=y, detail="run:N", color=ink),
    ]
    if field == "dev":
        tips = ("row", "seed", "epoch", "dev")
        marks.append(
            alt.Chart(alt.NamedData("chosen"))
            .mark_point(size=60, opacity=1, strokeWidth=2, fill=colour.card)
            .encode(
                x=x,
                y=y,
                color=ink,
                tooltip=[alt.Tooltip(f"{tip}:Q", title=look.word(f"tip {tip}")) for tip in tips],
            )
        )
    return layered(*marks)


def epochs_of(look: Look, ticks: list[int]) -> alt.X:
    """The axis of epochs."""
    return alt.X(
        "epoch:Q",
        scale=alt.Scale(nice=False, zero=False, padding=12),
        axis=alt.Axis(title=look.word("epoch"), grid=False, values=ticks, format="d"),
    )


def values_of(field: str, title: str, ends: tuple[float, float], count: int) -> alt.Y:
    """The axis of a field between two heights, the upper one first, with its title above and some ticks."""
    top, bottom = ends
    axis = alt.Axis(
        orient="left",
        title=title,
        titleAlign="left",
        titleAnchor="end",
        titleAngle=0,
        titleBaseline="bottom",
        titleX=0,
        titleY=top - 10,
        domain=False,
        ticks=False,
        tickCount=count,
    )
    return alt.Y(f"{field}:Q", scale=alt.Scale(zero=False, nice=True, range=[bottom, top]), axis=axis)


def notes(facts: Facts, look: Look, drawn: int, faint: int) -> Iterator[str]:
    yield look.word("how curves")
    if facts["verdict"]["protocol"] == "best-test":
        yield look.word("curves best-test")
    if drawn < faint:
        yield look.word("some curves", shown=plain(drawn, 0), count=plain(faint, 0))
