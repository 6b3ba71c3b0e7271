"""Studies of which runs diverged or did not learn: outcomes, told and counted, not gaps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call
from support.pretend import GOLD, TEXTS, ended_badly, record_of
from support.studies import open_study, write_study

from finegrid import metrics
from finegrid.audit.costs import make_audit
from finegrid.facts.decision_words import as_recorded, from_recorded
from finegrid.facts.failure_words import failure_lines
from finegrid.facts.verdict import VerdictFacts
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import escape_text, markdown
from finegrid.report.page.page import render_page
from finegrid.results.load import load_results
from finegrid.statistics.failures import find_risky
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.confirm import compare_pairs
from finegrid.verdict.outcomes import count_points, measure_influence
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge

GRID = '[design]\nseeds = 3\n[factors]\n"freeze.layers" = [0, 2]\n' + "\n".join(
    f'"{name}" = {levels}'
    for name, levels in {
        "optimizer.bias_correction": "[true, false]",
        "optimizer.decay_on": '["all", "matrices"]',
        "reinit.layers": "[0, 2]",
        "schedule.warmup_ratio": "[0.0, 0.1]",
    }.items()
)
BIAS, REINIT = "optimizer.bias_correction", "reinit.layers"
MAJORITY = 100 / 3  # of three classes, all as frequent
Ends = Callable[[PlannedRun], int | str]  # how many texts are right, or "diverged" or "failed"


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """An audited study folder without runs: five factors, 32 distinct recipes, accuracy."""
    loaded = open_study(write_study(tmp_path_factory.mktemp("study"), bert, GRID, 'score = "accuracy"\n'))
    audit = make_audit(loaded)
    # Runs are pretended on other texts than the study's own.
    summary = metrics.summary(GOLD, np.eye(3, dtype=np.float32)[np.zeros(TEXTS, dtype=int)], audit.labels)
    save_audit(loaded.study.folder, audit.model_copy(update={"majority": {"dev": summary, "test": summary}}))
    return loaded.study.folder


@pytest.fixture
def fill(probed: Path, tmp_path: Path) -> Callable[[Ends], Study]:
    """A copy of it with runs that end as told."""

    def filled(ends: Ends) -> Study:
        shutil.copytree(probed, tmp_path / "study")
        study = load_study(tmp_path / "study")
        audit = load_audit(study.folder)
        assert audit is not None
        for run in plan_runs(study, audit, "fp32", range(3)):
            end = ends(run)
            record = record_of(study, audit, run, 0 if isinstance(end, str) else end)
            if end == "diverged" or end == "failed":
                (study.folder / "predictions" / f"{run.run_id}.npz").unlink()
                record = ended_badly(record, "diverged" if end == "diverged" else "failed", "it did")
            study.ledger.append(record)
        return study

    return filled


def learned(run: PlannedRun) -> int:
    """Four of five texts, and some luck."""
    return 240 + int(np.random.default_rng([run.seed, int(run.run_id, 16)]).integers(-4, 5))


def in_cell(run: PlannedRun) -> bool:
    return run.levels.get(BIAS) is False and run.levels.get(REINIT) == 2


def div_informative(run: PlannedRun) -> int | str:
    """The audit's: the 8 recipes of a cell diverge with 2 of 3 seeds. The third is the best run of all."""
    if not in_cell(run):
        return learned(run)
    return "diverged" if run.seed < 2 else 249


def div_level(run: PlannedRun) -> int | str:
    """The audit's: a level diverges whatever goes with it."""
    return "diverged" if run.levels.get(REINIT) == 2 else learned(run)


def plateau(run: PlannedRun) -> int:
    """The audit's: some runs of a cell end near the majority class's score."""
    luckily = run.levels.keys() >= {"freeze.layers", "optimizer.decay_on"}  # 2 of the 8 recipes
    if in_cell(run) and luckily:
        return 249  # the best of all
    return 104 + run.stands_for[0] % 7 if in_cell(run) and run.seed == 0 else learned(run)


def verdict_of(study: Study) -> tuple[Verdict, VerdictFacts]:
    verdict = judge(load_results(study))
    facts = as_json(verdict)
    json.dumps(facts, allow_nan=False)
    return verdict, facts


def strategy(facts: VerdictFacts, name: str) -> Any:
    return next(one for one in facts["factors"] if one["factor"] == name)


def test_a_cell_that_diverges_is_named_and_none_of_it_recommended(fill: Any) -> None:
    study = fill(div_informative)
    verdict, facts = verdict_of(study)
    assert verdict.failures is not None and facts["failures"] is not None and facts["best"] is not None
    (kind,) = facts["failures"]["kinds"]
    (group,) = kind["groups"]

    assert kind["kind"] == "diverged" and group["levels"] == {BIAS: False, REINIT: 2}
    assert (group["failed"], group["runs"], group["others_failed"], group["others"]) == (16, 24, 0, 72)
    assert strategy(facts, BIAS)["verdict"] == (
        f"do not use, diverges in 16 of 48 runs, all with {REINIT} = 2 (its first level: 0 of 48)"
    )
    recommended = facts["best"]["recommended"]["levels"]
    assert (recommended[BIAS], recommended[REINIT]) != (False, 2)
    risky = find_risky(verdict.failures.cells)
    assert [
        recipe.levels[BIAS] is False and recipe.levels[REINIT] == 2 for recipe in verdict.results.recipes
    ] == (risky.tolist())


def test_a_diverged_run_is_worth_the_majority_class(fill: Any) -> None:
    study = fill(div_informative)
    results = load_results(study)
    verdict, facts = verdict_of(study)
    points, seen = count_points(results, "test"), results.points("test")
    influence = measure_influence(results, "test")
    bad = np.isnan(seen)
    assert influence is not None
    constant = metrics.influence(GOLD, np.zeros(TEXTS, dtype=np.int64), 3, "accuracy")

    assert points[bad] == pytest.approx(MAJORITY) and np.array_equal(points[~bad], seen[~bad])
    assert bad.sum() == 16 and (influence[bad] == constant).all()
    # The expected effect is that of scores where failures are outcomes, by hand: 16 of 48 runs at a third.
    at = np.array([recipe.levels[REINIT] == 2 for recipe in results.recipes])
    by_hand = points[at].mean() - points[~at].mean()
    assert strategy(facts, REINIT)["effect"] == pytest.approx(by_hand, abs=1e-5) and by_hand < -10
    # Among runs that learned the level costs nothing, and their luck is what the verdict tells.
    assert facts["failures"] is not None and facts["noise"]["run_sd"] is not None
    alone = {one["factor"]: one["learned"] for one in facts["failures"]["levels"]}
    assert abs(alone[REINIT] or 9.0) < 2 and facts["noise"]["run_sd"] < 2
    assert verdict.analysis.missing == 0 and facts["missing"]["diverged"] == 16


def test_a_level_that_always_diverges_is_not_to_be_used(fill: Any, call: Call) -> None:
    study = fill(div_level)
    _, facts = verdict_of(study)
    words, chinese = (
        call("verdict", study.folder).stdout,
        call("verdict", study.folder, "--lang", "zh").stdout,
    )

    assert strategy(facts, REINIT)["decision"]["because"] == {
        "failed": 48,
        "diverged": 48,
        "runs": 48,
        "baseline_failed": 0,
        "baseline_runs": 48,
        "given": None,
    }
    told = "do not use, diverges in 48 of 48 runs (its first level: 0 of 48)"
    assert strategy(facts, REINIT)["verdict"] == told and "do not use, diverges in 48" in words
    assert f"diverged: 48 of 48 runs with {REINIT} = 2; 0 of 48 others" in words
    assert "a run that diverged counts with the majority class's score, 33.33" in words
    assert "不要使用，48次运行中有48次发散" in "".join(chinese.split())  # a cell of a table wraps
    assert f"发散：{REINIT} = 2 的 48 次运行中有 48 次" in chinese and "left out" not in words
    others = [one for one in facts["factors"] if one["factor"] != REINIT]
    assert all("because" not in one["decision"] for one in others)


@pytest.mark.slow
def test_runs_on_a_plateau_are_told_from_those_that_learned(fill: Any, call: Call) -> None:
    study = fill(plateau)
    verdict, facts = verdict_of(study)
    assert verdict.failures is not None and facts["best"] is not None and facts["failures"] is not None
    (group,) = facts["failures"]["kinds"][0]["groups"]
    assert (group["failed"], group["runs"], group["others_failed"], group["others"]) == (6, 24, 0, 72)
    words = " ".join(call("verdict", study.folder).stdout.split())

    assert (
        f"did not learn: 6 of 24 runs with ({BIAS} = false and {REINIT} = 2) end at 35 to 37 accuracy on "
        "dev; 0 of 72 others (exact test p = 0.0001; 0.007 for looking at 50 groups)"
    ) in words
    assert "a run's own luck, of runs that learned: " in words
    recommended = facts["best"]["recommended"]["levels"]
    assert (recommended[BIAS], recommended[REINIT]) != (False, 2)
    # 6 of 48 against 0 of 48 is not enough for a word, once five levels are looked at.
    assert all("because" not in one["decision"] for one in facts["factors"])


def test_a_run_that_crashed_says_nothing_of_its_recipe(fill: Any, call: Call) -> None:
    study = fill(lambda run: "failed" if in_cell(run) and run.seed < 2 else learned(run))
    verdict, facts = verdict_of(study)

    assert verdict.failures is None and facts["failures"] is None
    assert verdict.analysis.missing == 16 and facts["missing"]["failed"] == 16
    assert "left out: 16 failed" in call("verdict", study.folder).stdout


def test_a_study_in_which_all_learned_is_judged_as_before(fill: Any) -> None:
    study = fill(learned)
    results = load_results(study)
    verdict, facts = verdict_of(study)

    assert verdict.failures is None and facts["failures"] is None
    assert np.array_equal(count_points(results, "dev"), results.points("dev"))
    assert all("because" not in one["decision"] for one in facts["factors"])


def test_where_every_run_diverged_nothing_is_recommended(fill: Any) -> None:
    verdict, facts = verdict_of(fill(lambda _: "diverged"))

    assert facts["best"] is None and verdict.failures is None


@pytest.mark.slow
def test_the_report_tells_it_in_both_languages(fill: Any) -> None:
    facts = report_facts(fill(div_level).folder)
    page = render_page(facts)

    for lang in ("en", "zh"):
        for line in failure_lines(facts["verdict"], lang):
            assert line in page.replace("&#39;", "'")
            assert escape_text(line) in markdown(facts, lang)
    assert "it diverges in 48 of 48 runs" in page and "没有学会的运行" in page
    assert "left out of every mean" not in page


def test_confirm_counts_the_runs_that_diverged(fill: Any) -> None:
    results = load_results(fill(div_informative))
    bad = next(r for r in results.recipes if r.levels[BIAS] is False and r.levels[REINIT] == 2)
    paired = compare_pairs(results, results.recipes[results.baseline], bad)

    assert (paired.seeds, paired.recommended_diverged, paired.baseline_diverged) == (3, 2, 0)
    assert paired.recommended == pytest.approx((2 * MAJORITY + 83) / 3)
    assert paired.difference == pytest.approx(paired.recommended - paired.baseline)


def test_a_decision_by_failures_is_kept_as_it_was_recorded(fill: Any) -> None:
    verdict, _ = verdict_of(fill(div_level))
    (decision,) = [e.decision for e in verdict.analysis.effects if e.decision and e.decision.because]

    assert from_recorded(json.loads(json.dumps(as_recorded(decision, 0.2))), 0.2) == decision
