"""Folds texts and labels: without case, width, repeated blanks and characters that are not seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
AT_ONCE = 20_000  # texts that are folded as one string
# Control characters that are no blanks, but for NUL; and what Unicode says to ignore (Default_Ignorable_
# Code_Point, https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt).
UNSEEN = re.compile(
    "[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
BLANKS = re.compile(r"[^\S ]\s*| \s+")  # but for a single blank, which stays
# Kana and ideographs: no word ends at a blank beside one.
WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
BLANK_BESIDE_WIDE = re.compile(f"(?<=[{WIDE}]) | (?=[{WIDE}])")
IN_ASCII = {
    **dict.fromkeys((*range(1, 9), *range(14, 28), 127)),
    **dict.fromkeys((*range(9, 14), *range(28, 32)), " "),
    **{code: chr(code).lower() for code in range(ord("A"), ord("Z") + 1)},
}
NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?")


def fold_text(text: str) -> str:
    """The text after NFKC and case folding, its blanks single, without what is not seen.

    Blanks beside Chinese characters and kana are gone. Folding twice is folding once.
    """
    return next(fold_texts([text.replace("\0", "")]))


def fold_texts(texts: Iterable[str]) -> Iterator[str]:
    """`fold_text` of each, none of which has a NUL; many at once, since one long string is folded faster."""
    rest = iter(texts)
    while some := list(islice(rest, AT_ONCE)):
        joined = "\0".join(some)
        yield from _fold_ascii(joined) if joined.isascii() else _fold_foreign(joined)


def _fold_ascii(joined: str) -> list[str]:
    joined = joined.translate(IN_ASCII)
    while "  " in joined:
        joined = joined.replace("  ", " ")
    return [text.strip(" ") for text in joined.split("\0")]


def _fold_foreign(joined: str) -> list[str]:
    """What folds may compose, and what composes may fold: so what has changed is folded again."""
    texts = joined.split("\0")
    joined = _normalize(_normalize(UNSEEN.sub("", joined)).casefold())
    joined = BLANK_BESIDE_WIDE.sub("", BLANKS.sub(" ", joined))
    folded = [text.strip(" ") for text in joined.split("\0")]
    changed = [index for index, text in enumerate(texts) if text != folded[index]]
    if changed:
        again = _fold_foreign("\0".join(folded[index] for index in changed))
        for index, text in zip(changed, again, strict=True):
            folded[index] = text
    return folded


def _normalize(joined: str) -> str:
    """NFKC. One by one: a long string is quickly seen to be normal, but slowly made so."""
    if unicodedata.is_normalized("NFKC", joined):
        return joined
    return "\0".join([unicodedata.normalize("NFKC", text) for text in joined.split("\0")])


def fold_rows(texts: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """For each text or pair one string, equal where all of its parts fold to the same."""
    width = len(texts[0]) if texts else 1
    columns = [fold_texts(map(itemgetter(column), texts)) for column in range(width)]
    return columns[0] if width == 1 else ("\0".join(parts) for parts in zip(*columns, strict=True))


def fold_label(label: str) -> str:
    """The same for a label; numbers by their value: ``1``, ``1.0`` and ``01`` are one."""
    folded = fold_text(label)
    if NUMBER.fullmatch(folded):
        value = Decimal(folded).normalize()
        return f"{value if value else abs(value):f}"  # there is no minus zero
    return folded


def number_equal(parts: Mapping[str, Iterable[Hashable]]) -> tuple[dict[str, Ints], list[Hashable]]:
    """For each part ``[rows]`` numbers from 0, equal where values are; and the distinct values by number."""
    known: dict[Hashable, int] = {}
    numbers = {
        part: np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)
        for part, values in parts.items()
    }
    return numbers, list(known)
