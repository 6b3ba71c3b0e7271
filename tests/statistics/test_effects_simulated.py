"""Whether intervals hold the truth, in simulated studies of known truth (`benchmarks/intervals.py`).

The short versions have fixed draws and wide tolerances; the slow ones 10,000 studies a case and the goals.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import intervals

CASES = {case.name: case for case in intervals.CASES}
LUCKY = "one seed, luck goes with effects"
UNEQUAL = "effects differ by seed unequally"


def test_the_truth_of_the_simulation_is_the_mean_of_large_studies() -> None:
    case = replace(CASES["effects differ by seed, 8 seeds"], texts=4000)
    random = np.random.default_rng(0)
    scores = [intervals.draw(case, random).score.mean(axis=1) for _ in range(12)]
    found = 4 * case.signs.T @ np.mean(scores, axis=0) / len(case.recipes)
    spread = np.std([4 * case.signs.T @ score / len(case.recipes) for score in scores], axis=0) / np.sqrt(12)

    assert (np.abs(found - intervals.true_effects(case)) < 3.5 * spread).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{UNEQUAL}, 3 seeds", "missing runs, 3 seeds", LUCKY])
def test_intervals_hold_the_truth(name: str) -> None:
    found = intervals.report(CASES[name], studies=120)

    assert 0.925 < found.covered < 0.985
    assert found.wrong_sign <= 0.08


def test_studies_of_nothing_find_nothing() -> None:
    found = intervals.report(CASES["A/A, 3 seeds"], studies=120)

    assert 0.925 < found.covered < 0.985
    assert found.wrong_sign <= 0.08


@pytest.mark.slow
def test_what_is_called_detectable_is_found_in_four_of_five_studies() -> None:
    assert 0.7 < intervals.power_report(5, studies=120, pilots=25).found < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_goals_of_coverage_in_10_000_studies(name: str) -> None:
    found = intervals.report(CASES[name], studies=10_000)
    print(f"\n{intervals.HEADER}\n{found}")

    assert found.covered >= 0.94
    if name.startswith("equal noise"):
        assert found.covered <= 0.96 + 0.002  # two standard errors of the simulation
    if "A/A" in name:
        assert found.wrong_sign <= 0.05 + 0.004
    assert found.wrong_none <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seeds", intervals.POWER_SEEDS)
def test_goals_of_power_in_10_000_studies(seeds: int) -> None:
    found = intervals.power_report(seeds, studies=10_000)
    print(f"\n{intervals.POWER_HEADER}\n{found}")

    assert 0.75 <= found.found <= 0.85
