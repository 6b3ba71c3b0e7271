"""Strategies that read a batch once more: a recipe has one of them, and the refusal names all that it has."""

from __future__ import annotations

from itertools import combinations

import pytest
from support.levels import GIVEN, ON

from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy

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
