"""What the levels of free factors are worth: all of them are scored in every run, and cost none.

A level shares its whole trajectory with the first level, so that their difference is far less noisy than that
of two runs, and noisy in a way of its own. So these effects are a family of their own: moderated among
themselves, with their own share of chance, and with no part in what is said of other factors. The score of a
level with a seed is its mean over the recipes that have finished with it: a difference of two levels is then
a mean of differences inside runs, and a seed is one observation of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.losses import LOSSES, Loss
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import KEEPS_ANSWERS, Recipe
from finegrid.results.results import Results
from finegrid.statistics.effects import Analysis, Effect, analyse, analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.grouped import sum_by_group
from finegrid.statistics.outcomes import Outcomes, Values
from finegrid.strategies.scoring import Scoring
from finegrid.study.design import move_one_at_a_time
from finegrid.study.free import key_of_free, list_free_levels
from finegrid.study.predictions import read_answers, read_losses
from finegrid.study.record import Record
from finegrid.verdict.calibration import MOST_VALUES
from finegrid.verdict.outcomes import measure_grain

Cell = tuple[int, int]  # a recipe, and a seed


@dataclass(frozen=True)
class FreeLevel:
    """One level of a free factor against its first.

    Attributes:
        factor, first, level: What is compared.
        effect: On the score; None where the level cannot move it.
        losses: On log loss and Brier score of test; they decide nothing. Empty where they were not read.
        scoring: What it asks of a run.
        passes: How often it predicts dev, and test, beside the run itself, at most.
        looks: How often dev was scored to choose what it is made of, mean over runs; nan where that is not
            told: it then chose its epoch as every level does.
    """

    factor: str
    first: Level
    level: Level
    effect: Effect | None
    losses: Mapping[Loss, Effect]
    scoring: Scoring
    passes: tuple[int, int]
    looks: float


@dataclass(frozen=True)
class FreeVerdict:
    """All levels of a study's free factors.

    Attributes:
        levels: In the order of the factors; without their first levels.
        analysis: Of those that can move the score.
        runs: How many are scored at all levels.
        lacking: How many have finished without: before these levels were asked for.
        left_out: Recipes that contradict a level, and are not among these runs.
        seconds: What scoring takes beside a run, mean over runs; nan where none is known.
    """

    levels: tuple[FreeLevel, ...]
    analysis: Analysis
    runs: int
    lacking: int
    left_out: int
    seconds: float


def judge_free(results: Results, margin: float, alpha: float) -> FreeVerdict | None:
    """What free factors are worth; None where a study has none.

    Args:
        results: of a study.
        margin: points; smaller differences are none.
        alpha: chance of any wrong word on a free factor.

    Raises:
        InputError: predictions that cannot be read.
    """
    factors = results.free_factors
    if not factors:
        return None
    keys = list(list_free_levels(factors))
    cells = find_scored(results, keys)
    moving = {name: levels for name, levels in factors.items() if name not in KEEPS_ANSWERS}
    analysis = analyse(collect_free(results, moving, cells), margin, alpha)
    on_score = {(one.comparison.factor, one.comparison.level): one for one in analysis.effects}
    on_losses = measure_free_losses(results, cells)
    epochs = max((len(record.epochs) for record in cells.values()), default=1)
    levels = []
    for name, (first, *others) in factors.items():
        for level in others:
            moved = Recipe().at({name: level})
            looks = [record.free[key_of_free(moved.free_levels())].dev_looks for record in cells.values()]
            known = [count for count in looks if count is not None]
            levels.append(
                FreeLevel(
                    name,
                    first,
                    level,
                    on_score.get((name, level)),
                    {loss: effects[name, level] for loss, effects in on_losses.items()},
                    moved.scoring,
                    moved.scoring.passes(epochs),
                    float(np.mean(known)) if known else np.nan,
                )
            )
    spent = [own.free for record in cells.values() if (own := record.seconds) and own.free is not None]
    finished = sum(1 for (recipe, _), _ in results.finished() if recipe not in results.contradicting)
    seconds = float(np.mean(spent)) if spent else np.nan
    lacking, left_out = finished - len(cells), len(results.contradicting)
    return FreeVerdict(tuple(levels), analysis, len(cells), lacking, left_out, seconds)


def find_scored(results: Results, keys: Sequence[str]) -> dict[Cell, Record]:
    """The runs that have finished and were scored at all levels, but for recipes that contradict one."""
    return {
        at: record
        for at, record in results.finished()
        if at[0] not in results.contradicting
        and all(key in record.free and record.free[key].best_epoch for key in keys)
    }


def collect_free(
    results: Results, factors: Mapping[str, Sequence[Level]], cells: Mapping[Cell, Record]
) -> Experiment:
    """Mean scores of levels by seed, and what each test text contributes to them.

    Args:
        results: of a study.
        factors: free ones.
        cells: runs that were scored at all of them.

    Raises:
        InputError: predictions that cannot be read.
    """
    recipes, keys = move_one_at_a_time(factors), list(list_free_levels(factors))
    total = np.zeros((len(recipes), len(results.seeds)))
    for (_, seed), record in cells.items():
        scores = [record, *(record.at_free(key) for key in keys)]
        total[:, seed] += [100 * one.score("test", results.score) for one in scores]
    count = count_runs(results, cells)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return Experiment.of(
        Outcomes(
            factors,
            recipes,
            results.scale.to_points(mean),
            average_influence(results, keys, cells, count),
            grain=measure_grain(results, "test"),
            measured=False,  # levels that never differed so far may yet: they often are the same epoch
            splits=results.splits("test"),
            may_stand_in=False,
        )
    )


def count_runs(results: Results, cells: Mapping[Cell, Record]) -> NDArray[np.int64]:
    """``[seeds]``."""
    return np.bincount([seed for _, seed in cells], minlength=len(results.seeds))


def average_influence(
    results: Results, keys: Sequence[str], cells: Mapping[Cell, Record], count: NDArray[np.int64]
) -> Values | None:
    """``[levels, seeds, texts]``, points: the mean over recipes; None where texts are not crossed with seeds.

    Args:
        keys: of all levels but the first.
        count: ``[seeds]``, runs.
    """
    predictions, labels = results.predictions("test"), results.labels
    if predictions is None or labels is None or results.is_nested("test"):
        return None
    found = np.zeros((1 + len(keys), len(results.seeds), len(predictions.gold)), dtype=np.float32)
    for (recipe, seed), record in cells.items():
        said = [predictions.predicted[recipe, seed].astype(np.int64)]
        said += [read_answers(results.folder, record, key).splits["test"].predicted for key in keys]
        values = metrics.influence(
            predictions.gold, np.stack(said), predictions.classes, results.score, labels
        )
        found[:, seed] += values / count[seed]
    return found if predictions.groups is None else sum_by_group(found, predictions.groups)


def measure_free_losses(
    results: Results, cells: Mapping[Cell, Record]
) -> Mapping[Loss, Mapping[tuple[str, Level], Effect]]:
    """Effects of all levels on log loss and Brier score of test, by factor and level.

    Empty where no run has all levels, and where runs times texts are more than `MOST_VALUES`.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions = results.predictions("test")
    factors = results.free_factors
    recipes, keys = move_one_at_a_time(factors), list(list_free_levels(factors))
    if predictions is None or not cells or len(cells) * len(recipes) * len(predictions.gold) > MOST_VALUES:
        return {}
    count = count_runs(results, cells)
    shape = (len(recipes), len(results.seeds))
    mean = {loss: np.where(count > 0, np.zeros(shape), np.nan) for loss in LOSSES}
    crossed = not results.is_nested("test")
    each = {loss: np.zeros((*shape, len(predictions.gold) * crossed), dtype=np.float32) for loss in LOSSES}
    for (_, seed), record in cells.items():
        for place, key in enumerate(["", *keys]):
            for loss, values in read_losses(results.folder, record, key).items():
                own = values.mean(dtype=np.float64)
                mean[loss][place, seed] += own / count[seed]
                if crossed:
                    each[loss][place, seed] += (values - own) / count[seed]
    found: dict[Loss, Mapping[tuple[str, Level], Effect]] = {}
    for loss in LOSSES:
        influence = each[loss] if crossed else None
        if influence is not None and predictions.groups is not None:
            influence = sum_by_group(influence, predictions.groups)
        outcomes = Outcomes(
            factors,
            recipes,
            mean[loss],
            influence,
            measured=False,
            splits=results.splits("test"),
            may_stand_in=False,
        )
        effects = analyse_mains(Experiment.of(outcomes), 0.0)
        found[loss] = {(one.comparison.factor, one.comparison.level): one for one in effects}
    return found
