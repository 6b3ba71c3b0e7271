"""Bundles as ``[factors]`` has them: tables of settings by the names of their levels."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Levels, key_of
from finegrid.recipe.recipe import BLANK, FREE, Recipe
from finegrid.study.bundles import Bundle, Bundles

BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key of TOML that needs no quotation marks


def is_bundle(name: str, levels: object, parts: Collection[str] = BLANK.parts) -> bool:
    """Whether what stands under a name in ``[factors]`` is a table of tables, or meant to become one.

    Args:
        name: of the table.
        levels: what it holds.
        parts: of the recipe.
    """
    if not isinstance(levels, dict):
        return False
    if name in parts:  # else its fields, perhaps misspelled
        return bool(levels) and all(isinstance(settings, dict) for settings in levels.values())
    return not levels or any(isinstance(settings, dict) for settings in levels.values())


def check_bundles(
    factors: Mapping[str, Any], baseline: Recipe | None, blank: Recipe = BLANK
) -> tuple[Bundles, list[Problem]]:
    """The bundles among the factors, and what is wrong with them.

    Args:
        factors: as ``[factors]`` has them.
        baseline: of the study; None where it cannot be used.
        blank: a recipe that has the study's parts.
    """
    bundles: dict[str, Bundle] = {}
    problems: list[Problem] = []
    plain = [name for name, levels in factors.items() if not is_bundle(name, levels, blank.parts)]
    taken = {name: f'factors."{name}"' for name in plain}  # what is varied already, and where
    for name, tables in factors.items():
        if name in plain:
            continue
        where = f"factors.{name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)}"
        problems += check_bundle_name(name, where, blank.parts)
        if len(tables) < 2:
            found = f"one level ({next(iter(tables))})" if tables else "no level"
            problems.append(Problem(where, f"found {found}, expected two or more: name = {{ settings }}."))
        levels, of_levels = check_bundle_levels(tables, where, blank)
        bundles[name] = Bundle(levels)
        problems += of_levels
        for setting in bundles[name].settings:
            if setting in taken:
                what = f"sets {setting}, which {taken[setting]} varies as well. Take one of the two out."
                problems.append(Problem(where, what))
            else:
                taken[setting] = where
        if not of_levels and baseline is not None:
            problems += find_equal_levels(bundles[name], baseline, where)
    return bundles, problems


def check_bundle_name(name: str, where: str, parts: Collection[str]) -> list[Problem]:
    if name in parts:
        what = f"a table of tables is a bundle, but {name} is a part of the recipe. Give it another name."
        return [Problem(where, what)]
    if not name or "." in name:
        return [Problem(where, "a bundle's name is not empty and has no dots. Give it another name.")]
    return []


def check_bundle_levels(
    tables: Mapping[str, Any], where: str, blank: Recipe
) -> tuple[dict[str, Levels], list[Problem]]:
    """The settings of every level by dotted names, as far as they can be used."""
    levels: dict[str, Levels] = {}
    problems: list[Problem] = []
    for level, table in tables.items():
        place = f"{where}.{level}"
        levels[level] = {}
        if not level:
            problems.append(Problem(place, "a level needs a name."))
        if not isinstance(table, dict):
            what = f'found {table!r}, expected a table of settings, as {{ "optimizer.rate" = 5e-5 }}.'
            problems.append(Problem(place, f"{what} {{}} is the baseline itself."))
            continue
        for setting, value in spread_settings(table, blank.parts):
            if setting in levels[level]:
                problems.append(Problem(place, f"sets {setting} twice. Take one out."))
            elif setting in FREE:
                what = f"sets {setting}, which is scored in every run and needs none. Vary it as a factor."
                problems.append(Problem(place, what))
            else:
                try:
                    levels[level][setting] = blank.at({setting: value}).levels()[setting]
                except InputError as error:
                    problems += [Problem(f"{place}.{setting}", problem.what) for problem in error.problems]
    return levels, problems


def spread_settings(table: Mapping[str, Any], parts: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Settings by dotted names; ``optimizer = { rate = 5e-5 }`` works as well."""
    for name, value in table.items():
        if name in parts and isinstance(value, dict):
            yield from ((f"{name}.{field}", level) for field, level in value.items())
        else:
            yield name, value


def find_equal_levels(bundle: Bundle, baseline: Recipe, where: str) -> list[Problem]:
    """Levels that make one recipe of the baseline."""
    seen: dict[str, str] = {}
    problems = []
    base = baseline.levels()
    for level, settings in bundle.levels.items():
        key = key_of({name: settings.get(name, base[name]) for name in bundle.settings})
        if key in seen:
            what = f"the levels {seen[key]} and {level} have equal settings. Take one out."
            problems.append(Problem(where, what))
        seen.setdefault(key, level)
    return problems
