"""What files keep in English is told in Chinese, with its names and numbers."""

from __future__ import annotations

import re

import pytest

from finegrid.data.clean_files import OF_ROWS
from finegrid.in_chinese import METHODS, PATTERNS, name_method, name_state, translate
from finegrid.spelling import format_duration
from finegrid.study.importing.examples import load_example

SENTENCES = [
    'pooler.dense.weight, pooler.dense.bias never reach the loss under model.pooling = "first-last-mean"',
    'pooler.dense.weight never reaches the loss under model.pooling = "cls"',
    "it changes no tensor, rate, decay or dropout site that reaches the loss",
    "not estimable: the runs that finished do not show it",
    "aliased: this design cannot tell it from a x b, c x d",
    "test: 2 texts nearly like one of train (similarity from 0.8), e.g. 'a b' is like 'a c'",
    "train: 8 repeated rows, same text and same label, e.g. 'x' (train.tsv line 2)",
    "train: 1 class with fewer than 10 texts, e.g. 'y' (8)",
    "dev: 1 text also in train, with another label, e.g. 'z'",
    "a usual pair of names",
    "a usual name: 'text'",
    "the only other column",
    "the longest strings",
    "the only one with few values",
    "columns are said by name",
    "a cell of the first line comes again below it",
    "its cells are no names",
    "all files begin with it",
    "the files begin differently",
    "it reads like names, and no cell of it comes again",
    "it reads like a row",
    "repeated row",
    "text with more than one label",
    "text also in test, but for case and blanks",
    "text nearly like one of dev",
    "text nearly like an earlier one",
    "a fraction of resolution III",
    'study.toml has now in [design]: resolution = "V"',
    "study.toml has this already",
    "protocol best-test: epochs are chosen on the test set, so test scores are too high",
    "BERT, 312 wide, 4 layers",
    "decided at the look with 5 seeds, by +0.40 to +1.20",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_recorded_sentence_is_chinese_and_keeps_its_numbers(sentence: str) -> None:
    said = translate(sentence, "zh")

    assert re.search("[\u4e00-\u9fff]", said) and translate(sentence, "en") == sentence
    assert sorted(re.findall(r"\d[\d.]*", said)) == sorted(re.findall(r"\d[\d.]*", sentence))
    assert "{" not in said and not re.search(
        r"\b(never|texts?|rows?|seeds|train|loss)\b(?!\.tsv)", re.sub("'.*'", "", said)
    )


def test_why_a_single_row_is_taken_out_of_clean_files_is_chinese() -> None:
    assert [why for why in OF_ROWS.values() if translate(why, "zh") == why] == []


def test_what_has_no_chinese_stays_as_it_is() -> None:
    assert translate("somebody's own note", "zh") == "somebody's own note"


def test_the_notes_of_the_published_table_are_all_chinese() -> None:
    imported = load_example("thucnews64-published")

    for sentence in (*imported.notes, *imported.inert.values()):
        assert translate(sentence, "zh") != sentence


def test_no_two_patterns_say_the_same() -> None:
    assert len({chinese for _, chinese in PATTERNS}) == len(PATTERNS)


def test_methods_states_and_durations_are_chinese() -> None:
    assert {name_method(method, "en") for method in METHODS} == set(METHODS)
    assert name_method("Lenth's method", "zh") == "Lenth 法" and name_state("failed", "zh") == "失败"
    told = [format_duration(seconds, "zh") for seconds in (0.32, 5, 600, 7800)]
    assert told == ["0.32 秒", "5 秒", "10 分钟", "2 小时 10 分钟"]
