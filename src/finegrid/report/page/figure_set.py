"""The figures of a page: specifications in both languages and themes, and pictures for print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from finegrid.facts.report import Facts
from finegrid.report.chart.palette import DARK, LIGHT, Theme
from finegrid.spelling import LANGS, Lang

Spec = dict[str, Any]
ROOM = 100  # pixels: axis, caption, padding
PICTURE_WIDTH = 860  # pixels; as wide as a printed page it is read at 80 %
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
PATH, DECIMALS = re.compile(' d="[^"]*"'), re.compile(r"(?<=\.\d)\d+")  # a tenth of a pixel is enough
TO_DARK = dict(zip(asdict(LIGHT).values(), asdict(DARK).values(), strict=True))


@dataclass(frozen=True)
class Figures:
    """The charts of a page.

    Attributes:
        specs: Vega-Lite specifications by language, theme and name.
        pictures: The same as SVG, by name, in light colours and the language that the page opens in: shown in
            print, without scripts, and until a script has drawn the chart. May be empty.
    """

    specs: Mapping[Lang, Mapping[Theme, Mapping[str, Spec]]] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)

    @property
    def heights(self) -> dict[str, int]:
        """Room to keep until a chart is drawn, so that the page does not move: pixels, about."""
        return {
            name: round(spec["height"]) + ROOM
            for themes in self.specs.values()
            for name, spec in themes["light"].items()
        }

    @property
    def captions(self) -> dict[str, dict[str, str]]:
        """What every chart says of itself, by name and language."""
        found: dict[str, dict[str, str]] = {}
        for lang, themes in self.specs.items():
            for name, spec in themes["light"].items():
                found.setdefault(name, {})[lang] = spec["description"]
        return found


def draw_figures(facts: Facts, lang: Lang | None) -> Figures:
    """Those for which there are facts.

    Args:
        facts: of `report_facts`.
        lang: of the pictures; None draws none.
    """
    # It imports altair: a second that other commands need not spend.
    from finegrid.report.chart.charts import charts, template_of_a_recipe

    with ThreadPoolExecutor() as pool:
        pool.submit(bundle)
        light = {each: charts(facts, each, "light") for each in LANGS}
        drawn = {name: pool.submit(picture, spec) for name, spec in light[lang].items()} if lang else {}
        for each, found in light.items():
            found |= template_of_a_recipe(facts, each, "light")
        specs: dict[Lang, dict[Theme, dict[str, Spec]]] = {
            each: {"light": found, "dark": {name: darkened(spec) for name, spec in found.items()}}
            for each, found in light.items()
        }
        return Figures(specs, {name: one.result() for name, one in drawn.items()})


def picture(spec: Spec) -> str:
    from finegrid.report.chart.files import svg

    return PATH.sub(lambda path: DECIMALS.sub("", path[0]), svg({**spec, "width": PICTURE_WIDTH}))


def darkened(spec: Spec) -> Spec:
    """A specification in the dark palette's colours. To make it anew would take ten times as long."""
    return {name: value if name == "datasets" else recoloured(value) for name, value in spec.items()}


def recoloured(piece: Any) -> Any:
    if isinstance(piece, str):
        return COLOUR.sub(lambda found: TO_DARK.get(found[0], found[0]), piece)
    if isinstance(piece, dict):
        return {name: recoloured(each) for name, each in piece.items()}
    return [recoloured(each) for each in piece] if isinstance(piece, list) else piece


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub is wrong
