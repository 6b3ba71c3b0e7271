"""``report.html``: facts, figures and words on one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from finegrid.lang import LANGS, Lang
from finegrid.report import numerals, sentences
from finegrid.report.bilingual import HTML_LANG, code, join, say, user
from finegrid.report.card_parts import card_parts
from finegrid.report.embed import interned, script_hash, script_json, svg_address
from finegrid.report.palette import FONT, THEMES, colours
from finegrid.report.strip import Strip
from finegrid.report.words import WORDS
from finegrid.table import written

ASSETS = files("finegrid") / "assets" / "report"
FIRST = 10  # texts shown before the rest is folded

Specs = Mapping[str, Mapping[str, Mapping[str, Any]]]  # language, theme, name of the chart
Pictures = Mapping[str, Mapping[str, str]]  # language, name of the chart -> SVG


@dataclass(frozen=True)
class Figures:
    """The charts of a page.

    Attributes:
        specs: Vega-Lite specifications by language, theme and name.
        pictures: The same as SVG, in light colours, by language and name; shown in print, without scripts, and
            until a script has drawn the chart. May be empty.
    """

    specs: Specs = field(default_factory=dict)
    pictures: Pictures = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        found = [*(name for themes in self.specs.values() for one in themes.values() for name in one)]
        return list(dict.fromkeys([*found, *(name for one in self.pictures.values() for name in one)]))


def render_page(
    facts: dict[str, Any], lang: Lang = "en", live: bool = False, figures: Figures | None = None
) -> str:
    """The whole page.

    Args:
        facts: of `report_facts`.
        lang: the language it opens in; it holds both.
        live: for a server of a running study: the page may ask its own address for news, and takes a newer
            one by ``window.finegrid.refresh(document)``. It has no pictures for pages without scripts.
        figures: other charts than those of the facts.
    """
    figures = drawn(facts, live) if figures is None else figures
    scripts = [bundle(), asset("report.js")] if figures.specs else [asset("report.js")]
    return environment().get_template("page.html.jinja").render(
        facts=facts,
        verdict=facts["verdict"],
        state=facts["state"],
        lang=lang,
        html_lang=HTML_LANG[lang],
        live=live,
        policy=policy(scripts, live),
        css=Markup(asset("report.css")),
        colours={theme: colours(theme) for theme in THEMES},
        font=Markup(FONT),
        scripts=[Markup(script) for script in scripts],
        charts=script_json(interned(figures.specs)),
        names=figures.names,
        pictures={lang: dict(each) for lang, each in figures.pictures.items()},
        ordered=sorted(facts["recipes"], key=lambda one: -1.0 if one["test"] is None else one["test"], reverse=True),
        shown_field=Markup('<b class="count">{}</b>').format(len(facts["recipes"])),
        strip=Strip.of(facts["recipes"]),
        recommended=next((one for one in facts["recipes"] if one["recommended"]), None),
        lacking=sentences.lacking(facts),
        facts_json=script_json(facts),
    )


def drawn(facts: dict[str, Any], live: bool) -> Figures:
    return Figures()


def policy(scripts: list[str], live: bool) -> str:
    """Nothing is fetched, and no script runs but ours, whatever a text manages to smuggle in."""
    allowed = " ".join(map(script_hash, scripts))
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed}" + (" 'self'" if live else ""),
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            *(["connect-src 'self'"] if live else []),
        ]
    )


@cache
def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert  # it takes a moment that a page without charts need not spend

    return str(vl_convert.javascript_bundle())


@cache
def environment() -> Environment:
    from jinja2 import PackageLoader

    made = Environment(
        loader=PackageLoader("finegrid", "assets/report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code_"] = code
    made.globals |= {
        "say": say,
        "join": join,
        "user": user,
        "code": code,
        "n": numerals,
        "s": sentences,
        "card_parts": card_parts,
        "written": written,
        "svg_address": svg_address,
        "WORDS": WORDS,
        "LANGS": LANGS,
        "HTML_LANG": HTML_LANG,
        "FIRST": FIRST,
    }
    return made
