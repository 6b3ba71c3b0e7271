"""Every recipe against the baseline, as `verdict` tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finegrid.results.from_table import imported_results
from finegrid.spelling import LANGS, Lang
from finegrid.statistics.many_to_one import compare_with
from finegrid.study.importing.examples import load_example
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge
from finegrid.verdict.words import MOST_AGAINST, against_lines


@pytest.fixture(scope="module")
def published() -> Verdict:
    return judge(imported_results(Path("published"), load_example("thucnews64-published")))


def test_every_recipe_but_the_baseline_stands_in_the_json_with_a_word_on_its_wider_interval(
    published: Verdict,
) -> None:
    facts: Any = as_json(published)
    rows = [row for one in facts["against_baseline"] for row in one["rows"]]
    baseline = facts["best"]["baseline"]

    assert len(facts["against_baseline"]) == 31 and rows[::2] == sorted(rows[::2])
    assert set(rows) == set(range(1, 65)) - set(baseline["rows"])
    for one in facts["against_baseline"]:
        low, high = one["adjusted"]
        assert low < one["low"] < one["effect"] < one["high"] < high
        kind = one["decision"]["kind"]
        assert kind == ("same" if low >= -0.2 and high <= 0.2 else "use" if low > 0 else kind)
        assert kind != "avoid" or high < 0


def test_repeats_are_one_group_each_and_their_error_is_pooled(published: Verdict) -> None:
    """Two rows a recipe: a difference has the variance 2 x s^2 / 2, with 32 degrees of freedom."""
    for one in published.against_baseline.differences:
        if one is not None:
            assert one.se == pytest.approx(published.analysis.run_sd) and one.df == 32


@pytest.mark.parametrize("lang", LANGS)
def test_the_terminal_names_a_few_better_ones_first_and_counts_the_rest(
    published: Verdict, lang: Lang
) -> None:
    against = published.against_baseline
    lines = list(against_lines(published, as_json(published), lang))
    better, worse = len(against.better), len(against.worse)

    assert len(lines) == 1 + MOST_AGAINST + 1 <= 8
    assert better + worse > MOST_AGAINST and str(better) in lines[0] and str(worse) in lines[0]
    first = against.differences[(*against.better, *against.worse)[0]]
    assert first is not None and f"{first.estimate:+.2f}" in lines[1]
    assert str(better + worse - MOST_AGAINST) in lines[-1]


@pytest.mark.parametrize("lang", LANGS)
def test_where_none_differs_one_line_says_so(published: Verdict, lang: Lang) -> None:
    widely = compare_with(published.test, published.results.baseline, alpha=1e-9)
    (line,) = against_lines(replace(published, against_baseline=widely), as_json(published), lang)

    assert "31" in line
