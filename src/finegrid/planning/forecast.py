"""What families will take: seconds and memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from finegrid.planning.families import Family
from finegrid.recipe.recipe import Recipe
from finegrid.study.audit_file import Audit


def steps_of(recipe: Recipe, audit: Audit) -> int:
    training = recipe.training
    return -(-audit.texts_of(audit.cost(recipe)) // training.batch_size) * training.epochs


def family_seconds(family: Family, audit: Audit) -> float:
    """Predicted seconds of one worker for what is left of a family; 0 where nothing was measured."""
    seconds = 0.0
    for index, run in enumerate(family.left):
        cost = audit.cost(run.recipe)
        if cost is None:
            continue
        steps = steps_of(run.recipe, audit)
        seconds += cost.pretrain_seconds / family.sharers if index == 0 else 0.0
        seconds += steps * (cost.step_seconds + (cost.prefix_seconds if index == 0 else 0.0))
        seconds += run.recipe.training.epochs * cost.evaluation_seconds + cost.test_seconds
    return seconds


def family_memory(family: Family, audit: Audit, stacked: bool = False) -> int:
    """Predicted peak bytes of a worker that trains the family; 0 where nothing was measured."""
    cost = audit.cost(family.runs[0].recipe)
    return cost.of_family(len(family.runs), stacked) if cost else 0


def makespan(families: Sequence[Family], audit: Audit, workers: int) -> float:
    """Predicted seconds until all families are trained."""
    return share_out([family_seconds(family, audit) for family in families], workers)


def share_out(jobs: Iterable[float], workers: int) -> float:
    """Seconds until all jobs are done: longest first, each to the worker free earliest."""
    free = [0.0] * max(1, workers)
    for seconds in sorted(jobs, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
