"""Fractions, aliases and one-at-a-time designs, against brute force."""

from __future__ import annotations

from itertools import combinations, product
from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.study import fraction as fraction_module
from finegrid.study.aliases import Aliases, Twin, find_aliases, list_aliases
from finegrid.study.design import (
    Resolution,
    find_design_problems,
    plan_fraction,
    plan_full,
    plan_one_at_a_time,
)
from finegrid.study.fraction import check_fraction, convert_signs, find_resolution, make_fraction

# Factors of two levels each, as many as a test asks for. The second levels are not all above the first.
POOL: dict[str, list[Level]] = {
    "optimizer.bias_correction": [True, False],
    "optimizer.decay_on": ["all", "matrices"],
    "reinit.pooler": [False, True],
    "reinit.layers": [0, 6],
    "freeze.layers": [0, 6],
    "schedule.warmup_ratio": [0.1, 0.0],
    "optimizer.rate": [5e-5, 2e-5],
    "training.batch_size": [32, 16],
}
CASES: list[tuple[int, Resolution]] = [(k, r) for k in range(3, 9) for r in (3, 4, 5)]
# Box, Hunter & Hunter, Statistics for Experimenters, 2nd edition, table 6.22: rows by resolution and factors.
SMALLEST = {
    3: {3: 4, 4: 8, 5: 8, 6: 8, 7: 8, 8: 16},
    4: {3: 8, 4: 8, 5: 16, 6: 16, 7: 16, 8: 16},
    5: {3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 64},
}


def some(count: int) -> dict[str, list[Level]]:
    return dict(list(POOL.items())[:count])


def signs_of(count: int, resolution: Resolution) -> NDArray[np.int64]:
    """The rows of the design itself as -1 and +1, ``[rows, factors]``."""
    factors = some(count)
    rows = plan_fraction(Recipe(), factors, resolution)
    return np.array([[1 if row.levels[f] == factors[f][1] else -1 for f in factors] for row in rows])


def words_of(signs: NDArray[np.int64]) -> dict[frozenset[int], int]:
    """The defining relation: every set of columns whose product is the same everywhere, and that product."""
    columns = range(signs.shape[1])
    products = {
        frozenset(word): signs[:, list(word)].prod(axis=1)
        for size in range(1, len(columns) + 1)
        for word in combinations(columns, size)
    }
    return {word: int(p[0]) for word, p in products.items() if (p == p[0]).all()}


@pytest.mark.parametrize(("count", "resolution"), CASES)
def test_a_fraction_is_the_smallest_and_has_the_resolution_asked_for(
    count: int, resolution: Resolution
) -> None:
    signs = signs_of(count, resolution)
    words = words_of(signs)

    assert len(signs) == SMALLEST[resolution][count]
    assert len(words) == 2**count / len(signs) - 1
    assert all(len(word) >= resolution for word in words)
    assert find_resolution((signs > 0).astype(np.int8)) == min(map(len, words), default=None)


@pytest.mark.parametrize(("count", "resolution"), CASES)
def test_columns_are_balanced_and_orthogonal_and_the_baseline_is_row_1(
    count: int, resolution: Resolution
) -> None:
    signs = signs_of(count, resolution)

    assert (signs[0] == -1).all()
    assert len(np.unique(signs, axis=0)) == len(signs)
    assert (signs.T @ signs == len(signs) * np.eye(count)).all()
    assert (signs.sum(axis=0) == 0).all()


@pytest.mark.parametrize(("count", "resolution"), CASES)
def test_the_rows_stand_in_the_order_of_the_full_table(count: int, resolution: Resolution) -> None:
    factors = some(count)
    rows = plan_fraction(Recipe(), factors, resolution)
    whole = [row.levels for row in plan_full(Recipe(), factors)]
    places = [whole.index(row.levels) for row in rows]

    assert places == sorted(places)
    assert [row.index for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.recipe == Recipe().at(row.levels) for row in rows)


def expected_aliases(count: int, resolution: Resolution, order: int) -> Aliases:
    """By the defining relation: an effect times a word is another effect (symmetric difference)."""
    names = list(some(count))
    words = {frozenset[int](): 1, **words_of(signs_of(count, resolution))}
    found: Aliases = {}
    for size in (1, 2):
        for effect in combinations(range(count), size):
            others = [
                (tuple(sorted(word ^ set(effect))), sign)
                for word, sign in words.items()
                if word and len(word ^ set(effect)) <= order
            ]
            if others:
                found[tuple(names[i] for i in effect)] = tuple(
                    Twin(tuple(names[i] for i in other), sign)
                    for other, sign in sorted(others, key=lambda pair: (len(pair[0]), pair[0]))
                )
    return found


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(("count", "resolution"), CASES)
def test_aliases_are_those_of_the_defining_relation(count: int, resolution: Resolution, order: int) -> None:
    factors = some(count)
    found = find_aliases(factors, plan_fraction(Recipe(), factors, resolution), order)

    assert found == expected_aliases(count, resolution, order)


def test_what_is_measured_is_the_effect_plus_or_minus_its_twins() -> None:
    """Scores made of known effects: the contrast of each gives the sum that the table says."""
    factors = some(6)
    rows = plan_fraction(Recipe(), factors, 3)
    effects = [e for size in (1, 2) for e in combinations(factors, size)]
    truth = dict(zip(effects, np.random.default_rng(0).normal(size=len(effects)), strict=True))

    def column(effect: tuple[str, ...]) -> NDArray[np.int64]:
        return np.array([prod(1 if row.levels[f] == factors[f][1] else -1 for f in effect) for row in rows])

    scores = sum(value / 2 * column(effect) for effect, value in truth.items())
    table = find_aliases(factors, rows)
    assert any(twin.sign < 0 for twins in table.values() for twin in twins)
    for effect in effects:
        measured = 2 * (column(effect) * scores).mean()
        twins = sum(twin.sign * truth[twin.effect] for twin in table.get(effect, ()))
        assert measured == pytest.approx(truth[effect] + twins)


def test_a_full_factorial_has_no_aliases_whatever_its_levels() -> None:
    factors: dict[str, list[Level]] = {
        **some(4),
        "training.epochs": [1, 2, 4],
        "model.pooling": ["cls", "last-mean", "pooler"],
    }

    assert find_aliases(factors, plan_full(Recipe(), factors), order=3) == {}


def test_rows_that_are_missing_make_aliases() -> None:
    """The table is read off the rows: of half a full factorial it tells what that half confounds."""
    factors = some(3)
    half = [row for row in plan_full(Recipe(), factors) if row.levels["reinit.pooler"] is False]

    assert find_aliases(factors, half)["reinit.pooler",] == (Twin((), -1),)


def test_aliases_in_words_name_every_group_once() -> None:
    factors = some(3)
    lines = list_aliases(find_aliases(factors, plan_fraction(Recipe(), factors, 3)))
    a, b, c = factors

    assert lines == [
        f"{a} is measured together with {b} x {c} (reversed)",
        f"{b} is measured together with {a} x {c} (reversed)",
        f"{c} is measured together with {a} x {b} (reversed)",
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_where_no_fraction_is_smaller_every_combination_is_taken(count: int) -> None:
    factors = some(count)

    assert plan_fraction(Recipe(), factors, 3) == plan_full(Recipe(), factors)


def test_of_fractions_of_one_size_the_best_is_taken() -> None:
    """Five factors in 16 rows can have resolution V, and seven in 64 even VII."""
    assert find_resolution(make_fraction(5, 4)) == 5
    assert find_resolution(make_fraction(7, 5)) == 7


@pytest.mark.parametrize(
    "wrong",
    ["a b c ab", "a b ab", "a b c d abc ad"],
    ids=["resolution III", "too few", "a short word among long ones"],
)
def test_a_fraction_that_pydoe_got_wrong_is_not_taken(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pydoe

    monkeypatch.setattr(pydoe, "fracfact_by_res", lambda n, resolution: pydoe.fracfact(wrong))
    with pytest.raises(RuntimeError, match="pydoe"):
        fraction_module.make_fraction.__wrapped__(len(wrong.split()) + (wrong == "a b ab"), 4)


@pytest.mark.parametrize(
    "bits",
    [
        [[0, 0], [0, 1], [1, 0], [1, 0]],  # a row twice
        [[0, 0], [0, 1], [0, 0], [1, 1]],  # not balanced
        [[1, 0], [0, 1], [1, 1], [0, 1]],  # without the baseline
        [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]],  # resolution III
    ],
)
def test_fractions_are_checked_for_all_that_they_promise(bits: list[list[int]]) -> None:
    with pytest.raises(RuntimeError):
        check_fraction(np.array(bits, dtype=np.int8), len(bits[0]), 4)


def test_signs_are_turned_so_that_the_baseline_is_in_the_fraction() -> None:
    signs = np.array([[-1.0, -1, 1], [-1, 1, -1], [1, -1, -1], [1, 1, 1]])

    assert convert_signs(signs).tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_one_at_a_time_moves_one_factor_in_every_row_but_the_first() -> None:
    factors: dict[str, list[Level]] = {
        "optimizer.rate": [5e-5, 2e-5, 1e-4],
        "model.pooling": ["cls", "pooler"],
        "reinit.layers": [2, 0],
    }
    rows = plan_one_at_a_time(Recipe(), factors)

    assert [list(row.levels.values()) for row in rows] == [
        [5e-5, "cls", 2],
        [2e-5, "cls", 2],
        [1e-4, "cls", 2],
        [5e-5, "pooler", 2],
        [5e-5, "cls", 0],
    ]
    assert [row.index for row in rows] == [1, 2, 3, 4, 5]
    assert all(row.recipe == Recipe().at(row.levels) for row in rows)


def test_a_fraction_of_more_than_two_levels_is_refused_naming_the_factors() -> None:
    factors: dict[str, list[Level]] = {
        **some(3),
        "training.epochs": [1, 2, 4],
        "model.pooling": ["cls", "pooler", "last-mean"],
    }
    problems = find_design_problems("fractional", 4, factors)

    assert [problem.where for problem in problems] == ['factors."training.epochs"', 'factors."model.pooling"']
    assert all("3 levels, but a fraction takes two" in problem.what for problem in problems)


def test_the_limit_of_rows_is_that_of_the_design() -> None:
    thirteen = {f"f{index}": [0, 1] for index in range(13)}
    (problem,) = find_design_problems("full", 4, thirteen)

    assert "8,192 combinations" in problem.what and "fractional" in problem.what
    assert find_design_problems("fractional", 5, thirteen) == []
    assert find_design_problems("one-at-a-time", 4, thirteen) == []
    huge = {f"f{index}": list(range(100)) for index in range(50)}
    assert "at most" in find_design_problems("one-at-a-time", 4, huge)[0].what


def test_every_pair_of_a_resolution_iv_fraction_sees_all_its_combinations() -> None:
    signs = signs_of(6, 4)
    for i, j in combinations(range(6), 2):
        seen = {tuple(row) for row in signs[:, [i, j]].tolist()}
        assert seen == set(product((-1, 1), repeat=2))
