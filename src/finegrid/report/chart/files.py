"""One figure as a file: SVG for papers, PNG for slides."""

from __future__ import annotations

from typing import Literal, get_args

import vl_convert

from finegrid.errors import input_error
from finegrid.facts.report import Facts
from finegrid.report.chart.charts import DRAW, charts
from finegrid.report.chart.figure import Spec
from finegrid.report.chart.palette import Theme
from finegrid.spelling import Lang

FileFormat = Literal["svg", "png"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
WIDTH = 860  # pixels of the plot; an SVG scales
SCALE = 3.0  # of a PNG: sharp on a slide


def figure(
    facts: Facts, name: str, style: FileFormat, lang: Lang = "en", theme: Theme = "light", width: int = WIDTH
) -> bytes:
    """The file's content.

    Raises:
        InputError: no such figure, or no facts for it.
    """
    if name not in DRAW:
        raise input_error("command line", "--figure", f'found "{name}", expected one of {", ".join(DRAW)}.')
    drawn = charts(facts, lang, theme, width, names=[name])
    if not drawn:
        others = charts(facts, lang, theme, width)
        there = f"It has {', '.join(others)}." if others else "It has none yet."
        raise input_error("command line", "--figure", f"this study has no facts for {name}. {there}")
    return svg(drawn[name]).encode() if style == "svg" else png(drawn[name])


def svg(spec: Spec) -> str:
    """Text stays text; its letters come from the fonts of whoever looks."""
    return str(vl_convert.vegalite_to_svg(spec))


def png(spec: Spec) -> bytes:
    return bytes(vl_convert.vegalite_to_png(spec, scale=SCALE))
