"""What a study will run: distinct runs, the families that share work, and what they will cost."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from finegrid.audit import Audit, cost_levels
from finegrid.design import Row
from finegrid.precision import Precision
from finegrid.recipe import Level, Levels, Recipe, key_of, run_id
from finegrid.study import Study

T = TypeVar("T")


@dataclass(frozen=True)
class PlannedRun:
    """One distinct run. Several rows of the table may be this run."""

    run_id: str
    levels: Levels  # moved from the defaults, inert ones left out
    seed: int
    stands_for: tuple[int, ...]  # rows of the table, from 1

    @property
    def recipe(self) -> Recipe:
        return Recipe().at(self.levels)


@dataclass(frozen=True)
class Family:
    """Runs that are trained in lockstep. Planned from the design alone, whatever is left to do."""

    runs: tuple[PlannedRun, ...]
    left: tuple[PlannedRun, ...]  # those still to be trained
    sharers: int = 1  # families that start from the same pre-trained encoder

    def without(self, done: Collection[str]) -> Family:
        """The same family, with these run ids not to be trained (again)."""
        return replace(self, left=tuple(run for run in self.left if run.run_id not in done))

    @property
    def family_id(self) -> str:
        key = "/".join(run.run_id for run in self.runs)
        return hashlib.sha256(key.encode()).hexdigest()[:12]


def plan_runs(
    study: Study, audit: Audit, precision: Precision, seeds: Sequence[int] | None = None
) -> list[PlannedRun]:
    """The distinct runs, seed after seed, so that a study stopped early is balanced over finished seeds."""
    by_levels: dict[str, tuple[Levels, list[int]]] = {}
    for row in study.rows:
        audited = audit.row(row)
        assert audited is not None  # callers check audit.covers(rows)
        key = key_of(audited.run)
        by_levels.setdefault(key, (audited.run, []))[1].append(row.index)
    return [
        PlannedRun(identify(study, audit, precision, levels, seed), levels, seed, tuple(rows))
        for seed in (study.head.design.numbers if seeds is None else seeds)
        for levels, rows in by_levels.values()
    ]


def plan_run(study: Study, audit: Audit, precision: Precision, recipe: Recipe, seed: int) -> PlannedRun:
    """One run of any recipe. Where the study has it, that is the study's run, inert levels left out."""
    audited = audit.row(Row(0, {}, recipe))
    levels = audited.run if audited else recipe.moved()
    rows = [row.index for row in study.rows if (own := audit.row(row)) and own.run == levels]
    return PlannedRun(identify(study, audit, precision, levels, seed), levels, seed, tuple(rows))


def identify(study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int) -> str:
    return run_id(
        levels,
        seed,
        fingerprints=audit.fingerprints,
        precision=precision,
        protocol=study.head.protocol,
        score=study.head.score,
    )


def plan_families(runs: Iterable[PlannedRun], size_of: Callable[[PlannedRun], int]) -> list[Family]:
    """Put runs of one seed whose steps cost the same into families.

    Args:
        runs: all that are planned, whatever is done already.
        size_of: how many runs like this one a family may have.
    """
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        key = f"{run.seed} {key_of(cost_levels(run.recipe))}"
        groups.setdefault(key, []).append(run)
    parts = [part for group in groups.values() for part in evenly(group, size_of(group[0]))]
    sharers = Counter(pretraining_of(part[0]) for part in parts)
    return [Family(tuple(part), tuple(part), sharers[pretraining_of(part[0])]) for part in parts]


def pretraining_of(run: PlannedRun) -> tuple[Level | None, ...]:
    """What decides a run's pre-trained encoder: the same for all of a family."""
    part = run.recipe.pretrain
    return (part.tokens, part.rate, None if part.shared else run.seed)


def evenly(runs: list[T], size: int) -> list[list[T]]:
    """Cut a list into parts of at most ``size``, as equal as can be."""
    parts = -(-len(runs) // size)
    edges = [len(runs) * part // parts for part in range(parts + 1)]
    return [runs[begin:end] for begin, end in pairwise(edges)]


def steps_of(run: PlannedRun, audit: Audit) -> int:
    training = run.recipe.training
    return -(-audit.sizes["train"] // training.batch_size) * training.epochs


def family_seconds(family: Family, audit: Audit) -> float:
    """Predicted seconds of one worker for what is left of a family; 0 where nothing was measured."""
    seconds = 0.0
    for index, run in enumerate(family.left):
        cost = audit.cost(run.recipe)
        if cost is None:
            continue
        steps = steps_of(run, audit)
        seconds += cost.pretrain_seconds / family.sharers if index == 0 else 0.0
        seconds += steps * (cost.step_seconds + (cost.prefix_seconds if index == 0 else 0.0))
        seconds += run.recipe.training.epochs * cost.evaluation_seconds + cost.test_seconds
    return seconds


def family_memory(family: Family, audit: Audit, stacked: bool = False) -> int:
    """Predicted peak bytes of a worker that trains the family; 0 where nothing was measured."""
    cost = audit.cost(family.runs[0].recipe)
    return cost.memory + (len(family.runs) - 1) * cost.member(stacked) if cost else 0


def makespan(families: Sequence[Family], audit: Audit, workers: int) -> float:
    """Predicted seconds until all families are trained."""
    return share_out([family_seconds(family, audit) for family in families], workers)


def share_out(jobs: Iterable[float], workers: int) -> float:
    """Seconds until all jobs are done: longest first, each to the worker free earliest."""
    free = [0.0] * max(1, workers)
    for seconds in sorted(jobs, reverse=True):
        free[free.index(min(free))] += seconds
    return max(free)
