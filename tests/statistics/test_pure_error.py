"""True repeats and high-order interactions: which of them a table's noise is taken from."""

from __future__ import annotations

import numpy as np
import pytest
from support.effects_samples import full

from finegrid.recipe.identity import Level
from finegrid.statistics.effects import analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats, Outcomes


def factors_of(count: int) -> dict[str, list[Level]]:
    return {name: [0, 1] for name in "abcdefg"[:count]}


def repeated(factors: int, rows: int, times: int = 2, seed: int = 0) -> Floats:
    """``[recipes, times]``: the first few rows repeated."""
    random = np.random.default_rng(seed)
    found = 80 + random.normal(0, 1, (2**factors, times))
    found[rows:, 1:] = np.nan
    return found


def judge(factors: int, repeats: Floats, measured: bool = True) -> Experiment:
    levels = factors_of(factors)
    return Experiment.of(Outcomes.of_repeats(levels, full(levels), repeats, measured))


def test_both_are_pooled_by_degrees_of_freedom() -> None:
    """Of 32 recipes two were repeated: 2 and 16 degrees of freedom."""
    repeats = repeated(5, 2)
    experiment = judge(5, repeats)
    effect = analyse(experiment).effects[0]

    signs = np.array([[1 if r[name] else -1 for name in "abcde"] for r in full(factors_of(5))])
    means, count = np.nanmean(repeats, axis=1), np.isfinite(repeats).sum(axis=1)
    products = [
        signs[:, [n for n in range(5) if bits >> n & 1]].prod(axis=1)
        for bits in range(32)
        if bits.bit_count() > 2
    ]
    # Each contrast of +-1/sqrt(32) has the variance of a run times the mean of 1 / count.
    high = sum((product @ means / np.sqrt(32)) ** 2 for product in products) / (1 / count).mean()
    pure = np.nansum((repeats[:2] - means[:2, None]) ** 2)
    variance = (pure + high) / 18

    assert len(products) == 16 and effect.df == 18
    assert analyse(experiment).run_sd == pytest.approx(np.sqrt(variance))
    assert effect.se == pytest.approx(np.sqrt(variance * (1 / count).sum()) / 16)


def test_repeats_stand_alone_once_they_have_as_many_degrees_of_freedom() -> None:
    for rows, method, df in (
        (15, "true repeats and high-order interactions", 31),
        (16, "true repeats", 16),
        (32, "true repeats", 32),
    ):
        found = analyse(judge(5, repeated(5, rows)))
        assert found.method == method and found.effects[0].df == pytest.approx(df)


def test_of_eight_recipes_lenths_method_is_better_than_one_repeat() -> None:
    one, three = analyse(judge(3, repeated(3, 1))), analyse(judge(3, repeated(3, 3)))

    assert one.method == "Lenth's method" and one.effects[0].df == pytest.approx(7 / 3)
    assert (three.method, three.effects[0].df) == ("true repeats", 3)


@pytest.mark.slow
def test_pooled_noise_covers_what_it_should() -> None:
    """Four factors, one repeat, no effects: 95 % intervals of 600 studies."""
    inside = [
        effect.plain.low <= 0 <= effect.plain.high
        for seed in range(600)
        for effect in analyse(judge(4, repeated(4, 1, seed=seed))).effects
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("factors", "rows"), [(2, 4), (3, 0), (3, 1), (5, 0), (5, 1)])
def test_equal_scores_of_a_table_say_nothing_of_its_noise(factors: int, rows: int) -> None:
    repeats = np.where(np.isfinite(repeated(factors, rows)), 80.0, np.nan)
    told, measured = analyse(judge(factors, repeats, False)), analyse(judge(factors, repeats))

    assert told.method == "none" and not np.isfinite(told.run_sd)
    assert all(np.isinf(effect.se) for effect in told.effects)
    assert all(effect.se < 1e-6 for effect in measured.effects)
