"""Values and levels as TOML writes them, in study.toml and on the command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import BLANK, Recipe


def format_toml(value: object) -> str:
    """A value as TOML. JSON's strings, numbers, booleans and lists are TOML's, but for two details.

    A table is written inline: the settings of a bundle's level are.
    """
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{format_toml(key)} = {format_toml(item)}" for key, item in value.items())
        return f"{{{pairs and f' {pairs} '}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(format_toml(item) for item in value)}]"
    # DEL must be escaped in TOML, and JSON leaves it as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def by_part(levels: Mapping[str, Level]) -> dict[str, dict[str, Level]]:
    """Levels by part and field, as study.toml has them: ``reinit.layers`` is ``layers`` in ``[reinit]``."""
    parts: dict[str, dict[str, Level]] = {}
    for name, level in levels.items():
        part, field = name.split(".")
        parts.setdefault(part, {})[field] = level
    return parts


def parse_levels(settings: Sequence[str], blank: Recipe = BLANK) -> dict[str, Any]:
    """``factor=level`` pairs of the command line, levels as TOML writes them (words need no quotes).

    Args:
        settings: the pairs.
        blank: a recipe that has the factors.

    Raises:
        InputError: no such pairs.
    """
    levels: dict[str, Any] = {}
    problems = []
    for setting in settings:
        factor, equals, text = setting.partition("=")
        if not equals:
            problems.append(Problem("--set", f'found "{setting}", expected factor=level.'))
            continue
        levels[factor.strip()] = parse_level(text.strip())
    try:
        blank.at(levels)
    except InputError as error:
        problems.extend(Problem(f"--set {problem.where}", problem.what) for problem in error.problems)
    if problems:
        raise InputError("command line", problems)
    return levels


def parse_level(text: str) -> Any:
    try:
        return tomllib.loads(f"level = {text}")["level"]
    except (ValueError, RecursionError):  # no TOML, or too deep for it
        return text
