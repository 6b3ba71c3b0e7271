"""Two recipes: the difference that a paired test gives, whichever way round, and nothing made up."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from finegrid.statistics.experiment import Experiment
from finegrid.statistics.many_to_one import compare_with
from finegrid.statistics.outcomes import Outcomes
from finegrid.statistics.pairs import compare_pairs


def outcomes(recipes: int, seeds: int, texts: int = 0) -> Outcomes:
    draw = np.random.default_rng(recipes + seeds)
    score = (
        70
        + draw.normal(0, 2, (recipes, 1))
        + draw.normal(0, 1, (1, seeds))
        + draw.normal(0, 1, (recipes, seeds))
    )
    influence = None
    if texts:
        influence = draw.normal(0, 5, (recipes, seeds, texts))
        influence -= influence.mean(axis=2, keepdims=True)
    return Outcomes({"a": list(range(recipes))}, [{"a": level} for level in range(recipes)], score, influence)


def test_two_recipes_are_a_paired_t_test_over_seeds() -> None:
    given = outcomes(2, 6)
    (pair,) = compare_pairs(Experiment.of(given), [0, 1])
    test = stats.ttest_rel(*given.score)
    interval = test.confidence_interval(0.95)

    assert (pair.one, pair.other) == (0, 1)
    assert pair.estimate == pytest.approx(float(np.subtract(*given.score).mean()))
    assert [pair.plain.low, pair.plain.high] == pytest.approx([interval.low, interval.high])


@pytest.mark.parametrize("texts", [0, 200])
def test_they_are_those_against_the_baseline_where_nothing_is_borrowed(texts: int) -> None:
    """Of more than sixteen seeds no variance lends to another: then the family does not matter."""
    experiment = Experiment.of(outcomes(5, 18, texts))
    against = compare_with(experiment, 0).differences
    pairs = {(pair.one, pair.other): pair for pair in compare_pairs(experiment, range(5))}

    assert list(pairs) == list(combinations(range(5), 2))
    for row in range(1, 5):
        one, other = pairs[0, row], against[row]
        assert other is not None and one.estimate == pytest.approx(-other.estimate)
        assert [one.plain.low, one.plain.high] == pytest.approx([-other.plain.high, -other.plain.low])


def test_the_other_way_round_is_the_same_with_another_sign() -> None:
    experiment = Experiment.of(outcomes(6, 3, 100))
    there, back = (
        {(pair.one, pair.other): pair for pair in compare_pairs(experiment, rows)}
        for rows in (range(6), range(5, -1, -1))
    )
    for (one, other), pair in there.items():
        assert pair.estimate == pytest.approx(-back[other, one].estimate)
        assert pair.plain.low == pytest.approx(-back[other, one].plain.high)


def test_missing_runs_are_filled_in_and_recipes_without_a_run_are_unknown() -> None:
    given = outcomes(4, 4)
    given.score[1, 0] = np.nan
    given.score[3] = np.nan
    pairs = {(pair.one, pair.other): pair for pair in compare_pairs(Experiment.of(given), range(4))}

    assert np.isfinite(pairs[0, 1].estimate) and pairs[0, 1].plain.is_known
    assert np.isnan(pairs[0, 3].estimate) and not pairs[0, 3].plain.is_known
    same_seeds = given.score[[0, 2]]
    assert pairs[0, 2].estimate == pytest.approx(float(np.subtract(*same_seeds).mean()))


def test_one_seed_without_anything_in_its_place_has_no_interval() -> None:
    pairs = compare_pairs(Experiment.of(outcomes(3, 1)), range(3))

    assert all(np.isfinite(pair.estimate) and not pair.plain.is_known for pair in pairs)


@pytest.mark.slow
def test_an_interval_holds_its_difference_in_95_of_100_studies() -> None:
    draw = np.random.default_rng(0)
    truth = np.array([70.0, 71.0, 73.0, 73.0])
    held = []
    for _ in range(400):
        score = truth[:, None] + draw.normal(0, 1, (1, 4)) + draw.normal(0, 1, (4, 4))
        given = Outcomes({"a": [0, 1, 2, 3]}, [{"a": level} for level in range(4)], score)
        for pair in compare_pairs(Experiment.of(given), range(4)):
            held.append(pair.plain.low <= truth[pair.one] - truth[pair.other] <= pair.plain.high)
    assert 0.94 <= np.mean(held) <= 0.99
