"""Which runs of a study failed to learn: shares by level and cell, and what is not to be used for it.

found = find_failures(results, test, margin, alpha)    # None where every run that ended has learned
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finegrid.results.results import Results
from finegrid.statistics.decide import Decision
from finegrid.statistics.effects import Analysis, Effect, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.failures import (
    CellFailures,
    Cut,
    FailingGroup,
    Failures,
    LevelShare,
    compare_groups,
    compare_levels,
    find_cell_failures,
    find_cut,
    single_out,
)
from finegrid.verdict.outcomes import collect_outcomes, find_diverged, measure_influence, score_majority


@dataclass(frozen=True)
class StudyFailures:
    """What the runs of a study that failed to learn tell.

    Attributes:
        split: Whose scores tell that a run did not learn: dev, or test of a table from elsewhere.
        runs: Which failed, and how.
        levels: Every level against the baseline's, as the main effects compare them.
        diverged: The levels, or cells of two factors, in which runs diverge.
        unlearned: Those in which they end without having learned.
        groups: Every level and cell with a run that failed, in either way, the most telling first.
        cells: Of every recipe, how often it fails, as far as its own runs and its cell tell.
        learned: All effects among runs that learned: of pairs of recipes of which both did. It describes,
            and decides nothing.
    """

    split: str
    runs: Failures
    levels: tuple[LevelShare, ...]
    diverged: tuple[FailingGroup, ...]
    unlearned: tuple[FailingGroup, ...]
    groups: tuple[FailingGroup, ...]
    cells: tuple[CellFailures, ...]
    learned: Analysis


def find_failures(results: Results, test: Experiment, margin: float, alpha: float) -> StudyFailures | None:
    """None where every run that ended has learned.

    Args:
        results: of a study or a table.
        test: its score on test, diverged runs counted.
        margin: points; smaller differences are none.
        alpha: of one look, where there are several.

    Raises:
        InputError: predictions that cannot be read.
    """
    runs = list_failures(results)
    if not runs:
        return None
    recipes = [recipe.levels for recipe in results.recipes]
    learned = Experiment.of(collect_outcomes(results, "test", without=runs.failed))
    groups = compare_groups(recipes, runs.failed, runs.ended)
    return StudyFailures(
        split=judged_on(results),
        runs=runs,
        levels=compare_levels(test.families.mains.contrasts, recipes, runs),
        diverged=single_out(recipes, runs.diverged, runs.ended),
        unlearned=single_out(recipes, runs.unlearned, runs.ended),
        groups=tuple(group for group in groups if group.failed),
        cells=find_cell_failures(recipes, runs),
        learned=analyse(learned, margin, alpha),
    )


def list_failures(results: Results) -> Failures:
    """Which runs of a study failed to learn.

    Raises:
        InputError: predictions that cannot be read.
    """
    diverged = find_diverged(results)
    score = results.points(judged_on(results))
    cut = cut_scores(results)
    unlearned = cut.below(score) if cut else np.zeros(score.shape, dtype=bool)
    return Failures(np.isfinite(score) | diverged, diverged, unlearned, cut)


def judged_on(results: Results) -> str:
    """The split that tells whether a run learned."""
    return "test" if results.audit is None else "dev"


def cut_scores(results: Results) -> Cut | None:
    """`statistics.failures.find_cut` on the study's score.

    Raises:
        InputError: predictions that cannot be read.
    """
    split = judged_on(results)
    score = results.points(split)
    majority = 0.0 if results.audit is None else score_majority(results.audit, split, results.score)
    cut = find_cut(score, majority)
    if cut is None:
        return None
    influence = measure_influence(results, split)  # only now: of most studies no scores have such a gap
    if influence is None:
        return cut
    of_runs = influence[np.isfinite(score)].std(axis=1, dtype=np.float64) / np.sqrt(influence.shape[2])
    return find_cut(score, majority, float(np.median(of_runs)))


def avoid_failing(
    effects: Sequence[Effect], levels: Sequence[LevelShare], alpha: float
) -> tuple[Effect, ...]:
    """The effects, of which a level that surely fails more often than the baseline's is not to be used."""
    return tuple(
        replace(effect, decision=Decision("avoid", because=share.counts)) if share.is_worse(alpha) else effect
        for effect, share in zip(effects, levels, strict=True)
    )
