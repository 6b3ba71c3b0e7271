"""Intervals of free factors in simulated studies whose truth is known: see benchmarks/free_levels.py.

The short version has fixed draws and wide tolerances; the slow one 2,000 studies a case and the goals.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import free_levels

CASES = {case.name: case for case in free_levels.CASES}


def test_the_truth_of_the_simulation_is_the_mean_of_large_studies() -> None:
    case = replace(CASES["often the first level, 5 seeds"], texts=20_000, by_seed=(0.05, 0.0, 0.0, 0.1))
    random = np.random.default_rng(0)
    scores = np.array([free_levels.draw(case, random).score.mean(axis=1) for _ in range(20)])
    found = scores[:, 1:] - scores[:, :1]

    spread = found.std(axis=0, ddof=1) / np.sqrt(20)
    assert (np.abs(found.mean(axis=0) - free_levels.true_effects(case)) < 3.5 * spread).all()


@pytest.mark.parametrize("name", ["3 seeds", "often the first level, 5 seeds"])
def test_intervals_hold_the_truth(name: str) -> None:
    found = free_levels.report(CASES[name], studies=60)

    assert found.covered >= 0.92 and found.wrong_sign <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_goals_in_2_000_studies(name: str) -> None:
    found = free_levels.report(CASES[name], studies=2000)
    print(f"\n{free_levels.HEADER}\n{found}")

    assert found.covered >= 0.95 - 0.003  # a standard error of the simulation
    assert found.wrong_sign <= 0.05 and found.wrong_same <= 0.05
