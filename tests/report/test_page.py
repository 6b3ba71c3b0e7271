"""`report.html` without a browser: what is on it comes from the facts, and what is lacking is said."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, fields
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.pretend import ended_badly
from support.reported import HOSTILE_NAME, SCRIPT, Facts, audited_study, chart, fill, hostile_study

from finegrid.facts.decision_words import factor_words
from finegrid.recipe.card import card
from finegrid.recipe.recipe import Recipe
from finegrid.report.chart.charts import charts
from finegrid.report.chart.palette import DARK, LIGHT
from finegrid.report.chart.style import format_signed
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import markdown
from finegrid.report.page.card_parts import both_cards, card_parts
from finegrid.report.page.embed import interned, script_json
from finegrid.report.page.figure_set import Figures, darkened
from finegrid.report.page.page import render_page
from finegrid.report.page.sentences import ranking
from finegrid.report.page.translated import translate
from finegrid.report.page.words import CHINESE, ENGLISH, WORDS
from finegrid.spelling import LANGS, Lang
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.study.record import Status
from finegrid.words import say_singular

LEDE = r'<p class="lede">(.*?)</p>'
NO_FIGURES = Figures()  # quick: charts have tests of their own
VOID = {"meta", "br", "wbr", "img", "input", "link"}
LEFT_OUT = {"script", "style", "svg", "template", "head", "pre", "article"}
NUMBER = re.compile(r"[+−]?\d[\d,]*\.?\d*")
FRACTION = """[design]
kind = "fractional"
resolution = 3
seeds = 2
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 2]
"freeze.layers" = [0, 1]
"""


class Text(HTMLParser):
    """What a reader of one language sees, without pictures, code and files."""

    left_out = LEFT_OUT

    def __init__(self, page: str, lang: str) -> None:
        super().__init__()
        self.other = {"en": "zh-Hans", "zh": "en"}[lang]
        self.hidden: list[bool] = []
        self.pieces: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag in VOID:
            return
        told = dict(attributes)
        foreign = told.get("class") == "t" and told.get("lang") == self.other
        self.hidden.append(foreign or tag in self.left_out)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.hidden):
            self.pieces.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.pieces).split())


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    return fill(audited_study(tmp_path_factory.mktemp("study"), bert))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    return fill(hostile_study(tmp_path_factory.mktemp("home"), bert))


def said(facts: Facts, lang: str = "en") -> str:
    return str(Text(render_page(facts, figures=NO_FIGURES), lang))


def test_both_languages_have_the_same_words_with_the_same_fields() -> None:
    def fields(text: str) -> set[str]:
        return set(re.findall(r"{(\w+)}", text))

    assert ENGLISH.keys() == CHINESE.keys()
    assert {key for key in ENGLISH if fields(ENGLISH[key]) != fields(CHINESE[key])} == set()


class Quoted(Text):
    """What a reader of Chinese sees, without names, levels, and what the user wrote; pieces stay apart."""

    def __init__(self, page: str) -> None:
        self.english: list[str] = []
        super().__init__(page, "zh")

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        told = dict(attributes)
        quoted = tag in ("code", "select", "option") or told.get("class") in ("said", "level", "note")
        if told.get("lang") == "en" and told.get("class") != "t":
            self.english.append(tag)
        hide = [("class", "t"), ("lang", self.other)] if quoted else []
        super().handle_starttag(tag, [*attributes, *hide])

    def __str__(self) -> str:
        return "¦".join(self.pieces)


LATIN = re.compile(r"(?:\b[A-Za-z][a-z]+\b[ ,]+){3,}[a-z]+")
QUOTED = re.compile(r"例如.*", re.S)  # texts and places in files
PAPER = re.compile(r"[A-Z][^。；：（]*\b(?:19|20)\d\d\b")  # authors, title and year


@pytest.mark.parametrize("kind", ["study", "half", "imported"])
def test_no_english_sentence_is_left_for_a_reader_of_chinese(
    facts: Facts, half_done: Facts, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "half":
        facts = half_done
    if kind == "imported":
        save_imported(tmp_path / "table", load_example("thucnews64-published"))
        facts = report_facts(tmp_path / "table")
    page = render_page(facts, "zh", figures=NO_FIGURES)
    monkeypatch.setattr(Quoted, "left_out", LEFT_OUT - {"article"})
    seen = Quoted(page)
    pieces = [PAPER.sub("", QUOTED.sub("", piece)) for piece in str(seen).split("¦")]

    assert [piece for piece in pieces if LATIN.search(piece)] == []
    assert set(seen.english) == {"button"}  # the button that changes the language
    assert len(seen.pieces) > 200


def test_chinese_marks_have_no_blanks_around_them_and_stand_where_they_belong(facts: Facts) -> None:
    words = said(facts, "zh")
    page = render_page(facts, "zh", figures=NO_FIGURES)

    inside = "".join(re.findall(r'<span class="t" lang="zh-Hans">(.*?)</span>', page, re.S))
    assert not re.search("[。，、；：！？（）] | [。，、；：！？]", re.sub("<[^>]+>", "", inside))
    assert not re.search(r"[一-鿿] ?[,;:] ?[一-鿿]", words)
    assert not re.search(r"[\d}] x [\d{]", inside + "".join(CHINESE.values()))


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("{seeds} seeds", {"seeds": 1}, "{seeds} seed"),
        (
            "{seeds} seeds, {runs} finished runs",
            {"seeds": "1", "runs": "11"},
            "{seeds} seed, {runs} finished runs",
        ),
        ("{all} classes", {"all": 1}, "{all} class"),
        ("of {texts} texts", {"texts": 21}, "of {texts} texts"),
    ],
)
def test_of_one_thing_there_is_one(template: str, values: dict[str, Any], said: str) -> None:
    assert say_singular(template, values) == said


def test_factors_are_ranked_by_how_far_their_levels_are_apart(facts: Facts) -> None:
    worth = {one["factor"]: abs(one["effect"]) for one in facts["verdict"]["factors"]}
    told = ranking(facts["verdict"])
    assert told is not None
    named = re.findall(r"<code[^>]*>(.*?)</code> (\d+\.\d+)", str(told.en))

    ordered = sorted(worth, key=lambda name: -worth[name])
    assert named == [(name, f"{worth[name]:.2f}") for name in ordered]
    assert "What matters most here" in said(facts)


@pytest.mark.parametrize("lang", LANGS)
def test_every_varied_card_is_shown_whole_as_explain_prints_it(
    facts: Facts, lang: Lang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Text, "left_out", LEFT_OUT - {"article"})
    told = "".join(said(facts, lang).split())

    assert len(facts["cards"]) >= 3
    for shown in facts["cards"]:
        assert "".join(card(shown["part"], lang).replace("``", "").split()) in told


@pytest.mark.parametrize("part", [field.name for field in fields(Recipe)])
def test_a_card_has_as_many_paragraphs_and_factors_in_chinese(part: str) -> None:
    both = both_cards(part, card(part))

    assert both.summary.zh != both.summary.en
    for head, told in both.paragraphs:
        assert told.zh != told.en and bool(head.zh) == bool(head.en)
        assert not re.search("[。；：？] ", told.zh)
    assert all(told.zh != told.en for _, told in both.factors)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("pooled high-order interactions", "合并的高阶交互作用"),
        (
            'a.b, c.d never reach the loss under model.pooling = "cls"',
            "model.pooling = “cls” 时，a.b, c.d 与损失无关",
        ),
        (
            "train: 8 repeated rows, same text and same label, e.g. 'x' (t.csv line 2)",
            "训练集：8 个重复行，文本和标签都相同，例如",
        ),
        (
            "test: 1 text also in train, with another label, e.g. 'x'",
            "测试集：1 条文本也在训练集中，但标签不同",
        ),
        ("aliased: this design cannot tell it from a x b", "混杂：此设计无法将它与 a x b 区分"),
    ],
)
def test_what_files_tell_in_english_is_told_in_chinese(english: str, chinese: str) -> None:
    both = translate(english)

    assert chinese in str(both.zh) and unescape(re.sub("<[^>]+>", "", str(both.en))) == english


def test_what_nobody_has_translated_is_marked_as_english() -> None:
    assert str(translate("something <new>").zh) == '<span lang="en"><bdi>something &lt;new&gt;</bdi></span>'


def spelled(value: float) -> Iterator[str]:
    """A number of the facts in every way that the page writes numbers."""
    for scale in (1, 100, 1 / 2**20, 1 / 60, 1 / 3600):
        for style in (
            "{:.0f}",
            "{:.1f}",
            "{:.2f}",
            "{:,.0f}",
            "{:,.1f}",
            "{:g}",
            "{:+.2f}",
            "{:+.1f}",
            "{:+.4f}",
            "{:+,.0f}",
        ):
            yield style.format(value * scale).replace("-", "−")
    whole = round(value)
    yield from (str(whole // 60), str(whole % 60), str(round(value / 60) // 60), str(round(value / 60) % 60))


def numbers(piece: Any) -> Iterator[float]:
    if isinstance(piece, dict):
        yield float(len(piece))
        for name, each in piece.items():
            yield from numbers(name)
            yield from numbers(each)
    elif isinstance(piece, list):
        yield float(len(piece))
        for each in piece:
            yield from numbers(each)
    elif isinstance(piece, str):
        yield from (float(found.replace(",", "").replace("−", "-")) for found in NUMBER.findall(piece))
    elif isinstance(piece, int | float):
        yield float(piece)


@pytest.mark.parametrize("lang", LANGS)
def test_every_number_on_the_page_is_in_the_facts(facts: Facts, lang: str) -> None:
    """Nothing is computed for the page, but for counts of what is listed."""
    listed = facts["verdict"]["factors"], facts["verdict"]["interactions"]
    counted = {
        str(len(listed[0]) + len(listed[1])),
        str(sum(one["decision"]["kind"] == "open" for one in listed[1])),
        *(str(max(len(texts) - 10, 0)) for texts in facts["texts"].values()),
        *(
            str(one["needs"]["seeds"] - facts["verdict"]["seeds"])
            for one in listed[0]
            if one["needs"] and one["needs"]["seeds"]
        ),
    }
    of_words = {
        found for words in WORDS.values() for text in words.values() for found in NUMBER.findall(text)
    }
    known = counted | of_words | {text for value in numbers(facts) for text in spelled(value)}
    known |= set(NUMBER.findall(facts["made"])) | set(NUMBER.findall(json.dumps(facts).replace("-", "−")))

    strays = {found.rstrip(".,") for found in NUMBER.findall(said(facts, lang))} - known
    assert strays == set()
    assert NUMBER.findall(said(facts, lang)).__len__() > 300


def test_the_facts_are_in_the_page_as_they_are_in_report_json(facts: Facts) -> None:
    page = render_page(facts, figures=NO_FIGURES)
    (inside,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page, re.S)

    assert json.loads(inside) == facts


def test_the_sentence_names_every_strategy_once(facts: Facts) -> None:
    (sentence,) = re.findall(r'<p class="lede">(.*?)</p>', render_page(facts, figures=NO_FIGURES), re.S)
    english = str(Text(sentence, "en"))

    for one in facts["verdict"]["factors"]:
        assert english.count(f"{one['factor']} = ") == 1
    assert english.startswith("Use reinit.layers = 2 : +")
    # Interactions have 5 % of their own.
    assert facts["verdict"]["interactions"]
    assert f"adjusted for looking at {len(facts['verdict']['factors'])} effects at once" in english


def test_a_page_fetches_nothing_and_lets_nothing_be_fetched(facts: Facts) -> None:
    page = render_page(facts, figures=NO_FIGURES)
    outside = re.sub(r'(?s)<script type="application/json".*?</script>', "", page)

    assert "default-src &#39;none&#39;" in page and "connect-src" not in page and "unsafe-eval" not in page
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', outside) == []
    assert "connect-src &#39;self&#39;" in render_page(facts, live=True, figures=NO_FIGURES)


def test_a_table_from_elsewhere_says_what_it_lacks(tmp_path: Path) -> None:
    save_imported(tmp_path / "table", load_example("thucnews64-published"))
    page = said(report_facts(tmp_path / "table"))

    assert "These results come from a table ( thucnews64-published.csv )" in page
    assert "What this report cannot show: 2" in page
    whole = render_page(report_facts(tmp_path / "table"), figures=NO_FIGURES)
    for name in ("curves", "classes", "texts", "data"):  # and no heading without anything below it
        assert f'id="{name}"' not in whole and f'href="#{name}"' not in whole
    assert re.findall(r"<h3><bdi>(\w+)</bdi></h3>", whole) == ["optimizer", "reinit", "freeze", "schedule"]
    assert "finegrid fit" not in page and "seconds per epoch" in page
    assert "None" not in page and "nan" not in page


def test_an_unfinished_study_says_so_on_the_first_screen(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert)
    nothing, some = said(report_facts(study.folder)), said(fill(study, seeds=1))

    assert "Nothing can be recommended yet" in nothing and "0 of 24 runs are finished." in nothing
    assert "No texts are shown: no run has finished." in nothing
    assert "8 of 24 runs are finished." in some and "16 of 24 runs have not been trained" in some
    assert "only one seed has run" in some.lower()
    assert "None" not in nothing + some and "nan" not in nothing + some


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    """Of the same study, while its last run is missing."""
    study = audited_study(tmp_path_factory.mktemp("half"), bert)
    fill(study)
    lines = study.files.ledger.read_bytes().splitlines(keepends=True)
    study.files.ledger.write_bytes(b"".join(lines[:-1]))
    return report_facts(study.folder)


@pytest.mark.parametrize("lang", LANGS)
def test_while_runs_are_missing_nothing_is_decided_or_recommended(
    facts: Facts, half_done: Facts, lang: Lang
) -> None:
    def decided(page: str) -> dict[str, bool]:
        return {
            "pill": bool(re.search(r'class="pill (use|avoid|same)"', page)),
            "sentence": bool(re.search("Use |Do not use", " ".join(re.findall(LEDE, page, re.S)))),
            "train": "finegrid fit" in page.partition("<script")[0],
            "badge": 'class="badge use"' in page,
        }

    whole, half = (render_page(one, lang, figures=NO_FIGURES) for one in (facts, half_done))
    drawn = chart(half_done, "forest", lang)["datasets"]["rows"]
    words = said(half_done, lang)

    assert {row["kind"] for row in drawn} == {"open"}
    assert not any(decided(half).values())
    assert sum(decided(whole).values()) >= 3
    assert ("nothing is decided yet" if lang == "en" else "暂无结论") in words
    assert all(
        format_signed(one["effect"]) in words for one in half_done["verdict"]["factors"]
    )  # numbers stay
    table = markdown(half_done, lang)
    assert ("nothing is decided" if lang == "en" else "暂无结论") in table
    assert not re.search(r"\| (use|do not use|使用|不要使用) \|", table)


NOTE = "Second try.\n\nAsk <b>Ann</b>\n# not a heading, *nor* [bold](javascript:x)\n1. not a list"


def test_a_note_is_at_the_head_of_the_page_as_it_was_written(tmp_path: Path, bert: Path) -> None:
    head = f'score = "accuracy"\nnote = """{NOTE}"""\n'
    facts = fill(audited_study(tmp_path / "study", bert, head=head), seeds=1)
    page = render_page(facts, figures=NO_FIGURES)
    (shown,) = re.findall(r'<div class="note">.*?<p dir="auto">(.*?)</p>', page, re.S)

    assert facts["note"] == NOTE and unescape(shown) == NOTE and "<" not in shown
    assert page.index('class="note"') < page.index('class="answer-grid"')
    quoted = markdown(facts).partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert [line[:1] for line in quoted] == [">"] * 5
    assert "&lt;b&gt;" in quoted[2] and quoted[3].startswith("> &#35;") and quoted[4].startswith("> &#49;.")


def test_a_study_without_a_note_has_no_room_for_one(facts: Facts) -> None:
    assert facts["note"] is None
    assert 'class="note"' not in render_page(facts, figures=NO_FIGURES)


@pytest.mark.slow
def test_runs_that_failed_are_counted_and_marked(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert)
    fill(study)
    latest = list(study.ledger.latest().values())
    ledger = study.files.ledger  # what has finished once stays finished, whatever fails later
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    ledger.write_text("".join(line for line in lines if latest[0].run_id not in line), encoding="utf-8")
    statuses: tuple[Status, ...] = ("failed", "diverged")
    for status, record in zip(statuses, latest, strict=False):
        study.ledger.append(ended_badly(record, status, SCRIPT))
    facts = report_facts(study.folder)
    page = render_page(facts, figures=NO_FIGURES)

    assert "1 run failed. What failed is left out of every mean" in str(Text(page, "en"))
    assert page.count('class="lost"') == 2
    assert SCRIPT not in page


def test_stacks_are_told_where_runs_were_stacked(facts: Facts, tmp_path: Path, bert: Path) -> None:
    stacked = fill(audited_study(tmp_path / "study", bert), seeds=1, stack=8)

    assert "runs in a stack: 8" in said(stacked) and "每批并行堆叠的运行数：8" in said(stacked, "zh")
    assert "in a stack" not in said(facts)


def test_a_fraction_names_what_it_cannot_tell_apart(tmp_path: Path, bert: Path) -> None:
    page = said(fill(audited_study(tmp_path / "study", bert, FRACTION), seeds=2))

    assert "A fraction of the combinations was run (resolution III)" in page
    assert "reinit.layers is measured together with" in page


def test_the_page_of_one_seed_has_scores_with_their_intervals_or_says_there_are_none(
    tmp_path: Path, bert: Path
) -> None:
    settings = '[design]\nseeds = 1\n[factors]\n"reinit.layers" = [0, 2]'
    page = said(fill(audited_study(tmp_path / "study", bert, settings), seeds=1))

    assert "only one seed has run" in page.lower()
    assert "no interval" in page or " to " in page
    assert "None" not in page and "nan" not in page


@pytest.mark.parametrize(
    ("lang", "hero", "cell"),
    [
        ("en", "too little has run (95 % interval 5.00 to 95.00)", "too little has run: 5.00 to 95.00"),
        ("zh", "运行太少（95 % 区间 5.00 至 95.00）", "运行太少：5.00 至 95.00"),
    ],
)
def test_a_score_of_which_little_is_known_says_so(facts: Facts, lang: str, hero: str, cell: str) -> None:
    """Wider than two fifths of what a score can be, as on the terminal."""
    few = deepcopy(facts)
    best = few["verdict"]["best"]
    assert best is not None and few["verdict"]["score_widest"] == pytest.approx(40.0)
    for recipe in (*few["recipes"], best["recommended"], best["baseline"]):
        recipe["test_interval"] = (5.0, 95.0)

    assert hero in said(few, lang) and said(few, lang).count(cell) >= len(few["recipes"])
    assert hero not in said(facts, lang) and cell not in said(facts, lang)


def test_hostile_strings_are_text(hostile: Facts) -> None:
    page = render_page(hostile, figures=NO_FIGURES)
    tags = set(re.findall(r"<([a-z0-9]+)", re.sub(r"(?s)<script.*?</script>", "", page)))

    assert not tags & {"img", "iframe", "object", "i", "u", "base", "link"}
    assert page.count("<script") == page.count("</script>") == 3
    assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", page)
    assert "{{7*7}}" in page and "49" not in str(Text(page.partition("<h1")[2].partition("</h1>")[0], "en"))
    page.encode("utf-8")


def test_a_hostile_folder_in_a_warning_is_text(tmp_path: Path, bert: Path) -> None:
    facts = fill(hostile_study(tmp_path, bert), seeds=1)
    page = render_page(facts, figures=NO_FIGURES)

    assert any(HOSTILE_NAME in warning["en"]["advice"] for warning in facts["warnings"])
    assert "<img" not in re.sub(r"(?s)<script.*?</script>", "", page)
    assert "finegrid run" in str(Text(page, "en")) and "\u202e" not in page


def test_json_in_a_script_cannot_end_it() -> None:
    value = {"</script><!--": ["\u2028\u2029&<>", "\ud800"]}
    written = str(script_json(value))

    assert not set(written) & set("<>&\u2028\u2029\ud800")
    assert json.loads(written)["</script><!--"][0] == "\u2028\u2029&<>"


def test_interned_specifications_unfold_to_themselves(facts: Facts) -> None:
    specs = {lang: charts(facts, lang, "light") for lang in LANGS}
    kept = interned(specs)

    def unfold(piece: Any) -> Any:
        if isinstance(piece, list):
            return [unfold(each) for each in piece]
        if not isinstance(piece, dict):
            return piece
        if "$pool" in piece:
            return unfold(kept["pool"][piece["$pool"]])
        if "$rows" in piece:
            columns = {name: unfold(column) for name, column in piece["columns"].items()}
            wide = {n: c * piece["$rows"] if len(c) == 1 else c for n, c in columns.items()}
            return [dict(zip(wide, row, strict=True)) for row in zip(*wide.values(), strict=True)]
        return {name: unfold(each) for name, each in piece.items()}

    assert unfold(kept["value"]) == specs
    assert len(json.dumps(kept)) < 0.8 * len(json.dumps(specs))


def test_dark_figures_are_the_light_ones_in_other_colours(facts: Facts) -> None:
    light, dark = charts(facts, "en", "light"), charts(facts, "en", "dark")

    assert {name: darkened(spec) for name, spec in light.items()} == dark
    assert len(set(asdict(LIGHT).values())) == len(asdict(LIGHT)) == len(asdict(DARK))


@pytest.mark.parametrize("part", [field.name for field in fields(Recipe)])
def test_every_card_comes_apart_without_losing_a_word(part: str) -> None:
    parts = card_parts(card(part))
    told = " ".join(
        [parts.summary, *(f"{a} {b}" for a, b in parts.paragraphs), *(f"{a} {b}" for a, b in parts.factors)]
    )

    without_tags = unescape(re.sub("<[^>]+>", " ", told))
    assert re.findall(r"\w+", without_tags) == re.findall(r"\w+", card(part))
    assert parts.factors


def big(facts: Facts) -> Facts:
    """64 recipes with three seeds and 32 epochs, made of one."""
    one = facts["recipes"][0]
    names = [f"part.factor_{number}" for number in range(6)]
    recipes = []
    for row in range(64):
        levels = {name: bool(row >> bit & 1) for bit, name in enumerate(names)}
        moved = {name: True for name, on in levels.items() if on}
        marks = {"baseline": row == 0, "recommended": row == 5, "on_frontier": row in (3, 5)}
        recipes.append({**one, **marks, "rows": [row + 1], "levels": levels, "moved": moved})
    curves = [
        {
            "row": row,
            "seed": seed,
            "best_epoch": 30,
            "dev": [round(60 + row / 9 + epoch / 7, 6) for epoch in range(32)],
            "loss": [round(1 / (1 + epoch + row), 6) for epoch in range(32)],
        }
        for row in range(1, 65)
        for seed in range(3)
    ]
    state = {**facts["state"], "factors": {name: [False, True] for name in names}, "recipes": 64, "rows": 64}
    return {**facts, "recipes": recipes, "curves": curves, "state": state}


@pytest.mark.slow
def test_the_page_of_64_recipes_and_3_seeds_is_small(facts: Facts) -> None:
    before = time.process_time()
    page = render_page(big(facts))

    assert len(page.encode()) <= 3_000_000
    assert page.count("<tr") > 64
    assert time.process_time() - before < 20  # of a processor that others use too; alone it takes four


def test_hostile_name_is_the_title_with_nothing_unseen(hostile: Facts) -> None:
    title = render_page(hostile, figures=NO_FIGURES).partition("<title>")[2].partition("</title>")[0]

    assert HOSTILE_NAME not in title and "\\u202e" in title and "&lt;img" in title


def test_every_recipe_has_its_difference_from_the_baseline_under_its_head(facts: Facts) -> None:
    page = render_page(facts, figures=NO_FIGURES)
    table = page[page.index('<table id="recipe-table"') :].split("</table>")[0]
    heads = table.split("</thead>")[0].count("<th ")
    rows = table.split("<tbody>")[1].split("</tr>")[:-1]

    assert {row.count("<td") for row in rows} == {heads} and len(rows) == len(facts["recipes"])
    for one in facts["verdict"]["against_baseline"]:
        (row,) = [row for row in rows if f'<td class="num" data-value="{one["rows"][0]}">' in row]
        assert f'data-value="{one["effect"]}"' in row


def test_the_table_tells_what_holds_when_of_a_strategy_that_depends_on_another(facts: Facts) -> None:
    """As terminal and Markdown do; the word of the mean would contradict it."""
    depending = deepcopy(facts)
    one = depending["verdict"]["factors"][0]
    word, other = one["decision"], depending["verdict"]["factors"][1]["factor"]
    one["decision"] = {**word, "kind": "open"}
    one["needs"] = {"reason": "feasible", "seeds": 9, "texts": None, "runs": 54, "hours": 1.0}
    for kind, level in (("use", 0), ("avoid", 2)):
        one["conditions"].append(
            {
                "given": [other, level],
                "effect": 1.0,
                "low": 0.5,
                "high": 1.5,
                "decision": {**word, "kind": kind},
            }
        )
    told = f"use with {other} = 0; do not use with {other} = 2"

    page = render_page(depending, figures=NO_FIGURES)
    (first, *_) = re.findall(r'<span class="pill open">(.*?)</td>', page)

    assert factor_words(one, depending["verdict"], "en") == told
    assert told in first and "more seeds would decide" not in first


def test_gpus_that_trained_are_named_and_records_without_one_leave_no_room(facts: Facts) -> None:
    named = deepcopy(facts)
    named["protocol"]["processor"] = ["NVIDIA H100 80GB HBM3", SCRIPT]

    assert facts["protocol"]["processor"] == []
    for lang in LANGS:
        assert "NVIDIA H100 80GB HBM3" in said(named, lang) and SCRIPT in said(named, lang)
    assert "<script>window.hacked" not in render_page(named, figures=NO_FIGURES)
