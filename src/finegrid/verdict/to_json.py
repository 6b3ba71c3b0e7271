"""`finegrid verdict --json`."""

from __future__ import annotations

from finegrid.facts.decision_words import failing_json, recorded_words
from finegrid.facts.verdict import (
    AgainstBaselineFacts,
    AgainstFacts,
    AlternativeFacts,
    BestFacts,
    ConditionalFacts,
    ConditionFacts,
    DecisionFacts,
    EffectFacts,
    EnsembleFacts,
    EstimateFacts,
    ExpectedFacts,
    FactorFacts,
    FreeLevelFacts,
    FreeVerdictFacts,
    InteractionFacts,
    LadderFacts,
    LocalFacts,
    LossEffectFacts,
    MissingFacts,
    NeedsFacts,
    RecipeFacts,
    ScreenedFacts,
    ScreenFacts,
    SplitsFacts,
    UndertrainedFacts,
    VerdictFacts,
    WaitingFacts,
    WarningFacts,
)
from finegrid.losses import Loss
from finegrid.metrics import TOLERANCE
from finegrid.results.results import Results
from finegrid.spelling import json_number
from finegrid.statistics.decide import Decision, Interval, Needs
from finegrid.statistics.effects import Effect, Interaction
from finegrid.statistics.ladder import Ladder
from finegrid.statistics.many_to_one import Difference
from finegrid.statistics.recommend import Expectation
from finegrid.study.bundles import bundles_json
from finegrid.study.screen import Screen, ScreenedFactor
from finegrid.verdict.context import Condition, LocalEffect
from finegrid.verdict.diagnose import Warning
from finegrid.verdict.diagnose_words import describe
from finegrid.verdict.ensembles import Ensemble
from finegrid.verdict.failures_json import failures_json
from finegrid.verdict.free import FreeLevel
from finegrid.verdict.splits import DrawnSplits
from finegrid.verdict.undertrained import Undertrained
from finegrid.verdict.verdict import Verdict, Waiting


def as_json(verdict: Verdict) -> VerdictFacts:
    """What programs read. Points in 0 to 100, seconds per run, bytes; None where something is not known."""
    results, analysis = verdict.results, verdict.analysis
    facts: VerdictFacts = {
        "schema": 1,
        "score": results.score,
        "protocol": results.protocol,
        "margin": verdict.margin,
        "seeds": analysis.seeds,
        "texts": analysis.texts,
        "splits": splits_json(verdict.splits),
        "recipes": len(results.recipes),
        "noise": {"method": analysis.method, "run_sd": json_number(analysis.run_sd)},
        "holds_at": results.holds_at,
        "seconds_per": "epoch" if results.seconds_per == "epoch" else "run",
        "factors": [factor_json(verdict, effect, place) for place, effect in enumerate(analysis.effects)],
        "interactions": [interaction_json(one, verdict.margin) for one in analysis.interactions],
        "inert": dict(results.inert),
        "screen": screen_json(results.screen),
        "missing": missing_json(results),
        "waiting": waiting_json(verdict.waiting),
        "undertrained": undertrained_json(verdict.undertrained),
        "best": best_json(verdict),
        "frontier": [recipe_json(verdict, index) for index in verdict.frontier()],
        "warnings": [warning_json(warning) for warning in verdict.warnings],
        "notes": list(results.notes),
        "failures": failures_json(verdict),
        "ladders": [ladder_json(ladder) for ladder in verdict.ladders],
        "ensembles": [ensemble_json(verdict, ensemble) for ensemble in verdict.ensembles],
        "imported": results.audit is None and results.given is None,
        "lower_is_better": results.scale.lower_is_better,
        "score_digits": results.scale.digits,
        "score_widest": json_number(results.scale.widest) if results.given is None else None,
        "against_baseline": [
            against_baseline_json(verdict, index, difference)
            for index, difference in enumerate(verdict.against_baseline.differences)
            if difference is not None
        ],
        "free": free_json(verdict),
    }
    if results.bundles:
        facts["bundles"] = bundles_json(results.bundles)
    return facts


def free_json(verdict: Verdict) -> FreeVerdictFacts | None:
    """Of factors whose levels are scored in every run."""
    free = verdict.free
    if free is None:
        return None
    return {
        "levels": [free_level_json(verdict, level, free.analysis.seeds) for level in free.levels],
        "runs": free.runs,
        "lacking": free.lacking,
        "left_out": free.left_out,
        "seeds": free.analysis.seeds,
        "method": free.analysis.method,
        "seconds": json_number(free.seconds),
    }


def free_level_json(verdict: Verdict, level: FreeLevel, seeds: int) -> FreeLevelFacts:
    """``seeds``: that free levels have now."""
    effect = level.effect
    decision = None if effect is None else effect.decision
    needs = None if decision is None else decision.needs
    nothing: EstimateFacts = {
        "effect": None,
        "low": None,
        "high": None,
        "adjusted": [None, None],
        "se": None,
        "df": None,
        "p": None,
    }
    return {
        "factor": level.factor,
        "levels": [level.first, level.level],
        **(nothing if effect is None else estimate_json(effect)),
        "decision": None if decision is None else decision_json(decision),
        "verdict": "" if decision is None else recorded_words(decision, verdict.margin),
        "needs": None if needs is None else needs_of(verdict, needs, (needs.seeds or seeds) - seeds),
        "log_loss": loss_effect_json(level.losses.get("log_loss")),
        "brier": loss_effect_json(level.losses.get("brier")),
        "dev_passes": level.passes[0],
        "test_passes": level.passes[1],
        "copies": level.scoring.copies,
        "dev_looks": json_number(level.looks),
    }


def ladder_json(ladder: Ladder) -> LadderFacts:
    return {
        "factor": ladder.factor,
        "levels": list(ladder.levels),
        "effects": [json_number(effect) for effect in ladder.effects],
        "best": ladder.best,
        "runner_up": ladder.runner_up,
        "difference": json_number(ladder.difference),
        "interval": pair(ladder.interval),
        "clear": ladder.is_clear,
        "contenders": list(ladder.contenders),
    }


def ensemble_json(verdict: Verdict, ensemble: Ensemble) -> EnsembleFacts:
    return {
        "rows": list(verdict.results.recipes[ensemble.recipe].rows),
        "models": ensemble.models,
        "score": json_number(ensemble.score),
        "interval": pair(ensemble.interval),
        "gain": json_number(ensemble.gain),
        "gain_interval": pair(ensemble.gain_interval),
    }


def missing_json(results: Results) -> MissingFacts:
    missing = results.missing()
    left, diverged, failed = (len(missing[status]) for status in ("left", "diverged", "failed"))
    return {"left": left, "diverged": diverged, "failed": failed}


def waiting_json(waiting: Waiting | None) -> WaitingFacts | None:
    return None if waiting is None else {"left": waiting.left, "runs": waiting.runs}


def undertrained_json(undertrained: Undertrained | None) -> UndertrainedFacts | None:
    if undertrained is None:
        return None
    rise = undertrained.rise
    return {
        "epochs": undertrained.epochs,
        "last": rise.last if rise else None,
        "curves": rise.curves if rise else None,
        "gain": json_number(rise.gain) if rise else None,
        "factors": list(undertrained.factors),
    }


def warning_json(warning: Warning) -> WarningFacts:
    words = describe(warning, "en")
    return {"kind": warning.kind, "what": words.what, "advice": words.advice}


def decision_json(decision: Decision) -> DecisionFacts:
    """What would settle an open one stands beside it (`needs_json`)."""
    found: DecisionFacts = {
        "kind": decision.kind,
        "measurable": decision.measurable,
        "for_speed": decision.for_speed,
        "aliased": decision.aliased,
    }
    if decision.because is not None:
        found["because"] = failing_json(decision.because)
    if decision.waiting:
        found["waiting"] = True
    if decision.at_epochs is not None:
        found["at_epochs"] = decision.at_epochs
    return found


def estimate_json(effect: Effect) -> EstimateFacts:
    return {
        "effect": json_number(effect.estimate),
        "low": json_number(effect.plain.low),
        "high": json_number(effect.plain.high),
        "adjusted": pair(effect.adjusted),
        "se": json_number(effect.se),
        "df": json_number(effect.df),
        "p": json_number(effect.p),
    }


def effect_json(effect: Effect) -> EffectFacts:
    return {
        **estimate_json(effect),
        "notes": list(effect.notes),
        "aliases": list(effect.contrast.aliases),
    }


def loss_json(verdict: Verdict, loss: Loss, place: int) -> LossEffectFacts | None:
    """Of the main effect in this place."""
    if loss not in verdict.calibration:
        return None
    return loss_effect_json(verdict.calibration[loss][place])


def loss_effect_json(effect: Effect | None) -> LossEffectFacts | None:
    if effect is None:
        return None
    ends = effect.plain.low, effect.plain.high
    low, high = (json_number(end, digits=6) for end in ends)
    return {"effect": json_number(effect.estimate, digits=6), "low": low, "high": high}


def splits_json(splits: DrawnSplits | None) -> SplitsFacts | None:
    if splits is None:
        return None
    return {
        "seen": splits.seen,
        "of": splits.of,
        "test_per_train": round(splits.test_per_train, 6),
        "choice": json_number(splits.choice),
        "choice_interval": pair(splits.interval),
    }


def factor_json(verdict: Verdict, effect: Effect, place: int) -> FactorFacts:
    compared, cost, decision = effect.comparison, verdict.of(effect), effect.decision
    assert decision is not None  # a main effect
    return {
        "factor": compared.factor,
        "levels": [compared.baseline, compared.level],
        **effect_json(effect),
        "seconds": json_number(cost.difference) if cost else None,
        "seconds_interval": pair(cost.difference_interval) if cost else None,
        "seconds_ratio": json_number(cost.ratio) if cost else None,
        "memory": json_number(verdict.memory(effect)),
        "log_loss": loss_json(verdict, "log_loss", place),
        "brier": loss_json(verdict, "brier", place),
        "verdict": recorded_words(decision, verdict.margin),
        "decision": decision_json(decision),
        "needs": needs_json(verdict, decision.needs),
        "conditions": [condition_json(condition) for condition in verdict.conditions.get(compared, ())],
        "at_baseline": local_json(verdict.at_baseline.get(compared)),
        "at_recommended": local_json(verdict.at_recommended.get(compared)),
        "smallest_margin": json_number(verdict.smallest_margin(effect)),
    }


def condition_json(condition: Condition) -> ConditionFacts:
    effect = condition.effect
    return {
        "given": list(condition.given),
        "effect": json_number(effect.estimate),
        "low": json_number(effect.plain.low),
        "high": json_number(effect.plain.high),
        "decision": decision_json(condition.decision),
    }


def local_json(local: LocalEffect | None) -> LocalFacts | None:
    if local is None:
        return None
    low, high = pair(local.interval)
    return {"effect": json_number(local.effect), "low": low, "high": high}


def needs_json(verdict: Verdict, needs: Needs | None) -> NeedsFacts | None:
    now = verdict.analysis.seeds
    return None if needs is None else needs_of(verdict, needs, (needs.seeds or now) - now)


def needs_of(verdict: Verdict, needs: Needs, more: int) -> NeedsFacts:
    """``more``: seeds than there are now."""
    if needs.reason == "too-small":
        return {
            "reason": needs.reason,
            "seeds": None,
            "texts": None,
            "runs": 0,
            "hours": None,
        }
    return {
        "reason": needs.reason,
        "seeds": needs.seeds,
        "texts": needs.texts,
        "runs": verdict.runs_of_seeds(more),
        "hours": json_number(verdict.hours_of_runs(verdict.runs_of_seeds(more))),
    }


def interaction_json(interaction: Interaction, margin: float) -> InteractionFacts:
    effect, decision = interaction.effect, interaction.effect.decision
    assert decision is not None  # of what is no conditional effect
    compared = effect.contrast.comparisons
    return {
        "factors": [comparison.factor for comparison in compared],
        "levels": [[comparison.baseline, comparison.level] for comparison in compared],
        **effect_json(effect),
        "verdict": recorded_words(decision, margin),
        "decision": decision_json(decision),
        "matters": decision.kind == "interact",
        "conditional": [conditional_json(conditional) for conditional in interaction.conditional],
    }


def conditional_json(effect: Effect) -> ConditionalFacts:
    return {
        "factor": effect.comparison.factor,
        "given": list(effect.contrast.given or ()),
        "effect": json_number(effect.estimate),
        "low": json_number(effect.plain.low),
        "high": json_number(effect.plain.high),
    }


def best_json(verdict: Verdict) -> BestFacts | None:
    best, found = verdict.best, verdict.recommendation
    if best is None or verdict.recommended is None:
        return None
    return {
        "chosen_on": "dev" if verdict.chosen_on == "dev" else "test",
        "noise": best.noise,
        "set": [recipe_json(verdict, index) for index in best.members],
        "eligible": [list(verdict.results.recipes[index].rows) for index in verdict.eligible],
        "rows": sorted(row for index in best.members for row in verdict.results.recipes[index].rows),
        "recommended": recipe_json(verdict, verdict.recommended),
        "baseline": recipe_json(verdict, verdict.results.baseline),
        "keep_baseline": verdict.recommended == verdict.results.baseline,
        "tolerance": found.tolerance if found else TOLERANCE,
        "whole": found.whole if found else True,
        "expected": expected_json(found.recommended) if found else None,
        "tempting": alternative_json(verdict, found.tempting) if found else None,
        "cheaper": alternative_json(verdict, found.cheaper) if found else None,
        "against_words": against_json(verdict),
    }


def expected_json(expected: Expectation) -> ExpectedFacts:
    low, high = pair(expected.interval)
    chance = round(expected.chance_worse, 6)
    return {"gain": json_number(expected.gain), "low": low, "high": high, "chance_worse": chance}


def alternative_json(verdict: Verdict, other: Expectation | None) -> AlternativeFacts | None:
    if other is None or verdict.recommended is None:
        return None
    seconds = verdict.results.run_seconds
    return {
        "recipe": recipe_json(verdict, other.recipe),
        "expected": expected_json(other),
        "seconds_saved": json_number(float(seconds[verdict.recommended] - seconds[other.recipe])),
    }


def against_json(verdict: Verdict) -> list[AgainstFacts]:
    return [
        {
            "factor": effect.comparison.factor,
            "level": effect.comparison.level,
            "decision": decision_json(decision),
            "effect": json_number(effect.estimate),
            "at_recommended": local_json(verdict.at_recommended.get(effect.comparison)),
        }
        for effect, decision in verdict.against_words()
    ]


def recipe_json(verdict: Verdict, index: int) -> RecipeFacts:
    recipe, found = verdict.results.recipes[index], verdict.recommendation
    mean, interval = verdict.scores[index]
    return {
        "rows": list(recipe.rows),
        "levels": recipe.levels,
        "test": json_number(mean),
        "test_interval": pair(interval),
        "seconds": json_number(float(verdict.results.run_seconds[index])),
        "gain": json_number(float(found.gains[index])) if found else None,
        "chance_worse": json_number(float(found.chances_worse[index])) if found else None,
    }


def against_baseline_json(verdict: Verdict, index: int, difference: Difference) -> AgainstBaselineFacts:
    recipe = verdict.results.recipes[index]
    return {
        "rows": list(recipe.rows),
        "levels": recipe.levels,
        "effect": json_number(difference.estimate),
        "low": json_number(difference.plain.low),
        "high": json_number(difference.plain.high),
        "adjusted": pair(difference.simultaneous),
        "se": json_number(difference.se),
        "df": json_number(difference.df),
        "verdict": recorded_words(difference.decision, verdict.margin),
        "decision": decision_json(difference.decision),
    }


def screen_json(screen: Screen | None) -> ScreenFacts | None:
    """What phase 1 of a screen decided; None of other designs, and before."""
    if screen is None:
        return None
    return {
        "survivors": screen.survivors,
        "margin": screen.margin,
        "seeds": screen.seeds,
        "rows": screen.rows,
        "factors": {name: screened_json(screened) for name, screened in screen.factors.items()},
    }


def screened_json(screened: ScreenedFactor) -> ScreenedFacts:
    return {
        "level": screened.level,
        "effect": screened.effect,
        "adjusted": list(screened.adjusted),
        "decision": screened.decision,
        "survives": screened.survives,
    }


def pair(interval: Interval) -> list[float | None]:
    return [json_number(interval.low), json_number(interval.high)]
