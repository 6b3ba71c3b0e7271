"""Wherever a decision is told, it is told in the same words."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.reported import Facts, chart

from finegrid.facts.decision_words import (
    as_recorded,
    decision_words,
    factor_words,
    from_recorded,
    recorded_words,
)
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import markdown
from finegrid.report.page import sentences
from finegrid.report.page.figure_set import Figures
from finegrid.report.page.page import render_page
from finegrid.results.load import any_results
from finegrid.spelling import LANGS, Lang
from finegrid.statistics.decide import KINDS, Decision, Kind, Needs
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.verdict.strategy_lines import strategy_lines
from finegrid.verdict.verdict import Verdict, judge

NEEDS = (None, Needs(7, None), Needs(None, 4321), Needs(None, None, "too-small"))
BRACKETS = re.compile(r" \(.*?\)|（.*?）")


def decisions() -> Iterator[Decision]:
    """Every kind with all that can go with it."""
    either = (False, True)
    for kind, measurable, for_speed, aliased in product(KINDS, either, either, either):
        alone = kind == "same" or not (measurable or for_speed)
        if alone and (kind in ("use", "avoid", "same") or not aliased):
            yield from (
                Decision(kind, measurable, for_speed, aliased, needs if kind == "open" else None)
                for needs in (NEEDS if kind == "open" else NEEDS[:1])
            )


def name_of(decision: Decision) -> str:
    return recorded_words(decision, 0.2) + (f" {decision.needs}" if decision.needs else "")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    save_imported(folder, load_example("thucnews64-published"))
    return folder


@pytest.fixture(scope="module")
def verdict(table: Path) -> Verdict:
    return judge(any_results(table))


@pytest.fixture(scope="module")
def facts(table: Path) -> Facts:
    return report_facts(table)


def with_decision(facts: Facts, decision: Decision) -> Facts:
    """As if every strategy and interaction had this one."""
    changed: Facts = {**facts, "verdict": copy.deepcopy(facts["verdict"])}
    needs = decision.needs and {**vars(decision.needs), "runs": 128, "hours": 2.5}
    flags = {name: getattr(decision, name) for name in ("kind", "measurable", "for_speed", "aliased")}
    for one in [*changed["verdict"]["factors"], *changed["verdict"]["interactions"]]:
        one |= {"decision": flags, "matters": decision.kind == "interact"}
        one["verdict"] = recorded_words(decision, changed["verdict"]["margin"])
    for one in changed["verdict"]["factors"]:
        one |= {"needs": needs, "aliases": ["a x b"] * decision.aliased}
    return changed


def of_strategies() -> list[Decision]:
    return [decision for decision in decisions() if decision.kind != "interact"]


def on_the_terminal(verdict: Verdict, facts: Facts, lang: Lang) -> str:
    lines = [line.plain for line in strategy_lines(verdict, facts["verdict"], lang, width=400)]
    (line,) = [line for line in lines if "freeze.layers" in line]
    return re.split(r"\s{2,}", line.strip())[-1]


def in_markdown(facts: Facts, lang: Lang) -> str:
    (line,) = [line for line in markdown(facts, lang).splitlines() if line.startswith("| freeze.layers = ")]
    return line.strip("| ").split(" | ")[-1]


def on_the_page(facts: Facts, lang: Lang) -> str:
    """The pill, and what stands beside it."""
    page = render_page(facts, lang, figures=Figures()).replace("<wbr>", "")
    body = page.partition('<table class="effects">')[2].partition("</table>")[0]
    (row,) = [row for row in body.split("<tr>") if "freeze.layers" in row]
    cell = row.split("<td>")[1].partition("</td>")[0]
    words = [
        re.search(rf'<span class="t" lang="{"en" if lang == "en" else "zh-Hans"}">(.*?)</span>', piece)
        for piece in cell.split('<span class="aside">')
    ]
    return (", " if lang == "en" else "，").join(unescape(word[1]) for word in words if word)


def in_the_figure(facts: Facts, lang: Lang) -> tuple[str, str]:
    """In its tooltip, and in its lines."""
    data = chart(facts, "forest", lang)["datasets"]
    rows = data["rows"]
    (row,) = [row for row in rows if row["label"].startswith("freeze.layers")]
    lines = [one["words"] for one in data["spoken"] if one["row"] == row["row"]]
    return row["decision_text"], (" " if lang == "en" else "").join(filter(None, lines))


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("decision", of_strategies(), ids=name_of)
def test_a_decision_on_a_strategy_is_told_in_the_same_words_everywhere(
    facts: Facts, verdict: Verdict, decision: Decision, lang: Lang, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = with_decision(facts, decision)
    (factor,) = [one for one in told["verdict"]["factors"] if one["factor"] == "freeze.layers"]
    words = factor_words(factor, told["verdict"], lang)

    assert words.startswith(decision_words(decision, told["verdict"]["margin"], lang))
    assert on_the_terminal(verdict, told, lang) == words
    assert in_markdown(told, lang) == words
    assert on_the_page(told, lang) == words
    # There is less room in a figure: without what seeds cost, and how many texts there are.
    assert in_the_figure(told, lang) == (BRACKETS.sub("", words), BRACKETS.sub("", words))
    if lang == "en" and decision.kind != "open":
        assert words.replace(" points", "") == factor["verdict"]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("decision", [one for one in decisions() if not one.needs], ids=name_of)
def test_a_decision_on_an_interaction_is_told_in_the_same_words(
    facts: Facts, decision: Decision, lang: Lang
) -> None:
    told = with_decision(facts, decision)
    words = decision_words(decision, told["verdict"]["margin"], lang)
    pill = sentences.decision(told["verdict"], told["verdict"]["interactions"][0])

    assert str(pill.in_(lang)) == words
    for head in chart(told, "interactions", lang)["datasets"]["heads"]:
        assert head["told"].endswith((", " if lang == "en" else "，") + words)


@pytest.mark.parametrize("decision", of_strategies(), ids=name_of)
def test_the_sentences_of_the_page_lose_nothing(facts: Facts, decision: Decision) -> None:
    told = with_decision(facts, decision)
    said = " ".join(str(sentence.en) for sentence in sentences.verdict_sentences(told["verdict"]))

    assert said.count("freeze.layers") == 1
    assert ("measurable" in said) == decision.measurable
    assert ("for speed" in said) == decision.for_speed
    assert ("aliases" in said) == decision.aliased


def test_words_differ_where_decisions_do() -> None:
    for lang in LANGS:
        words = {decision_words(decision, 0.2, lang) for decision in decisions()}
        assert len(words) == len({replace(one, needs=None) for one in decisions()})


def test_where_there_is_no_interval_nothing_is_said_of_what_would_decide(facts: Facts) -> None:
    told = with_decision(facts, Decision("open", needs=Needs(7, None)))
    (factor,) = [one for one in told["verdict"]["factors"] if one["factor"] == "freeze.layers"]
    assert "more runs of each recipe would decide" in factor_words(factor, told["verdict"], "en")
    factor |= {"low": None, "high": None}

    assert factor_words(factor, told["verdict"], "en") == "cannot tell yet"


@pytest.mark.parametrize("decision", list(decisions()), ids=name_of)
@pytest.mark.parametrize("margin", [0.2, 1.0, 1e-7, 1000.0])
def test_files_keep_decisions_in_the_words_of_older_versions(decision: Decision, margin: float) -> None:
    recorded: dict[str, Any] = json.loads(json.dumps(as_recorded(decision, margin)))
    known = {
        "use": "use",
        "avoid": "do not use",
        "open": "cannot tell yet",
        "interact": "they interact",
        "same": f"no difference beyond {margin:g}",
    }

    assert list(recorded) == ["word", "measurable", "for_speed"]
    assert recorded["word"] == known[decision.kind]
    assert from_recorded(recorded, margin) == Decision(decision.kind, decision.measurable, decision.for_speed)


@pytest.mark.parametrize(
    ("texts", "words"), [(300, "too small to settle with these texts"), (0, "too small to settle here")]
)
def test_what_is_too_small_to_settle_has_no_number_of_seeds_or_texts(
    facts: Facts, texts: int, words: str
) -> None:
    told = with_decision(facts, Decision("open", needs=Needs(None, None, "too-small")))
    told["verdict"]["texts"] = texts
    assert factor_words(told["verdict"]["factors"][0], told["verdict"], "en") == f"cannot tell yet, {words}"


@pytest.mark.parametrize(
    ("kind", "en", "zh"),
    [
        ("use", "use, or its aliases", "使用，或与其混杂的效应"),
        ("avoid", "do not use, or its aliases", "不要使用，或与其混杂的效应"),
        (
            "same",
            "no difference beyond 0.2 points, with its aliases, use for speed",
            "差别不超过 0.2 个点，连同与其混杂的效应，可为提速而用",
        ),
    ],
)
def test_what_a_design_cannot_tell_from_its_aliases_has_no_word_of_its_own(
    facts: Facts, kind: Kind, en: str, zh: str
) -> None:
    decision = Decision(kind, for_speed=kind == "same", aliased=True)
    assert [decision_words(decision, 0.2, lang) for lang in LANGS] == [en, zh]
    told = with_decision(facts, decision)
    page = render_page(told, "en", figures=Figures())
    hero = page.partition('<section id="use"')[2].partition("</section>")[0]
    assert "its aliases" in hero and "a x b" in hero
