"""What is believed of recipes where every seed draws a split of its own of the texts."""

from __future__ import annotations

import numpy as np
import pytest

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.nested import Splits
from finegrid.statistics.outcomes import Floats, Outcomes
from finegrid.statistics.posterior import Differences, find_posterior, measure_run_variance

FACTORS: dict[str, list[Level]] = {"a": [0, 1]}
RECIPES: list[Levels] = [{"a": 0}, {"a": 1}]
OVERLAP = 0.25


def experiment_of(score: Floats, splits: Splits | None) -> Experiment:
    return Experiment.of(Outcomes(FACTORS, RECIPES, score, splits=splits))


def difference(judged: Experiment) -> Differences:
    found = find_posterior(judged)
    assert found is not None
    return found.compare([1], 0)


def draw(seeds: int) -> Floats:
    random = np.random.default_rng(3)
    return np.asarray(70 + random.standard_normal((2, seeds)) + np.array([[0.0], [30.0]]))


def width(found: Differences) -> float:
    interval = found.interval(0)
    return interval.high - interval.low


@pytest.mark.slow
def test_seeds_of_one_split_count_as_one_split() -> None:
    score = draw(10)
    several = experiment_of(score, Splits((0, 1, 2, 3, 4) * 2, OVERLAP))
    means = experiment_of((score[:, :5] + score[:, 5:]) / 2, Splits((0, 1, 2, 3, 4), OVERLAP))

    assert measure_run_variance(several) == pytest.approx(measure_run_variance(means))
    assert difference(several).expected == pytest.approx(difference(means).expected)
    assert width(difference(several)) == pytest.approx(width(difference(means)))


def test_the_noise_of_a_split_is_that_of_paired_differences_between_splits() -> None:
    score = draw(5)
    variance, df = measure_run_variance(experiment_of(score, Splits((0, 1, 2, 3, 4), OVERLAP)))

    assert df == 4
    assert variance == pytest.approx((score[1] - score[0]).var(ddof=1) / 2)


def test_what_splits_share_widens_the_posterior_as_it_widens_intervals() -> None:
    """The effect is so large that the prior says nothing: the variance of a mean is S^2 (1 / K + overlap)."""
    score = draw(5)
    alone = difference(experiment_of(score, Splits((0, 1, 2, 3, 4), 0.0)))
    shared = difference(experiment_of(score, Splits((0, 1, 2, 3, 4), OVERLAP)))

    assert width(shared) / width(alone) == pytest.approx(np.sqrt((1 / 5 + OVERLAP) / (1 / 5)), rel=0.03)


def test_one_split_alone_tells_nothing() -> None:
    assert find_posterior(experiment_of(draw(2), Splits((0, 0), OVERLAP))) is None
