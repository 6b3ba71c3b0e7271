"""Whether training ended too early: truths that are known, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest

from finegrid.statistics.rising import measure_rise

STUDIES, MARGIN = 400, 0.5
LEVELLED = {2: [0.0, 0.0], 4: [-6.0, -0.4, 0.0, 0.0]}  # true points by epoch, less those of the last
RISING = {2: [-3.0, 0.0], 4: [-20.0, -9.0, -3.0, 0.0]}


def share_told(truth: list[float], seeds: int, recipes: int, luck: float, sampling: float) -> float:
    """Of studies, those whose baseline is told to be still rising.

    ``luck``: standard deviation of one score, points.
    """
    chance = np.random.default_rng([seeds, recipes, len(truth)])
    told = 0
    for _ in range(STUDIES):
        curves = np.array(truth) + chance.normal(0, luck, (recipes, seeds, len(truth)))
        rise = measure_rise(curves[0].tolist(), curves[1:].tolist(), sampling)
        told += rise is not None and rise.counts(MARGIN)
    return told / STUDIES


@pytest.mark.parametrize("epochs", [2, 4])
@pytest.mark.parametrize(("seeds", "recipes"), [(1, 8), (3, 1), (3, 8), (8, 4)])
def test_a_baseline_that_has_levelled_out_is_hardly_ever_said_to_rise(
    epochs: int, seeds: int, recipes: int
) -> None:
    """Though its last epoch is the best one of every second run of two epochs."""
    assert share_told(LEVELLED[epochs], seeds, recipes, luck=0.7, sampling=1.0) < 0.06


@pytest.mark.parametrize("epochs", [2, 4])
@pytest.mark.parametrize(("seeds", "recipes"), [(3, 8), (8, 4)])
def test_a_baseline_that_rises_is_told(epochs: int, seeds: int, recipes: int) -> None:
    assert share_told(RISING[epochs], seeds, recipes, luck=0.7, sampling=1.0) > 0.9


def test_a_rise_within_the_margin_is_none() -> None:
    rise = measure_rise([[80.0, 80.3]] * 4, [], sampling=0.0)

    assert rise is not None and rise.last == 4 and rise.error == 0.0
    assert not rise.counts(0.5) and rise.counts(0.2)


def test_one_epoch_measures_nothing() -> None:
    assert measure_rise([[80.0], [81.0]], [], sampling=1.0) is None
