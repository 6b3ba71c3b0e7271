"""An experiment works out what its analyses share once, and says the same as one made afresh."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from support.effects_samples import full, scored

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics import contrasts, experiment
from finegrid.statistics.best import best_set
from finegrid.statistics.comparisons import Comparison, list_comparisons
from finegrid.statistics.costs import compare_costs
from finegrid.statistics.effects import analyse, analyse_mains, score_recipe, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.least_squares import LeastSquares
from finegrid.statistics.matching import Matching
from finegrid.statistics.outcomes import Floats, Outcomes, Values

FOUR: dict[str, list[Level]] = {"a": [0, 6], "b": ["all", "matrices"], "c": [0.0, 0.1], "d": [0, 1]}
RECIPES = full(FOUR)
TEXTS = 40


def worth(recipe: Levels) -> float:
    return 80 + 1.5 * (recipe["a"] == 6)


def draw(seeds: int, lost: int = 0, seed: int = 0) -> tuple[Floats, Values]:
    """Scores and influence values, some runs missing."""
    random = np.random.default_rng(seed)
    score = scored(RECIPES, worth, seeds, noise=0.5, seed=seed)
    score.flat[random.permutation(score.size)[:lost]] = np.nan
    influence = random.normal(0, 30, (len(RECIPES), seeds, TEXTS)).astype(np.float32)
    return score, influence - influence.mean(axis=2, keepdims=True)


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[None]:
    calls: list[None] = []
    original = getattr(module, name)

    def call(*given: Any, **named: Any) -> Any:
        calls.append(None)
        return original(*given, **named)

    monkeypatch.setattr(module, name, call)
    return calls


@pytest.mark.parametrize("seeds", [1, 3])
def test_all_analyses_of_a_study_build_its_contrasts_and_its_table_once(
    seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = [
        count_calls(monkeypatch, module, name)
        for module, name in [
            (contrasts, "Matching"),
            (experiment, "complete"),
            (np.linalg, "svd"),
        ]
    ]
    score, influence = draw(seeds)
    test = Experiment.of(Outcomes(FOUR, RECIPES, score, influence))
    compare_costs(test, np.exp(score / 100))
    analyse(test)
    best_set(test)
    score_recipes(test)
    dev = test.with_scores(score + 1, influence)
    analyse(dev)
    best_set(dev)

    assert [len(calls) for calls in built] == [1, 1, 1 if seeds == 1 else 0]


def test_noise_is_measured_once_a_family_and_fills_the_table_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = count_calls(monkeypatch, experiment, "between_seeds")
    filled = count_calls(monkeypatch, experiment, "fill")
    score, influence = draw(3, lost=5)
    test = Experiment.of(Outcomes(FOUR, RECIPES, score, influence))
    for _ in range(2):
        analyse(test)
        analyse_mains(test)
        best_set(test)

    assert (len(measured), len(filled)) == (3, 1)  # mains, interactions, conditional effects


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((3, 0, 0), (3, 0, 1)),  # the same runs
        ((3, 5, 0), (3, 7, 1)),  # other runs of the same recipes
        ((3, 0, 0), (2, 30, 1)),  # some recipes without any
        ((1, 0, 0), (1, 0, 1)),
        ((2, 0, 0), (1, 0, 1)),
    ],
)
def test_another_score_of_the_same_recipes_is_judged_as_if_it_came_first(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    early = Experiment.of(Outcomes(FOUR, RECIPES, *draw(*first)))
    analyse(early)
    later = early.with_scores(*draw(*second))
    afresh = Experiment.of(Outcomes(FOUR, RECIPES, *draw(*second)))

    np.testing.assert_equal(asdict(analyse(later)), asdict(analyse(afresh)))
    np.testing.assert_equal(vars(best_set(later)), vars(best_set(afresh)))
    np.testing.assert_equal(score_recipes(later), score_recipes(afresh))


@pytest.mark.parametrize(("seeds", "lost"), [(3, 0), (3, 5), (1, 0), (1, 3)])
def test_one_recipe_is_scored_as_among_all_from_the_values_that_it_needs(seeds: int, lost: int) -> None:
    score, influence = draw(seeds, lost)
    known = Experiment.of(Outcomes(FOUR, RECIPES, score, influence))
    scores = score_recipes(known)
    finished = [bool(np.isfinite(runs).all()) for runs in score]
    for row in range(len(RECIPES)):
        needed = known.influencing(row)
        alone = known.with_scores(score, np.where(needed.reshape(-1, 1, 1), influence, 0))
        np.testing.assert_equal(score_recipe(alone, row), scores[row])
        assert needed.sum() == (1 if seeds > 1 and finished[row] else len(RECIPES))


def half(word: str) -> list[Levels]:
    """The fraction in which an even number of the word's factors are off baseline."""
    return [r for r in RECIPES if sum(r[f] != FOUR[f][0] for f in word) % 2 == 0]


def everything(recipes: list[Levels]) -> tuple[dict[str, list[Level]], list[Levels], Any]:
    return FOUR, recipes, np.ones(len(recipes), dtype=bool)


def test_matching_and_least_squares_agree_in_a_full_design() -> None:
    matching, fitted = Matching(*everything(RECIPES)), LeastSquares(*everything(RECIPES))
    comparisons = list(list_comparisons(FOUR))
    for compared in [[one] for one in comparisons] + [comparisons[:2], comparisons[1:3]]:
        matched = matching.contrast(compared)
        assert matched is not None and matched.planned == 2 ** (4 - len(compared))
        assert fitted.contrast(compared).weights == pytest.approx(matched.weights)


def test_only_least_squares_sees_a_fraction_and_it_names_what_it_cannot_tell_apart() -> None:
    recipes = half("abcd")
    a = Comparison("a", 6, 0)
    assert Matching(*everything(recipes)).contrast([a]) is None
    assert Matching(*everything(RECIPES[1:])).contrast([a]) is None  # one partner is missing

    fitted = LeastSquares(*everything(recipes))
    main, product = fitted.contrast([a]), fitted.contrast([a, Comparison("b", "matrices", "all")])
    assert main.weights == pytest.approx([1 / 4 if r["a"] == 6 else -1 / 4 for r in recipes])
    assert main.aliases == () and product.aliases == ("c x d",)


def test_the_residual_basis_is_orthonormal_and_sees_no_effect() -> None:
    fitted = LeastSquares(*everything(RECIPES))
    basis = fitted.residual_basis()

    assert basis.shape == (16, 16 - 1 - 4 - 6)
    assert basis.T @ basis == pytest.approx(np.eye(5), abs=1e-12)
    for comparison in list_comparisons(FOUR):
        weights = fitted.contrast([comparison]).weights
        assert weights is not None and basis.T @ weights == pytest.approx(np.zeros(5), abs=1e-12)
