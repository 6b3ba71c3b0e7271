"""The two phases of a screen, for `plan` and `status`: where it is, and what phase 2 takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from finegrid.in_chinese import translate
from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import family_seconds
from finegrid.planning.runs import PlannedRun
from finegrid.planning.words import count, say
from finegrid.recipe.identity import key_of
from finegrid.spelling import Lang, format_duration
from finegrid.study.audit_file import Audit
from finegrid.study.design import Row, plan_full
from finegrid.study.screen import Screen, ScreenedFactor
from finegrid.study.study import Study
from finegrid.words import SHARED


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
            runs.setdefault(
                f"{key} {seed}", PlannedRun(f"{key} {seed}", levels, seed, (row.index,), study.blank)
            )
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


def phases_lines(study: Study, audit: Audit | None, seeds: Sequence[int], lang: Lang = "en") -> list[str]:
    """Where a screen is, and what phase 2 takes; nothing for other designs."""
    phases = phases_json(study, audit, seeds)
    if phases is None:
        return []
    seconds = phases["added_seconds"]
    known = seconds is not None and audit is not None and audit.costs
    work = say("work", lang, time=format_duration(seconds, lang)) if known else ""
    added = say("added", lang, rows=phases["added_rows"], runs=phases["added_runs"], work=work)
    if study.screen is None:
        return [
            say("phase 1", lang, rows=phases["first_rows"]),
            say("if every", lang, added=added),
        ]
    if not phases["survivors"]:
        return [say("no phase 2", lang)]
    survivors = SHARED[lang]["list comma"].join(phases["survivors"])
    return [say("phase 2 of", lang, survivors=survivors, added=added)]


def screen_lines(screen: Screen, lang: Lang = "en") -> list[str]:
    """Every factor, and what became of it."""
    seeds = count(len(screen.seeds), "seed", lang)
    lines = [say("decided on dev", lang, rows=screen.rows, seeds=seeds, margin=screen.margin)]
    for name, factor in screen.factors.items():
        told = say(
            "fate",
            lang,
            factor=name,
            level=json.dumps(factor.level, ensure_ascii=False),
            fate=say("goes on" if factor.survives else "dropped", lang),
            effect=screened_effect(factor, lang),
            decision=translate(factor.decision, lang),
        )
        lines.append(told)
    return lines


def screened_effect(factor: ScreenedFactor, lang: Lang) -> str:
    """``+0.50 (+0.10 to +0.90)``."""
    if factor.effect is None:
        return say("not estimable", lang)
    low, high = factor.adjusted
    if low is None or high is None:
        return f"{factor.effect:+.2f}"
    ends = SHARED[lang]["interval"].format(low=f"{low:+.2f}", high=f"{high:+.2f}")
    return f"{factor.effect:+.2f}" + SHARED[lang]["in brackets"].format(text=ends)
