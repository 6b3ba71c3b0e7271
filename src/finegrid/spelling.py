"""How numbers, times and levels are spelled, and in which languages."""

from __future__ import annotations

import json
from typing import Literal, get_args

import numpy as np

from finegrid.errors import input_error

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, ...] = get_args(Lang)


def parse_lang(name: str) -> Lang:
    """A language of ours.

    Raises:
        InputError: any other.
    """
    for lang in LANGS:
        if lang == name:
            return lang
    raise input_error("command line", "--lang", f'found "{name}", expected {" or ".join(LANGS)}.')


def format_level(level: bool | int | float | str) -> str:
    return level if isinstance(level, str) else json.dumps(level)


def format_duration(seconds: float) -> str:
    """``5 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def json_number(value: float) -> float | None:
    """JSON has no nan and no infinity."""
    return round(float(value), 6) if np.isfinite(value) else None
