"""What a study's design can show, and which of its effects it measures together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from finegrid.spelling import Lang
from finegrid.study.aliases import Aliases, as_json, find_aliases, list_aliases
from finegrid.study.design import OF_FRACTIONS
from finegrid.study.fraction import ROMAN, Bits, find_resolution, make_fraction
from finegrid.study.study import Study
from finegrid.words import SHARED

ENGLISH = {
    "one at a time": "one at a time: each effect is measured with all other factors at their first level; "
    "interactions are not measured",
    "no fraction": "no fraction of the {whole} combinations has resolution {asked}: all of them are run",
    "fraction": "a fraction of resolution {resolution}: {rows} of {whole} combinations",
    "without it": "{names}: inert in every row; without it, ",
    "without them": "{names}: inert in every row; without them, ",
    "rows would do": "{rows} rows would do",
    "every combination": "as many rows would be every combination",
    "better resolution": "as many rows would reach resolution {resolution}",
}
CHINESE = {
    "one at a time": "逐个改变：测量每个效应时，其余因素都取第一个水平；不测量交互作用",
    "no fraction": "{whole} 个组合没有分辨度为 {asked} 的部分设计：全部都会运行",
    "fraction": "分辨度 {resolution} 的部分设计：{whole} 个组合中的 {rows} 个",
    "without it": "{names}：在每一行都不起作用；去掉它，",
    "without them": "{names}：在每一行都不起作用；去掉它们，",
    "rows would do": "{rows} 行就够了",
    "every combination": "同样多的行就是所有组合",
    "better resolution": "同样多的行可达到分辨度 {resolution}",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def find_study_aliases(study: Study, inert: Collection[str] = ()) -> Aliases:
    """The aliases of a study's factors, but for those that do nothing in any row: their effects are 0.

    Of a screen, those of phase 1.
    """
    live = {name: levels for name, levels in study.factors.items() if name not in inert}
    return find_aliases(live, study.first_rows)


def design_as_json(study: Study, inert: Collection[str] = ()) -> dict[str, Any]:
    fractional = study.head.design.kind in OF_FRACTIONS
    return {
        "kind": study.head.design.kind,
        "resolution": find_resolution(make_bits(study)) if fractional else None,
        "aliases": as_json(find_study_aliases(study, inert)),
    }


def describe_design(study: Study, inert: Collection[str] = (), lang: Lang = "en") -> list[str]:
    """What a design that leaves combinations out cannot show; nothing for a full factorial.

    Args:
        study: of any kind.
        inert: factors that do nothing in any row, once an audit has found them.
        lang: en or zh.
    """
    if study.head.design.kind == "one-at-a-time":
        return [say("one at a time", lang)]
    return describe_fraction(study, inert, lang) if study.head.design.kind in OF_FRACTIONS else []


def describe_fraction(study: Study, inert: Collection[str], lang: Lang) -> list[str]:
    whole = 2 ** len(study.factors)
    reached = find_resolution(make_bits(study))
    if reached is None:
        return [say("no fraction", lang, whole=whole, asked=ROMAN[study.head.design.resolution])]
    rows = len(study.first_rows)
    lines = [say("fraction", lang, resolution=format_roman(reached), rows=rows, whole=whole)]
    lines += [f"  {line}" for line in list_aliases(find_study_aliases(study, inert), lang)]
    return lines + describe_gain(study, inert, reached, lang)


def describe_gain(study: Study, inert: Collection[str], reached: int, lang: Lang) -> list[str]:
    """What a fraction would gain without the factors that do nothing here."""
    if not inert:
        return []
    left = make_fraction(len(study.factors) - len(inert), study.head.design.resolution)
    better = find_resolution(left)
    names = SHARED[lang]["list comma"].join(name for name in study.factors if name in inert)
    without = say("without it" if len(inert) == 1 else "without them", lang, names=names)
    if len(left) < len(study.first_rows):
        return [without + say("rows would do", lang, rows=len(left))]
    if better is None:
        return [without + say("every combination", lang)]
    if better > reached:
        return [without + say("better resolution", lang, resolution=format_roman(better))]
    return []


def make_bits(study: Study) -> Bits:
    """The rows of a study of two-level factors as bits ``[rows, factors]``: 1 for the second level.

    Of a screen, those of phase 1.
    """
    factors = study.factors.items()
    return np.array(
        [[row.levels[name] == levels[1] for name, levels in factors] for row in study.first_rows],
        dtype=np.int8,
    )


def format_roman(resolution: int) -> str:
    return ROMAN.get(resolution, str(resolution))


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)
