"""Folding: what looks alike is one, folding twice is folding once, many texts fold as one does."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finegrid.data.alike import fold_label, fold_rows, fold_text, fold_texts

ODD = "aAßﬁＡ１é\u0301\u0345\u200b\u00ad\ufeff\u3164\u1160 \t\u00a0\u3000\n中文カｶﾞ①²İıſΣςΐ\x07\x1f\x7f\x85"
TEXTS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Garden", "garden"),
        ("garden\u200b", "garden"),
        ("ne\u0301gatif", "négatif"),
        ("ＡＢＣ１２", "abc12"),
        ("  two\t words\u00a0", "two words"),
        ("体育 新闻", "体育新闻"),
        ("STRASSE", "straße"),
        ("co\u00adop\x07", "coop"),
    ],
)
def test_what_looks_alike_folds_to_the_same(one: str, other: str) -> None:
    assert fold_text(one) == fold_text(other)


def test_words_stay_apart() -> None:
    assert len({fold_text(text) for text in ("new york", "newyork", "new-york", "neu york", "")}) == 5


@given(TEXTS)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


def test_every_character_folds_to_what_stays() -> None:
    every = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    folded = list(fold_texts(every))

    assert list(fold_texts(folded)) == folded and len(folded) == len(every)


@given(st.lists(TEXTS))
def test_texts_fold_together_as_they_fold_alone(texts: list[str]) -> None:
    assert list(fold_texts(texts)) == [fold_text(text) for text in texts]
    assert list(fold_texts([*texts, "中"]))[:-1] == [fold_text(text) for text in texts]


def test_pairs_are_alike_where_both_texts_are() -> None:
    one, other, swapped, joined = fold_rows([("A", "b"), ("a ", "B"), ("b", "a"), ("a b", " ")])

    assert one == other and len({one, swapped, joined}) == 3


@pytest.mark.parametrize(
    "group", [("1", "1.0", "01", "+1", "１", "1."), ("0", "-0", "0.00"), ("1.5", "1.50")]
)
def test_labels_that_are_numbers_are_alike_by_value(group: tuple[str, ...]) -> None:
    assert len({fold_label(label) for label in group}) == 1


def test_different_numbers_and_words_with_digits_are_not_alike() -> None:
    labels = ("1", "10", "-1", "1.5", "100", "1e2", "v1", "v1.0", "1,0")

    assert len({fold_label(label) for label in labels}) == len(labels)
