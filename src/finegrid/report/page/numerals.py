"""Numbers as the page shows them. Where a number is not known there is a question mark or a dash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from finegrid.errors import visible
from finegrid.facts.verdict import VerdictFacts
from finegrid.recipe.identity import Level
from finegrid.report.chart import style
from finegrid.report.page.bilingual import Both, code, join, marked, same, say
from finegrid.spelling import format_level, seconds_digits

UNKNOWN = "–"
Pair = Sequence[float | None]


def points(value: float | None, digits: int = 2) -> str:
    """A score."""
    return style.plain(value, digits, UNKNOWN)


def signed(value: float | None, digits: int = 2) -> str:
    """A difference; what rounds to nothing has no sign."""
    return style.format_signed(value, digits, UNKNOWN)


def between(pair: Pair | None, digits: int = 2, sign: bool = True) -> Both:
    """An interval."""
    if pair is None or pair[0] is None or pair[1] is None:
        return say("no interval")
    write = style.format_signed if sign else style.plain
    return say("interval", low=write(pair[0], digits), high=write(pair[1], digits))


def of_score(pair: Pair | None, verdict: VerdictFacts) -> Both:
    """The interval of a score, and that it says little where it does."""
    ends = between(pair, verdict["score_digits"], sign=False)
    return say("too wide", interval=ends) if says_little(pair, verdict) else ends


def says_little(pair: Pair | None, verdict: VerdictFacts) -> bool:
    """Whether so little has run that the interval of a score covers much of what a score can be."""
    low, high = pair or (None, None)
    widest = verdict["score_widest"]
    return widest is not None and low is not None and high is not None and high - low > widest


def known(pair: Pair | None) -> bool:
    return pair is not None and None not in pair


def count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def brief(value: float | None) -> str:
    """Seconds of one run or epoch, as a bare number."""
    if value is None:
        return UNKNOWN
    return f"{value:.{seconds_digits(value)}f}" if abs(value) < 100 else f"{value:,.0f}"


def more_seconds(value: float | None) -> str:
    """A change of seconds, as a bare number."""
    return signed(value, seconds_digits(value))


def between_seconds(pair: Pair | None) -> Both:
    """The interval of a change of seconds."""
    return between(pair, seconds_digits(*(pair or ())))


def mebibytes(value: float | None, sign: bool = False) -> str:
    if value is None:
        return UNKNOWN
    return signed(value / 2**20, 0) if sign else count(value / 2**20)


def time(seconds: float | None) -> Both:
    """``0.32 s``, ``41.4 s``, ``3 min 12 s``, ``2 h 10 min``."""
    if seconds is None:
        return say("cost unknown")
    if seconds < 120:
        spent = f"{seconds:.{seconds_digits(seconds)}f}" if seconds < 100 else f"{seconds:.0f}"
        return Both(Markup(f"{spent}&nbsp;s"), Markup(f"{spent}&nbsp;秒"))
    whole = round(seconds)
    if whole < 5400:
        minutes, rest = divmod(whole, 60)
        return Both(Markup(f"{minutes}&nbsp;min {rest}&nbsp;s"), Markup(f"{minutes} 分 {rest} 秒"))
    hours, minutes = divmod(round(seconds / 60), 60)
    return Both(Markup(f"{hours}&nbsp;h {minutes}&nbsp;min"), Markup(f"{hours} 小时 {minutes} 分"))


def level(factor: str, value: Level) -> Markup:
    """``reinit.layers = 6``."""
    return code(f"{factor} = {format_level(value)}")


def breaking(name: str) -> Markup:
    """A name that may break after its dots and underscores, and nowhere else."""
    pieces = re.split(r"(?<=[._])", visible(name))
    return Markup('<code dir="auto">{}</code>').format(
        Markup("<wbr>").join(map(escape, filter(None, pieces)))
    )


def level_of_table(factor: str, value: Level) -> Markup:
    """``reinit.layers = 6`` in the head of a row, which is narrow on a telephone."""
    return Markup("{} {}").format(breaking(factor), code(f"= {format_level(value)}"))


def levels(found: Mapping[str, Any]) -> Both:
    """Several of them; the baseline, if there are none."""
    return join(level(*one) for one in found.items()) if found else say("the baseline")


def stands_in(rows: Sequence[int]) -> Both:
    """Where the design has a recipe."""
    return say("stands in row" if len(rows) == 1 else "stands in rows", rows=join(map(str, rows)))


def score_name(name: str) -> Both:
    """Of the study's score; of one class, its label."""
    kind, _, label = name.partition(":")
    if label:
        return same(Markup("F1 {}").format(code(label)))
    return same({"macro-f1": "macro F1", "mcc": "MCC"}.get(kind, kind))


def place(among: Sequence[Level], value: Level) -> int:
    """A level's place among its factor's, from 1. ``1`` and ``True`` are two levels."""
    return [format_level(each) for each in among].index(format_level(value)) + 1


def plain(value: float) -> str:
    """A mean count."""
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def lines(text: str) -> str:
    """Of a file: as it stands, with control characters but line ends and tabs spelled out."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.splitlines())


def both(en: Markup, zh: Markup) -> Both:
    return Both(en, zh)


def with_minus(sentence: str) -> str:
    """A sentence of the terminal with the page's minus signs before numbers."""
    return re.sub(r"(?<=[ (])-(?=\d)", style.MINUS, sentence)


def ticks(text: str) -> Markup:
    """With what stands in backticks as code."""
    return marked(text, "`")
