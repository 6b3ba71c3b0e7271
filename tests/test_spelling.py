"""Numbers as JSON and durations as words."""

import math

import pytest

from finegrid.spelling import count_noun, format_duration, json_number


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("digits", [6, None])
def test_what_json_cannot_write_is_none(value: float, digits: int | None) -> None:
    assert json_number(value, digits) is None


def test_numbers_are_rounded_if_asked() -> None:
    assert (json_number(2 / 3), json_number(2 / 3, digits=None)) == (0.666667, 2 / 3)


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.6, "5 s"), (89, "89 s"), (90, "2 min"), (5369, "89 min"), (7800, "2 h 10 min")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 texts"), (1, "1 text"), (2000, "2,000 texts")])
def test_nouns_are_counted(count: int, words: str) -> None:
    assert count_noun(count, "text") == words
