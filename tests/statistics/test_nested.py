"""Seeds with splits of their own: by hand, and what choosing on texts that are tested elsewhere gives."""

from __future__ import annotations

import numpy as np
import pytest
from support.effects_samples import full

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.best import best_set, hsu_constant
from finegrid.statistics.costs import compare_costs
from finegrid.statistics.decide import plain_interval
from finegrid.statistics.effects import analyse, analyse_mains, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.nested import Splits, score_of_choice
from finegrid.statistics.outcomes import Floats, Outcomes, Values

ONE: dict[str, list[Level]] = {"a": [0, 1]}
FOUR: dict[str, list[Level]] = {name: [0, 1] for name in "abcd"}
PAIR: list[Levels] = [{"a": 0}, {"a": 1}]


def outcomes_of(d: list[float], of_seed: tuple[int, ...], overlap: float = 0.25) -> Outcomes:
    base = 80 + np.random.default_rng(0).normal(size=len(d))
    return Outcomes(ONE, PAIR, np.array([base, base + d]), splits=Splits(of_seed, overlap))


def test_the_error_is_that_of_the_splits_own_differences() -> None:
    d = [1.0, 3.0, 2.0, 0.5, 1.5]
    (effect,) = analyse_mains(Experiment.of(outcomes_of(d, (0, 1, 2, 3, 4))))

    assert effect.estimate == pytest.approx(np.mean(d))
    assert effect.se**2 == pytest.approx(np.var(d, ddof=1) * (1 / 5 + 0.25))
    assert effect.df == 4
    expected = plain_interval(effect.estimate, effect.se, 4)
    assert (effect.plain.low, effect.plain.high) == (expected.low, expected.high)


def test_seeds_of_one_split_are_one_value_and_splits_weigh_alike() -> None:
    # Split 0 has three seeds, the others one: whoever took seeds for splits would have 2.0 and more of them.
    d, of_seed = [4.0, 1.0, 2.0, 6.0, 5.0], (0, 1, 2, 0, 0)
    (effect,) = analyse_mains(Experiment.of(outcomes_of(d, of_seed)))

    assert effect.estimate == pytest.approx((5.0 + 1.0 + 2.0) / 3)
    assert effect.se**2 == pytest.approx(np.var([5.0, 1.0, 2.0], ddof=1) * (1 / 3 + 0.25))
    assert effect.df == 2


def test_every_effect_has_its_own_spread_over_splits() -> None:
    random = np.random.default_rng(3)
    score = 80 + random.normal(size=(16, 5))
    outcomes = Outcomes(FOUR, full(FOUR), score, splits=Splits((0, 1, 2, 3, 4), 0.25))
    experiment = Experiment.of(outcomes)
    analysis = analyse(experiment)
    own = (experiment.families.mains.estimators.weights @ score).var(axis=1, ddof=1)

    assert analysis.method == "between splits"
    assert [effect.se**2 for effect in analysis.effects] == pytest.approx((own * (1 / 5 + 0.25)).tolist())
    assert {effect.df for effect in analysis.effects} == {4.0}


def test_one_split_shows_nothing_of_others() -> None:
    score = 80 + np.random.default_rng(0).normal(size=(16, 2))
    outcomes = Outcomes(FOUR, full(FOUR), score, splits=Splits((7, 7), 0.25))
    effects = analyse_mains(Experiment.of(outcomes))

    assert all(effect.plain.high == np.inf for effect in effects)
    assert all(effect.decision is not None and effect.decision.kind == "open" for effect in effects)


def test_texts_that_all_splits_share_add_their_own_chance() -> None:
    random = np.random.default_rng(1)
    score = 80 + random.normal(size=(2, 6))
    hard: Floats = random.normal(size=200) * 40
    influence: Values = np.zeros((2, 6, 200))
    influence[1] = hard - hard.mean()
    experiment = Experiment.of(Outcomes(ONE, PAIR, score, influence, splits=Splits((0, 1, 2, 3, 4, 5), 0.2)))
    (effect,) = analyse_mains(experiment)

    between = np.var(score[1] - score[0], ddof=1) * (1 / 6 + 0.2)
    assert effect.se**2 == pytest.approx(between + hard.var(ddof=1) / 200)


def test_more_splits_do_not_average_out_what_splits_share() -> None:
    # S is 1.58 and the mean 1: with the overlap no number of splits tells it from 0; without it, 12 do.
    d = [-1.0, 0.0, 1.0, 2.0, 3.0]
    alone, shared = (
        analyse_mains(Experiment.of(outcomes_of(d, (0, 1, 2, 3, 4), overlap)))[0] for overlap in (0.0, 0.5)
    )

    assert alone.needs is not None and alone.needs.seeds == 13
    assert shared.needs is not None and shared.needs.reason == "too-small" and shared.needs.seeds is None


def test_the_best_set_knows_the_overlap() -> None:
    d = [1.0, 3.0, 2.0, 0.5, 1.5]
    best = best_set(Experiment.of(outcomes_of(d, (0, 1, 2, 3, 4))))

    assert best is not None and best.noise == "between splits"
    half = hsu_constant(2, 4.0, 0.05) * np.sqrt(np.var(d, ddof=1) * (1 / 5 + 0.25))
    assert best.gap.tolist() == pytest.approx([-np.mean(d) + half, np.mean(d) + half])


def test_scores_of_recipes_have_the_error_of_their_splits() -> None:
    outcomes = outcomes_of([1.0, 3.0, 2.0, 0.5, 1.5], (0, 1, 2, 3, 4))
    mean, interval = score_recipes(Experiment.of(outcomes))[0]
    se = np.sqrt(np.var(outcomes.score[0], ddof=1) * (1 / 5 + 0.25))

    assert mean == pytest.approx(outcomes.score[0].mean())
    assert interval == plain_interval(mean, float(se), 4.0)


def test_seconds_do_not_depend_on_splits() -> None:
    outcomes = outcomes_of([1.0, 3.0, 2.0, 0.5, 1.5], (0, 1, 2, 0, 1))
    plain = Outcomes(ONE, PAIR, outcomes.score)
    spent = 10 + np.random.default_rng(2).random((2, 5))

    (one,), (other,) = (compare_costs(Experiment.of(each), spent) for each in (outcomes, plain))
    assert (one.difference, one.difference_interval) == (other.difference, other.difference_interval)
    assert one.ratio == other.ratio


def test_a_missing_run_costs_its_split_and_widens_the_interval() -> None:
    score = 80 + np.random.default_rng(4).normal(size=(16, 10))
    splits = Splits(tuple(range(5)) * 2, 0.25)
    whole = analyse_mains(Experiment.of(Outcomes(FOUR, full(FOUR), score, splits=splits)))
    lacking = score.copy()
    lacking[[1, 4, 9], [0, 6, 9]] = np.nan
    effects = analyse_mains(Experiment.of(Outcomes(FOUR, full(FOUR), lacking, splits=splits)))

    assert all(abs(a.estimate - b.estimate) < 0.6 for a, b in zip(whole, effects, strict=True))
    assert all(a.df > b.df for a, b in zip(whole, effects, strict=True))
    # Who lacks all runs of a split is filled in there, as it is with seeds.
    lacking[3, [2, 7]] = np.nan
    experiment = Experiment.of(Outcomes(FOUR, full(FOUR), lacking, splits=splits))
    assert experiment.completion.ran_columns.sum() == 16 * 5 - 1
    assert np.isfinite([effect.se for effect in analyse_mains(experiment)]).all()


def test_a_split_for_every_seed_is_asked_for() -> None:
    with pytest.raises(ValueError, match="3 seeds have splits, expected 2"):
        Outcomes(ONE, PAIR, np.zeros((2, 2)), splits=Splits((0, 1, 2), 0.2))


def test_the_score_of_choice_is_the_tested_score_of_each_splits_own_best() -> None:
    dev = np.array([[70.0, 72, 60, 71], [71, 70, 65, np.nan]])
    test = np.array([[80.0, 81, 50, 79], [90, 60, 55, 99]])

    # Split 0 (seeds 0 and 3): recipe 0 alone has both seeds. Split 1: recipe 0. Split 2: recipe 1.
    mean, sd = score_of_choice(dev, test, (0, 1, 2, 0))
    assert mean == pytest.approx(np.mean([79.5, 81, 55]))
    assert sd == pytest.approx(np.std([79.5, 81, 55], ddof=1))


def test_equal_dev_scores_count_alike_and_nothing_is_unknown() -> None:
    assert score_of_choice(np.array([[5.0], [5.0]]), np.array([[1.0], [3.0]]), (0,))[0] == 2.0
    assert np.isnan(score_of_choice(np.full((2, 2), np.nan), np.full((2, 2), np.nan), (0, 1))[0])


def test_choosing_by_texts_that_are_tested_elsewhere_looks_better_than_it_is() -> None:
    # All recipes are equal (70 points). Texts have luck with recipes; dev of a split is test of others.
    random = np.random.default_rng(5)
    fair, taken = [], []
    for _ in range(60):
        luck = random.normal(0, 40, (12, 600))  # of recipe with text, points
        dev, test = np.empty((12, 5)), np.empty((12, 5))
        for split in range(5):
            order = random.permutation(600)
            dev[:, split], test[:, split] = (
                luck[:, order[:100]].mean(axis=1),
                luck[:, order[100:300]].mean(axis=1),
            )
        fair.append(score_of_choice(70 + dev, 70 + test, (0, 1, 2, 3, 4))[0])
        taken.append(70 + test.mean(axis=1)[dev.mean(axis=1).argmax()])

    assert np.mean(taken) > 71  # what the chosen recipe's mean on test says
    assert abs(np.mean(fair) - 70) < 0.5
