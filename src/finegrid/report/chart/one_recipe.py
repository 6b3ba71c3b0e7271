"""How the runs of one recipe went: a figure without data, which the page fills in."""

from __future__ import annotations

from typing import Any

import altair as alt

from finegrid.facts.report import Facts
from finegrid.report.chart.curves import MOST_TICKS, epochs_of, values_of
from finegrid.report.chart.figure import Drawn, layered
from finegrid.report.chart.style import Look, score_label

TOP, SCORES, GAP, LOSSES = 26, 130, 44, 90  # pixels: room, the upper part, room, the lower part


def one_recipe(facts: Facts, look: Look) -> Drawn | None:
    """Of ``runs``: rows with seed, epoch, dev, loss and whether the epoch was kept. None without curves."""
    if not facts["curves"]:
        return None
    last = max(len(one["dev"]) for one in facts["curves"])
    ticks = list(range(1, last + 1, -(-last // MOST_TICKS)))
    with_loss = any(value is not None for one in facts["curves"] for value in one["loss"])
    height = TOP + SCORES + (GAP + LOSSES) * with_loss
    score = look.word("points of", score=score_label(facts["verdict"]["score"]))
    parts = [part(look, "dev", look.word("on dev", score=score), ticks, (TOP, TOP + SCORES))]
    if with_loss:
        parts.append(part(look, "loss", look.word("loss"), ticks, (TOP + SCORES + GAP, height)))
    chart = layered(*parts, y=True) if with_loss else parts[0]
    return Drawn(chart, {"runs": []}, height, look.word("how curves"), ())


def part(look: Look, field: str, title: str, ticks: list[int], ends: tuple[float, float]) -> Any:
    """Lines over epochs between two heights, and a ring at the epoch that was kept."""
    colour = look.colour
    x, y = epochs_of(look, ticks), values_of(field, title, ends, count=4)
    runs = alt.Chart(alt.NamedData("runs"))
    tips = [
        alt.Tooltip(f"{tip}:Q", title=look.word(f"tip {tip}")) for tip in ("seed", "epoch", "dev", "loss")
    ]
    return layered(
        runs.mark_line(strokeWidth=1.6, color=colour.use, opacity=0.75).encode(x=x, y=y, detail="seed:N"),
        runs.mark_point(strokeWidth=2, color=colour.use, fill=colour.card, opacity=1).encode(
            x=x,
            y=y,
            size=alt.condition("datum.chosen", alt.value(70), alt.value(12)),
            tooltip=tips,
        ),
    )
