"""A strategy's card, taken apart for setting: its sentence, its marked paragraphs, its factors.

A card in Chinese has the paragraphs of the English one, in the same order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from finegrid.recipe.card import card
from finegrid.recipe.recipe import BLANK
from finegrid.report.page.bilingual import Both, marked

MARKED = re.compile(r"^([A-Z][a-z]+|[\u4e00-\u9fff]{1,3}) {1,7}(?=\S)(.*)$")
CHINESE_ENDS = ("。", "；", "：", "？")  # of lines, which need no blank before the next one
FACTOR = re.compile(r"^([a-z_]+\.[a-z0-9_]+) {4}(.*)$")


@dataclass(frozen=True)
class CardParts:
    summary: Markup
    paragraphs: list[tuple[str, Markup]]  # "Paper", "Idea", ...
    factors: list[tuple[str, Markup]]


@dataclass(frozen=True)
class BothCards:
    """The same in both languages."""

    summary: Both
    paragraphs: list[tuple[Both, Both]]
    factors: list[tuple[str, Both]]


def both_cards(part: str, text: str) -> BothCards:
    """The card of a part.

    Args:
        part: of a recipe.
        text: its card in English.
    """
    known = part in BLANK.parts  # a strategy of a user's own has one card
    english, chinese = card_parts(text), card_parts(card(part, "zh") if known else text)
    return BothCards(
        Both(english.summary, chinese.summary),
        [
            (Both(escape(head), escape(chinese_head)), Both(told, chinese_told))
            for (head, told), (chinese_head, chinese_told) in zip(
                english.paragraphs, chinese.paragraphs, strict=True
            )
        ],
        [
            (factor, Both(told, chinese_told))
            for (factor, told), (_, chinese_told) in zip(english.factors, chinese.factors, strict=True)
        ],
    )


def card_parts(text: str) -> CardParts:
    """Of the text that ``finegrid explain`` prints."""
    head, _, body = text.partition("\n\n")
    paragraphs: list[list[str]] = []
    factors: list[tuple[str, Markup]] = []
    for line in body.splitlines():
        factor, marked = FACTOR.match(line), MARKED.match(line)
        if factor:
            factors.append((factor[1], prose(factor[2])))
        elif marked and not line.startswith(" "):
            paragraphs.append([marked[1], marked[2]])
        elif line.strip() and paragraphs:
            between = "" if paragraphs[-1][1].endswith(CHINESE_ENDS) else " "
            paragraphs[-1][1] += between + line.strip()
        elif line.strip():
            paragraphs.append(["", line.strip()])
    return CardParts(
        prose(" ".join(head.split())), [(name, prose(told)) for name, told in paragraphs], factors
    )


def prose(text: str) -> Markup:
    """With what stands in double backticks as code."""
    return marked(text, "``")
