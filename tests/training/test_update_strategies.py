"""What strategies of rates and gradients do alone, they do in stacks, captured steps and families."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rarity import rare
from support.stacks import assert_runs_alike, kill_and_resume, runs_of, step_captured, step_stacked
from support.studies import assert_same_run, recipe_of, train

from finegrid.planning.families import plan_families
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import can_capture
from finegrid.training.loaded import LoadedStudy

CPU = torch.device("cpu")
HEADS = 2
LEVELS: dict[str, dict[str, Any]] = {
    "rates": {"rates__layer_decay": 0.7, "rates__head": 3.0, "optimizer__decay_on": "matrices"},
    "one-cycle": {"schedule__shape": "one-cycle", "schedule__floor": 0.1},
    "wsd": {"schedule__shape": "wsd", "schedule__warmup_ratio": 0.2},
    "clip": {"clip__norm": 0.2},
    "prior": {"prior__decay": 20.0, "reinit__layers": 1},
    "betas": {"optimizer__beta1": 0.8, "optimizer__beta2": 0.98, "optimizer__eps": 1e-6},
    "uncorrected betas": {"optimizer__beta2": 0.98, "optimizer__bias_correction": False},
    "all": {
        "rates__layer_decay": 0.7,
        "prior__decay": 20.0,
        "clip__norm": 0.2,
        "optimizer__beta2": 0.98,
        "schedule__shape": "cosine",
    },
}
SOME = ["clip", "prior", "all"]  # those with tensors or counts of their own, and all together


def recipes_of(loaded: LoadedStudy, name: str, **levels: Any) -> list[Recipe]:
    """One with the strategy, and one without."""
    return [recipe_of(loaded, **LEVELS[name], **levels), recipe_of(loaded, **levels)]


@pytest.mark.parametrize("name", LEVELS)
def test_they_share_families_and_every_fast_path(loaded: LoadedStudy, name: str) -> None:
    recipes = recipes_of(loaded, name)
    planned = [PlannedRun(str(index), recipe.moved(), 0, ()) for index, recipe in enumerate(recipes)]

    assert len(plan_families(planned, lambda run: 8)) == 1
    assert can_capture(runs_of(loaded, recipes), 2)


@pytest.mark.parametrize(
    ("name", "frozen"),
    rare(product(LEVELS, [0, 2]), [(name, 2 * (place % 2)) for place, name in enumerate(LEVELS)]),
)
def test_a_stack_computes_each_runs_own_step(loaded: LoadedStudy, name: str, frozen: int) -> None:
    stacked, alone = step_stacked(loaded, recipes_of(loaded, name, freeze__layers=frozen))
    assert_runs_alike(stacked, alone, rtol=1e-6)


@pytest.mark.parametrize("name", rare(LEVELS, ["rates", "wsd", *SOME]))
def test_a_captured_step_computes_each_runs_own_step(loaded: LoadedStudy, name: str) -> None:
    captured, ordinary = step_captured(loaded, recipes_of(loaded, name))
    assert_runs_alike(captured, ordinary, rtol=1e-3)


@pytest.mark.parametrize("name", SOME)
def test_a_family_is_two_families_of_one_bit_for_bit(loaded: LoadedStudy, name: str) -> None:
    recipes = recipes_of(loaded, name, freeze__layers=1)
    for run, recipe in zip(train(loaded, *recipes), recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize("name", SOME)
def test_killed_and_resumed_they_end_with_the_same_bits(
    loaded: LoadedStudy, name: str, tmp_path: Path
) -> None:
    recipe, _ = recipes_of(loaded, name)
    (whole,) = train(loaded, recipe)
    resumed = kill_and_resume(loaded, recipe, tmp_path)

    assert_same_run(whole, resumed)
