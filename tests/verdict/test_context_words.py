"""Words in context: conditional where strategies depend on each other, and why a recipe goes against one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finegrid.facts.decision_words import condition_words, factor_words
from finegrid.facts.recommendation_words import reasons
from finegrid.facts.verdict import FactorFacts, VerdictFacts
from finegrid.report.page.sentences import verdict_sentences
from finegrid.results.from_table import imported_results
from finegrid.study.importing.examples import load_example
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, choose_margin, judge


@pytest.fixture(scope="module")
def published() -> Verdict:
    return judge(imported_results(Path("published"), load_example("thucnews64-published")), 0.2)


def factor(facts: VerdictFacts, name: str) -> FactorFacts:
    (found,) = [one for one in facts["factors"] if one["factor"] == name]
    return found


def test_where_strategies_depend_on_each_other_the_word_is_said_at_either_level(published: Verdict) -> None:
    facts = as_json(published)
    warmup = factor(facts, "schedule.warmup_ratio")
    told = (
        "no difference beyond 0.2 points with optimizer.bias_correction = true; "
        "use with optimizer.bias_correction = false"
    )

    assert condition_words(warmup, 0.2, "en") == told == factor_words(warmup, facts, "en")
    assert "optimizer.bias_correction = false 时使用" in factor_words(warmup, facts, "zh")
    assert [round(one["effect"] or 0.0, 2) for one in warmup["conditions"]] == [-0.03, 0.23]
    assert not factor(facts, "optimizer.decay_on")["conditions"]  # nothing is shown to depend on it


def test_the_page_says_them_too_and_no_bare_word_beside(published: Verdict) -> None:
    said = [sentence.en for sentence in verdict_sentences(as_json(published))]
    (warmup,) = [one for one in said if "schedule.warmup_ratio" in one.split(":")[0]]

    assert "use with optimizer.bias_correction = false" in warmup and "on average" in warmup
    assert sum("<code>schedule.warmup_ratio</code>" in one.partition(":")[0] for one in said) <= 1


def test_a_recipe_that_goes_against_a_word_says_what_the_strategy_does_in_it(published: Verdict) -> None:
    assert published.against_words() == []
    found = published.recommendation
    assert found is not None
    rows = [recipe.levels["reinit.layers"] for recipe in published.results.recipes]
    chosen = replace(found.recommended, recipe=rows.index(6))
    against = replace(published, recommendation=replace(found, recommended=chosen))

    ((effect, decision),) = against.against_words()
    assert effect.comparison.factor == "reinit.layers" and decision.kind == "avoid"
    told = " ".join(reasons(as_json(against), "en"))
    assert 'reinit.layers = 6: "do not use" is said of the mean over all recipes (-0.51)' in told


def test_the_margin_is_a_tenth_of_the_baselines_error_within_bounds(published: Verdict) -> None:
    results = published.results
    margins = {}
    for points in (99.5, 97.0, 60.0):
        baseline = results.recipes[results.baseline]
        score = {results.score: points / 100}
        records = {seed: replace(record, test=score) for seed, record in baseline.records.items()}
        recipes = list(results.recipes)
        recipes[results.baseline] = replace(baseline, records=records)
        margins[points] = choose_margin(replace(results, recipes=tuple(recipes)))

    assert margins == {99.5: 0.2, 97.0: 0.3, 60.0: 0.5}
