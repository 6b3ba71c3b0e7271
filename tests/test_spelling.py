"""Numbers as JSON and durations as words."""

import math

import pytest

from finegrid.errors import InputError
from finegrid.spelling import (
    LOCALES,
    agree,
    count_noun,
    format_change,
    format_duration,
    json_number,
    parse_lang,
    seconds_digits,
    write_level,
)
from finegrid.study.toml import parse_level


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("digits", [6, None])
def test_what_json_cannot_write_is_none(value: float, digits: int | None) -> None:
    assert json_number(value, digits) is None


def test_numbers_are_rounded_if_asked() -> None:
    assert (json_number(2 / 3), json_number(2 / 3, digits=None)) == (0.666667, 2 / 3)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.6, "5 s"), (1.2, "1 s"), (89, "89 s"), (90, "2 min"), (5369, "89 min"), (7800, "2 h 10 min")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.32, "0.32 s"),
        (0.5, "0.50 s"),
        (0.0412, "0.041 s"),
        (0.004, "0.004 s"),
        (0.0006, "0.001 s"),
        (1e-9, "0 s"),
    ],
)
def test_seconds_below_one_are_told_with_their_digits(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_the_larger_end_of_an_interval_decides_on_its_digits() -> None:
    assert seconds_digits(-0.04, 0.12) == 2
    assert seconds_digits(-0.04, -12.5) == seconds_digits(None, math.nan) == seconds_digits() == 1
    assert seconds_digits(0.32, digits=0) == seconds_digits(0.32, digits=2) == 2


@pytest.mark.parametrize(("count", "words"), [(0, "0 texts"), (1, "1 text"), (2000, "2,000 texts")])
def test_nouns_are_counted(count: int, words: str) -> None:
    assert count_noun(count, "text") == words


@pytest.mark.parametrize(
    ("name", "lang"),
    [("en", "en"), ("zh", "zh"), ("zh-CN", "zh"), ("zh_CN.UTF-8", "zh"), ("zh-Hans", "zh"), ("en_GB", "en")],
)
def test_a_language_is_known_by_the_names_of_locales(name: str, lang: str) -> None:
    assert parse_lang(name) == lang


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN", "LANG": "de_DE"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_without_a_name_the_environment_says_the_language(
    environment: dict[str, str], lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in LOCALES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    assert parse_lang(None) == lang


def test_another_language_is_refused() -> None:
    with pytest.raises(InputError, match='found "fr", expected en or zh'):
        parse_lang("fr")


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("32 distinct recipes x 1 seeds, 1 texts", "32 distinct recipes x 1 seed, 1 text"),
        ("1 distinct recipes x 3 seeds", "1 distinct recipe x 3 seeds"),
        ("1 recipes have no result: rows 7", "1 recipe has no result: row 7"),
        ("1 runs are missing", "1 run is missing"),
        ("rows 5, 13 and rows 1-4", "rows 5, 13 and rows 1-4"),
        ("rows 5, ...", "rows 5, ..."),
        ("21 runs, 0.1 points, 1,001 texts, -1 points", "21 runs, 0.1 points, 1,001 texts, -1 points"),
        ("seed 1 has runs", "seed 1 has runs"),
    ],
)
def test_one_of_a_thing_is_told_as_one(said: str, right: str) -> None:
    assert agree(said) == right


@pytest.mark.parametrize("value", [0.0, -0.0, -0.004])
def test_nothing_has_no_minus(value: float) -> None:
    assert format_change(value, 2) == "+0.00"


@pytest.mark.parametrize("level", ["", "unlabelled.tsv", True, 3, 0.5])
def test_a_level_is_written_as_it_is_set(level: bool | int | float | str) -> None:
    """An empty word, too, which would else be nothing to see."""
    assert parse_level(write_level(level)) == level and write_level(level)
