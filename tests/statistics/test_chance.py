"""Intervals, decisions, power and the best set, against statsmodels, scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from support.effects_samples import full, scored

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.best import best_set, hsu_constant
from finegrid.statistics.decide import (
    Ahead,
    Decision,
    Interval,
    Needs,
    adjusted_intervals,
    decide,
    find_needs,
    holm,
    p_values,
    plain_interval,
)
from finegrid.statistics.effects import analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes
from finegrid.statistics.power import detectable, scale_run
from finegrid.statistics.variance import (
    Components,
    Imbalance,
    between_seeds,
    find_stand_in,
    lenth,
    measure_imbalance,
    moderate,
    one_seed,
)

TWO: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1], "c": [0, 1]}


def mean(recipe: Levels) -> float:
    return 80 + 0.5 * (recipe["a"] == 1) - 1.0 * (recipe["b"] == 1)


def frame(outcomes: Outcomes) -> pandas.DataFrame:
    rows = [
        {**recipe, "seed": seed, "score": outcomes.score[row, seed]}
        for row, recipe in enumerate(outcomes.recipes)
        for seed in range(outcomes.score.shape[1])
    ]
    return pandas.DataFrame(rows).dropna()


SUM_CODED = "score ~ C(a, Sum) * C(b, Sum) * C(c, Sum) + C(seed)"


@pytest.mark.parametrize("lost", [0, 6])
def test_effects_are_those_of_a_blocked_anova_in_statsmodels(lost: int) -> None:
    score = scored(full(TWO), mean, seeds=7, noise=0.6)
    score.flat[np.random.default_rng(5).permutation(score.size)[:lost]] = np.nan
    outcomes = Outcomes(TWO, full(TWO), score)
    fitted = ols(SUM_CODED, frame(outcomes)).fit()
    analysis = analyse(Experiment.of(outcomes))

    # Sum coding has the first level at +1: an effect is -2 coefficients, an interaction 4.
    for effect in analysis.effects:
        coefficient = fitted.params[f"C({effect.contrast.name}, Sum)[S.0]"]
        assert effect.estimate == pytest.approx(-2 * coefficient)
    for one in analysis.interactions:
        a, b = (c.factor for c in one.effect.contrast.comparisons)
        assert one.effect.estimate == pytest.approx(4 * fitted.params[f"C({a}, Sum)[S.0]:C({b}, Sum)[S.0]"])


def test_with_many_seeds_an_interval_is_that_of_the_paired_t_test() -> None:
    recipes = full(TWO)
    score = scored(recipes, mean, seeds=17, noise=0.6)
    for effect in analyse(Experiment.of(Outcomes(TWO, recipes, score))).effects:
        up = np.array([r[effect.contrast.name] == 1 for r in recipes])
        expected = stats.ttest_rel(score[up].mean(axis=0), score[~up].mean(axis=0)).confidence_interval()
        assert (effect.plain.low, effect.plain.high) == pytest.approx(tuple(expected))


def test_crossed_variance_is_that_of_the_two_way_table() -> None:
    random = np.random.default_rng(1)
    seeds, texts = 7, 50
    d = random.normal(0, 2, (seeds, 1)) + random.normal(0, 3, texts) + random.normal(0, 1, (seeds, texts))
    values = np.stack([np.zeros((seeds, texts)), d - d.mean(axis=1, keepdims=True)])
    score = np.stack([np.zeros(seeds), d.mean(axis=1)])
    outcomes = Outcomes({"a": [0, 1]}, [{"a": 0}, {"a": 1}], score, values)
    (effect,) = analyse(Experiment.of(outcomes)).effects

    ms_seed = texts * d.mean(axis=1).var(ddof=1)
    ms_text = seeds * d.mean(axis=0).var(ddof=1)
    off = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    ms_both = (off**2).sum() / ((seeds - 1) * (texts - 1))
    variance = (ms_seed + ms_text - ms_both) / (seeds * texts)
    assert effect.se**2 == pytest.approx(variance)
    parts = (ms_seed, seeds - 1), (ms_text, texts - 1), (ms_both, (seeds - 1) * (texts - 1))
    expected = variance**2 / sum((ms / (seeds * texts)) ** 2 / df for ms, df in parts)
    assert effect.df == pytest.approx(expected)
    assert float(effect.components.seed_text) == pytest.approx(ms_both)
    assert float(effect.components.variance(seeds, texts)) == pytest.approx(variance)


def test_variance_is_never_below_its_larger_part() -> None:
    random = np.random.default_rng(2)
    # Opposite noise of single texts: seeds agree in the mean although their texts do not.
    d = random.normal(0, 5, (3, 100))
    d -= d.mean(axis=1, keepdims=True)
    score = np.array([[0.0, 0.0, 0.0], [1.0, 1.001, 0.999]])
    (effect,) = analyse(
        Experiment.of(Outcomes({"a": [0, 1]}, [{"a": 0}, {"a": 1}], score, np.stack([np.zeros_like(d), d])))
    ).effects

    assert effect.se**2 == pytest.approx(d.mean(axis=0).var(ddof=1) / 100)


def test_moderation_draws_upwards_only_and_less_the_more_variances_differ() -> None:
    df = np.full(6, 4.0)
    alike, more = moderate(np.array([0.9, 1.0, 1.1, 1.2, 0.8, 1.0]), df)
    apart, fewer = moderate(np.array([0.001, 0.1, 1.0, 10.0, 100.0, 0.01]), df)

    assert alike == pytest.approx([0.975, 1.0, 1.1, 1.2, 0.95, 1.0])
    assert (more == 16).all()
    assert (apart >= [0.001, 0.1, 1.0, 10.0, 100.0, 0.01]).all() and (fewer < 6).all()


def test_moderation_fades_out_and_one_more_seed_never_takes_degrees_of_freedom() -> None:
    alike = np.array([0.9, 1.0, 1.1, 1.2, 0.8, 1.0])
    dfs = [moderate(alike, np.full(6, seeds - 1.0))[1][0] for seeds in range(2, 20)]
    assert dfs == [4, 8, 12, *[16] * 13, 17, 18]

    recipes = full(TWO)
    for seeds, method in [(16, "between seeds, moderated"), (17, "between seeds")]:
        analysis = analyse(Experiment.of(Outcomes(TWO, recipes, scored(recipes, mean, seeds, noise=1.0))))
        assert analysis.method == method


def test_one_seed_names_where_its_noise_comes_from() -> None:
    methods = {}
    for name, factors in {
        "sixteen": {f: [0, 1] for f in "abcd"},
        "eight": {f: [0, 1] for f in "abc"},
        "four": {f: [0, 1] for f in "ab"},
    }.items():
        recipes = full(factors)
        analysis = analyse(
            Experiment.of(
                Outcomes(factors, recipes, scored(recipes, lambda r: 9.0 * (r["a"] == 1), 1, noise=1.0))
            )
        )
        methods[name] = analysis.method, analysis.effects[0].decision
    assert methods == {
        "sixteen": ("pooled high-order interactions", Decision("use")),
        "eight": ("Lenth's method", Decision("use")),
        "four": ("none", Decision("open", needs=Needs(2, None, "unknown-noise"))),
    }


def test_lenths_method_by_hand() -> None:
    # s0 = 1.5 x 4 = 6; 100 is beyond 2.5 s0 = 15; PSE = 1.5 x the median of the other six.
    squared, df = lenth(np.array([1, -2, 3, -4, 5, -6, 100.0]))
    assert [squared, df] == pytest.approx([(1.5 * 3.5) ** 2, 7 / 3])


def test_copies_of_recipes_as_repeats_change_noise_only() -> None:
    recipes = full(TWO)
    single = scored(recipes, mean, seeds=1, noise=0.2)
    pairs = single + np.array([0.1, -0.1])
    analysis = analyse(Experiment.of(Outcomes.of_repeats(TWO, recipes, pairs)))

    assert analysis.run_sd == pytest.approx(0.1 * np.sqrt(2))
    assert analysis.effects[0].se == pytest.approx(analysis.run_sd * np.sqrt(4 / 16))
    assert analysis.effects[0].df == 8


def test_holm_is_that_of_statsmodels_and_intervals_agree_with_it() -> None:
    random = np.random.default_rng(0)
    for _ in range(12):  # multipletests takes its time
        effects = int(random.integers(1, 9))
        estimate, df = random.normal(0, 3, effects), random.uniform(2, 40, effects)
        se = random.uniform(0.5, 1.5, effects)
        p = p_values(estimate, se, df)
        rejected, adjusted, _, _ = multipletests(p, method="holm")
        assert holm(p) == pytest.approx(adjusted)
        for number, one in enumerate(adjusted_intervals(estimate, se, df, 0.05)):
            assert (one.low > 0 or one.high < 0) == rejected[number]
            plain = plain_interval(estimate[number], se[number], df[number])
            assert one.low <= plain.low and one.high >= plain.high


@pytest.mark.parametrize(
    ("interval", "decision"),
    [
        ((-0.2, 0.2), Decision("same")),
        ((0.05, 0.15), Decision("same", measurable=True)),
        ((0.05, 0.25), Decision("use")),
        ((-0.9, -0.01), Decision("avoid")),
        ((-0.1, 0.21), Decision("open")),
        ((-np.inf, np.inf), Decision("open")),
    ],
)
def test_decisions_come_in_the_order_of_the_design(interval: tuple[float, float], decision: Decision) -> None:
    assert decide(Interval(*interval)) == decision


def test_speed_matters_only_where_points_do_not() -> None:
    assert decide(Interval(-0.1, 0.1), surely_faster=True) == Decision("same", for_speed=True)
    assert decide(Interval(-0.9, -0.3), surely_faster=True) == Decision("avoid")


def one(seed: float, text: float = 0.0, seed_text: float = 0.0) -> Components:
    return Components(np.array(seed), np.array(text), np.array(seed_text))


def test_needs_names_the_first_number_of_seeds_that_settles_it() -> None:
    found = find_needs(Ahead(0.5, one(1.0), 8, 0, 7.0, alpha=0.05))
    assert (found.texts, found.reason) == (None, "feasible") and found.seeds is not None

    def half(n: int) -> float:
        return float(stats.t.isf(0.025, n - 1) / np.sqrt(n))

    assert half(found.seeds) < 0.5 <= half(found.seeds - 1)


def test_needs_texts_where_texts_are_the_limit() -> None:
    ahead = Ahead(0.7, one(0.01, 400.0), 8, 1000, 7.0, alpha=0.05)
    found = find_needs(ahead)
    assert (found.seeds, found.reason) == (None, "feasible") and found.texts is not None
    assert ahead.settled(8, found.texts) and not ahead.settled(8, found.texts * 10 // 11)


@pytest.mark.parametrize(
    ("ahead", "totals"),
    [
        (Ahead(0.65, one(0.01, 2000.0), 8, 1000, 7.0, alpha=0.05), (False, True)),  # 19 times the texts
        (Ahead(0.5, one(1.0, 400.0), 8, 1000, 7.0, alpha=0.05), (True, True)),
        (Ahead(1e-9, one(9.0), 8, 0, 7.0, alpha=0.05, margin=0.0), (False, False)),
        (Ahead(0.3, one(1.0), 8, 0, 7.0, alpha=0.05), (True, False)),  # 0.85 standard errors
        (Ahead(0.03, one(0.18), 3, 0, 2.0, alpha=0.05, margin=0.15), (True, False)),  # no difference, at 38
    ],
)
def test_what_is_too_small_to_settle_says_so(ahead: Ahead, totals: tuple[bool, bool]) -> None:
    """Whatever it would take: of seeds and texts, those that are given are what it would."""
    found = find_needs(ahead)
    assert found.reason == "too-small"
    assert (found.seeds is not None, found.texts is not None) == totals


def test_a_small_estimate_is_no_obstacle_to_showing_no_difference() -> None:
    """It is the width of the interval that needs more seeds then, not the estimate."""
    found = find_needs(Ahead(0.1, one(1.0), 8, 0, 7.0, alpha=0.05, margin=0.6))
    assert found.reason == "feasible" and found.seeds is not None and found.seeds < 30


@pytest.mark.parametrize("effects", [1, 34])
def test_where_no_text_differed_the_interval_holds_what_may_have_been_missed(effects: int) -> None:
    """A share of texts that none of 500 shows by chance 0.025: what both sides of an interval leave out."""
    texts, alpha = 500, 0.05 / effects
    half = plain_interval(0.0, 0.0, 2.0, alpha, grain=100 / texts).high
    nothing = np.zeros(effects)
    adjusted = adjusted_intervals(nothing, nothing, np.full(effects, 2.0), 0.05, 100 / texts)

    assert stats.binom.pmf(0, texts, half / 100) == pytest.approx(alpha / 2, rel=0.1)
    assert {(one.low, one.high) for one in adjusted} == {(-half, half)}
    assert not plain_interval(0.0, 0.0, 2.0).has_width  # of a table that nobody knows the texts of


@pytest.mark.parametrize(
    ("estimate", "components"),
    [
        (0.0, one(0.0)),  # nothing ever differed
        (1e-9, one(1e-4)),  # more seeds would make the interval narrow enough, but not the texts speak
    ],
)
def test_no_difference_is_promised_only_of_texts_that_could_show_one(
    estimate: float, components: Components
) -> None:
    alpha, margin = 0.05 / 34, 0.33
    found = find_needs(Ahead(estimate, components, 3, 500, 2.0, alpha, margin, grain=0.2))

    def speaks(texts: int) -> bool:
        return bool(100 / texts * np.log(2 / alpha) <= margin)

    assert found.reason == "feasible" and found.seeds is None and found.texts is not None
    assert speaks(found.texts) and not speaks(found.texts * 10 // 11)


def test_detectable_is_the_paired_t_test_of_statsmodels() -> None:
    found = detectable(one(1.0), 10, 0, 1, margin=0.0)
    assert found == pytest.approx(TTestPower().solve_power(nobs=10, alpha=0.05, power=0.8), rel=0.02)


def test_detectable_falls_with_seeds_down_to_the_floor_of_the_texts() -> None:
    run = scale_run(run_sd=0.3, size=4 / 16, text_sd=12.0, seed_text_sd=12.0)
    found = [detectable(run, seeds, 1500, 6) for seeds in (2, 3, 5, 8, 100)]

    assert found == sorted(found, reverse=True)
    floor = float(np.sqrt(run.text / 1500)) * (stats.norm.isf(0.05 / 12) + stats.norm.isf(0.2))
    assert found[-1] == pytest.approx(floor, rel=0.05) and found[-1] > floor
    assert detectable(run, 1, 1500, 6) == np.inf


def test_hsu_constant_is_that_of_one_comparison_and_of_the_multivariate_t() -> None:
    assert hsu_constant(2, 10, 0.05) == pytest.approx(stats.t.isf(0.05, 10), abs=1e-3)
    for others, df in [(2, 10), (5, 20), (9, 60)]:
        shape = (np.eye(others) + 1) / 2  # two differences from one recipe share half their variance
        joint = stats.multivariate_t(shape=shape, df=df, seed=0)
        assert joint.cdf(np.full(others, hsu_constant(others + 1, df, 0.05))) == pytest.approx(0.95, abs=2e-3)


def test_the_best_set_holds_what_cannot_be_told_from_the_best() -> None:
    factors: dict[str, list[Level]] = {"a": [0, 1, 2, 3]}
    recipes: list[Levels] = [{"a": level} for level in range(4)]
    worth = [90.0, 90.1, 80.0, 89.9]
    score = scored(recipes, lambda r: worth[int(r["a"])], seeds=5, noise=0.5)
    chosen = best_set(Experiment.of(Outcomes(factors, recipes, score)))
    alone = best_set(
        Experiment.of(Outcomes(factors, recipes, score * [[1], [1], [1], [0.5]] + [[0], [9], [0], [0]]))
    )

    assert chosen is not None and set(chosen.members) == {0, 1, 3} and chosen.noise == "between seeds"
    assert alone is not None and alone.members == (1,)


def test_the_true_best_is_in_the_best_set_in_95_of_100_studies() -> None:
    factors: dict[str, list[Level]] = {f: [0, 1] for f in "abc"}
    recipes = full(factors)
    held = []
    for study in range(400):
        # Least favourable: all are equal.
        chosen = best_set(
            Experiment.of(
                Outcomes(factors, recipes, scored(recipes, lambda r: 0.0, 3, noise=1.0, seed=study))
            )
        )
        held.append(chosen is not None and 0 in chosen.members)
    assert 0.92 < np.mean(held) < 0.98


def test_noise_of_a_family_takes_one_value_per_effect() -> None:
    recipes = full(TWO)
    weights = np.eye(8)[:2] - 1 / 8
    single = Experiment.of(Outcomes(TWO, recipes, scored(recipes, mean, 1, noise=1.0))).filled
    nothing = find_stand_in(single, np.zeros((8, 0)), weights)
    assert one_seed(single, weights, nothing).method == "none"
    several = Experiment.of(Outcomes(TWO, recipes, scored(recipes, mean, 4, noise=1.0))).filled
    imbalance = measure_imbalance(several.completion, weights)
    assert between_seeds(several, weights, imbalance).variance.shape == (2,)


def test_a_spread_that_shows_nothing_is_infinite_also_where_seeds_do_not_differ() -> None:
    weights, unknown = np.eye(8)[:2] - 1 / 8, Imbalance(np.full(2, np.inf), np.ones(2))
    same = Experiment.of(Outcomes(TWO, full(TWO), np.full((len(full(TWO)), 2), 80.0))).filled

    assert np.isinf(between_seeds(same, weights[:, : len(full(TWO))], unknown).variance).all()
