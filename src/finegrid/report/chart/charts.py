"""The figures of a report, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Callable, Collection

from altair.utils.schemapi import debug_mode

from finegrid.facts.report import Facts
from finegrid.report.chart.classes import classes
from finegrid.report.chart.confusion import confusion
from finegrid.report.chart.curves import curves
from finegrid.report.chart.figure import Drawn, Spec, spec_of
from finegrid.report.chart.forest import forest
from finegrid.report.chart.frontier import frontier
from finegrid.report.chart.interactions import interactions
from finegrid.report.chart.levels import levels
from finegrid.report.chart.one_recipe import one_recipe
from finegrid.report.chart.palette import Theme
from finegrid.report.chart.seeds import seeds
from finegrid.report.chart.style import Look, Width
from finegrid.spelling import Lang

# In the order of the page.
DRAW: dict[str, Callable[[Facts, Look], Drawn | None]] = {
    "forest": forest,
    "levels": levels,
    "frontier": frontier,
    "interactions": interactions,
    "seeds": seeds,
    "curves": curves,
    "classes": classes,
    "confusion": confusion,
}


def charts(
    facts: Facts,
    lang: Lang = "en",
    theme: Theme = "light",
    width: Width = "container",
    names: Collection[str] = tuple(DRAW),
) -> dict[str, Spec]:
    """Those figures for which there are facts, by name.

    Args:
        facts: of `report_facts`.
        lang: of all words.
        theme: of all colours.
        width: pixels, for a file, which then has a title and notes; a page has its own (`captions`).
        names: of those that are asked for.
    """
    look = Look(lang, theme, width, compared=facts["kind"] == "comparison")
    return {name: spec_of(figure, look) for name, figure in draw_all(facts, look, names).items()}


def template_of_a_recipe(facts: Facts, lang: Lang, theme: Theme) -> dict[str, Spec]:
    """The figure ``recipe``, which the page fills in; nothing where no run tells how its epochs went."""
    look = Look(lang, theme, compared=facts["kind"] == "comparison")
    with debug_mode(False):
        drawn = one_recipe(facts, look)
    return {} if drawn is None else {"recipe": spec_of(drawn, look)}


def captions(facts: Facts, lang: Lang = "en") -> dict[str, tuple[str, tuple[str, ...]]]:
    """Of each figure that `charts` gives: its title, and what a reader must know of it."""
    look = Look(lang, "light", compared=facts["kind"] == "comparison")
    return {name: (figure.title, figure.notes) for name, figure in draw_all(facts, look).items()}


def draw_all(facts: Facts, look: Look, names: Collection[str] = tuple(DRAW)) -> dict[str, Drawn]:
    """Those figures for which there are facts.

    Altair would check every piece that is made: two thirds of the time. As with `figure.layer_of`, tests hold
    every figure against the schema, and a user cannot mend it.
    """
    with debug_mode(False):
        drawn = {name: draw(facts, look) for name, draw in DRAW.items() if name in names}
    return {name: figure for name, figure in drawn.items() if figure is not None}
