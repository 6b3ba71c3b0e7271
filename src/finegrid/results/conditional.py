"""Factors that exist only at some levels of another factor."""

from __future__ import annotations

from collections.abc import Sequence

from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.study.audit_file import Audit
from finegrid.study.study import Study


def where_factor_exists(study: Study, audit: Audit) -> dict[str, list[bool]]:
    """By varied factor and row: whether the factor does anything there.

    A moved level that does nothing is known from the audit. A level at its default has nothing to do by
    itself; it exists where moving it would do something: where some other factor is at a level at which
    no moved level of it is inert.
    """
    found: dict[str, list[bool]] = {}
    for name in study.factors:
        inert = [name in (audited.inert if (audited := audit.row(row)) else {}) for row in study.rows]
        moved = [row.recipe.levels()[name] != Recipe().levels()[name] for row in study.rows]
        if not any(inert):
            found[name] = [True] * len(study.rows)
            continue
        silencer = find_parent_factor(study, name, inert, moved)
        if silencer is None:
            found[name] = [
                not all(i for i, m in zip(inert, moved, strict=True) if m) and not i for i in inert
            ]
            continue
        other, levels = silencer
        found[name] = [row.levels[other] not in levels for row in study.rows]
    return found


def find_parent_factor(
    study: Study, name: str, inert: Sequence[bool], moved: Sequence[bool]
) -> tuple[str, set[Level]] | None:
    """The factor that decides whether another is inert, and its levels at which it is."""
    for other in study.factors:
        if other == name:
            continue
        at: dict[Level, set[bool]] = {}
        for row, is_inert, is_moved in zip(study.rows, inert, moved, strict=True):
            if is_moved:
                at.setdefault(row.levels[other], set()).add(is_inert)
        if len(at) > 1 and all(len(answers) == 1 for answers in at.values()):
            silent = {level for level, answers in at.items() if answers == {True}}
            if silent and len(silent) < len(at):
                return other, silent
    return None
