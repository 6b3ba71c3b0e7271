"""The posterior over recipes, what follows from it, and what test texts can speak for."""

from __future__ import annotations

import numpy as np
import pytest
from support.effects_samples import full, scored

from finegrid import metrics
from finegrid.recipe.identity import Level, Levels
from finegrid.statistics import posterior as posteriors
from finegrid.statistics.decide import Interval, decide, finest_margin
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes
from finegrid.statistics.posterior import Posterior, find_posterior
from finegrid.statistics.recommend import Recommendation, recommend
from finegrid.verdict.context import find_local_effects

FACTORS: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1], "c": ["x", "y", "z"]}


def mean(recipe: Levels) -> float:
    return 70 + 4 * (recipe["a"] == 1) - 3 * (recipe["b"] == 1) + 5 * (recipe["a"] == 1) * (recipe["b"] == 1)


def fit(
    factors: dict[str, list[Level]], noise: float = 1.0, effect: float = 1.0
) -> tuple[Experiment, Posterior]:
    recipes = full(FACTORS)
    score = scored(recipes, lambda recipe: effect * mean(recipe), seeds=3, noise=noise)
    experiment = Experiment.of(Outcomes(factors, recipes, score))
    posterior = find_posterior(experiment)
    assert posterior is not None
    return experiment, posterior


def choose(posterior: Posterior, seconds: list[float] | None = None) -> Recommendation:
    spent = np.full(12, np.nan) if seconds is None else np.array(seconds)
    found = recommend(posterior, 0, spent)
    assert found is not None
    return found


@pytest.mark.slow
def test_neither_the_order_of_levels_nor_the_first_one_matters() -> None:
    _, posterior = fit(FACTORS)
    _, turned = fit({"a": [1, 0], "b": [0, 1], "c": ["z", "x", "y"]})

    one, other = posterior.compare(range(12), 0), turned.compare(range(12), 0)
    np.testing.assert_allclose(one.expected, other.expected, atol=1e-9)
    np.testing.assert_allclose(one.chance_below(-0.5), other.chance_below(-0.5), atol=1e-9)


def test_without_noise_it_believes_what_it_saw_and_gives_the_interval_that_holds_it() -> None:
    experiment, posterior = fit(FACTORS, noise=0.001)
    seen = experiment.outcomes.score.mean(axis=1)
    against = posterior.compare(range(12), 0)

    np.testing.assert_allclose(against.expected, seen - seen[0], atol=0.02)
    interval = against.interval(9)
    assert interval.low < seen[9] - seen[0] < interval.high and interval.high - interval.low < 0.2


def test_the_best_of_equal_recipes_is_drawn_towards_the_others() -> None:
    experiment, posterior = fit(FACTORS, noise=2.0, effect=0.0)
    seen = experiment.outcomes.score.mean(axis=1)
    best = int(seen.argmax())

    assert posterior.compare([best], 0).expected[0] < 0.5 * (seen[best] - seen[0])


def test_what_is_surely_better_is_recommended_and_what_may_well_be_worse_is_not() -> None:
    _, sure = fit(FACTORS)
    found = choose(sure)
    assert found.gains[found.recommended.recipe] == np.nanmax(found.gains) and found.recommended.gain > 3
    assert found.recommended.chance_worse < 0.1 and not found.keeps_baseline

    refused = recommend(sure, 0, np.full(12, np.nan), risky=found.gains > 0)
    assert refused is not None and refused.keeps_baseline and refused.tempting is not None
    worse = [row for row in range(12) if found.chances_worse[row] > 0.5]
    assert worse and not found.allowed[worse].any()


def test_what_is_cheaper_saves_time_and_the_frontier_ends_with_what_is_recommended() -> None:
    _, posterior = fit(FACTORS)
    found = choose(posterior, [10.0 + (row % 3) for row in range(12)])
    gains = [one.gain for one in found.frontier]

    assert found.frontier[-1].recipe == found.recommended.recipe and gains == sorted(gains)
    if found.cheaper is not None:
        assert found.cheaper.recipe in [one.recipe for one in found.frontier[:-1]]
    assert choose(posterior).frontier == () and choose(posterior).cheaper is None


def test_two_seeds_that_happen_to_differ_alike_do_not_mean_that_there_is_no_luck() -> None:
    """Both say +10 points, but two runs of a recipe answer one text of five differently."""
    random = np.random.default_rng(0)
    ease, right = random.random(100), np.zeros((2, 2, 100))
    for recipe, count in enumerate((60, 70)):
        for seed in range(2):
            order = np.argsort(-(ease + 0.4 * random.standard_normal(100)))
            right[recipe, seed, order[:count]] = 100.0
    score = right.mean(axis=2)
    outcomes = Outcomes({"a": [0, 1]}, [{"a": 0}, {"a": 1}], score, right - score[..., None], grain=1.0)
    posterior = find_posterior(Experiment.of(outcomes))
    assert posterior is not None
    found = posterior.compare([1], 0)

    interval = found.interval(0)
    assert interval.low < 0 < 10 < interval.high
    assert found.chance_below(-0.5)[0] > 0.1


def test_an_effect_in_a_recipe_is_the_one_it_has_there() -> None:
    """``a`` is worth 4 points without ``b``, and 9 with it."""
    experiment, _ = fit(FACTORS, noise=0.05)
    (main, *_) = experiment.families.contrasts.mains
    chosen: list[Levels] = [{"a": 0, "b": 0, "c": "x"}, {"a": 1, "b": 1, "c": "z"}]
    (without,), (with_b,) = find_local_effects(experiment, chosen, main.comparisons)

    assert without is not None and without.effect == pytest.approx(4, abs=0.3)
    assert with_b is not None and with_b.effect == pytest.approx(9, abs=0.3)


def test_no_difference_needs_texts_that_could_have_shown_one() -> None:
    nothing = Interval(0.0, 0.0)
    gold = np.arange(500) % 5
    grain = metrics.grain(gold, 5, "accuracy")

    assert grain == pytest.approx(100 / 500)
    assert finest_margin(grain, 0.01) == pytest.approx(100 / 500 * np.log(200))  # the rule of three
    assert decide(nothing, 0.5, finest=finest_margin(grain, 0.01)).kind == "open"
    assert decide(nothing, 1.5, finest=finest_margin(grain, 0.01)).kind == "same"
    rare = np.where(np.arange(500) < 5, 0, 1)
    assert metrics.grain(rare, 2, "macro-f1") > 4 * metrics.grain(gold % 2, 2, "macro-f1")


def test_of_many_recipes_high_orders_are_left_out_and_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = fit(FACTORS, noise=0.5)
    monkeypatch.setattr(posteriors, "MOST_RECIPES", 8)
    _, part = fit(FACTORS, noise=0.5)

    assert choose(whole).whole and not choose(part).whole
    gains = whole.compare(range(12), 0).expected
    np.testing.assert_allclose(part.compare(range(12), 0).expected, gains, atol=0.5)
