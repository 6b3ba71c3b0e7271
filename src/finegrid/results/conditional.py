"""Factors that exist only at some levels of another factor."""

from __future__ import annotations

from collections.abc import Sequence

from finegrid.recipe.identity import Level
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
        if name in study.bundles:
            found[name] = where_bundle_exists(study, audit, name)
            continue
        inert = [name in (audited.inert if (audited := audit.row(row)) else {}) for row in study.rows]
        if not any(inert):
            found[name] = [True] * len(study.rows)
            continue
        moved = [row.recipe.levels()[name] != study.blank.defaults[name] for row in study.rows]
        silencer = find_parent_factor(study, name, inert, moved)
        if silencer is None:
            found[name] = [
                not all(i for i, m in zip(inert, moved, strict=True) if m) and not i for i in inert
            ]
            continue
        other, levels = silencer
        found[name] = [row.levels[other] not in levels for row in study.rows]
    return found


def where_bundle_exists(study: Study, audit: Audit, name: str) -> list[bool]:
    """By row: whether a bundle's levels differ there in more than what is inert.

    Nowhere if they differ in no row; else not at those levels of another factor at which they are all one.
    """
    if not audit.tells_apart(name, study.rows):
        return [False] * len(study.rows)
    for other, levels in study.factors.items():
        silent = {level for level in levels if other != name and is_silent(study, audit, name, other, level)}
        if silent:
            return [row.levels[other] not in silent for row in study.rows]
    return [True] * len(study.rows)


def is_silent(study: Study, audit: Audit, name: str, other: str, level: Level) -> bool:
    """Whether a bundle's levels are all one where another factor is at this level."""
    rows = [row for row in study.rows if row.levels[other] == level]
    return len({row.levels[name] for row in rows}) > 1 and not audit.tells_apart(name, rows)


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
