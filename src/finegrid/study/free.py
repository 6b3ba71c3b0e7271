"""Free factors of a study: their levels are scored in every run, one at a time about the first of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from finegrid.encoders.families import CheckpointInfo
from finegrid.errors import Problem
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import DEFAULTS, FREE, Recipe


def split_off_free(factors: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Factors that make runs, and free ones."""
    own = {name: levels for name, levels in factors.items() if name not in FREE}
    return own, {name: levels for name, levels in factors.items() if name in FREE}


def check_free(baseline: Mapping[str, Any], free: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with where free factors stand: every other factor is scored at their defaults."""
    problems = []
    for name, level in baseline.items():
        if name in FREE and level != DEFAULTS[name]:
            default, other = spell(DEFAULTS[name]), spell(level)
            what = (
                f"found {other}, but every recipe is scored at {default} first. Take it out, and add "
                f'"{name}" = [{default}, {other}] to [factors].'
            )
            problems.append(Problem(name, what))
    for name, levels in free.items():
        if isinstance(levels, list) and levels and levels[0] != DEFAULTS[name]:
            what = (
                f"first level {spell(levels[0])}, expected {spell(DEFAULTS[name])}: all other "
                "factors are scored with it. Put that first."
            )
            problems.append(Problem(f'factors."{name}"', what))
    return problems


def spell(level: object) -> str:
    """A level as JSON, also where it is none, such as one of TOML's dates."""
    return json.dumps(level, default=str)


def check_free_levels(
    baseline: Recipe, free: Mapping[str, Sequence[Level]], checkpoint: CheckpointInfo
) -> list[Problem]:
    """Problems of every level with this checkpoint."""
    recipes = (baseline.at(levels) for levels in list_free_levels(free).values())
    return [problem for recipe in recipes for problem in recipe.problems(checkpoint)]


def list_free_levels(free: Mapping[str, Sequence[Level]]) -> dict[str, Levels]:
    """Of every level but the first, by its key: the levels that it moves."""
    moved = [
        Recipe().at({name: level}).free_levels() for name, levels in free.items() for level in levels[1:]
    ]
    return {key_of_free(levels): levels for levels in moved}


def key_of_free(levels: Levels) -> str:
    """``average.ema=0.05``, as records and files call it; of several factors joined by commas."""
    return ",".join(f"{name}={level}" for name, level in levels.items())
