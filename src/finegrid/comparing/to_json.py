"""`finegrid compare --json`."""

from __future__ import annotations

from typing import Literal

from finegrid.comparing.compare import Loss, SystemsCompared
from finegrid.comparing.words import remark_words
from finegrid.facts.comparison import CompareFacts, DifferenceFacts, LossFacts, SystemFacts
from finegrid.facts.decision_words import recorded_words
from finegrid.spelling import json_number
from finegrid.statistics.effects import Effect
from finegrid.statistics.repeats import TEXTS_ALONE
from finegrid.verdict.to_json import decision_json, estimate_json, needs_json, pair
from finegrid.verdict.verdict import Verdict


def compare_json(compared: SystemsCompared) -> CompareFacts:
    """What programs read. Points in 0 to 100; None where something is not known."""
    verdict, answers = compared.verdict, compared.answers
    analysis = verdict.analysis
    return {
        "schema": 1,
        "score": verdict.results.score,
        "margin": verdict.margin,
        "gold": answers.gold.file,
        "texts": len(answers.truth),
        "labels": list(answers.labels),
        "baseline": compared.names[0],
        "covers": find_cover(compared),
        "noise": {"method": analysis.method, "run_sd": json_number(analysis.run_sd)},
        "systems": [system_json(compared, index) for index in range(len(answers.systems))],
        "differences": [difference_json(verdict, effect) for effect in analysis.effects],
        "remarks": [
            {"kind": one.kind, "en": remark_words(one, "en"), "zh": remark_words(one, "zh")}
            for one in answers.remarks
        ],
    }


def find_cover(compared: SystemsCompared) -> Literal["texts", "runs and texts", "seeds and texts"]:
    """What intervals cover."""
    if compared.verdict.analysis.method == TEXTS_ALONE:
        return "texts"
    return "seeds and texts" if compared.paired_seeds else "runs and texts"


def system_json(compared: SystemsCompared, index: int) -> SystemFacts:
    verdict, system = compared.verdict, compared.answers.systems[index]
    mean, around = verdict.scores[index]
    points = verdict.results.points("test")[index, : len(system.files)]
    return {
        "system": system.name,
        "files": [str(path) for path in system.files],
        "score": json_number(mean),
        "interval": pair(around),
        "runs": [json_number(float(each)) for each in points],
        "in_best_set": verdict.best is not None and index in verdict.best.members,
        "log_loss": loss_json(compared.log_loss[index]),
        "brier": loss_json(compared.brier[index]),
    }


def loss_json(loss: Loss | None) -> LossFacts | None:
    if loss is None:
        return None
    return {
        "mean": loss.mean,
        "mean_interval": pair(loss.around),
        "difference": loss.difference,
        "difference_interval": None if loss.between is None else pair(loss.between),
    }


def difference_json(verdict: Verdict, effect: Effect) -> DifferenceFacts:
    decision = effect.decision
    assert decision is not None  # a main effect
    return {
        "system": str(effect.comparison.level),
        **estimate_json(effect),
        "verdict": recorded_words(decision, verdict.margin),
        "decision": decision_json(decision),
        "needs": needs_json(verdict, decision.needs),
    }
