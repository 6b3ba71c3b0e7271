"""What a study will run: distinct runs, the families that share work, and what they will cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finegrid.machine import Precision
from finegrid.recipe.identity import Levels, key_of
from finegrid.recipe.recipe import BLANK, Recipe
from finegrid.study.audit_file import Audit
from finegrid.study.design import Row
from finegrid.study.identity import identify, identify_all
from finegrid.study.study import Study


@dataclass(frozen=True)
class PlannedRun:
    """One distinct run. Several rows of the table may be this run."""

    run_id: str
    levels: Levels  # moved from the defaults, inert ones left out
    seed: int
    stands_for: tuple[int, ...]  # rows of the table, from 1
    blank: Recipe = BLANK  # the study's, whose own strategies it may have

    @property
    def recipe(self) -> Recipe:
        return self.blank.at(self.levels)


def plan_runs(
    study: Study, audit: Audit, precision: Precision, seeds: Sequence[int] | None = None
) -> list[PlannedRun]:
    """The distinct runs, seed after seed, so that a study stopped early is balanced over finished seeds."""
    numbers = study.head.design.numbers if seeds is None else seeds
    by_levels: dict[str, tuple[Levels, list[int]]] = {}
    for row in study.rows:
        audited = audit.row(row)
        assert audited is not None  # callers check audit.covers(rows)
        key = key_of(audited.run)
        by_levels.setdefault(key, (audited.run, []))[1].append(row.index)
    runs = [
        [
            PlannedRun(run_id, levels, seed, stands_for, study.blank)
            for seed, run_id in zip(
                numbers, identify_all(study, audit, precision, levels, numbers), strict=True
            )
        ]
        for levels, rows in by_levels.values()
        for stands_for in (tuple(rows),)
    ]
    return [run for of_seed in zip(*runs, strict=True) for run in of_seed]


def plan_run(study: Study, audit: Audit, precision: Precision, recipe: Recipe, seed: int) -> PlannedRun:
    """One run of any recipe. Where the study has it, that is the study's run, inert levels left out."""
    audited = audit.row(Row(0, {}, recipe))
    levels = audited.run if audited else recipe.moved()
    rows = [row.index for row in study.rows if (own := audit.row(row)) and own.run == levels]
    return PlannedRun(identify(study, audit, precision, levels, seed), levels, seed, tuple(rows), study.blank)
