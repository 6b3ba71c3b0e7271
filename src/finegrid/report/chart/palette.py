"""The colours of the report, light and dark: one palette for figures and page.

Blue-green and vermilion are told apart by all common kinds of colour blindness (Okabe & Ito, "Color Universal
Design", 2008); a decision never stands in its colour alone, it has a shape and its word as well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
# What a browser or a drawing program has. A browser looks for every letter in the next font; what draws PNG
# files takes the first font for all of a text, so a figure with Chinese in it asks for one that has both.
LATIN = 'Inter, "Helvetica Neue", "Liberation Sans", Arial'
CHINESE = '"PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC"'
FONT = f"{LATIN}, {CHINESE}, sans-serif"
FONT_FOR_CHINESE = f"{CHINESE}, {LATIN}, sans-serif"


@dataclass(frozen=True)
class Palette:
    """``#rrggbb`` each. Text colours have a contrast of at least 4.5 to 1 on ``page`` and on ``card``."""

    page: str  # behind everything
    card: str  # behind a figure
    ink: str  # text, the zero line, the baseline
    muted: str  # text of second rank, axes
    line: str  # between rows, grid
    band: str  # the margin within which nothing differs
    faint: str  # marks that are only background
    use: str  # also of what is recommended
    avoid: str
    open: str
    same: str  # no difference beyond the margin


LIGHT = Palette(
    page="#f7f8fa",
    card="#ffffff",
    ink="#1b2330",
    muted="#596273",
    line="#e4e7ec",
    band="#eceff4",
    faint="#aab2bf",
    use="#0b7189",
    avoid="#bf4408",
    open="#6a7282",
    same="#47547a",
)
DARK = Palette(
    page="#0f1217",
    card="#171b22",
    ink="#e7eaf0",
    muted="#a2abba",
    line="#2a303a",
    band="#232934",
    faint="#5c6675",
    use="#45bcd0",
    avoid="#f28c52",
    open="#98a1b1",
    same="#a9b6dc",
)
PALETTES: dict[Theme, Palette] = {"light": LIGHT, "dark": DARK}


def colours(theme: Theme) -> dict[str, str]:
    """By name, for a style sheet."""
    return asdict(PALETTES[theme])
