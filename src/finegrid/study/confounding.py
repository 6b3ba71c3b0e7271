"""What a study's design can show, and which of its effects it measures together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from finegrid.study.aliases import Aliases, as_json, find_aliases, list_aliases
from finegrid.study.design import OF_FRACTIONS
from finegrid.study.fraction import ROMAN, Bits, find_resolution, make_fraction
from finegrid.study.study import Study


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


def describe_design(study: Study, inert: Collection[str] = ()) -> list[str]:
    """What a design that leaves combinations out cannot show; nothing for a full factorial.

    Args:
        study: of any kind.
        inert: factors that do nothing in any row, once an audit has found them.
    """
    if study.head.design.kind == "one-at-a-time":
        return [
            "one at a time: each effect is measured with all other factors at their first level; "
            "interactions are not measured"
        ]
    return describe_fraction(study, inert) if study.head.design.kind in OF_FRACTIONS else []


def describe_fraction(study: Study, inert: Collection[str]) -> list[str]:
    whole = 2 ** len(study.factors)
    reached = find_resolution(make_bits(study))
    if reached is None:
        asked = ROMAN[study.head.design.resolution]
        return [f"no fraction of the {whole} combinations has resolution {asked}: all of them are run"]
    lines = [
        f"a fraction of resolution {format_roman(reached)}: {len(study.first_rows)} of {whole} combinations"
    ]
    lines += [f"  {line}" for line in list_aliases(find_study_aliases(study, inert))]
    return lines + describe_gain(study, inert, reached)


def describe_gain(study: Study, inert: Collection[str], reached: int) -> list[str]:
    """What a fraction would gain without the factors that do nothing here."""
    if not inert:
        return []
    left = make_fraction(len(study.factors) - len(inert), study.head.design.resolution)
    better = find_resolution(left)
    names = ", ".join(name for name in study.factors if name in inert)
    them = "it" if len(inert) == 1 else "them"
    if len(left) < len(study.first_rows):
        return [f"{names}: inert in every row; without {them}, {len(left)} rows would do"]
    if better is None or better > reached:
        reach = "be every combination" if better is None else f"reach resolution {format_roman(better)}"
        return [f"{names}: inert in every row; without {them}, as many rows would {reach}"]
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
