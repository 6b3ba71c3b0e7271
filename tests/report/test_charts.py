"""Figures: what they draw is in the facts, what is not known is not drawn, and names are only names."""

from __future__ import annotations

import copy
import json
import random
import re
import string
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import pytest
import vl_convert
from support.reported import HOSTILE_LABELS, HOSTILE_NAME, Facts, audited_study, chart, fill

from finegrid.errors import InputError
from finegrid.report.chart.charts import DRAW, captions, charts
from finegrid.report.chart.curves import MOST as MOST_CURVES
from finegrid.report.chart.files import figure
from finegrid.report.chart.forest import ROOM
from finegrid.report.chart.palette import PALETTES, THEMES, Palette
from finegrid.report.chart.seeds import MOST as MOST_RECIPES
from finegrid.report.chart.style import fit_line, format_signed, wrap_line
from finegrid.report.chart.words import CHART_WORDS, ENGLISH
from finegrid.report.facts.facts import report_facts
from finegrid.spelling import Lang, format_level
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example

# Fields of data that place marks; all other numbers are drawn, and so are facts.
PLACES = {"row", "from", "edge", "to", "column", "left", "right", "shift", "size", "strength", "run", "zero"}
PLACES |= {"line", "lines", "x", "y", "panel", "words_low", "words_high"}
PLACES |= {f"{end}_y" for end in ("effect", "low", "high", "adjusted_low", "adjusted_high")}
PLACES |= {"share", "epoch", "seed", "has", "done", "planned", "margin_low", "margin_high"}
EXPRESSIONS = {"signal", "update", "init", "expr", "test"}
SECRET = "hostile"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    return fill(audited_study(tmp_path_factory.mktemp("studied") / "study", bert))


@pytest.fixture
def facts(studied: Facts) -> Facts:
    return copy.deepcopy(studied)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    folder = tmp_path_factory.mktemp("published")
    save_imported(folder, load_example("thucnews64-published"))
    return report_facts(folder)


@pytest.fixture
def hostile(facts: Facts) -> Facts:
    """Factors, levels, classes and the score have names that would like to be more than names."""
    names = {
        '"reinit.layers"': f'{SECRET}"]; alert(1); [" {HOSTILE_NAME}',
        '"freeze.layers"': f"{SECRET}'); alert(1); (' {HOSTILE_LABELS[0]}",
        '"accuracy"': f"f1:{SECRET} {HOSTILE_LABELS[2]}",
        **{
            json.dumps(label): f"{SECRET} {bad}" + 200 * "long"
            for label, bad in zip(facts["classes"]["labels"], HOSTILE_LABELS, strict=True)
        },
    }
    text = json.dumps(facts)
    for old, new in names.items():
        assert old in text
        text = text.replace(old, json.dumps(new))
    found: Facts = json.loads(text)
    for recipe in found["recipes"]:
        recipe["moved"] = {
            name: f"{SECRET} {level} {HOSTILE_NAME}" for name, level in recipe["moved"].items()
        }
    return found


def rows(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for data in spec["datasets"].values():
        yield from data


def numbers(piece: Any) -> Iterator[float]:
    if isinstance(piece, dict):
        piece = list(piece.values())
    if isinstance(piece, list):
        for each in piece:
            yield from numbers(each)
    elif isinstance(piece, int | float) and not isinstance(piece, bool):
        yield float(piece)


def expressions(piece: Any, key: str = "") -> Iterator[str]:
    """Whatever Vega evaluates."""
    if isinstance(piece, dict):
        for name, each in piece.items():
            yield from expressions(each, name)
        if piece.get("type") in ("filter", "formula"):
            yield str(piece.get("expr", ""))
    elif isinstance(piece, list):
        for each in piece:
            yield from expressions(each, key)
    elif isinstance(piece, str) and key in EXPRESSIONS:
        yield piece


def brightness(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((brightness(one), brightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_figure_there_are_facts_for_is_drawn_in_the_order_of_the_page(
    facts: Facts, published: Facts
) -> None:
    facts = with_ladder(facts, [0, 1, 2])
    assert list(charts(facts)) == list(DRAW) == list(captions(facts))
    assert list(charts(published)) == ["forest", "frontier", "interactions", "seeds"]


@pytest.mark.slow
def test_every_specification_is_valid(hostile: Facts, published: Facts) -> None:
    for spec in [*charts(hostile).values(), *charts(published, "zh", "dark", 860).values()]:
        alt.LayerChart.from_dict(spec)


def test_every_number_drawn_is_a_fact(facts: Facts, published: Facts) -> None:
    for found in (facts, published):
        known = {round(number, 6) for number in numbers(found)}
        drawn = [
            (name, field, value)
            for name, spec in charts(found).items()
            for row in rows(spec)
            for field, value in row.items()
            if field not in PLACES and isinstance(value, int | float) and not isinstance(value, bool)
        ]
        assert len(drawn) > 100
        assert [each for each in drawn if round(each[2], 6) not in known] == []


def test_numbers_are_written_as_the_verdict_has_them(facts: Facts) -> None:
    drawn = chart(facts, "forest")["datasets"]["rows"]

    for row, one in zip(drawn, facts["verdict"]["factors"], strict=True):
        assert row["effect_text"] == format_signed(one["effect"])
        assert row["interval_text"] == f"{format_signed(one['low'])} to {format_signed(one['high'])}"
        assert row["adjusted_text"] == " to ".join(map(format_signed, one["adjusted"]))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.0678, 2, "+1.07"), (-0.004, 2, "0.00"), (0.04, 1, "0.0"), (-1234.5, 1, "−1,234.5")],
)
def test_what_rounds_to_zero_has_no_sign(value: float, digits: int, text: str) -> None:
    assert format_signed(value, digits) == text


def test_names_never_are_part_of_an_expression(hostile: Facts) -> None:
    for spec in charts(with_ladder(hostile, [0, SECRET, f"{SECRET} 2"])).values():
        vega = vl_convert.vegalite_to_vega(spec)
        found = list(expressions({name: part for name, part in vega.items() if name != "data"}))
        found += [text for data in vega["data"] for text in expressions(data.get("transform", []))]
        assert len(found) > 10
        assert not [text for text in found if SECRET in text or "alert" in text]
        for data in vega["data"]:
            assert SECRET not in str(data.get("transform", ""))


@pytest.mark.parametrize("name", list(DRAW))
def test_hostile_names_are_drawn_as_text(hostile: Facts, name: str) -> None:
    drawn = figure(with_ladder(hostile, [0, SECRET, f"{SECRET} 2"]), name, "svg").decode()
    tree = ET.fromstring(drawn)

    assert not {each.tag.rpartition("}")[2] for each in tree.iter()} & {"script", "img", "image", "a"}
    assert not [key for each in tree.iter() for key in each.attrib if key.startswith("on")]
    assert "\u202e" not in drawn and "\x1b" not in drawn


def test_long_names_are_cut_in_the_figure_and_whole_in_the_tip(facts: Facts) -> None:
    name = "x" * 100
    facts["verdict"]["factors"][0] |= {"factor": name, "levels": [0, "y" * 300]}
    row = chart(facts, "forest")["datasets"]["rows"][0]

    assert len(row["label"]) < 300 and row["label"].endswith("…")
    assert name in row["full"]


def test_where_no_interval_is_known_nothing_is_drawn_and_no_number_stands(facts: Facts) -> None:
    facts["verdict"]["factors"][0] |= {"low": None, "high": None, "adjusted": [None, None]}
    drawn = chart(facts, "forest")
    name = drawn["datasets"]["rows"][0]["label"]

    assert name not in [row["label"] for row in drawn["datasets"]["known"]]
    assert drawn["datasets"]["rows"][0]["effect_text"] == ""
    assert drawn["datasets"]["rows"][0]["interval_text"] == "no interval"
    assert "no point is drawn" in drawn["description"]


def test_recipes_and_classes_without_an_interval_have_no_mean(facts: Facts) -> None:
    facts["recipes"][0]["test_interval"] = [None, None]
    facts["classes"]["classes"][0]["f1_interval"] = [None, None]
    drawn, row = charts(facts), ", ".join(map(str, facts["recipes"][0]["rows"]))
    label = facts["classes"]["classes"][0]["label"]

    assert row not in [each["rows"] for each in drawn["seeds"]["datasets"]["known"]]
    (mean,) = [each["test_text"] for each in drawn["seeds"]["datasets"]["rows"] if each["rows"] == row]
    assert mean == ""
    assert row not in [each["rows"] for each in drawn["frontier"]["datasets"]["recipes"]]
    assert "Not drawn: 1 recipe without an interval" in drawn["frontier"]["description"]
    assert label not in [each["label"] for each in drawn["classes"]["datasets"]["known"]]
    (without,) = [each for each in drawn["classes"]["datasets"]["rows"] if each["label"] == label]
    assert without["f1_text"] == ""


def test_a_study_without_any_interval_has_no_forest(facts: Facts) -> None:
    for one in facts["verdict"]["factors"]:
        one |= {"low": None, "high": None, "adjusted": [None, None]}

    assert not charts(facts, names=["forest"])
    with pytest.raises(InputError, match=r"no facts for forest\. It has frontier"):
        figure(facts, "forest", "svg")


def test_what_did_not_run_is_said(facts: Facts) -> None:
    facts["state"]["runs"] |= {"left": 2, "failed": 1}
    recipe = facts["recipes"][0]
    recipe["runs"][0] = {"seed": 0, "status": "failed", "reason": "?"}
    drawn = charts(facts)

    assert "Left out of 24 runs: 2 not run yet, 1 failed." in drawn["forest"]["description"]
    row = ", ".join(map(str, recipe["rows"]))
    (shown_,) = [each for each in drawn["seeds"]["datasets"]["rows"] if each["rows"] == row]
    assert "2 of 3 runs" in shown_["beside"]


def test_a_recipe_that_never_finished_stands_last_with_the_reason(facts: Facts) -> None:
    facts["recipes"][1] |= {"test": None, "test_interval": [None, None]}
    facts["recipes"][1]["runs"] = [{"seed": 0, "status": "diverged", "reason": "nan"}]
    last = chart(facts, "seeds")["datasets"]["rows"][-1]

    assert last["rows"] == ", ".join(map(str, facts["recipes"][1]["rows"]))
    assert last["interval_text"] == "diverged" and last["test_text"] == ""


def test_effects_measured_together_are_marked(facts: Facts) -> None:
    facts["verdict"]["factors"][0]["aliases"] = ["a x b"]
    drawn = chart(facts, "forest")

    assert [row["label"].endswith("†") for row in drawn["datasets"]["rows"]] == [True, False, False]
    assert "a x b" in drawn["datasets"]["rows"][0]["told"] and "†" in drawn["description"]


def test_the_forest_says_what_its_intervals_are_adjusted_for(facts: Facts) -> None:
    assert "all 3 decisions together" in chart(facts, "forest")["description"]


def test_intervals_that_leave_the_axis_have_arrows(facts: Facts) -> None:
    facts["verdict"]["factors"][0]["adjusted"] = [-1000.0, 1000.0]
    data = chart(facts, "forest")["datasets"]

    assert [row["row"] for row in data["below"]] == [row["row"] for row in data["above"]] == [0]


def test_recipes_are_drawn_at_their_own_seconds(published: Facts) -> None:
    spec = chart(published, "frontier")
    drawn = spec["datasets"]["recipes"]

    assert len({row["seconds"] for row in drawn}) == 2 and len(drawn) == 32
    assert "xOffset" not in json.dumps(spec["layer"])


def test_words_of_the_frontier_are_inside_its_axes(facts: Facts) -> None:
    for recipe in facts["recipes"]:
        recipe["test_interval"] = [0.0, 100.0]
    spec = chart(facts, "frontier")
    (low, high), *_ = [each["encoding"]["y"]["scale"]["domain"] for each in spec["layer"][1:2]]

    words = spec["datasets"]["above"] + spec["datasets"]["below"]
    assert words and all(low < row["words_low"] and row["words_high"] < high for row in words)
    assert low > 0.0 and high < 100.0


def test_names_and_decisions_of_the_forest_are_whole_where_there_is_little_room(facts: Facts) -> None:
    name = "augmentation.share_of_tokens_to_drop"
    facts["verdict"]["factors"][0] |= {"factor": name, "levels": [0, 0.125]}
    spoken = chart(facts, "forest")["datasets"]["spoken"]
    lines = [one["name"] for one in spoken if one["row"] == 0 and one["name"]]

    assert "".join(lines) == f"{name}= 0.125" and len(lines) > 1
    assert all(len(line) <= ROOM / (0.53 * 14) for line in lines)
    assert {one["words"] for one in chart(facts, "forest", "zh")["datasets"]["spoken"]} > {"使用"}


def with_ladder(facts: Facts, levels: list[Any]) -> Facts:
    """With the last factor at these levels; the first is that of the others."""
    *rest, one = facts["verdict"]["factors"]
    told = [
        one | {"levels": [levels[0], level], "effect": one["effect"] + number}
        for number, level in enumerate(levels[1:])
    ]
    return facts | {"verdict": facts["verdict"] | {"factors": rest + told}}


@pytest.mark.parametrize(
    ("levels", "places", "scale"),
    [
        ([2e-5, 2e-4, 2e-3], [0.0, 0.5, 1.0], "logarithmic axis"),  # decades
        ([8, 2, 4], [0.0, 1 / 3, 1.0], ""),  # by size, whichever comes first in the file
        (["linear", "cosine", "constant"], [0.0, 0.5, 1.0], ""),
    ],
)
def test_levels_stand_where_their_numbers_are(
    facts: Facts, levels: list[Any], places: list[float], scale: str
) -> None:
    drawn = chart(with_ladder(facts, levels), "levels")["datasets"]

    assert [row["x"] for row in drawn["points"]] == pytest.approx(places)
    assert [head["unit"] for head in drawn["heads"]] == [scale]
    assert bool(drawn["lines"]) == all(not isinstance(level, str) for level in levels)
    (first,) = [row for row in drawn["points"] if row["first"]]
    assert first["level"] == format_level(levels[0]) and first["effect"] == 0


def test_a_factor_of_several_levels_has_the_numbers_of_the_verdict(facts: Facts) -> None:
    assert not charts(with_ladder(facts, [1, 2]), names=["levels"])
    facts = with_ladder(facts, [1, 2, 3, 4])
    drawn = [row for row in chart(facts, "levels")["datasets"]["points"] if not row["first"]]
    told = facts["verdict"]["factors"][-3:]

    assert [row["effect"] for row in drawn] == [one["effect"] for one in told]
    assert [row["interval_text"] for row in drawn] == [
        f"{format_signed(one['low'])} to {format_signed(one['high'])}" for one in told
    ]
    heights = [row["effect_y"] for row in drawn]
    assert heights == sorted(heights, reverse=True)  # more is higher


def test_of_many_recipes_the_best_are_shown_and_counted(facts: Facts) -> None:
    draw = random.Random(0)
    baseline = next(recipe for recipe in facts["recipes"] if recipe["baseline"])
    others = [
        {**baseline, "rows": [100 + n], "test": draw.uniform(80, 90), "baseline": False, "recommended": False}
        for n in range(255)
    ]
    facts |= {"recipes": [baseline | {"test": 10.0}, *others], "curves": []}
    drawn = chart(facts, "seeds")
    tests = [row["test"] for row in drawn["datasets"]["rows"]]

    assert len(tests) == MOST_RECIPES + 1
    assert all(one >= other for one, other in pairwise(tests)) and tests[-1] == 10.0
    assert f"{MOST_RECIPES + 1} of 256 recipes" in drawn["description"]


def test_of_many_runs_some_curves_are_drawn_and_counted(facts: Facts) -> None:
    other = next(one for one in facts["recipes"] if not one["recommended"] and not one["baseline"])["rows"][0]
    one = next(each for each in facts["curves"] if each["row"] == other)
    facts["curves"] += [{**one, "seed": 9}] * 1000
    drawn = chart(facts, "curves")

    assert len({row["run"] for row in drawn["datasets"]["others"]}) <= MOST_CURVES
    assert "runs of other recipes are drawn" in drawn["description"]


def test_interactions_that_matter_come_first_then_the_largest(published: Facts) -> None:
    shown_ = [row["name"] for row in chart(published, "interactions")["datasets"]["heads"]]
    all_ = sorted(
        published["verdict"]["interactions"], key=lambda one: (-one["matters"], -abs(one["effect"]))
    )

    assert len(shown_) == 6
    for name, one in zip(shown_, all_, strict=False):
        assert one["factors"][0] in name and one["factors"][1] in name


@pytest.mark.parametrize(("lang", "head"), [("en", r"\S+ = \S+, by \S+"), ("zh", r"\S+ = \S+，按 \S+ 分列")])
def test_an_interaction_is_headed_by_what_its_effects_are_told_apart_by(
    published: Facts, lang: Lang, head: str
) -> None:
    heads = chart(published, "interactions", lang)["datasets"]["heads"]

    assert heads and all(re.fullmatch(rf"{head}( †)?", row["name"]) for row in heads)


def test_only_light_and_dark_colours_differ_between_themes(facts: Facts) -> None:
    light, dark = (charts(facts, "en", theme) for theme in THEMES)
    texts = {name: json.dumps(spec) for name, spec in dark.items()}
    pairs = zip(vars(PALETTES["light"]).values(), vars(PALETTES["dark"]).values(), strict=True)
    for one, other in pairs:
        texts = {name: text.replace(other, one) for name, text in texts.items()}

    assert texts == {name: json.dumps(spec) for name, spec in light.items()}


@pytest.mark.parametrize("palette", PALETTES.values(), ids=list(PALETTES))
def test_words_can_be_read_on_their_background(palette: Palette) -> None:
    for text in (palette.ink, palette.muted, palette.use, palette.avoid, palette.open, palette.same):
        for ground in (palette.page, palette.card):
            assert contrast(text, ground) >= 4.5


def test_both_languages_say_the_same_things() -> None:
    english, chinese = CHART_WORDS["en"], CHART_WORDS["zh"]

    assert english.keys() == chinese.keys()
    for key in english:
        fields = [
            sorted(f for _, f, _, _ in string.Formatter().parse(text[key]) if f)
            for text in (english, chinese)
        ]
        assert fields[0] == fields[1], key


def test_every_word_has_a_place(facts: Facts) -> None:
    source = Path(str(figure.__code__.co_filename)).parent.parent  # figures, facts and pages have them
    code = "".join(
        path.read_text(encoding="utf-8") for path in source.rglob("*.py") if "words" not in path.name
    )
    made = {"tip", "state", "runs", "legend", "head", "class", "cell"}

    quoted = code.replace("'", '"')
    assert [key for key in ENGLISH if f'"{key}"' not in quoted and key.split()[0] not in made] == []


def test_chinese_figures_are_chinese(facts: Facts) -> None:
    for title, notes in captions(facts, "zh").values():
        assert any("\u4e00" <= char <= "\u9fff" for char in title)
        assert not any(" the " in note for note in notes)


def test_lines_break_at_words_and_between_chinese_characters() -> None:
    assert wrap_line("one two three", 45, 10) == ["one two", "three"]
    assert wrap_line("一二三四，五", 40, 10) == ["一二三", "四，五"]
    assert fit_line("a\ufffe\uffff") == "a\\ufffe\\uffff"  # either would end the process that draws it
    assert fit_line("a\nb\x07" + "c" * 300).startswith("a\\nb\\x07ccc")
