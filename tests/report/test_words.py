"""Dictionaries: what two places say stands once, and both languages say it."""

from __future__ import annotations

import ast
import string
from collections import Counter
from pathlib import Path

import finegrid
from finegrid.facts import failure_words as failures
from finegrid.facts import free_words as free
from finegrid.facts import recommendation_words as recommendation
from finegrid.report.chart import words as chart
from finegrid.report.page import words as page
from finegrid.spelling import LANGS
from finegrid.verdict import words as terminal
from finegrid.words import CHINESE, ENGLISH, SHARED

SOURCE = Path(finegrid.__file__).parent
OWN = {
    "terminal": terminal,
    "page": page,
    "chart": chart,
    "recommendation": recommendation,
    "failures": failures,
    "free": free,
}
ENGLISHES = {"shared": ENGLISH} | {name: module.ENGLISH for name, module in OWN.items()}


def fields(text: str) -> list[str]:
    return sorted(field for _, field, _, _ in string.Formatter().parse(text) if field)


def test_no_english_words_stand_in_two_dictionaries() -> None:
    places = Counter(text for words in ENGLISHES.values() for text in set(words.values()))

    assert [text for text, count in places.items() if count > 1] == []


def test_no_dictionary_has_a_key_of_the_shared_one() -> None:
    for name, module in OWN.items():
        assert not module.ENGLISH.keys() & ENGLISH.keys(), name


def test_both_languages_share_the_same_words_with_the_same_fields() -> None:
    assert ENGLISH.keys() == CHINESE.keys() and SHARED.keys() == set(LANGS)
    assert {key for key in ENGLISH if fields(ENGLISH[key]) != fields(CHINESE[key])} == set()


def test_every_shared_word_is_said_by_somebody() -> None:
    """Keys that are put together begin with what they are put together of."""
    code = [
        "facts/decision_words.py",
        "facts/recommendation_words.py",
        "verdict/words.py",
        "verdict/strategy_lines.py",
        "report/markdown.py",
    ]
    paths = [SOURCE / name for name in code]
    paths += [*(SOURCE / "report/page").glob("*.py"), *(SOURCE / "report/chart").glob("*.py")]
    strings = {
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    template = (SOURCE / "assets/report/page.html.jinja").read_text(encoding="utf-8")
    made = {"use", "avoid", "same", "open", "interact", "s per run", "s per epoch"}
    made |= {"train", "wrote"}  # `plan` names splits; `say_wrote` says the other

    said = {key for key in ENGLISH if key in strings or f'say("{key}"' in template}
    assert ENGLISH.keys() - said <= made


def test_one_word_has_one_chinese() -> None:
    """But the comma, of which Chinese has two, and texts, which are a section and a number."""
    chinese: dict[str, set[str]] = {}
    for english, own in [(ENGLISH, CHINESE), *((m.ENGLISH, m.CHINESE) for m in OWN.values())]:
        for key, text in english.items():
            chinese.setdefault(text, set()).add(own[key])

    assert {text for text, words in chinese.items() if len(words) > 1} == {", ", "Texts"}
