"""Tables from elsewhere are judged by what they can show, and are told what they cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finegrid.facts.decision_words import factor_words
from finegrid.results.from_table import imported_results
from finegrid.spelling import LANGS, Lang
from finegrid.statistics.decide import Interval
from finegrid.study.importing.examples import load_example
from finegrid.study.importing.importing import ImportOptions, import_table
from finegrid.verdict.strategy_lines import strategy_lines
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge
from finegrid.verdict.words import best_lines, head_lines, tail_lines

Row = tuple[Any, ...]
JudgeTable = Callable[..., Verdict]


@pytest.fixture
def judged(tmp_path: Path) -> JudgeTable:
    """Judges a table of these columns and rows."""

    def judge_table(head: str, rows: Iterable[Row], **options: Any) -> Verdict:
        path = tmp_path / "table.csv"
        lines = [head, *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        imported = import_table(path, ImportOptions(**options))
        return judge(imported_results(tmp_path / "study", imported))

    return judge_table


def worth(levels: Row) -> float:
    """a is worth one point, b costs one and a half; the rest do nothing."""
    a, b, *_ = levels
    return 80 + 1.0 * float(a) - 1.5 * float(b)


def draw(factors: int, repeats: int = 1, noise: float = 0.4) -> list[tuple[Row, float]]:
    random = np.random.default_rng(7)
    recipes = [levels for levels in product((0, 1), repeat=factors) for _ in range(repeats)]
    return [(levels, round(worth(levels) + random.normal(0, noise), 3)) for levels in recipes]


def said(verdict: Verdict, lang: Lang = "en") -> str:
    """What the terminal shows."""
    facts = as_json(verdict)
    return "\n".join(
        [
            *best_lines(verdict, facts, lang),
            *head_lines(verdict, lang),
            *(line.plain for line in strategy_lines(verdict, facts, lang, width=300)),
            *tail_lines(verdict, facts, lang),
        ]
    )


def effects(verdict: Verdict) -> dict[str, float]:
    return {effect.comparison.factor: effect.estimate for effect in verdict.analysis.effects}


def kinds(verdict: Verdict) -> dict[str, str]:
    return {one["factor"]: one["decision"]["kind"] for one in as_json(verdict)["factors"]}


def words_of(verdict: Verdict, factor: str, lang: Lang = "en") -> str:
    facts = as_json(verdict)
    return next(factor_words(one, facts, lang) for one in facts["factors"] if one["factor"] == factor)


def test_runs_that_have_a_seed_of_their_own_each_are_repeats(judged: JudgeTable) -> None:
    rows = draw(4, repeats=3)
    apart = judged("a,b,c,d,seed,f1", [(*levels, n, score) for n, (levels, score) in enumerate(rows)])
    unseeded = judged("a,b,c,d,f1", [(*levels, score) for levels, score in rows])

    assert effects(apart) == pytest.approx(effects(unseeded))
    assert apart.analysis.method == "true repeats" and kinds(apart)["a"] == "use"
    assert apart.recommended == unseeded.recommended
    assert all(77 < mean < 83 and 76 < around.low < around.high < 84 for mean, around in apart.scores)
    assert "seeds do not connect the recipes" in said(apart)
    assert "seeds do not connect" not in said(unseeded)


def test_seed_sets_that_do_not_connect_all_recipes_are_repeats(judged: JudgeTable) -> None:
    """Half of the recipes ran with seeds 0 and 1, half with seeds 2 and 3."""
    rows = [
        (*levels, seed + 2 * levels[0], worth(levels) + 0.1 * seed)
        for levels in product((0, 1), repeat=2)
        for seed in (0, 1)
    ]
    verdict = judged("a,b,seed,f1", rows)

    assert verdict.results.repeats and verdict.analysis.method == "true repeats"
    assert effects(verdict) == pytest.approx({"a": 1.0, "b": -1.5})


def test_seeds_that_recipes_share_stay_blocks_with_rows_missing(judged: JudgeTable) -> None:
    """Seed 1 is five points better, and lacks the baseline: taken for repeats, a would seem worth less."""
    rows = [
        (*levels, seed, worth(levels) + 5 * (seed == 1) + 0.01 * seed * levels[1])
        for levels in product((0, 1), repeat=2)
        for seed in range(4)
        if seed != 1 or levels[0] == 1 or levels[1] == 1
    ]
    verdict = judged("a,b,seed,f1", rows)

    assert not verdict.results.repeats
    assert effects(verdict)["a"] == pytest.approx(1.0, abs=0.05)
    assert "1 of 16 combinations of recipe and seed are not in the table" in said(verdict)


def test_a_single_repeated_row_does_not_ruin_the_noise(judged: JudgeTable) -> None:
    rows = draw(5)
    bare = judged("a,b,c,d,e,f1", [(*levels, score) for levels, score in rows])
    again = (*rows[3][0], rows[3][1] + 0.5)
    repeated = judged("a,b,c,d,e,f1", [*((*levels, score) for levels, score in rows), again])

    df = {effect.df for effect in repeated.analysis.effects}
    assert df == {17.0} and {effect.df for effect in bare.analysis.effects} == {16.0}
    wide, wider = bare.analysis.effects[0].plain, repeated.analysis.effects[0].plain
    assert wider.high - wider.low == pytest.approx(wide.high - wide.low, rel=0.25)
    assert "true repeats and high-order interactions" in said(repeated)
    assert kinds(repeated)["a"] == "use" and kinds(repeated)["b"] == "avoid"


def test_the_published_table_has_its_own_repeats_alone() -> None:
    verdict = judge(imported_results(Path("published"), load_example("thucnews64-published")))

    assert verdict.analysis.method == "true repeats"
    assert {effect.df for effect in verdict.analysis.effects} == {32.0}


@pytest.mark.parametrize(("column", "told"), [("error_rate", 0.2), ("eval_loss", 3.25)])
def test_of_errors_and_losses_less_is_better(judged: JudgeTable, column: str, told: float) -> None:
    """The same table twice, once as a score and once as what is missing to a hundred."""
    rows = draw(3, repeats=2, noise=0.1)
    up = judged("a,b,c,accuracy", [(*levels, score) for levels, score in rows])
    unit = told / 20
    down = judged(
        f"a,b,c,{column}",
        [(*levels, round((100 - score) * unit, 9)) for levels, score in rows],
        result=column,
        lower_is_better=True,
    )

    assert kinds(down) == kinds(up) == {"a": "use", "b": "avoid", "c": "open"} or kinds(up)["c"] == "same"
    assert down.recommended == up.recommended and down.best and up.best
    assert down.best.best == up.best.best
    signs = {name: np.sign(effect) for name, effect in effects(up).items()}
    assert {name: np.sign(effect) for name, effect in effects(down).items()} == signs
    share = 100 if column == "error_rate" else 1  # an error rate of 0.2 is one of 20 points
    for (low_mean, low), (mean, around) in zip(down.scores, up.scores, strict=True):
        assert low_mean == pytest.approx((100 - mean) * unit * share)
        assert low.low == pytest.approx((100 - around.high) * unit * share)
        assert low.high == pytest.approx((100 - around.low) * unit * share)
    assert f"Less {column} is better" in said(down) and "is better. An effect" not in said(up)
    assert as_json(down)["lower_is_better"] and not as_json(up)["lower_is_better"]


def test_on_a_scale_of_its_own_a_point_is_a_hundredth_of_the_baselines_result(judged: JudgeTable) -> None:
    rows = [(0, 0.400), (0, 0.402), (1, 0.380), (1, 0.382), (2, 2.1), (2, 2.0)]
    verdict = judged("way,log_loss", rows, result="log_loss", lower_is_better=True)
    way, worse = verdict.analysis.effects

    assert way.estimate == pytest.approx(100 * 0.020 / 0.401) and worse.estimate < -400
    assert "a point is 1 % of the baseline's log_loss (0.401)" in said(verdict)
    assert "Most is expected of way = 1 (row 3)" in said(verdict)  # runs of the third differ by 25 points
    assert "on test the baseline has 0.4010 (" in said(verdict)
    assert as_json(verdict)["score_digits"] == 4


def test_a_fraction_of_columns_that_say_the_same_is_judged_once(judged: JudgeTable) -> None:
    rows = [("xy"[a], a, b, worth((a, b)) + 0.1 * k) for a, b in product((0, 1), repeat=2) for k in range(3)]
    verdict = judged("way,a,b,f1", rows)

    assert effects(verdict) == pytest.approx({"way": 1.0, "b": -1.5})
    assert kinds(verdict) == {"way": "use", "b": "avoid"}
    assert "'way' and 'a' go together in every row ('a' is 0 where that is x, 1 where that is y)" in said(
        verdict
    )


def test_columns_that_are_the_same_in_all_rows_with_results_are_named(judged: JudgeTable) -> None:
    rows = [(0, 0, 80), (0, 0, 80.1), (1, 1, 81), (1, 1, 81.1), (0, 1, ""), (1, 0, "")]
    verdict = judged("a,a2,f1", rows)

    assert "not estimable: a and a2 are the same in every recipe that ran" in said(verdict)
    assert "no feasible number" not in said(verdict)


def test_nobody_is_told_to_train_what_cannot_be_trained(judged: JudgeTable) -> None:
    rows = draw(3)
    tables = {
        "holes": judged(
            "a,b,c,seed,f1", [(*rows[n][0], s, rows[n][1]) for n in range(8) for s in range(3 - n % 2)]
        ),
        "repeats": judged("a,b,c,f1", [*((*levels, score) for levels, score in rows), (*rows[0][0], 80)]),
        "no result": judged("a,b,c,f1", [*((*levels, score) for levels, score in rows[:7]), (1, 1, 1, "")]),
        "four": judged("a,b,f1", [(*levels, worth(levels)) for levels in product((0, 1), repeat=2)]),
    }
    for name, verdict in tables.items():
        for lang in LANGS:
            text = said(verdict, lang) + str(as_json(verdict))
            for advice in ("finegrid run", "been trained", "worker", "study.toml", "训练", "单进程"):
                assert advice not in text, (name, advice)
    assert "1 recipe has no result: row 8" in said(tables["no result"])
    assert as_json(tables["repeats"])["missing"] == {"left": 0, "diverged": 0, "failed": 0}


def test_results_that_are_all_equal_leave_the_noise_unknown(judged: JudgeTable) -> None:
    for head, rows in {
        "a,b,c,f1": [(*levels, 80.0) for levels in product((0, 1), repeat=3)],
        "a,b,c,seed,f1": [(*levels, s, 80.0) for levels in product((0, 1), repeat=3) for s in range(3)],
        "a,b,f1": [(*levels, 80.0) for levels in product((0, 1), repeat=2) for _ in range(2)],
    }.items():
        verdict = judged(head, rows)

        assert set(kinds(verdict).values()) == {"open"}, head
        assert all(not effect.plain.is_known for effect in verdict.analysis.effects)
        assert verdict.best is not None and len(verdict.best.members) == len(verdict.results.recipes)
        assert "0.00 points" not in said(verdict)


def test_scores_that_no_seed_moves_leave_every_recipe_among_the_best(judged: JudgeTable) -> None:
    rows = [(*levels, seed, worth(levels)) for levels in product((0, 1), repeat=2) for seed in range(3)]
    verdict = judged("a,b,seed,f1", rows)

    assert verdict.best is not None and len(verdict.best.members) == 4
    assert set(kinds(verdict).values()) == {"open"}


def test_where_the_noise_is_unknown_more_runs_would_tell_it(judged: JudgeTable) -> None:
    verdict = judged("a,b,f1", [(*levels, worth(levels)) for levels in product((0, 1), repeat=2)])

    assert words_of(verdict, "a") == (
        "cannot tell yet, further runs of some recipes would tell how far runs differ"
    )
    assert words_of(verdict, "a", "zh").endswith("才知道各次运行相差多少")
    needs = as_json(verdict)["factors"][0]["needs"]
    assert needs is not None and needs["reason"] == "unknown-noise"


def test_no_interval_of_a_score_leaves_its_scale(judged: JudgeTable) -> None:
    near = [(0, 98.0), (0, 97.0), (1, 98.5), (1, 95.0)]
    assert [around.high for _, around in judged("a,f1", near).scores] == [100, 100]
    low = [(a, 100 - score) for a, score in near]
    assert [around.low for _, around in judged("a,accuracy", low).scores] == [0, 0]
    assert all(around.low < 0 for _, around in judged("a,mcc", low).scores)
    errors = judged("a,wer", low, result="wer", lower_is_better=True)
    assert [around.low for _, around in errors.scores] == [0, 0]
    assert all(around.high < 100 for _, around in errors.scores)


def test_an_interval_without_ends_is_not_the_whole_scale(judged: JudgeTable) -> None:
    verdict = judged("a,b,f1", [(*levels, worth(levels)) for levels in product((0, 1), repeat=2)])

    assert {around for _, around in verdict.scores} == {Interval(-np.inf, np.inf)}
    assert as_json(verdict)["frontier"] == [] and "(0.00 to 100.00)" not in said(verdict)


def test_averages_of_seconds_have_no_interval_and_still_save_time() -> None:
    verdict = judge(imported_results(Path("published"), load_example("thucnews64-published")))
    freeze = next(one for one in as_json(verdict)["factors"] if one["factor"] == "freeze.layers")

    assert freeze["seconds"] == pytest.approx(-24.002) and freeze["seconds_interval"] == [None, None]
    assert freeze["decision"]["for_speed"]


def test_seconds_that_were_measured_have_one(judged: JudgeTable) -> None:
    rows = [(a, 80 + a, 10 - 3 * a + 0.1 * n * (1 + a)) for a in (0, 1) for n in range(3)]
    (factor,) = as_json(judged("a,f1,seconds", rows))["factors"]

    low, high = factor["seconds_interval"] or (None, None)
    assert low is not None and high is not None and low < -3 < high


def test_of_several_levels_the_best_and_its_lead_are_told(judged: JudgeTable) -> None:
    gain = {"1e-05": 0.0, "3e-05": 1.0, "5e-05": 1.5}
    random = np.random.default_rng(3)
    rows = [
        (rate, seed, round(80 + more + seed + random.normal(0, 0.05), 3))
        for rate, more in gain.items()
        for seed in range(5)
    ]
    verdict = judged("rate,seed,f1", rows)
    (ladder,) = as_json(verdict)["ladders"]

    assert (ladder["factor"], ladder["best"], ladder["runner_up"]) == ("rate", 5e-05, 3e-05)
    assert ladder["clear"] and ladder["contenders"] == [5e-05] and ladder["levels"] == [5e-05, 3e-05, 1e-05]
    assert ladder["difference"] == pytest.approx(0.5, abs=0.1)
    lead = f"{ladder['difference']:.2f}"
    assert f"rate: 5e-05 is best, +{lead} points (+0." in said(verdict)
    assert "over 3e-05, the runner-up; surely better than every other level" in said(verdict)
    assert f"rate：5e-05 最好，比次好的 3e-05 高 {lead} 个点" in said(verdict, "zh")


def test_levels_that_cannot_be_told_from_the_best_are_named(judged: JudgeTable) -> None:
    random = np.random.default_rng(3)
    gain = {"x": 0.0, "y": 2.0, "z": 2.05}
    rows = [
        (way, seed, round(80 + more + seed + random.normal(0, 0.2), 3))
        for way, more in gain.items()
        for seed in range(4)
    ]
    verdict = judged("way,seed,f1", rows)
    (ladder,) = as_json(verdict)["ladders"]

    assert not ladder["clear"] and set(ladder["contenders"]) == {"y", "z"}
    assert f"; cannot be told from {ladder['runner_up']}" in said(verdict)
    assert set(kinds(verdict).values()) == {"use"}  # against x both are


def test_factors_of_two_levels_are_no_ladders(judged: JudgeTable) -> None:
    verdict = judged("a,b,f1", [(*levels, score) for levels, score in draw(2, repeats=3)])

    assert as_json(verdict)["ladders"] == []
