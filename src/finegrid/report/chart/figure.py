"""A figure that is drawn: marks, data, and the sentences that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from finegrid.report.chart.palette import FONT_FOR_CHINESE
from finegrid.report.chart.style import Look, Row, is_wide, wrap_line

Spec = dict[str, Any]
NARROW = 600  # pixels; below, words stand above marks instead of beside them


@dataclass(frozen=True)
class Drawn:
    """Attributes:
    chart: Its layers, which name their data.
    data: ChartRows by that name. The user's strings are in here only, never in an expression.
    height: pixels.
    title: what it shows, without a full stop.
    notes: What a reader must know of it, sentences.
    signals: Names of lengths that depend on the width, with expressions of our own.
    """

    chart: Spec
    data: dict[str, Sequence[Row]]
    height: float
    title: str
    notes: tuple[str, ...]
    signals: tuple[tuple[str, str], ...] = ()


def spec_of(drawn: Drawn, look: Look) -> Spec:
    """A Vega-Lite specification. With a title and the notes where it will stand alone, in a file."""
    signals = (("narrow", f"width < {NARROW}"), *drawn.signals)
    spec: Spec = {
        "$schema": alt.SCHEMA_URL,
        "description": look.sentences(drawn.title + look.word("full stop"), *drawn.notes),
        "width": look.width,
        "height": drawn.height,
        "config": look.config(),
        "params": [{"name": name, "expr": text} for name, text in signals],
        **drawn.chart,
    }
    if look.width == "container":
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    else:
        lines = wrap_line(look.sentences(*drawn.notes), look.width, 12)
        spec["title"] = {"text": wrap_line(drawn.title, look.width, 17), "subtitle": lines}
    spec["datasets"] = {name: list(rows) for name, rows in drawn.data.items()}
    if look.width != "container" and is_wide(str(spec)):
        spec["config"]["font"] = FONT_FOR_CHINESE
    return spec


def layered(*layers: alt.Chart | Spec, **independent: bool) -> Spec:
    """One above the other. Put together by hand: Altair copies every layer at each level, a second in all.

    Args:
        layers: the lowest first.
        independent: channels that have a scale for each layer.
    """
    spec: Spec = {"layer": [each if isinstance(each, dict) else layer_of(each) for each in layers]}
    if independent:
        spec["resolve"] = {"scale": {name: "independent" for name, on in independent.items() if on}}
    return spec


def layer_of(chart: alt.Chart) -> Spec:
    """Not checked here: tests hold every figure against the schema, and a user cannot mend it."""
    spec: Spec = chart.to_dict(validate=False, context={"top_level": False})
    return spec


def expr(text: str) -> alt.ExprRef:
    return alt.ExprRef(expr=text)


def scale(low: float, high: float, start: str | float, end: str | float, clamp: bool = False) -> alt.Scale:
    """From ``start`` to ``end``: pixels, or expressions of them."""
    ends = [expr(each) if isinstance(each, str) else each for each in (start, end)]
    return alt.Scale(domain=[low, high], range=ends, nice=False, zero=False, clamp=clamp)


@dataclass(frozen=True)
class ChartRows:
    """Lines of a figure, one below the other, by the field ``row``.

    Attributes:
        count: of them, also with room for headings.
        step: pixels from one to the next.
        top: pixels above the first.
    """

    count: float
    step: float
    top: float = 0
    top_if_narrow: float | None = None  # rows then share the room that is left

    @property
    def height(self) -> float:
        return self.top + self.count * self.step

    @property
    def y_of_heads(self) -> str:
        """An expression of pixels: what lies above is no row."""
        return f"(narrow ? {self.top if self.top_if_narrow is None else self.top_if_narrow} : {self.top})"

    def y(self, field: str = "row") -> alt.Y:
        ends = scale(-0.5, self.count - 0.5, self.y_of_heads, self.height)
        return alt.Y(f"{field}:Q", scale=ends, axis=None)

    def texts(self, data: str, field: str, x: str | float, **mark: Any) -> alt.Chart:
        """A column of words."""
        place = expr(x) if isinstance(x, str) else x
        column: alt.Chart = alt.Chart(alt.NamedData(data)).mark_text(x=place, **mark)
        placed_: alt.Chart = column.encode(text=f"{field}:N", y=self.y())
        return placed_

    def lines(self, data: str, colour: str) -> alt.Chart:
        """Hairlines between the rows, from the field ``edge``."""
        rules = alt.Chart(alt.NamedData(data))
        mark: alt.Chart = rules.mark_rule(color=colour, strokeWidth=1, x=0, x2=expr("width"))
        drawn: alt.Chart = mark.encode(y=self.y("edge"))
        return drawn

    def hover(self, data: str, tips: Sequence[alt.Tooltip]) -> alt.Chart:
        """What is told of a row wherever the pointer is in it."""
        mark: alt.Chart = alt.Chart(alt.NamedData(data)).mark_rect(opacity=0, x=0, x2=expr("width"))
        told: alt.Chart = mark.encode(y=self.y("from"), y2="edge:Q", tooltip=list(tips))
        return told


def placed(rows: Sequence[Row]) -> list[Row]:
    """With the fields that `ChartRows` looks for."""
    return [{"row": n, "from": n - 0.5, "edge": n + 0.5, **row} for n, row in enumerate(rows)]
