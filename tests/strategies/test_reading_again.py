"""Strategies that read a batch once more: what all of them promise, and that a recipe has one of them."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest
import torch
from support.levels import GIVEN, ON, on
from support.rarity import rare
from support.stacks import batches, gradients, kill_and_resume
from support.studies import LoadedOf, assert_same_run, recipe_of, train

from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

# Strong enough to be seen, and to come to the edge of balls.
STRONG: dict[str, Levels] = {
    "smart": {"smart.weight": 2.0, "smart.epsilon": 0.1, "smart.noise": 0.05},
    "fgm": {"fgm.epsilon": 0.5},
    "pgd": {"pgd.steps": 3, "pgd.step_size": 0.3, "pgd.epsilon": 0.5},
    "freelb": {"freelb.steps": 3, "freelb.step_size": 0.3, "freelb.epsilon": 0.5},
    "sam": {"sam.rho": 0.1},
}
SWITCHES = ("smart.weight", "fgm.epsilon", "pgd.steps", "freelb.steps", "sam.rho")
SHORT = Recipe().at({"model.max_length": 32})


def moved(*factors: str) -> Levels:
    return {factor: ON[factor] for factor in factors}


def test_these_and_no_others_read_again() -> None:
    every = {factor: SHORT.at({**GIVEN.get(factor, {}), factor: ON[factor]}) for factor in ON}
    reading = [factor for factor, recipe in every.items() if any(one.reads_again() for one in recipe.acting)]

    assert [factor for factor in reading if factor not in GIVEN] == [*SWITCHES]


@pytest.mark.parametrize("pair", [*combinations(SWITCHES, 2)], ids="+".join)
def test_two_are_refused_and_each_alone_is_not(pair: tuple[str, str], loaded: LoadedStudy) -> None:
    checkpoint = loaded.study.checkpoint
    (problem,) = SHORT.at(moved(*pair)).problems(checkpoint)

    assert problem.where == f'"{pair[0]}" + "{pair[1]}"' and "Keep one" in problem.what
    assert all(SHORT.at(moved(factor)).problems(checkpoint) == [] for factor in pair)


def test_the_refusal_names_all(loaded: LoadedStudy) -> None:
    """By what switches each on, whatever else of it is moved."""
    recipe = SHORT.at({**moved(*SWITCHES), "pgd.step_size": 0.2})
    (problem,) = recipe.problems(loaded.study.checkpoint)

    assert problem.where == " + ".join(f'"{factor}"' for factor in SWITCHES)
    assert problem.what.startswith("1.0, 0.5, 2, 2, 0.1, but each reads a batch once more")


@pytest.mark.parametrize("name", STRONG)
def test_layers_that_are_computed_twice_have_the_same_bits(
    name: str, loaded: LoadedStudy, hosted: LoadedOf
) -> None:
    for study in (loaded, hosted("modernbert")):
        recipe = recipe_of(study).at(STRONG[name])
        once, twice = (Run(study, "run", recipe, 0) for _ in range(2))
        twice.model.engine.recompute = True
        for run in (once, twice):
            run.backward(batches(study, recipe)[0], 0)

        assert all(torch.equal(gradients(twice)[tensor], g) for tensor, g in gradients(once).items())


OFTEN = [("smart", 0), ("smart", 2), ("fgm", 2), ("pgd", 0), ("freelb", 2), ("sam", 2)]


@pytest.mark.parametrize(("name", "frozen"), rare(product(STRONG, [0, 2]), OFTEN))
def test_a_run_in_company_has_the_bits_that_it_has_alone(name: str, frozen: int, loaded: LoadedStudy) -> None:
    levels = STRONG[name]
    once = recipe_of(loaded, training__epochs=1, freeze__layers=frozen).at(levels)
    recipes = [once.at({"clip.norm": norm}) for norm in (0.0, 0.1)]

    for recipe, run in zip(recipes, train(loaded, *recipes), strict=True):
        assert run.progress.status == "done" and run.progress.path == "plain"
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize("factor", SWITCHES)
def test_a_killed_run_resumes_to_the_same_bits(factor: str, taught: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(taught, factor)

    assert_same_run(kill_and_resume(taught, recipe, tmp_path), train(taught, recipe)[0])
