"""Every recipe against the baseline, by oracles: Dunnett's constant, Sidak's, the paired t-test, draws."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from support.effects_samples import full

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.many_to_one import compare_with, find_level
from finegrid.statistics.nested import Splits
from finegrid.statistics.outcomes import Floats, Outcomes, Values
from finegrid.statistics.variance import between_seeds, measure_imbalance

THREE: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1], "c": [0, 1]}


def draw(seeds: int, lost: int = 0, texts: int = 0, seed: int = 0) -> Outcomes:
    """Eight recipes; the first two have all their runs."""
    random = np.random.default_rng(seed)
    score = 80 + random.standard_normal(seeds) + random.standard_normal((8, seeds))
    score[2:].flat[random.choice(6 * seeds, lost, replace=False)] = np.nan
    influence: Values | None = None
    if texts:
        influence = random.standard_normal((8, seeds, texts)).astype(np.float32)
        influence += random.standard_normal((8, 1, texts)).astype(np.float32)
        influence -= influence.mean(axis=2, keepdims=True)
    return Outcomes(THREE, full(THREE), score, influence)


def constant(level: float, df: float) -> float:
    return float(-special.stdtrit(df, level / 2))


@pytest.mark.parametrize(("others", "df"), list(product((2, 4, 8), (3, 8, 40))))
def test_with_one_variance_for_all_the_constant_is_dunnetts(others: int, df: int) -> None:
    """By the multivariate t: the groups are equally large, so that differences correlate by one half."""
    level = find_level(np.full(others, float(df)), np.zeros(others), np.full(others, 0.5))
    correlation = np.full((others, others), 0.5) + 0.5 * np.eye(others)
    joint = stats.multivariate_t(shape=correlation, df=df, seed=1)
    reach = np.full(others, constant(level, df))

    held = joint.cdf(reach, lower_limit=-reach, maxpts=200_000)
    assert held == pytest.approx(0.95, abs=5e-4)


def test_the_constant_is_that_of_the_tables_of_dunnett() -> None:
    """Dunnett (1964), two-sided, 5 %: degrees of freedom, differences."""
    table = {(10, 2): 2.57, (10, 5): 2.99, (20, 3): 2.54, (20, 9): 2.95, (60, 4): 2.51, (5, 2): 3.03}
    for (df, others), expected in table.items():
        level = find_level(np.full(others, float(df)), np.zeros(others), np.full(others, 0.5))
        assert constant(level, df) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("others", "df"), [(3, 2), (31, 8), (511, 4), (4095, 16)])
def test_with_nothing_in_common_the_level_is_sidaks(others: int, df: int) -> None:
    dfs = np.full(others, float(df))
    exact = 1 - 0.95 ** (1 / others)

    assert find_level(dfs, dfs, np.zeros(others)) == pytest.approx(exact, rel=5e-3)


def test_differences_of_many_kinds_are_held_together_in_95_of_100_draws() -> None:
    random = np.random.default_rng(3)
    df, own, share = random.uniform(4, 30, 20), random.uniform(0, 1, 20), random.uniform(0.1, 0.8, 20)
    level = find_level(df, df * own, share)

    common, quantile = random.standard_normal((40_000, 1)), random.random((40_000, 1))
    z = np.sqrt(share) * common + np.sqrt(1 - share) * random.standard_normal((40_000, 20))
    squares = stats.chi2.ppf(quantile, df * (1 - own)) + random.chisquare(df * own, (40_000, 20))
    inside = (np.abs(z) <= np.sqrt(squares / df) * -special.stdtrit(df, level / 2)).all(axis=1)

    assert 0.948 <= inside.mean() <= 0.965  # more kinds than are told apart: rounded to the cautious side


def test_one_difference_has_its_own_level_and_more_never_go_beyond_bonferroni() -> None:
    assert find_level(np.array([5.0]), np.zeros(1), np.array([0.5])) == 0.05
    for others in (2, 30, 500):
        df = np.full(others, 2.0)
        level = find_level(df, df, np.zeros(others))
        assert 0.05 / others <= level < 0.05


def test_with_many_seeds_it_is_the_paired_t_test() -> None:
    outcomes = draw(20)
    against = compare_with(Experiment.of(outcomes), 3)

    assert against.differences[3] is None and against.method == "between seeds"
    for row in (0, 1, 2, 4, 5, 6, 7):
        one, test = against.differences[row], stats.ttest_rel(outcomes.score[row], outcomes.score[3])
        interval = test.confidence_interval()
        assert one is not None
        assert (one.plain.low, one.plain.high) == pytest.approx((interval.low, interval.high))
        assert one.df == 19 and one.simultaneous.low < one.plain.low < one.plain.high < one.simultaneous.high


@pytest.mark.parametrize(("seeds", "lost", "texts"), [(3, 0, 0), (3, 0, 50), (4, 5, 0), (4, 5, 50)])
def test_noise_is_that_of_effects_with_these_weights(seeds: int, lost: int, texts: int) -> None:
    experiment = Experiment.of(draw(seeds, lost, texts))
    against = compare_with(experiment, 1)
    weights = np.delete(np.eye(8), 1, axis=0) - np.eye(8)[1]
    noise = between_seeds(experiment.filled, weights, measure_imbalance(experiment.completion, weights))
    known = [one for one in against.differences if one is not None]

    assert [one.se for one in known] == pytest.approx(list(np.sqrt(noise.variance)), rel=1e-5)
    assert [one.df for one in known] == pytest.approx(list(noise.df), rel=1e-5)
    expected = weights @ experiment.filled.score.mean(axis=1)
    assert [one.estimate for one in known] == pytest.approx(list(expected))
    assert against.method == "between seeds, moderated"


def test_what_texts_have_in_common_makes_the_constant_smaller() -> None:
    """Texts on which the baseline alone is odd are in every difference; each recipe's own are not."""
    random = np.random.default_rng(0)

    def level(odd: slice) -> float:
        influence = np.zeros((8, 3, 400))
        influence[odd] = 60 * random.standard_normal((*influence[odd].shape[:1], 1, 400))
        influence += random.standard_normal(influence.shape)
        influence -= influence.mean(axis=2, keepdims=True)
        score = 80 + 0.01 * random.standard_normal((8, 3))
        return compare_with(Experiment.of(Outcomes(THREE, full(THREE), score, influence)), 0).level

    assert level(slice(0, 1)) > 0.02 > 0.01 > level(slice(1, 8)) >= 0.05 / 7


def test_with_repeats_it_is_dunnetts_test_of_unequal_groups() -> None:
    random = np.random.default_rng(2)
    repeats = 80 + random.standard_normal((8, 5))
    repeats[3, 2:], repeats[5, 3:] = np.nan, np.nan
    against = compare_with(Experiment.of(Outcomes.of_repeats(THREE, full(THREE), repeats)), 0)
    groups = [row[np.isfinite(row)] for row in repeats]
    oracle = stats.dunnett(*groups[1:], control=groups[0], rng=np.random.default_rng(1))
    interval = oracle.confidence_interval(0.95)
    found = [one for one in against.differences if one is not None]

    assert against.method == "true repeats"
    assert [one.estimate / one.se for one in found] == pytest.approx(list(oracle.statistic))
    assert [one.simultaneous.low for one in found] == pytest.approx(list(interval.low), abs=2e-3)
    assert [one.simultaneous.high for one in found] == pytest.approx(list(interval.high), abs=2e-3)


def test_one_seed_takes_the_stand_in_for_all() -> None:
    five: dict[str, list[Level]] = {name: [0, 1] for name in "abcde"}
    recipes: list[Levels] = full(five)
    score: Floats = 80 + np.random.default_rng(1).standard_normal((32, 1))
    against = compare_with(Experiment.of(Outcomes(five, recipes, score)), 0)
    known = [one for one in against.differences if one is not None]

    assert against.method == "pooled high-order interactions" and {one.df for one in known} == {16}
    # scipy.stats.dunnett would say the same of 31 groups and 16 degrees of freedom
    assert constant(against.level, 16) == pytest.approx(3.4457, abs=1e-3)


def test_what_the_runs_do_not_show_is_not_known() -> None:
    outcomes = draw(3)
    outcomes.score[4] = np.nan  # no run at all
    against = compare_with(Experiment.of(outcomes), 0)
    gone = against.differences[4]

    assert gone is not None and np.isnan(gone.estimate) and not gone.simultaneous.is_known
    assert gone.decision.kind == "open" and against.compared == 6

    without = compare_with(Experiment.of(outcomes), 4)  # nor has the baseline one
    assert without.compared == 0 and without.differences[4] is None and np.isnan(without.level)


def test_recipes_that_share_no_seed_with_the_baseline_are_not_compared_with_it() -> None:
    outcomes = draw(4)
    outcomes.score[:4, 2:], outcomes.score[4:, :2] = np.nan, np.nan
    against = compare_with(Experiment.of(outcomes), 0)

    known = [one is not None and np.isfinite(one.estimate) for one in against.differences]
    assert against.compared == 3 and known == [False, True, True, True, False, False, False, False]


def test_one_run_of_everything_of_a_small_design_shows_no_interval_and_no_error() -> None:
    two: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1]}
    outcomes = Outcomes(two, full(two), np.array([[80.0], [81.0], [82.0], [83.0]]))
    against = compare_with(Experiment.of(outcomes), 0)

    assert [one and one.estimate for one in against.differences] == [None, 1.0, 2.0, 3.0]
    assert against.compared == 0 and not against.better


def test_words_rest_on_the_simultaneous_interval_and_the_margin() -> None:
    random = np.random.default_rng(4)
    score = 80 + random.standard_normal(5) + 0.02 * random.standard_normal((8, 5))
    score[1] += 3
    score[2] -= 2
    score[6] += 5
    against = compare_with(Experiment.of(Outcomes(THREE, full(THREE), score)), 0, margin=0.2)
    kinds = [one and one.decision.kind for one in against.differences]

    assert kinds == [None, "use", "avoid", "same", "same", "same", "use", "same"]
    assert against.better == (6, 1) and against.worse == (2,)


def test_what_splits_of_a_pool_share_is_in_the_error_of_every_difference() -> None:
    given = draw(seeds=6)
    splits = Splits((0, 1, 2, 0, 1, 2), 0.25)
    found = compare_with(Experiment.of(replace(given, splits=splits)), 0).differences[5]
    by_split = (given.score[5] - given.score[0]).reshape(2, 3).mean(axis=0)

    assert found is not None and found.estimate == pytest.approx(by_split.mean())
    assert found.se**2 == pytest.approx(by_split.var(ddof=1) * (1 / 3 + 0.25))
