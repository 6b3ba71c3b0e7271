"""The card of a strategy: what `finegrid explain` prints.

In English it is the docstring of the strategy's module, and its factors are described by their pydantic
fields. In Chinese it is a file of the module's name in assets/cards/zh: the same paragraphs in the same
order, with long lines, and then a line for each factor. What has no Chinese yet is told in English.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from finegrid import ASSETS
from finegrid.recipe.catalogue import find, parts
from finegrid.recipe.described import DescribedStrategy
from finegrid.recipe.words import WORDS
from finegrid.spelling import Lang
from finegrid.strategies.part import Part

CHINESE_CARDS = ASSETS / "cards" / "zh"
HEADINGS = ("Paper", "Idea", "Off", "Reduces", "Evidence")  # that every card has
WIDTH, INDENT = 110, 8  # of cards, in columns; as docstrings have them
FACTOR = re.compile(r"^([a-z_]+\.[a-z0-9_]+) {4}(.*)$", re.MULTILINE)


def card(name: str, lang: Lang = "en") -> str:
    """The documentation of a factor (``reinit.layers``), of a whole part (``reinit``), or of a strategy.

    Args:
        name: as people may call it: see `catalogue.find`.
        lang: en, where lines are short; or zh, where `terminal.fold` has to make them so.

    Raises:
        InputError: no such strategy, or several.
    """
    found = find(name)
    return card_of(parts()[found.part], found.factors, lang)


def card_of(part: Part, factors: Iterable[str], lang: Lang = "en") -> str:
    """The documentation of some factors of a part, which may be a strategy of a user's own."""
    lines = [f"{factor}    {summarise_factor(part, factor.partition('.')[2], lang)}" for factor in factors]
    return "\n".join([describe_part(part, lang), "", *lines])


def card_lines(name: str, lang: Lang = "en") -> list[str]:
    """The same as lines that a terminal can hold. In English they are as they stand.

    Raises:
        InputError: as `card`.
    """
    lines = card(name, lang).splitlines()
    if lang == "en":
        return lines
    from rich.text import Text

    from finegrid.terminal import fold, open_console  # brings rich: nobody else needs it

    width = min(open_console().width, WIDTH)
    summary, *others = lines
    folded = [fold(Text(summary), width), *(fold(Text(line), width, INDENT) for line in others)]
    return [line.plain for lines in folded for line in lines]


def describe_part(part: Part, lang: Lang = "en") -> str:
    """The card of a part without its factors."""
    if isinstance(part, DescribedStrategy):
        return part.description.card
    module = type(part).__module__
    chinese = read_chinese(module) if lang == "zh" else ""
    if chinese:
        return FACTOR.split(chinese, 1)[0].rstrip()
    return inspect.getdoc(importlib.import_module(module)) or ""


@cache
def read_chinese(module: str) -> str:
    """The file of a strategy's module; empty where it has none."""
    file = CHINESE_CARDS / f"{module.rpartition('.')[2]}.txt"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def describe_factor(factor: str, lang: Lang = "en") -> str:
    """What a factor is, without its levels: a few words, without a full stop.

    Args:
        factor: by its dotted name.
        lang: en or zh.
    """
    part, _, name = factor.partition(".")
    return describe_field(parts()[part], name, lang)


def describe_field(part: Part, name: str, lang: Lang) -> str:
    """The same of one of the part's fields."""
    chinese = read_chinese(type(part).__module__) if lang == "zh" else ""
    told = {factor.partition(".")[2]: text for factor, text in FACTOR.findall(chinese)}
    return str(told.get(name) or read_schema(part, name).get("description", ""))


def summarise_factor(part: Part, name: str, lang: Lang = "en") -> str:
    """Description, allowed levels and default of one factor, from its pydantic field."""
    schema = read_schema(part, name)
    levels = " | ".join(describe_levels(option, lang) for option in schema.get("anyOf", [schema]))
    default = json.dumps(schema["default"])
    told = describe_field(part, name, lang)
    return WORDS[lang]["factor"].format(told=told, levels=levels, default=default)


def read_schema(part: Part, name: str) -> dict[str, Any]:
    """What pydantic says of a field."""
    from pydantic import TypeAdapter

    schema: dict[str, Any] = TypeAdapter(type(part)).json_schema()["properties"][name]
    return schema


def describe_levels(schema: dict[str, Any], lang: Lang = "en") -> str:
    """The allowed levels of one type."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    allowed = " | ".join(json.dumps(value) for value in values) if values else WORDS[lang][schema["type"]]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return WORDS[lang]["between bounds"].join([allowed, *bounds])
