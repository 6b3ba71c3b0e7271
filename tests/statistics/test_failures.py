"""Runs that failed to learn: told by a gap in the scores, counted by level and cell, tested exactly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from finegrid.recipe.identity import Levels
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.failures import (
    CellFailures,
    Failures,
    compare_levels,
    find_cell_failures,
    find_cut,
    find_risky,
    single_out,
)
from finegrid.statistics.outcomes import Floats

NAMES = "abcde"
FACTORS = dict.fromkeys(NAMES, (0, 1))
RECIPES: list[Levels] = [dict(zip(NAMES, levels, strict=True)) for levels in product((0, 1), repeat=5)]
MAJORITY = 10.0


def mark(test: Callable[[Levels], bool], seeds: int = 3) -> NDArray[np.bool_]:
    """``[32, seeds]``: all runs of some recipes."""
    return np.repeat(np.array([[test(recipe)] for recipe in RECIPES]), seeds, axis=1)


def scores(seeds: int = 3, mean: float = 80.0) -> Floats:
    return mean + np.random.default_rng(0).normal(size=(32, seeds))


def failures_of(diverged: NDArray[np.bool_]) -> Failures:
    return Failures(np.ones_like(diverged), diverged, np.zeros_like(diverged))


def mains(recipes: list[Levels] = RECIPES) -> Contrasts:
    return Contrasts(FACTORS, recipes, np.ones(len(recipes), dtype=bool))


def in_cell(recipe: Levels) -> bool:
    return recipe["a"] == 1 and recipe["b"] == 1


def test_a_gap_near_the_majority_class_tells_runs_that_did_not_learn_with_any_number_of_seeds() -> None:
    for seeds in (1, 3):
        score = scores(seeds)
        score[[24, 27], 0] = 17.0, 25.0
        cut = find_cut(score, MAJORITY)

        assert cut is not None and (cut.low, cut.high) == (17.0, 25.0)
        assert cut.points == pytest.approx((25 + score[score > 50].min()) / 2)
        assert [tuple(place) for place in np.argwhere(cut.below(score))] == [(24, 0), (27, 0)]


@pytest.mark.parametrize("worse", [10.0, 30.0, 45.0])
def test_a_family_that_is_truly_worse_learned(worse: float) -> None:
    score = scores() - worse * mark(lambda recipe: recipe["a"] == 1)

    assert find_cut(score, MAJORITY) is None


def test_half_way_is_a_failure_only_if_the_same_recipes_learn_with_other_seeds() -> None:
    every, some = scores(), scores()
    every[24:] = 40.0
    some[24:, 0] = 40.0

    assert find_cut(every, MAJORITY) is None
    cut = find_cut(some, MAJORITY)
    assert cut is not None and cut.below(some).sum() == 8


def test_a_single_run_half_way_may_be_a_long_tail() -> None:
    score = scores()
    score[3, 1] = 40.0

    assert find_cut(score, MAJORITY) is None


def test_a_gap_as_wide_as_what_texts_do_to_a_score_tells_nothing() -> None:
    score = scores(mean=50.0)
    score[0, 0] = 12.0

    assert find_cut(score, MAJORITY, noise=1.0) is not None
    assert find_cut(score, MAJORITY, noise=9.0) is None


def test_where_nothing_learns_or_all_scores_are_one_nothing_is_said() -> None:
    assert find_cut(scores(mean=MAJORITY), MAJORITY) is None
    assert find_cut(np.full((4, 3), 80.0), MAJORITY) is None
    assert find_cut(np.full((4, 3), np.nan), MAJORITY) is None
    assert find_cut(np.array([[80.0], [12.0]]), MAJORITY) is None  # two runs: which is the rule?


def test_a_run_without_a_score_is_not_one_that_did_not_learn() -> None:
    score = scores()
    score[24, 0], score[5, 2] = 15.0, np.nan
    cut = find_cut(score, MAJORITY)

    assert cut is not None and cut.below(score).sum() == 1


def test_a_level_is_tested_by_fishers_exact_test_against_the_first_level() -> None:
    six = mark(in_cell) & (np.arange(96).reshape(32, 3) % 4 == 0)
    assert six.sum() == 6
    shares = {one.comparison.factor: one for one in compare_levels(mains().mains, RECIPES, failures_of(six))}
    counts = shares["a"].counts
    # By hand: 6 failures fall on 48 of 96 runs, all on one side; twice, for both sides.
    by_hand = 2 * comb(48, 6) / comb(96, 6)

    assert (counts.failed, counts.runs, counts.baseline_failed, counts.baseline_runs) == (6, 48, 0, 48)
    assert shares["a"].p == pytest.approx(by_hand)
    assert shares["a"].adjusted == pytest.approx(5 * by_hand)  # Holm's first step over five levels
    assert counts.given == ("b", 1)
    assert not any(share.is_worse(0.05) for share in shares.values())


def test_a_level_whose_runs_all_diverge_is_worse_and_others_are_not() -> None:
    shares = compare_levels(mains().mains, RECIPES, failures_of(mark(lambda recipe: recipe["c"] == 1)))

    assert [share.comparison.factor for share in shares if share.is_worse(0.05)] == ["c"]
    assert shares[2].counts.given is None


def test_a_level_that_fails_less_than_the_first_one_is_not_worse() -> None:
    shares = compare_levels(mains().mains, RECIPES, failures_of(mark(lambda recipe: recipe["c"] == 0)))

    assert shares[2].adjusted < 1e-9 and not shares[2].is_worse(0.05)


def test_one_at_a_time_a_level_is_compared_with_the_baseline_recipe() -> None:
    base: Levels = dict.fromkeys(NAMES, 0)
    recipes: list[Levels] = [base, *({**base, name: 1} for name in NAMES)]
    diverged = np.zeros((6, 5), dtype=bool)
    diverged[[1, 2]] = True
    shares = compare_levels(mains(recipes).mains, recipes, failures_of(diverged))

    assert [(s.counts.failed, s.counts.runs, s.counts.baseline_failed) for s in shares[:3]] == [
        (5, 5, 0),
        (5, 5, 0),
        (0, 5, 0),
    ]
    assert {share.counts.baseline_runs for share in shares} == {5}


def test_failures_single_out_their_cell_and_no_level_of_it() -> None:
    diverged = mark(in_cell)
    diverged[:, 2] = False
    (group,) = single_out(RECIPES, diverged, np.ones_like(diverged))

    assert group.levels == (("a", 1), ("b", 1))
    assert (group.failed, group.runs, group.others_failed, group.others) == (16, 24, 0, 72)
    assert group.looked_at == 10 + 40


def test_two_places_of_failure_are_both_found() -> None:
    diverged = mark(in_cell) | mark(lambda recipe: recipe["c"] == 1 and recipe["d"] == 1)
    groups = single_out(RECIPES, diverged, np.ones_like(diverged))

    assert {group.levels for group in groups} == {(("a", 1), ("b", 1)), (("c", 1), ("d", 1))}


def test_a_level_that_always_fails_is_named_without_a_second_one() -> None:
    diverged = mark(lambda recipe: recipe["c"] == 1)
    (group,) = single_out(RECIPES, diverged, np.ones_like(diverged))

    assert group.levels == (("c", 1),)


def test_in_a_large_study_a_cell_is_told_from_its_levels_though_all_p_are_nothing() -> None:
    diverged = mark(in_cell, 400)
    diverged[:, ::3] = False
    (group,) = single_out(RECIPES, diverged, np.ones_like(diverged))

    assert group.levels == (("a", 1), ("b", 1)) and group.p == 0.0


def test_recipes_of_a_failing_cell_are_risky_and_no_others() -> None:
    diverged = mark(in_cell)
    diverged[:, 1:] = False
    risky = find_risky(find_cell_failures(RECIPES, failures_of(diverged)))

    assert risky.tolist() == [in_cell(recipe) for recipe in RECIPES]


def test_a_sibling_that_never_failed_shares_the_risk_of_its_cell() -> None:
    diverged = mark(in_cell, 6)
    diverged[31] = False
    cells = find_cell_failures(RECIPES, failures_of(diverged))

    assert cells[31].failed == 0 and not cells[31].is_surely_rare


def test_three_runs_without_a_failure_are_no_risk_where_nothing_failed_nearby() -> None:
    assert not find_risky(find_cell_failures(RECIPES, failures_of(mark(lambda _: False)))).any()


def test_a_failure_rate_is_surely_small_after_enough_runs() -> None:
    # Beta(1.5, 19.5) and Beta(1.5, 79.5): P(rate < 5 %) from the incomplete beta function by quadrature.
    for runs, sure in ((20, False), (80, True)):
        rate = np.linspace(0, 1, 200_001)[1:-1]
        density = rate**0.5 * (1 - rate) ** (runs - 1.5)
        cell = CellFailures(1, runs, None)

        assert cell.chance_rare == pytest.approx(density[rate < 0.05].sum() / density.sum(), abs=1e-3)
        assert cell.is_surely_rare == sure


def test_clean_studies_with_strong_effects_and_long_tails_are_left_alone() -> None:
    random = np.random.default_rng(1)
    said = 0
    for _ in range(300):
        effects = np.array([list(recipe.values()) for recipe in RECIPES]) @ random.normal(0, 5, 5)
        score = 80 + effects[:, None] + random.standard_t(3, (32, 3))
        said += find_cut(np.clip(score, 0, 100), MAJORITY, 1.2) is not None

    assert said <= 3  # 1 %
