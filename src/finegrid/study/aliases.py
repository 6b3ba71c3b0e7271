"""Aliases: effects that a design measures together, so that no analysis of its rows can tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from finegrid.recipe.identity import Level
from finegrid.spelling import Lang
from finegrid.study.design import Row

Effect = tuple[str, ...]  # one factor: a main effect; two: their interaction; none: the mean
MEAN: Effect = ()
ENGLISH = {
    "together": "{effect} is measured together with {others}",
    "and": " and ",
    "reversed": " (reversed)",
    "times": " x ",
    "mean": "the mean",
}
CHINESE = {
    "together": "{effect} 与以下效应混杂：{others}",
    "and": "、",
    "reversed": "（反号）",
    "times": " × ",
    "mean": "总均值",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


@dataclass(frozen=True)
class Twin:
    """An effect that is measured together with another one."""

    effect: Effect
    sign: int  # 1: the two are added; -1: this one is taken away

    def describe(self, lang: Lang) -> str:
        return name_effect(self.effect, lang) + WORDS[lang]["reversed"] * (self.sign < 0)


Aliases = dict[Effect, tuple[Twin, ...]]


def find_aliases(factors: Mapping[str, Sequence[Level]], rows: Sequence[Row], order: int = 2) -> Aliases:
    """What every main effect and two-factor interaction is measured together with.

    Found from the rows themselves, by comparing columns of -1 (first level) and +1 (second): two effects are
    aliased where their columns are equal, or opposite, in every row. So it holds for any rows, also those of
    a design that is not finished. Factors of more than two levels have no such column and are left out;
    partial confounding, as in a one-at-a-time design, is not an alias.

    Args:
        factors: those to look at. Leave an inert factor out: its effects are 0 and disturb nothing.
        rows: of the design.
        order: look for interactions of up to so many factors among the twins.

    Returns:
        Only effects that have twins: nothing for a full factorial. Twins in rising order, then in that of
        the factors.
    """
    signs = {
        name: np.array([1 if row.levels[name] == levels[1] else -1 for row in rows], dtype=np.int8)
        for name, levels in factors.items()
        if len(levels) == 2
    }
    classes: dict[bytes, list[Twin]] = {}
    for size in range(order + 1):
        for effect in combinations(signs, size):
            column = np.ones(len(rows), dtype=np.int8)
            for name in effect:
                column *= signs[name]
            sign = int(column[0]) if len(rows) else 1
            classes.setdefault((sign * column).tobytes(), []).append(Twin(effect, sign))
    aliases: Aliases = {}
    for group in classes.values():
        for member in group:
            twins = tuple(Twin(t.effect, t.sign * member.sign) for t in group if t is not member)
            if twins and 1 <= len(member.effect) <= 2:
                aliases[member.effect] = twins
    return aliases


def list_aliases(table: Aliases, lang: Lang = "en") -> list[str]:
    """Every group of aliased effects once, in words."""
    listed_effects: set[Effect] = set()
    lines = []
    for effect, twins in table.items():
        if effect not in listed_effects:
            listed_effects.update(twin.effect for twin in twins)
            others = WORDS[lang]["and"].join(twin.describe(lang) for twin in twins)
            lines.append(WORDS[lang]["together"].format(effect=name_effect(effect, lang), others=others))
    return lines


def as_json(table: Aliases) -> list[dict[str, Any]]:
    return [
        {
            "effect": list(effect),
            "measured_with": [{"effect": list(twin.effect), "sign": twin.sign} for twin in twins],
        }
        for effect, twins in table.items()
    ]


def name_effect(effect: Effect, lang: Lang) -> str:
    return WORDS[lang]["times"].join(effect) or WORDS[lang]["mean"]
