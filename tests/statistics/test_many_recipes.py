"""Of many recipes, the same by structure as by arrays of recipes x recipes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.effects_samples import full

from finegrid.recipe.identity import Level
from finegrid.statistics import best, experiment, outcomes
from finegrid.statistics.best import best_set
from finegrid.statistics.comparisons import Comparison
from finegrid.statistics.effects import analyse, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.gaps import Gaps
from finegrid.statistics.many_to_one import compare_with
from finegrid.statistics.matching import Matching
from finegrid.statistics.nested import Splits
from finegrid.statistics.outcomes import Outcomes, complete
from finegrid.statistics.variance import measure_imbalance, measure_imbalance_by_structure

FIVE: dict[str, list[Level]] = {name: [0, 1] for name in "abcde"}


def draw(seeds: int, lost: float, texts: int) -> Outcomes:
    random = np.random.default_rng(7)
    score = 80 + random.standard_normal(seeds) + random.standard_normal((32, seeds))
    influence = 30 * random.standard_normal((32, seeds, texts)) if texts else None
    if influence is not None:
        influence -= influence.mean(axis=2, keepdims=True)
    score[random.random(score.shape) < lost] = np.nan
    return Outcomes(FIVE, full(FIVE), score, influence)


def figures(given: Outcomes) -> Iterator[Any]:
    """What a verdict rests on, number by number."""
    judged = Experiment.of(given)
    analysis, chosen = analyse(judged), best_set(judged)
    assert chosen is not None
    several = [one.effect for one in analysis.interactions]
    several += [effect for one in analysis.interactions for effect in one.conditional]
    for effect in (*analysis.effects, *several):
        yield from (effect.estimate, effect.se, effect.df, effect.adjusted.low, effect.adjusted.high)
    yield from chosen.gap
    yield from (analysis.run_sd, chosen.critical, *chosen.members)
    for mean, interval in score_recipes(judged):
        yield from (mean, interval.low, interval.high)
    for one in compare_with(judged, 0).differences:
        if one is not None:
            yield from (one.estimate, one.se, one.df, one.simultaneous.low)


@pytest.mark.parametrize("texts", [0, 40])
@pytest.mark.parametrize(("seeds", "lost"), [(1, 0.0), (1, 0.1), (2, 0.0), (4, 0.0), (4, 0.15)])
def test_by_structure_all_figures_are_the_same(
    monkeypatch: pytest.MonkeyPatch, seeds: int, lost: float, texts: int
) -> None:
    dense = np.array(list(figures(draw(seeds, lost, texts))))
    for module in (best, experiment, outcomes):
        monkeypatch.setattr(module, "DENSE", 10)
    sparse = np.array(list(figures(draw(seeds, lost, texts))))

    np.testing.assert_allclose(sparse, dense, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("repeated", [2, 32])
def test_by_structure_repeats_are_pooled_with_high_orders_as_well(
    monkeypatch: pytest.MonkeyPatch, repeated: int
) -> None:
    repeats = 80 + np.random.default_rng(3).standard_normal((32, 2))
    repeats[repeated:, 1] = np.nan
    given = Outcomes.of_repeats(FIVE, full(FIVE), repeats)
    dense = list(figures(given))
    for module in (best, experiment, outcomes):
        monkeypatch.setattr(module, "DENSE", 6)

    np.testing.assert_allclose(list(figures(given)), dense, rtol=1e-6, atol=1e-9)
    expected = "true repeats and high-order interactions" if repeated < 16 else "true repeats"
    assert Experiment.of(given).main_noise.method == expected


@pytest.mark.slow
def test_of_many_recipes_no_operator_of_recipes_times_runs_is_made() -> None:
    ran = np.ones((outcomes.DENSE + 1, 3), dtype=bool)
    ran[5, 1] = False

    assert complete(ran).operator is None and complete(ran).gaps is not None
    assert complete(ran[: outcomes.DENSE]).operator is not None


@pytest.mark.parametrize("seed", range(4))
def test_gaps_are_filled_and_weighed_as_by_the_operator(seed: int) -> None:
    random = np.random.default_rng(seed)
    ran = random.random((12, 4)) > 0.4
    ran[:, 0] |= ~ran.any(axis=1)
    ran[3] = [False, False, False, True]
    completion = complete(ran)
    assert completion.operator is not None
    values = random.standard_normal((*ran.shape, 5))
    expected = np.einsum("rsn,nt->rst", completion.operator, values[completion.ran])
    Gaps(completion.ran).fill_(values)
    np.testing.assert_allclose(values, expected, atol=1e-12)

    weights = random.standard_normal((6, 12))
    dense = measure_imbalance(completion, weights)
    np.testing.assert_allclose(measure_imbalance_by_structure(completion, weights).inflation, dense.inflation)
    np.testing.assert_allclose(measure_imbalance_by_structure(completion, weights).df, dense.df)


@pytest.mark.parametrize("seed", range(3))
def test_missing_runs_of_splits_are_weighed_as_by_the_operator(seed: int) -> None:
    random = np.random.default_rng(seed)
    ran = random.random((12, 6)) > 0.3
    ran[:, 0] |= ~ran.any(axis=1)
    completion = complete(ran, Splits((0, 1, 2, 0, 1, 2), 0.25))
    weights = random.standard_normal((6, 12))

    dense, found = measure_imbalance(completion, weights), measure_imbalance_by_structure(completion, weights)

    assert completion.operator is not None and completion.columns == 3
    np.testing.assert_allclose(found.inflation, dense.inflation)
    np.testing.assert_allclose(found.df, dense.df)


def test_runs_that_connect_nothing_stand_at_zero_as_by_the_operator() -> None:
    ran = np.array([[True, True, False, False]] * 3 + [[False, False, True, True]] * 2)
    values = np.arange(20.0).reshape(5, 4)
    Gaps(ran).fill_(values)

    assert (values[~ran] == 0).all() and not Gaps(ran).connected.all(axis=1).any()
    assert complete(ran).kept.tolist() == [True, True, True, False, False]  # the part with the most runs


def test_a_design_of_many_recipes_is_matched_without_comparing_each_with_each() -> None:
    """A factor that exists only under a level of another: its partner is found by what is off baseline."""
    looked: list[int] = []

    class Counted(dict[str, Level]):
        def keys(self) -> Any:
            looked.append(1)
            return super().keys()

    names = [f"f{number}" for number in range(7)]
    recipes = [Counted(one) for one in full({name: [0, 1] for name in names})]
    recipes = [Counted(one, child=level) for one in recipes if one["f0"] for level in (0, 1)] + [
        one for one in recipes if not one["f0"]
    ]
    factors: dict[str, list[Level]] = {**{name: [0, 1] for name in names}, "child": [0, 1]}
    found = Matching(factors, recipes, np.ones(len(recipes), dtype=bool)).contrast([Comparison("f0", 1, 0)])

    assert found is not None and found.contexts == 64 and found.weights is not None
    assert len(looked) <= 10 * len(recipes)
