"""Runs that share no seed are not compared, and what is not compared enters no mean."""

from __future__ import annotations

import numpy as np
import pytest
from support.effects_samples import full, scored

from finegrid.recipe.identity import Level
from finegrid.statistics.best import best_set
from finegrid.statistics.effects import analyse, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes, complete, connects_all

TWO: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1]}


def test_a_recipe_in_a_seed_of_its_own_changes_nothing_for_the_others() -> None:
    """The last of three levels ran with seed 3 alone, which no other recipe has."""
    factors: dict[str, list[Level]] = {"a": [0, 1, 2], "b": [0, 1]}
    recipes = full(factors)
    score = scored(recipes, lambda r: 80.0 + (r["a"] == 1), seeds=4, noise=0.3)
    score[:4, 3] = np.nan
    score[4:, :3] = np.nan
    score[5] = np.nan
    experiment = Experiment.of(Outcomes(factors, recipes, score))
    rest = Experiment.of(Outcomes({"a": [0, 1], "b": [0, 1]}, recipes[:4], score[:4, :3]))

    scores, found = score_recipes(experiment), analyse(experiment)
    assert np.isnan(scores[4][0]) and not scores[4][1].is_known
    assert scores[:4] == score_recipes(rest)
    assert found.effects[0].estimate == pytest.approx(analyse(rest).effects[0].estimate)
    assert np.isnan(found.effects[1].estimate)
    best, same = best_set(experiment), best_set(rest)
    assert best is not None and same is not None and best.members == same.members
    assert np.isnan(best.gap[4]) and best.gap[:4] == pytest.approx(same.gap)


def test_no_score_is_ever_a_made_up_zero() -> None:
    """Every recipe with a seed of its own: one of them has a score, and the others none."""
    score = np.full((4, 4), np.nan)
    np.fill_diagonal(score, [80.0, 81, 79, 80])
    experiment = Experiment.of(Outcomes(TWO, full(TWO), score))

    means = [mean for mean, _ in score_recipes(experiment)]
    assert means[0] == 80 and np.isnan(means[1:]).all()
    assert all(np.isnan(effect.estimate) for effect in analyse(experiment).effects)
    best = best_set(experiment)
    assert best is not None and best.members == (0,)


def test_the_part_with_the_most_runs_is_kept_whichever_comes_first() -> None:
    ran = np.zeros((5, 4), dtype=bool)
    ran[:2, 0] = ran[2:, 1:3] = True

    kept = complete(ran)
    assert kept.kept.tolist() == [False, False, True, True, True]
    assert kept.kept_seeds.tolist() == [False, True, True, False]
    assert not connects_all(ran)


def test_a_chain_of_seeds_connects() -> None:
    """Each recipe shares a seed with the next one only: differences add up along the chain."""
    score = np.full((4, 5), np.nan)
    shifts, worth = np.array([0.0, 3, -2, 1, 5]), np.array([80.0, 81, 82, 84])
    for row in range(4):
        score[row, row : row + 2] = worth[row] + shifts[row : row + 2]
    experiment = Experiment.of(Outcomes(TWO, full(TWO), score))

    assert connects_all(np.isfinite(score)) and experiment.completion.kept.all()
    assert [effect.estimate for effect in analyse(experiment).effects] == pytest.approx([2.5, 1.5])


def test_seeds_without_any_run_part_nothing() -> None:
    ran = np.zeros((2, 3), dtype=bool)
    ran[:, 1] = True

    assert connects_all(ran) and complete(ran).kept.all()
    assert connects_all(np.zeros((2, 2), dtype=bool))


@pytest.mark.parametrize("tied", [(0, 1), (0, 1, 2, 3)])
def test_recipes_of_equal_means_are_in_the_best_set_together(tied: tuple[int, ...]) -> None:
    """Nothing differs by seed, so the bound of a difference of nothing is nothing."""
    score = np.full((4, 3), 79.0)
    score[list(tied)] = 80.0
    best = best_set(Experiment.of(Outcomes(TWO, full(TWO), score)))

    assert best is not None and best.members == tied
