"""`finegrid verdict --json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from finegrid.spelling import json_number
from finegrid.statistics.decide import INTERACT, Interval, Needs
from finegrid.statistics.effects import Effect, Interaction
from finegrid.study.screen import Screen
from finegrid.verdict.diagnose_words import told
from finegrid.verdict.verdict import Verdict

SCHEMA = 1


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What programs read. Points in 0 to 100, seconds per run, bytes; None where something is not known."""
    results, analysis = verdict.results, verdict.analysis
    return {
        "schema": SCHEMA,
        "score": results.score,
        "protocol": results.protocol,
        "margin": verdict.margin,
        "seeds": analysis.seeds,
        "texts": analysis.texts,
        "recipes": len(results.recipes),
        "noise": {"method": analysis.method, "run_sd": json_number(analysis.run_sd)},
        "holds_at": results.holds_at,
        "seconds_per": results.seconds_per,
        "factors": [factor_json(verdict, effect) for effect in analysis.effects],
        "interactions": [interaction_json(one) for one in analysis.interactions],
        "inert": dict(results.inert),
        "screen": screen_json(results.screen),
        "missing": {status: len(runs) for status, runs in results.missing().items()},
        "best": best_json(verdict),
        "frontier": [recipe_json(verdict, index) for index in verdict.frontier()],
        "warnings": [{"kind": w.kind, **asdict(told(w, "en"))} for w in verdict.warnings],
        "notes": list(results.notes),
    }


def effect_json(effect: Effect) -> dict[str, Any]:
    return {
        "effect": json_number(effect.estimate),
        "low": json_number(effect.plain.low),
        "high": json_number(effect.plain.high),
        "adjusted": [json_number(effect.adjusted.low), json_number(effect.adjusted.high)],
        "se": json_number(effect.se),
        "df": json_number(effect.df),
        "p": json_number(effect.p),
        "notes": list(effect.notes),
        "aliases": list(effect.contrast.aliases),
    }


def factor_json(verdict: Verdict, effect: Effect) -> dict[str, Any]:
    one, cost = effect.comparison, verdict.of(effect)
    return {
        "factor": one.factor,
        "levels": [one.baseline, one.level],
        **effect_json(effect),
        "seconds": json_number(cost.difference) if cost else None,
        "seconds_interval": pair(cost.difference_interval) if cost else None,
        "seconds_ratio": json_number(cost.ratio) if cost else None,
        "memory": json_number(verdict.memory(effect)),
        "verdict": str(effect.decision),
        "needs": needs_json(verdict, effect.needs),
    }


def needs_json(verdict: Verdict, needs: Needs | None) -> dict[str, Any] | None:
    if needs is None:
        return None
    return {
        "seeds": needs.seeds,
        "texts": needs.texts,
        "runs": verdict.runs(needs),
        "hours": json_number(verdict.hours(needs)),
    }


def interaction_json(one: Interaction) -> dict[str, Any]:
    pairs = [(c.factor, c.level, c.baseline) for c in one.effect.contrast.comparisons]
    return {
        "factors": [factor for factor, _, _ in pairs],
        "levels": [[baseline, level] for _, level, baseline in pairs],
        **effect_json(one.effect),
        "verdict": str(one.effect.decision),
        "matters": one.effect.decision is not None and one.effect.decision.word == INTERACT,
        "conditional": [
            {
                "factor": effect.comparison.factor,
                "given": list(effect.contrast.given or ()),
                "effect": json_number(effect.estimate),
                "low": json_number(effect.plain.low),
                "high": json_number(effect.plain.high),
            }
            for effect in one.conditional
        ],
    }


def best_json(verdict: Verdict) -> dict[str, Any] | None:
    best = verdict.best
    if best is None or verdict.recommended is None:
        return None
    return {
        "chosen_on": verdict.chosen_on,
        "noise": best.noise,
        "set": [recipe_json(verdict, index) for index in best.members],
        "eligible": [list(verdict.results.recipes[index].rows) for index in verdict.eligible],
        "rows": sorted(row for index in best.members for row in verdict.results.recipes[index].rows),
        "recommended": recipe_json(verdict, verdict.recommended),
        "baseline": recipe_json(verdict, verdict.results.baseline),
    }


def recipe_json(verdict: Verdict, index: int) -> dict[str, Any]:
    recipe = verdict.results.recipes[index]
    mean, interval = verdict.scores[index]
    return {
        "rows": list(recipe.rows),
        "levels": recipe.levels,
        "test": json_number(mean),
        "test_interval": pair(interval),
        "seconds": json_number(float(verdict.results.run_seconds[index])),
    }


def screen_json(screen: Screen | None) -> dict[str, Any] | None:
    """What phase 1 of a screen decided; None of other designs, and before."""
    if screen is None:
        return None
    told = screen.model_dump(include={"margin", "seeds", "rows", "factors"})
    return {"survivors": screen.survivors, **told}


def pair(interval: Interval) -> list[float | None]:
    return [json_number(interval.low), json_number(interval.high)]
