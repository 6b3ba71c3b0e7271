"""What `finegrid verdict --json` says of runs that failed to learn."""

from __future__ import annotations

from finegrid.facts.decision_words import failing_json
from finegrid.facts.verdict import (
    CutFacts,
    FailedRunsFacts,
    FailingGroupFacts,
    FailuresFacts,
    LevelFailuresFacts,
    RecipeFailuresFacts,
)
from finegrid.spelling import json_number
from finegrid.statistics.effects import Effect
from finegrid.statistics.failures import Cut, FailingGroup, LevelShare
from finegrid.verdict.failures import StudyFailures
from finegrid.verdict.outcomes import score_majority
from finegrid.verdict.verdict import Verdict

DEFINITION = (
    "ends below the largest gap in the scores, if that is wide (5 median deviations of the runs above it, 5 "
    "standard errors of a score, 5 points, 4 times the way from the median to the lowest of those runs) and "
    "the runs below it have gone less than half the way from the majority class's score to the runs above: "
    "less than a quarter of it, or with recipes that learned with another seed (docs/statistics.md)"
)


def failures_json(verdict: Verdict) -> FailuresFacts | None:
    """None where every run that ended has learned."""
    failures, results = verdict.failures, verdict.results
    if failures is None:
        return None
    majority = None if results.audit is None else score_majority(results.audit, "test", results.score)
    return {
        "split": "dev" if failures.split == "dev" else "test",
        "definition": DEFINITION,
        "majority": majority,
        "cut": cut_json(failures.runs.cut),
        "kinds": kinds_json(failures),
        "levels": [
            level_json(share, effect)
            for share, effect in zip(failures.levels, failures.learned.effects, strict=True)
        ],
        "groups": [group_json(group) for group in failures.groups],
        "recipes": recipes_json(verdict, failures),
    }


def cut_json(cut: Cut | None) -> CutFacts | None:
    if cut is None:
        return None
    return {
        "points": cut.points,
        "low": cut.low,
        "high": cut.high,
        "lowest_learned": cut.lowest_learned,
        "typical": cut.typical,
    }


def kinds_json(failures: StudyFailures) -> list[FailedRunsFacts]:
    runs = int(failures.runs.ended.sum())
    diverged, unlearned = int(failures.runs.diverged.sum()), int(failures.runs.unlearned.sum())
    both: list[FailedRunsFacts] = [
        {
            "kind": "diverged",
            "failed": diverged,
            "runs": runs,
            "groups": [group_json(group) for group in failures.diverged],
        },
        {
            "kind": "unlearned",
            "failed": unlearned,
            "runs": runs,
            "groups": [group_json(group) for group in failures.unlearned],
        },
    ]
    return [kind for kind in both if kind["failed"]]


def group_json(group: FailingGroup) -> FailingGroupFacts:
    return {
        "levels": dict(group.levels),
        "failed": group.failed,
        "runs": group.runs,
        "others_failed": group.others_failed,
        "others": group.others,
        "p": group.p,
        "p_adjusted": group.adjusted,
        "looked_at": group.looked_at,
    }


def level_json(share: LevelShare, learned: Effect) -> LevelFailuresFacts:
    one = share.comparison
    return {
        **failing_json(share.counts),
        "factor": one.factor,
        "levels": [one.baseline, one.level],
        "p": share.p,
        "p_adjusted": share.adjusted,
        "learned": json_number(learned.estimate),
        "learned_interval": [json_number(learned.plain.low), json_number(learned.plain.high)],
    }


def recipes_json(verdict: Verdict, failures: StudyFailures) -> list[RecipeFailuresFacts]:
    return [
        {
            "rows": list(recipe.rows),
            "failed": cell.failed,
            "runs": cell.runs,
            "cell": dict(cell.cell.levels) if cell.cell else None,
            "chance_rare": cell.chance_rare,
            "risky": not cell.is_surely_rare,
        }
        for recipe, cell in zip(verdict.results.recipes, failures.cells, strict=True)
        if cell.failed or cell.cell
    ]
