"""Families: runs that are trained together and share work."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from finegrid.planning.runs import PlannedRun
from finegrid.recipe.identity import key_of

T = TypeVar("T")


@dataclass(frozen=True)
class Family:
    """Runs that are trained in lockstep. Planned from the design alone, whatever is left to do."""

    runs: tuple[PlannedRun, ...]
    left: tuple[PlannedRun, ...]  # those still to be trained
    sharers: int = 1  # families that have the start in common, such as a pre-trained encoder

    def without(self, done: Collection[str]) -> Family:
        """The same family, with these run ids not to be trained (again)."""
        return replace(self, left=tuple(run for run in self.left if run.run_id not in done))

    @cached_property
    def family_id(self) -> str:
        key = "/".join(run.run_id for run in self.runs)
        return hashlib.sha256(key.encode()).hexdigest()[:12]


def plan_families(runs: Iterable[PlannedRun], size_of: Callable[[PlannedRun], int]) -> list[Family]:
    """Put runs of one seed whose steps cost the same into families.

    Args:
        runs: all that are planned, whatever is done already.
        size_of: how many runs like this one a family may have.
    """
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        key = f"{run.seed} {key_of(run.recipe.priced_levels())}"
        groups.setdefault(key, []).append(run)
    parts = [part for group in groups.values() for part in evenly(group, size_of(group[0]))]
    sharers = Counter(start_of(part[0]) for part in parts)
    return [Family(tuple(part), tuple(part), sharers[start_of(part[0])]) for part in parts]


def start_of(run: PlannedRun) -> tuple[Hashable, ...]:
    """What decides the start of a run, such as a pre-trained encoder: the same for all of a family.

    Runs that make nothing before their first step have no more than the seed in common.
    """
    return run.recipe.start_keys(run.seed) or (run.seed,)


def evenly(runs: list[T], size: int) -> list[list[T]]:
    """Cut a list into parts of at most ``size``, as equal as can be."""
    parts = -(-len(runs) // size)
    edges = [len(runs) * part // parts for part in range(parts + 1)]
    return [runs[begin:end] for begin, end in pairwise(edges)]
