"""Repeats with predictions: noise of runs and of texts, each counted once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from finegrid.recipe.identity import Level
from finegrid.statistics.best import best_set
from finegrid.statistics.decide import Ahead, find_needs
from finegrid.statistics.effects import Effect, analyse, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.repeats import TEXTS_ALONE, count_runs, of_runs
from finegrid.statistics.variance import Components

Right = NDArray[np.float64]  # [systems, runs, texts]: 1 right, 0 wrong, nan: no such run
TEXTS = 200


def draw(*runs: int, seed: int = 0, gain: float = 0.3) -> Right:
    """As many runs of each system; each system a little better than the one before it."""
    random = np.random.default_rng(seed)
    shape = (len(runs), max(runs), TEXTS)
    ease = random.standard_normal(TEXTS) + 0.4 * random.standard_normal((len(runs), max(runs)))[:, :, None]
    skill = gain * np.arange(len(runs))[:, None, None]
    right = (0.5 + skill + ease + 0.7 * random.standard_normal(shape) > 0).astype(float)
    for system, count in enumerate(runs):
        right[system, count:] = np.nan
    return right


def experiment_of(right: Right) -> Experiment:
    names: list[Level] = [f"s{number}" for number in range(len(right))]
    score = 100 * right.mean(axis=2)
    influence = np.nan_to_num(100 * right - score[:, :, None])
    return Experiment.of(of_runs({"system": names}, [{"system": name} for name in names], score, influence))


def effect_of(right: Right) -> Effect:
    (effect,) = analyse(experiment_of(right)).effects
    return effect


def test_one_run_of_each_has_the_paired_interval_of_textbooks() -> None:
    """McNemar's setting: the differences of single texts are -1, 0, 1."""
    right = draw(1, 1)
    differences = 100 * (right[1, 0] - right[0, 0])
    low, high = stats.t.interval(0.95, TEXTS - 1, differences.mean(), stats.sem(differences))

    effect = effect_of(right)

    assert effect.estimate == pytest.approx(differences.mean(), abs=1e-12)
    assert (effect.plain.low, effect.plain.high) == pytest.approx((low, high), abs=1e-9)
    assert analyse(experiment_of(right)).method == TEXTS_ALONE


def test_a_single_score_has_the_interval_of_a_share() -> None:
    right = draw(1, 1)
    one = 100 * right[0, 0]

    mean, around = score_recipes(experiment_of(right))[0]

    assert mean == pytest.approx(one.mean())
    expected = stats.t.interval(0.95, TEXTS - 1, one.mean(), stats.sem(one))
    assert (around.low, around.high) == pytest.approx(expected)


def test_runs_and_texts_add_up_and_what_is_in_both_is_counted_once() -> None:
    """By the analysis of variance of each system: runs within it, texts across all, their product."""
    right = 100 * draw(3, 3)
    score, by_text = right.mean(axis=2), right.mean(axis=1)
    run = score.var(axis=1, ddof=1).sum() / 3
    text = (by_text[1] - by_text[0]).var(ddof=1) / TEXTS
    off = right - score[:, :, None] - by_text[:, None] + right.mean(axis=(1, 2))[:, None, None]
    both = np.square(off).sum() / (2 * (TEXTS - 1)) / (3 * TEXTS)

    effect = effect_of(right / 100)

    assert run > both and text > both
    assert effect.se**2 == pytest.approx(run + text - both)
    expected = (run + text - both) ** 2 / (run**2 / 4 + (text**2 + both**2 / 2) / (TEXTS - 1))
    assert effect.df == pytest.approx(expected)


def test_a_run_that_never_varies_leaves_the_texts() -> None:
    right = draw(3, 3)
    right[:] = right[:, :1]

    assert effect_of(right).se == pytest.approx(effect_of(right[:, :1]).se)


def test_a_system_with_one_run_borrows_how_far_the_runs_of_others_differ() -> None:
    right = draw(1, 4)
    variance = (100 * right[1].mean(axis=1)).var(ddof=1)

    analysis = analyse(experiment_of(right))

    assert analysis.run_sd == pytest.approx(np.sqrt(variance))
    assert analysis.effects[0].se ** 2 > variance * (1 + 1 / 4)
    assert analysis.effects[0].df < 5


def test_unequal_numbers_of_runs_go_by_their_harmonic_mean() -> None:
    assert count_runs(100 * draw(2, 4).mean(axis=2)) == 3  # 2.67
    assert count_runs(100 * draw(1, 1).mean(axis=2)) == 1
    assert analyse(experiment_of(draw(3, 3))).seeds == 3


def test_texts_alone_never_ask_for_more_runs() -> None:
    """Not even where an interval with more degrees of freedom would be narrow enough."""
    alone = Components(np.array(0.0), np.array(8.0), np.array(0.0))

    needs = find_needs(Ahead(2.1, alone, seeds=1, texts=8, df_seed=7.0, alpha=0.05))

    assert needs.seeds is None and needs.texts
    never = find_needs(Ahead(1e-9, alone, seeds=1, texts=8, df_seed=7.0, alpha=0.05, margin=1e-9))
    assert never.reason == "too-small" and never.seeds is None


def test_repeats_tell_of_runs_what_would_settle_it() -> None:
    needs = [effect_of(draw(3, 3, seed=seed, gain=0.1)).needs for seed in range(30)]

    assert any(need is not None and need.seeds for need in needs)


def test_the_best_set_of_two_agrees_with_their_difference() -> None:
    """Its bound for the worse is one-sided at 5 %: the end of a 90 % interval."""
    for right in (draw(1, 1), draw(3, 3)):
        effect, chosen = effect_of(right), best_set(experiment_of(right))
        end = -effect.estimate + stats.t.ppf(0.95, effect.df) * effect.se

        assert chosen is not None and chosen.gap[0] == pytest.approx(end, abs=0.02)


def test_another_score_of_the_same_runs_has_its_own_noise() -> None:
    right = draw(3, 3)
    experiment, other = experiment_of(right), experiment_of(draw(3, 3, seed=5)).outcomes

    again = experiment.with_scores(other.score, other.influence, other.repeats, other.run_text)

    assert analyse(again).effects[0].se == effect_of(draw(3, 3, seed=5)).se
