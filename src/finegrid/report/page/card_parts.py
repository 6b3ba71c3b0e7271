"""A strategy's card, taken apart for setting: its sentence, its marked paragraphs, its factors."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from finegrid.report.page.bilingual import marked

MARKED = re.compile(r"^([A-Z][a-z]+) {1,7}(?=\S)(.*)$")
FACTOR = re.compile(r"^([a-z_]+\.[a-z0-9_]+) {4}(.*)$")


@dataclass(frozen=True)
class CardParts:
    summary: Markup
    paragraphs: list[tuple[str, Markup]]  # "Paper", "Idea", ...
    factors: list[tuple[str, Markup]]


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
            paragraphs[-1][1] += f" {line.strip()}"
        elif line.strip():
            paragraphs.append(["", line.strip()])
    return CardParts(
        prose(" ".join(head.split())), [(name, prose(told)) for name, told in paragraphs], factors
    )


def prose(text: str) -> Markup:
    """With what stands in double backticks as code."""
    return marked(text, "``")
