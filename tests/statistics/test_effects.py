"""Effects: which recipes a comparison compares, in every kind of design, and with runs missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.effects_samples import full, published, scored

import finegrid
from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.best import best_set
from finegrid.statistics.costs import compare_costs, surely_less
from finegrid.statistics.decide import Decision
from finegrid.statistics.effects import Analysis, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes

TWO: dict[str, list[Level]] = {"a": [0, 6], "b": ["all", "matrices"], "c": [0.0, 0.1]}


def estimates(analysis: Analysis) -> dict[tuple[str, Level], float]:
    return {(e.comparison.factor, e.comparison.level): e.estimate for e in analysis.effects}


def additive(recipe: Levels) -> float:
    """A score with main effects a +2, b -1, c 0, and an interaction a x b of +1."""
    a, b = recipe.get("a") == 6, recipe.get("b") == "matrices"
    return 80 + 1.5 * a - 1.5 * b + 1.0 * (a and b)


def test_a_main_effect_is_the_difference_of_equally_weighted_marginal_means() -> None:
    recipes = full(TWO)
    outcomes = Outcomes(TWO, recipes, scored(recipes, additive, seeds=4, noise=0.3))
    found = estimates(analyse(Experiment.of(outcomes)))

    for factor, (baseline, level) in TWO.items():
        at = {x: [row for row, r in enumerate(recipes) if r[factor] == x] for x in (baseline, level)}
        expected = outcomes.score[at[level]].mean() - outcomes.score[at[baseline]].mean()
        assert found[factor, level] == pytest.approx(expected)


def test_an_interaction_is_the_difference_of_its_two_effects() -> None:
    recipes = full(TWO)
    analysis = analyse(Experiment.of(Outcomes(TWO, recipes, scored(recipes, additive, seeds=3))))
    one = analysis.interactions[0]

    assert one.effect.contrast.name == "a x b"
    assert one.effect.estimate == pytest.approx(1.0)
    assert [e.estimate for e in one.conditional] == pytest.approx([1.5, 2.5, -1.5, -0.5])
    assert [e.contrast.given for e in one.conditional] == [
        ("b", "all"),
        ("b", "matrices"),
        ("a", 0),
        ("a", 6),
    ]


def test_each_of_several_levels_is_compared_with_the_baseline() -> None:
    factors: dict[str, list[Level]] = {"layers": [0, 2, 6], "name": ["x", "y", "z"], "on": [False, True]}
    worth = {0: 0.0, 2: 1.0, 6: -3.0, "x": 0.0, "y": 0.25, "z": 0.5}
    recipes = full(factors)

    score = scored(recipes, lambda r: 70 + worth[r["layers"]] + worth[r["name"]] - bool(r["on"]), seeds=2)
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score)))

    assert estimates(analysis) == pytest.approx(
        {("layers", 2): 1, ("layers", 6): -3, ("name", "y"): 0.25, ("name", "z"): 0.5, ("on", True): -1}
    )
    assert len(analysis.interactions) == 4 + 2 + 2


CONDITIONAL: dict[str, list[Level]] = {
    "freeze.layers": [0, 6],
    "freeze.dropout": [True, False],
    "warmup": [0.0, 0.1],
}


def conditional_recipes() -> list[Levels]:
    """``freeze.dropout`` exists only where layers are frozen."""
    recipes = []
    for recipe in full(CONDITIONAL):
        if recipe["freeze.layers"] == 0:
            if recipe["freeze.dropout"] is False:
                continue
            recipe = {name: level for name, level in recipe.items() if name != "freeze.dropout"}
        recipes.append(recipe)
    return recipes


def test_a_child_counts_where_it_exists_and_its_parent_with_the_child_at_baseline() -> None:
    recipes = conditional_recipes()
    assert len(recipes) == 6

    def mean(recipe: Levels) -> float:
        return (
            90
            - 0.4 * (recipe["freeze.layers"] == 6)
            + 5.0 * (recipe.get("freeze.dropout") is False)
            + 0.1 * (recipe["warmup"] == 0.1)
        )

    found = estimates(analyse(Experiment.of(Outcomes(CONDITIONAL, recipes, scored(recipes, mean, seeds=3)))))

    assert found == pytest.approx(
        {("freeze.layers", 6): -0.4, ("freeze.dropout", False): 5.0, ("warmup", 0.1): 0.1}
    )


def test_one_at_a_time_compares_each_with_the_baseline_and_shares_its_noise() -> None:
    factors: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1, 2]}
    recipes: list[Levels] = [{"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 1}, {"a": 0, "b": 2}]
    score = scored(recipes, lambda r: 50.0 + r["a"] - float(r["b"]), seeds=17, noise=0.5)  # type: ignore[operator]
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score)))

    assert not analysis.interactions
    for effect, row in zip(analysis.effects, (1, 2, 3), strict=True):
        difference = score[row] - score[0]
        assert effect.estimate == pytest.approx(difference.mean())
        assert effect.se == pytest.approx(difference.std(ddof=1) / np.sqrt(17))
        assert not effect.contrast.aliases


def half(factors: dict[str, list[Level]], word: str) -> list[Levels]:
    """The fraction in which an even number of the word's factors are off baseline."""
    return [r for r in full(factors) if sum(r[f] != factors[f][0] for f in word) % 2 == 0]


def test_a_fraction_of_resolution_five_gives_clean_effects_and_interactions() -> None:
    factors: dict[str, list[Level]] = {f: [0, 1] for f in "abcde"}
    recipes = half(factors, "abcde")
    analysis = analyse(
        Experiment.of(Outcomes(factors, recipes, scored(recipes, lambda r: 1.0 * (r["a"] == 1), seeds=2)))
    )

    assert len(recipes) == 16 and len(analysis.interactions) == 10
    assert [e.contrast.aliases for e in analysis.effects] == [()] * 5
    assert [i.effect.contrast.aliases for i in analysis.interactions] == [()] * 10
    assert estimates(analysis)["a", 1] == pytest.approx(1.0)


def test_in_a_fraction_of_resolution_four_interactions_carry_their_aliases() -> None:
    factors: dict[str, list[Level]] = {f: [0, 1] for f in "abcd"}
    recipes = half(factors, "abcd")
    score = scored(recipes, lambda r: 4.0 * (r["a"] == r["b"] == 1), seeds=2)
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score)))

    assert all(not e.contrast.aliases for e in analysis.effects)
    by_name = {i.effect.contrast.name: i.effect for i in analysis.interactions}
    assert by_name["a x b"].contrast.aliases == ("c x d",)
    assert by_name["c x d"].estimate == pytest.approx(by_name["a x b"].estimate)
    assert "cannot tell it from a x b" in by_name["c x d"].notes[0]


def test_in_a_fraction_of_resolution_three_main_effects_carry_their_aliases() -> None:
    factors: dict[str, list[Level]] = {f: [0, 1] for f in "abc"}
    recipes = half(factors, "abc")
    score = scored(recipes, lambda r: 3.0 * (r["a"] == 1) - 2.0 * (r["b"] == 1), seeds=4, noise=0.1)
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score)), margin=0.5)

    assert [e.contrast.aliases for e in analysis.effects] == [("b x c",), ("a x c",), ("a x b",)]
    assert not analysis.interactions
    told = [(e.decision.kind, e.decision.aliased) for e in analysis.effects if e.decision]
    assert told == [("use", True), ("avoid", True), ("same", True)]


def test_only_decisions_that_aliases_share_are_marked() -> None:
    """Of resolution four, interactions are aliased, strategies are not; and what is open is no decision."""
    factors: dict[str, list[Level]] = {f: [0, 1] for f in "abcd"}
    recipes = half(factors, "abcd")
    score = scored(recipes, lambda r: 4.0 * (r["a"] == r["b"] == 1), seeds=4, noise=0.1)
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score)))
    assert {e.decision.kind for e in analysis.effects if e.decision} >= {"use"}
    assert not any(e.decision and e.decision.aliased for e in analysis.effects)
    assert not any(i.effect.decision and i.effect.decision.aliased for i in analysis.interactions)

    three: dict[str, list[Level]] = {f: [0, 1] for f in "abc"}
    noisy = scored(half(three, "abc"), lambda r: 0.0, seeds=2, noise=3.0)
    for effect in analyse(Experiment.of(Outcomes(three, half(three, "abc"), noisy))).effects:
        assert effect.contrast.aliases and effect.decision
        assert (effect.decision.kind, effect.decision.aliased) == ("open", False)


def test_missing_runs_bias_nothing_and_are_counted() -> None:
    recipes = full(TWO)
    score = scored(recipes, additive, seeds=4)  # seeds shift all recipes by points; no other noise
    for row, seed in [(0, 0), (3, 0), (5, 2), (7, 3), (6, 3)]:
        score[row, seed] = np.nan
    analysis = analyse(Experiment.of(Outcomes(TWO, recipes, score)))

    assert estimates(analysis) == pytest.approx({("a", 6): 2.0, ("b", "matrices"): -1.0, ("c", 0.1): 0.0})
    assert analysis.missing == 5 and analysis.empty == ()


@pytest.mark.slow
def test_filled_in_runs_do_not_narrow_an_interval() -> None:
    recipes = full(TWO)
    width = {}
    for lost in (0, 5):
        random = np.random.default_rng(3)
        widths = []
        for study in range(200):
            score = scored(recipes, additive, seeds=6, noise=1.0, seed=study)
            score.flat[random.permutation(48)[:lost]] = np.nan
            widths += [
                e.plain.high - e.plain.low
                for e in analyse(Experiment.of(Outcomes(TWO, recipes, score))).effects
            ]
        width[lost] = np.mean(widths)
    assert width[5] > 1.04 * width[0]


def test_a_recipe_without_any_run_is_said_and_its_comparison_left_out() -> None:
    recipes = full(TWO)
    score = scored(recipes, additive, seeds=3)
    score[recipes.index({"a": 6, "b": "all", "c": 0.1})] = np.nan
    analysis = analyse(Experiment.of(Outcomes(TWO, recipes, score)))
    a = analysis.effects[0]

    assert analysis.empty == (5,)
    assert (a.contrast.contexts, a.contrast.planned) == (3, 4)
    assert "not estimable as defined: 1 of 4" in a.notes[0]
    # Of the contexts with b = all one is left, of those with b = matrices two.
    assert a.estimate == pytest.approx((1.5 + 2.5 + 2.5) / 3)


def test_a_level_that_never_ran_is_open_and_not_an_error() -> None:
    factors: dict[str, list[Level]] = {"a": [0, 1], "b": [0, 1]}
    recipes = full(factors)
    score = scored(recipes, lambda r: 1.0 * (r["b"] == 1), seeds=3)
    score[2:] = np.nan
    a, b = analyse(Experiment.of(Outcomes(factors, recipes, score))).effects

    assert np.isnan(a.estimate) and a.decision == Decision("open")
    assert a.notes == ("not estimable: the runs that finished do not show it",)
    assert b.estimate == pytest.approx(1.0)


def test_a_study_without_runs_or_without_factors_has_nothing_to_say() -> None:
    nothing = analyse(Experiment.of(Outcomes(TWO, full(TWO), np.full((8, 3), np.nan))))

    assert {e.decision for e in nothing.effects} == {Decision("open")} and len(nothing.empty) == 8
    assert (nothing.seeds, nothing.texts, nothing.missing, nothing.method) == (0, 0, 0, "none")
    assert best_set(Experiment.of(Outcomes(TWO, full(TWO), np.full((8, 3), np.nan)))) is None
    assert analyse(Experiment.of(Outcomes({}, [{}], np.array([[90.0, 91.0]])))).effects == ()


def test_recipes_that_share_no_seed_are_not_compared() -> None:
    factors: dict[str, list[Level]] = {"a": [0, 1]}
    score = np.array([[80.0, np.nan], [np.nan, 90.0]])
    (a,) = analyse(Experiment.of(Outcomes(factors, full(factors), score))).effects

    assert np.isnan(a.estimate) and a.plain.low == -np.inf


def test_the_seconds_of_a_run_that_was_held_up_do_not_decide() -> None:
    factors: dict[str, list[Level]] = {"freeze": [0, 6], "warmup": [0.0, 0.1]}
    recipes = full(factors)
    random = np.random.default_rng(0)
    seconds = np.where(np.array([r["freeze"] for r in recipes]) == 6, 41.4, 65.4)[:, None]
    seconds = seconds * np.exp(random.normal(0, 0.01, (4, 6)))
    found = compare_costs(Experiment.of(Outcomes(factors, recipes, np.full((4, 6), 90.0))), seconds)

    assert found[0].ratio == pytest.approx(41.4 / 65.4, rel=0.02)
    assert found[0].difference == pytest.approx(-24, abs=0.5)
    assert surely_less(found) == {("freeze", 6)}


def test_scores_without_any_noise_are_decided() -> None:
    recipes = full(TWO)
    a, b, c = analyse(
        Experiment.of(Outcomes(TWO, recipes, np.repeat([[additive(r)] for r in recipes], 3, axis=1)))
    ).effects

    assert (a.decision, b.decision) == (Decision("use"), Decision("avoid"))
    assert c.decision == Decision("same")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.zeros((3, 2))}, "expected"),
        ({"influence": np.zeros((8, 3, 5))}, "influence"),
        ({"repeats": np.zeros((8, 2))}, "repeats"),
        ({"recipes": [{"a": 7}] * 8}, "a = 7"),
        ({"recipes": [{"a": 6}] * 8}, "the same"),
    ],
)
def test_arrays_that_do_not_agree_are_refused(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"factors": TWO, "recipes": full(TWO), "score": np.zeros((8, 2))}
    with pytest.raises(ValueError, match=message):
        Outcomes(**(given | change))  # type: ignore[arg-type]


PUBLISHED = Path(finegrid.__file__).parent / "assets" / "examples" / "thucnews64-published.csv"


def test_the_published_table_gives_the_known_effects() -> None:
    outcomes = published(PUBLISHED)
    analysis = analyse(Experiment.of(outcomes))

    assert analysis.method == "true repeats" and 0.098 < analysis.run_sd < 0.102
    effects = {e.contrast.name: e for e in analysis.effects}
    expected = {
        "reinit_layers": (-0.51, Decision("avoid")),
        "frozen_layers": (-0.12, Decision("same", measurable=True)),
        "bertadam": (-0.10, Decision("same", measurable=True)),
        "warmup_proportion": (0.10, Decision("same", measurable=True)),
        "weight_decay": (0.07, Decision("same", measurable=True)),
    }
    assert {n: (round(e.estimate, 2), e.decision) for n, e in effects.items()} == expected
    assert {e.df for e in effects.values()} == {32}

    product = next(
        i for i in analysis.interactions if i.effect.contrast.name == "bertadam x warmup_proportion"
    )
    assert round(product.effect.estimate, 2) == 0.26 and product.effect.decision == Decision("interact")
    given = {e.contrast.given: round(e.estimate, 2) for e in product.conditional}
    assert given["bertadam", 1.0] == 0.23 and given["bertadam", 0.0] == -0.03

    chosen = best_set(Experiment.of(outcomes))
    assert chosen is not None and len(chosen.members) == 11 and "repeats" in chosen.noise
