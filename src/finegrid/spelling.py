"""Spells numbers, times and levels; the languages that finegrid speaks."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from finegrid.errors import input_error

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, ...] = get_args(Lang)
# Lines for whoever watches: a terminal asks for the user's language, files and values for English.
Telling: TypeAlias = Callable[[Lang], Sequence[str]]
# A single thing with a plural noun, and the verb right behind it; a single number behind "rows".
THINGS = "recipe|run|seed|row|text|point|epoch|level|system"
ONE_THING = re.compile(
    rf"(?<![\w.,-])1 ((?:distinct |finished |more |test )*(?:{THINGS}))s\b( have\b| are\b|)"
)
AGREEING = {" have": " has", " are": " is"}
ONE_ROW = re.compile(r"\b([Rr])ows (\d+)(?![\d-]|, \d|, \.\.\.)")
UNITS: dict[Lang, tuple[str, str, str]] = {"en": ("s", "min", "h"), "zh": ("秒", "分钟", "小时")}
MOST_COMPARED, LONGEST_NAME = 1000, 100  # a comparison of short names takes some 20 µs
LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set says what language a user reads


def parse_lang(name: str | None) -> Lang:
    """The language of that name: ``zh``, ``zh-CN`` or ``zh_CN.UTF-8``.

    Args:
        name: None: that of the environment, English if it is another one.

    Raises:
        InputError: any other name.
    """
    found = name or next(filter(None, map(os.environ.get, LOCALES)), "")
    spelled = found.replace("_", "-").lower()
    for lang in LANGS:
        if spelled == lang or spelled.startswith((f"{lang}-", f"{lang}.")):
            return lang
    if name is None:
        return "en"  # of a locale that finegrid does not speak
    raise input_error("command line", "--lang", f'found "{name}", expected {" or ".join(LANGS)}.')


def format_level(level: bool | int | float | str) -> str:
    return level if isinstance(level, str) else json.dumps(level)


def write_level(level: bool | int | float | str) -> str:
    """As it is written after ``--set factor=``: an empty word is seen, too."""
    return format_level(level) or '""'


def format_points(value: float) -> str:
    """``+0.50``; ``?`` where it is not known."""
    return format_change(value, 2)


def format_change(value: float, digits: int) -> str:
    """With its sign; what rounds to nothing is ``+0``, on whichever side it lies."""
    return f"{round(value, digits) + 0.0:+.{digits}f}" if math.isfinite(value) else "?"


def seconds_digits(*seconds: float | None, digits: int = 1) -> int:
    """How many digits after the point tell these seconds, or changes of seconds.

    Args:
        seconds: one, or the ends of an interval, of which the larger decides; None: not known.
        digits: for a second and more. What is less is told with two digits that are not zero, down to
            milliseconds; and less than half of one as nothing.
    """
    largest = max(
        (abs(value) for value in seconds if value is not None and math.isfinite(value)), default=0.0
    )
    if largest >= 1 or largest < 0.0005:
        return digits
    return max(digits, min(1 - math.floor(math.log10(largest)), 3))


def format_duration(seconds: float, lang: Lang = "en") -> str:
    """``0.32 s``, ``5 s``, ``3 min``, ``2 h 10 min``; in Chinese ``5 秒``."""
    second, minute, hour = UNITS[lang]
    if seconds < 90:
        return f"{seconds:.{seconds_digits(seconds, digits=0)}f} {second}"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} {minute}"
    return f"{minutes // 60} {hour} {minutes % 60} {minute}"


def count_noun(count: int, noun: str) -> str:
    """``1 text``, ``2,000 texts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def agree(text: str) -> str:
    """English with one of a thing told as one: ``1 runs have`` is ``1 run has``, ``rows 7`` is ``row 7``."""
    text = ONE_THING.sub(lambda found: f"1 {found[1]}{AGREEING.get(found[2], found[2])}", text)
    return ONE_ROW.sub(r"\1ow \2", text)


def json_number(value: float, digits: int | None = 6) -> float | None:
    """A number for JSON, which has no nan and no infinity: None for these.

    Args:
        value: the number.
        digits: after the point; None for all of them.
    """
    if not math.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)


def find_near(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Names that are spelled nearly like a word. Of many names, and long ones, not all are compared."""
    if len(word) > LONGEST_NAME:
        return []
    compared = (name for name in islice(known, MOST_COMPARED) if len(name) <= LONGEST_NAME)
    return difflib.get_close_matches(word, compared, n=most)


def expand_user(path: str | os.PathLike[str]) -> Path:
    """A path whose ``~`` is the user's home; as it is where there is no such user, or no home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
