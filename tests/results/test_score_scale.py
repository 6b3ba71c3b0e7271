"""A score is told as it was given, and judged in points of which more is better."""

from __future__ import annotations

import numpy as np
import pytest

from finegrid.metrics import range_of
from finegrid.results.score_scale import ScoreScale


def test_points_and_scores_come_back_as_each_other() -> None:
    for scale in (ScoreScale(), ScoreScale(lower_is_better=True), ScoreScale(0.0035, True, 0.0, np.inf)):
        told = np.array([0.3, 12.0, 99.5])
        assert [scale.to_told(float(points)) for points in scale.to_points(told)] == pytest.approx(told)
        assert bool((np.diff(scale.to_points(told)) > 0).all()) is not scale.lower_is_better


def test_scores_of_a_study_are_its_points_to_the_last_bit() -> None:
    told = np.random.default_rng(0).uniform(0, 100, 1000)

    assert np.array_equal(ScoreScale().to_points(told), told)


def test_an_interval_ends_where_scores_end_and_one_without_ends_stays_so() -> None:
    scale = ScoreScale()

    assert scale.tell_range(58.47, 108.39) == (58.47, 100.0)
    assert scale.tell_range(-3.0, 20.0) == (0.0, 20.0)
    assert scale.tell_range(-np.inf, np.inf) == (-np.inf, np.inf)
    assert ScoreScale(1, True).tell_range(-20.0, 3.0) == (0.0, 20.0)
    assert ScoreScale(1, False, -100.0).tell_range(-3.0, 120.0) == (-3.0, 100.0)


@pytest.mark.parametrize(
    ("name", "low"),
    [("macro-f1", 0), ("accuracy", 0), ("f1:mcc", 0), ("mcc", -100), ("test_MCC", -100), ("kappa", -100)],
)
def test_correlations_alone_may_be_below_zero(name: str, low: float) -> None:
    assert range_of(name) == (low, 100)
