"""How a figure looks: language, theme, width; and how numbers and names are written in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finegrid.errors import visible
from finegrid.recipe.identity import Level
from finegrid.report.chart.compared_words import COMPARED_CHART_WORDS
from finegrid.report.chart.palette import FONT, PALETTES, Palette, Theme
from finegrid.report.chart.words import CHART_WORDS
from finegrid.spelling import Lang, format_level
from finegrid.words import say_singular

Width = int | Literal["container"]
Row = dict[str, Any]
MINUS = "\N{MINUS SIGN}"
# No XML may hold them; whoever draws an SVG ends the whole process at one.
NO_XML = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
LONGEST = 120  # characters of a label; marks cut it further, to the room there is
LONGEST_TOLD = 600  # characters in a tooltip


@dataclass(frozen=True)
class Look:
    """Attributes:
    lang: of all words.
    theme: of all colours.
    width: pixels, or as wide as the page has room.
    compared: whether systems are compared, which have words of their own.
    """

    lang: Lang
    theme: Theme
    width: Width = "container"
    compared: bool = False

    @property
    def colour(self) -> Palette:
        return PALETTES[self.theme]

    def word(self, key: str, **values: object) -> str:
        own = COMPARED_CHART_WORDS[self.lang] if self.compared else {}
        template = own.get(key) or CHART_WORDS[self.lang][key]
        return (say_singular(template, values) if self.lang == "en" else template).format(**values)

    def sentences(self, *parts: str) -> str:
        return self.word("between sentences").join(part for part in parts if part)

    def between(self, low: float | None, high: float | None, digits: int = 2, sign: bool = True) -> str:
        """``−1.09 to +3.23``, or that there is no interval."""
        if low is None or high is None:
            return self.word("no interval")
        write = format_signed if sign else plain
        return self.word("interval", low=write(low, digits), high=write(high, digits))

    def rows(self, numbers: Sequence[int]) -> str:
        """``5, 13``: rows of the design."""
        return self.word("list comma").join(map(str, numbers))

    def levels(self, levels: Mapping[str, Level]) -> str:
        """What a recipe has that the baseline has not."""
        return ", ".join(level_name(name, level) for name, level in levels.items()) or self.word("baseline")

    def config(self) -> dict[str, Any]:
        """Vega-Lite's, for every figure."""
        colour = self.colour
        return {
            "background": "transparent" if self.width == "container" else colour.card,
            "font": FONT,
            "padding": 4 if self.width == "container" else 20,
            "view": {"stroke": None},
            "mark": {"aria": False},  # the description tells it; a mark's own would repeat raw fields
            "axis": {
                "domainColor": colour.faint,
                "gridColor": colour.line,
                "labelColor": colour.muted,
                "labelFontSize": 11,
                "labelPadding": 5,
                "tickColor": colour.faint,
                "tickSize": 4,
                "titleColor": colour.muted,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "titlePadding": 9,
            },
            "legend": {"labelColor": colour.ink, "labelFontSize": 12, "title": None},
            "text": {"color": colour.ink, "fontSize": 12, "baseline": "middle"},
            "title": {
                "anchor": "start",
                "color": colour.ink,
                "fontSize": 16,
                "fontWeight": 600,
                "frame": "bounds",
                "offset": 14,
                "subtitleColor": colour.muted,
                "subtitleFontSize": 12,
                "subtitleLineHeight": 17,
                "subtitlePadding": 7,
            },
        }


def fit_line(text: str, most: int = LONGEST) -> str:
    """The user's text on one line: control characters spelled out, the rest of a long one cut."""
    line = visible(text).translate(NO_XML)
    return line if len(line) <= most else line[: most - 1] + "…"


def score_label(name: str, most: int = 40) -> str:
    """A score as the page spells it, for a figure."""
    kind, _, label = name.partition(":")
    if label:
        return f"F1 {fit_line(label, most)}"
    return {"macro-f1": "macro F1", "mcc": "MCC"}.get(kind, fit_line(kind, most))


def level_name(factor: str, level: Level) -> str:
    return f"{fit_line(factor)} = {fit_line(format_level(level))}"


def format_signed(value: float | None, digits: int = 2, unknown: str = "") -> str:
    """With a sign, also of what is above zero; what rounds to zero has none."""
    if value is None or round(value, digits) == 0:
        return plain(None if value is None else 0.0, digits, unknown)
    return f"{value:+,.{digits}f}".replace("-", MINUS)


def plain(value: float | None, digits: int = 2, unknown: str = "") -> str:
    return unknown if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def wrap_line(text: str, pixels: float, size: float) -> list[str]:
    """Lines that fit, by a rough width of letters: a figure cannot measure them, and wraps nothing itself."""
    lines, line, used = [], "", 0.0
    for piece in pieces(text):
        wide = measure_text(piece, size)
        if line and used + wide > pixels:
            lines.append(line.rstrip())
            line, used = "", 0.0
            piece = piece.lstrip()
        line, used = line + piece, used + wide
    return [*lines, line.rstrip()] if line.strip() else lines


def wrap_name(name: str, pixels: float, size: float) -> list[str]:
    """A name and its level in lines that fit: first before the level, then after dots and underscores."""
    if measure_text(name, size) <= pixels:
        return [name]
    factor, equals, level = name.partition(" = ")
    lines = wrap_pieces(re.split(r"(?<=[._])", factor), pixels, size)
    return [*lines, *wrap_pieces([f"= {level}"], pixels, size)] if equals else lines


def wrap_pieces(found: Iterable[str], pixels: float, size: float) -> list[str]:
    lines = [""]
    for piece in found:
        if lines[-1] and measure_text(lines[-1] + piece, size) > pixels:
            lines.append("")
        lines[-1] += piece
    return lines


def measure_text(text: str, size: float) -> float:
    """Pixels, about: a figure cannot measure them."""
    return sum(size * (1.0 if is_wide(char) else 0.53) for char in text)


def pieces(text: str) -> list[str]:
    """Where a line may break: after spaces, and between Chinese characters but not before their marks."""
    found: list[str] = []
    for char in text:
        starts = not found or found[-1].endswith(" ") or (is_wide(char) and char not in "，。；：、）！？”")
        if starts:
            found.append(char)
        else:
            found[-1] += char
    return found


def is_wide(text: str) -> bool:
    """Whether it has Chinese, Japanese or Korean characters."""
    return any(unicodedata.east_asian_width(char) in "WF" for char in text)
