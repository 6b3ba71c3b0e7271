"""Ladders: the best of several levels, with an interval that knows that it was chosen."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from support.effects_samples import full, scored

from finegrid.recipe.identity import Level
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.ladder import compare_levels
from finegrid.statistics.outcomes import Outcomes

RATES: dict[str, list[Level]] = {"rate": [1, 3, 5, 10], "on": [False, True]}
WORTH: dict[Level, float] = {1: 0.0, 3: 1.0, 5: 1.4, 10: -2.0}


def test_marginal_means_are_ranked_and_compared_inside_seeds() -> None:
    recipes = full(RATES)
    score = scored(recipes, lambda r: 80 + WORTH[r["rate"]] + bool(r["on"]), seeds=20, noise=0.5)
    (ladder,) = compare_levels(Experiment.of(Outcomes(RATES, recipes, score)))

    by_level = {
        rate: score[[row for row, r in enumerate(recipes) if r["rate"] == rate]].mean(axis=0)
        for rate in WORTH
    }
    assert ladder.levels == (5, 3, 1, 10) and (ladder.best, ladder.runner_up) == (5, 3)
    assert ladder.effects == pytest.approx([(by_level[x] - by_level[1]).mean() for x in ladder.levels])
    # With 20 seeds nothing is moderated: a paired t interval, Bonferroni over the six pairs.
    paired = by_level[5] - by_level[3]
    reach = stats.t.ppf(1 - 0.05 / 12, 19) * paired.std(ddof=1) / np.sqrt(20)
    assert ladder.difference == pytest.approx(paired.mean())
    assert [ladder.interval.low, ladder.interval.high] == pytest.approx(
        [paired.mean() - reach, paired.mean() + reach]
    )


def test_where_levels_are_equal_one_is_called_best_in_few_studies() -> None:
    """Five levels, none better: 400 studies, of which at most five in a hundred may be wrong."""
    factors: dict[str, list[Level]] = {"way": list("abcde")}
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        score = 80 + random.normal(0, 1, (5, 4)) + random.normal(0, 2, 4)
        (ladder,) = compare_levels(Experiment.of(Outcomes(factors, full(factors), score)))
        wrong += ladder.interval.low > 0
    assert wrong <= 20 + 2.3 * np.sqrt(400 * 0.05 * 0.95)


def test_several_ladders_share_the_chance_of_a_wrong_word() -> None:
    one: dict[str, list[Level]] = {"x": [0, 1, 2]}
    two: dict[str, list[Level]] = {"x": [0, 1, 2], "y": [0, 1, 2]}
    score = scored(full(two), lambda r: 80.0, seeds=20, noise=0.5)
    alone = compare_levels(Experiment.of(Outcomes(two, full(two), score)), 0.05)
    half = compare_levels(Experiment.of(Outcomes(two, full(two), score)), 0.10)

    assert [ladder.factor for ladder in alone] == ["x", "y"]
    assert alone[0].interval.low < half[0].interval.low
    assert len(list(combinations(range(3), 2))) == 3
    quantile = {pairs: stats.t.ppf(1 - 0.05 / (2 * pairs), 19) for pairs in (3, 6)}
    width = alone[0].interval.high - alone[0].interval.low
    cut = {"x": score.reshape(3, 3, 20).mean(axis=1)}
    best = cut["x"][alone[0].best] - cut["x"][alone[0].runner_up]
    assert width == pytest.approx(2 * quantile[6] * best.std(ddof=1) / np.sqrt(20))
    assert compare_levels(Experiment.of(Outcomes(one, full(one), score[:3])))[0].factor == "x"


def test_without_noise_to_go_by_every_level_may_be_the_best() -> None:
    factors: dict[str, list[Level]] = {"x": [0, 1, 2]}
    score = np.array([[80.0], [82.0], [81.0]])
    (ladder,) = compare_levels(Experiment.of(Outcomes(factors, full(factors), score)))

    assert ladder.levels == (1, 2, 0) and not ladder.interval.is_known
    assert ladder.contenders == (1, 2, 0) and not ladder.is_clear


def test_levels_that_never_ran_and_factors_of_very_many_are_left_out() -> None:
    factors: dict[str, list[Level]] = {"x": [0, 1, 2, 3]}
    score = scored(full(factors), lambda r: 80.0 + float(r["x"]), seeds=3, noise=0.1)
    score[2] = np.nan
    (ladder,) = compare_levels(Experiment.of(Outcomes(factors, full(factors), score)))
    many: dict[str, list[Level]] = {"name": list(range(40))}
    named = Outcomes(many, full(many), scored(full(many), lambda r: 80.0, seeds=2, noise=1))

    assert ladder.levels == (3, 1, 0)
    assert compare_levels(Experiment.of(named)) == ()
