"""The two phases of a screen, for `plan` and `status`: where it is, and what phase 2 takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import family_seconds
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.identity import key_of
from finegrid.spelling import format_duration
from finegrid.study.audit_file import Audit
from finegrid.study.design import Row, plan_full
from finegrid.study.screen import Screen
from finegrid.study.study import Study


def added_rows(study: Study) -> list[Row]:
    """The rows of phase 2; before the decision, those there would be if every factor survived."""
    if study.screen is not None:
        return study.rows[len(study.first_rows) :]
    taken = {tuple(row.levels.values()) for row in study.first_rows}
    every = plan_full(study.baseline, study.factors, study.bundles)
    return [row for row in every if tuple(row.levels.values()) not in taken]


def added_runs(study: Study, audit: Audit | None, seeds: Sequence[int]) -> list[PlannedRun]:
    """The runs of phase 2, done or not; rows that were not audited yet count as distinct."""
    rows = [] if audit is None else [audited for row in study.first_rows if (audited := audit.row(row))]
    taken = {key_of(audited.run) for audited in rows}
    runs: dict[str, PlannedRun] = {}
    for row in added_rows(study):
        audited = audit.row(row) if audit is not None else None
        levels = audited.run if audited else row.recipe.moved()
        if (key := key_of(levels)) in taken:
            continue
        for seed in seeds:
            runs.setdefault(f"{key} {seed}", PlannedRun(f"{key} {seed}", levels, seed, (row.index,)))
    return list(runs.values())


def added_seconds(runs: Sequence[PlannedRun], audit: Audit | None, family_size: int) -> float | None:
    """Predicted work of one worker; None where the cost of some run was not measured."""
    if audit is None or any(audit.cost(run.recipe) is None for run in runs):
        return None
    families: list[Family] = plan_families(runs, lambda run: family_size)
    return sum(family_seconds(family, audit) for family in families)


def phases_json(study: Study, audit: Audit | None, seeds: Sequence[int]) -> dict[str, Any] | None:
    """Key ``screen`` of `plan --json`; None of other designs. Seconds are work of one worker."""
    if study.head.design.kind != "screen":
        return None
    runs = added_runs(study, audit, seeds)
    return {
        "phase": 1 if study.screen is None else 2,
        "survivors": None if study.screen is None else study.screen.survivors,
        "first_rows": len(study.first_rows),
        "added_rows": len(added_rows(study)),
        "added_runs": len(runs),
        "added_seconds": added_seconds(runs, audit, study.head.run.family_size),
        "at_most": study.screen is None,
    }


def phases_lines(study: Study, audit: Audit | None, seeds: Sequence[int]) -> list[str]:
    """Where a screen is, and what phase 2 takes; nothing for other designs."""
    phases = phases_json(study, audit, seeds)
    if phases is None:
        return []
    seconds = phases["added_seconds"]
    work = (
        "" if seconds is None or audit is None or not audit.costs else f", {format_duration(seconds)} of work"
    )
    added = f"{phases['added_rows']} more rows, {phases['added_runs']} runs{work}"
    if study.screen is None:
        first = f"{phases['first_rows']} rows, then a decision on dev"
        return [f"screen, phase 1: {first}", f"  phase 2, if every factor goes on: {added}"]
    if not phases["survivors"]:
        return ["screen, decided: no factor goes on, so there is no phase 2"]
    return [f"screen, phase 2: every combination of {', '.join(phases['survivors'])}: {added}"]


def screen_lines(screen: Screen) -> list[str]:
    """Every factor, and what became of it."""
    seeds = f"{len(screen.seeds)} seed{'s' * (len(screen.seeds) != 1)}"
    lines = [f"decided on dev from {screen.rows} rows x {seeds}, margin {screen.margin:g} points:"]
    for name, factor in screen.factors.items():
        low, high = factor.adjusted
        interval = "" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})"
        effect = "not estimable" if factor.effect is None else f"{factor.effect:+.2f}{interval}"
        fate = "goes on" if factor.survives else "dropped, stays at its first level"
        level = json.dumps(factor.level, ensure_ascii=False)
        lines.append(f"  {name} = {level}: {fate}; {effect}, {factor.decision}")
    return lines
