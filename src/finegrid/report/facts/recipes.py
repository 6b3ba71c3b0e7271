"""Facts of every recipe: what it is, its runs, and how they went."""

from __future__ import annotations

import numpy as np

from finegrid.facts.report import CurveFacts, ReportRecipe, RunFacts, Status
from finegrid.results.results import Distinct, Results
from finegrid.spelling import json_number
from finegrid.study.record import Epoch, Record
from finegrid.verdict.to_json import recipe_json
from finegrid.verdict.verdict import Verdict


def recipe_facts(verdict: Verdict) -> list[ReportRecipe]:
    """One per distinct recipe, in the order of the design."""
    results = verdict.results
    best = frozenset(verdict.best.members if verdict.best else ())
    eligible, frontier = frozenset(verdict.eligible), frozenset(verdict.frontier())
    dev = results.means("dev") if results.audit is not None else np.full(len(results.recipes), np.nan)
    memory = results.memory()
    return [
        {
            **recipe_json(verdict, index),
            "moved": {n: v for n, v in recipe.levels.items() if v != results.factors[n][0]},
            "dev": json_number(dev[index]),
            "memory": json_number(memory[index]),
            "baseline": index == results.baseline,
            "in_best_set": index in best,
            "eligible": index in eligible,
            "recommended": index == verdict.recommended,
            "on_frontier": index in frontier,
            "runs": [run_facts(results, recipe, seed) for seed in seeds_of(results, recipe)],
        }
        for index, recipe in enumerate(results.recipes)
    ]


def seeds_of(results: Results, recipe: Distinct) -> tuple[int, ...]:
    """Of whose runs there is something to say. Of repeats there is no plan: a recipe has those it has."""
    if not results.repeats:
        return results.seeds
    return tuple(seed for seed in results.seeds if seed in recipe.records) or results.seeds[:1]


def run_facts(results: Results, recipe: Distinct, seed: int) -> RunFacts:
    """A recipe's run with one seed, whatever became of it."""
    record = recipe.records.get(seed)
    status: Status = record.status if record else "left"
    if record is not None and status == "done":
        return {
            "seed": seed,
            "status": status,
            "test": points(record, "test", results.score),
            "dev": points(record, "dev", results.score) if record.dev else None,
            "best_epoch": record.best_epoch,
        }
    return {"seed": seed, "status": status, "reason": record.reason if record else None}


def curve_facts(results: Results) -> list[CurveFacts]:
    """Of every finished run its dev score (points) and mean training loss, epoch by epoch."""
    curves: list[CurveFacts] = []
    for (index, seed), record in results.finished():
        if record.epochs:
            curves.append(
                {
                    "row": results.recipes[index].rows[0],
                    "seed": results.seeds[seed],
                    "best_epoch": record.best_epoch,
                    "dev": [points(epoch, "dev", results.score) for epoch in record.epochs],
                    "loss": [
                        json_number(np.nan if epoch.train_loss is None else epoch.train_loss)
                        for epoch in record.epochs
                    ],
                }
            )
    return curves


def points(measured: Record | Epoch, split: str, score: str) -> float | None:
    return json_number(100 * measured.score(split, score))
