"""``report.html``: facts, figures and words on one page that needs nothing else."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from finegrid import ASSETS
from finegrid.facts.report import Facts, ReportRecipe
from finegrid.facts.verdict import AgainstBaselineFacts
from finegrid.report.chart.palette import FONT, THEMES, colours
from finegrid.report.page import numerals, sentences, translated
from finegrid.report.page.bilingual import HTML_LANG, code, join, say, say_compared, user
from finegrid.report.page.card_parts import both_cards
from finegrid.report.page.dots import DotStrip
from finegrid.report.page.embed import interned, script_hash, script_json, svg_address
from finegrid.report.page.figure_set import Figures, bundle, draw_figures
from finegrid.report.page.words import WORDS
from finegrid.spelling import LANGS, Lang, format_level

PAGE = ASSETS / "report"
FIRST = 10  # texts shown before the rest is folded
MOST_LABELS = 50  # that are listed


def render_page(facts: Facts, lang: Lang = "en", live: bool = False, figures: Figures | None = None) -> str:
    """The whole page.

    Args:
        facts: of `report_facts`.
        lang: the language it opens in; it holds both.
        live: for a server of a running study: the page may ask its own address for news, and takes a newer
            one by ``window.finegrid.refresh(document)``. It has no pictures for pages without scripts.
        figures: other charts than those of the facts.
    """
    figures = draw_figures(facts, None if live else lang) if figures is None else figures
    scripts = [bundle(), asset("report.js")] if figures.specs else [asset("report.js")]
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            facts=facts,
            say=say_compared if facts["kind"] == "comparison" else say,
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
            captions=figures.captions,
            heights=figures.heights,
            pictures=figures.pictures,
            ordered=best_first(facts),
            shown_field=Markup('<b class="count">{}</b>').format(len(facts["recipes"])),
            strip=DotStrip.of(facts["recipes"], facts["verdict"]["score_digits"]),
            against=find_against(facts),
            recommended=next((one for one in facts["recipes"] if one["recommended"]), None),
            lacking=sentences.lacking(facts),
            unsettled=facts["verdict"]["waiting"] is not None,
            details=facts["details"],
            slot=slot,
            facts_json=script_json(facts),
        )
    )


def slot(name: str) -> Markup:
    """Where a script puts a text."""
    return Markup('<span data-slot="{}" dir="auto"></span>').format(name)


def best_first(facts: Facts) -> list[ReportRecipe]:
    """Recipes without a score come last."""
    sign = 1 if facts["verdict"]["lower_is_better"] else -1

    def place(recipe: ReportRecipe) -> tuple[bool, float]:
        return recipe["test"] is None, sign * (recipe["test"] or 0.0)

    return sorted(facts["recipes"], key=place)


def find_against(facts: Facts) -> dict[int, AgainstBaselineFacts]:
    """By first row; none where systems are compared: each of them is less the baseline already."""
    if facts["kind"] == "comparison":
        return {}
    return {one["rows"][0]: one for one in facts["verdict"]["against_baseline"]}


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
    return (PAGE / name).read_text(encoding="utf-8")


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
        "t": translated,
        "both_cards": both_cards,
        "format_level": format_level,
        "svg_address": svg_address,
        "WORDS": WORDS,
        "LANGS": LANGS,
        "HTML_LANG": HTML_LANG,
        "FIRST": FIRST,
        "MOST_LABELS": MOST_LABELS,
    }
    return made
