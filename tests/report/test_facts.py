"""`report.json`: what the ledger, the predictions and the texts say, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pretend import GOLD, TEXTS, ended_badly, pretend
from support.reported import Facts
from support.studies import open_study, write_study, write_texts

from finegrid.audit.costs import make_audit
from finegrid.errors import InputError
from finegrid.planning.runs import PlannedRun
from finegrid.report.facts.facts import report_facts
from finegrid.results.load import load_results
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge

SETTINGS = """[design]
seeds = 3
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 2]
"""
HITS = {"optimizer.bias_correction": 0, "reinit.layers": 30}
SEEDS = 3


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study that has not run, whose dev and test texts are those that `pretend` scores."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS, 'score = "accuracy"\n')
    for number, part in enumerate(("dev", "test")):
        write_texts(folder / f"{part}.tsv", TEXTS, 10 + number)
    save_audit(folder, make_audit(open_study(folder)))
    return folder


@pytest.fixture
def study(audited: Path, tmp_path: Path) -> Study:
    return load_study(shutil.copytree(audited, tmp_path / "study"))


def hits(run: PlannedRun) -> int:
    return 150 + sum(HITS.get(name, 0) for name in run.levels) + run.seed


def fill(study: Study, which: Callable[[PlannedRun], Any] = hits, seeds: int = SEEDS) -> Facts:
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, which, range(seeds))
    return facts_of(study)


def facts_of(study: Study) -> Facts:
    facts = report_facts(study.folder)
    json.dumps(facts, allow_nan=False)
    return facts


def recommended(facts: Facts) -> dict[str, Any]:
    (found,) = [recipe for recipe in facts["recipes"] if recipe["recommended"]]
    assert isinstance(found, dict)
    return found


def test_facts_carry_the_verdict_as_the_command_prints_it(study: Study) -> None:
    facts = fill(study)

    assert facts["verdict"] == as_json(judge(load_results(study)))


def test_every_run_has_its_place_and_its_score(study: Study) -> None:
    facts = fill(study)

    for recipe in facts["recipes"]:
        expected = [100 * (150 + 30 * bool(recipe["moved"].get("reinit.layers")) + s) / 300 for s in range(3)]
        assert [run["test"] for run in recipe["runs"]] == pytest.approx(expected)
        assert [run["seed"] for run in recipe["runs"]] == [0, 1, 2]
    assert facts["state"]["runs"] == {"planned": 12, "done": 12, "left": 0, "diverged": 0, "failed": 0}
    assert len(facts["curves"]) == 12


def test_what_is_missing_is_said_to_be(study: Study) -> None:
    fill(study, seeds=1)
    latest = list(study.ledger.latest().values())
    study.ledger.append(ended_badly(latest[0], "diverged", "loss is not finite"))
    facts = facts_of(study)

    assert facts["state"]["runs"] == {"planned": 12, "done": 3, "left": 8, "diverged": 1, "failed": 0}
    runs = [run for recipe in facts["recipes"] for run in recipe["runs"]]
    assert {"seed": 0, "status": "diverged", "reason": "loss is not finite"} in runs
    assert {"unfinished", "diverged", "one-seed"} <= {warning["kind"] for warning in facts["warnings"]}


def test_the_confusion_table_is_the_mean_of_the_seeds(study: Study) -> None:
    facts = fill(study)

    # The first 180, 181 and 182 texts are right, every other one is taken for the next class.
    right = np.arange(TEXTS)[:, None] < np.array([180, 181, 182])
    table = np.zeros((3, 3))
    for seed in range(SEEDS):
        np.add.at(table, (GOLD, np.where(right[:, seed], GOLD, (GOLD + 1) % 3)), 1 / SEEDS)
    np.testing.assert_allclose(facts["classes"]["confusion"], table, atol=1e-4)
    assert facts["classes"]["labels"] == ["x", "y", "z"]
    for row, one in enumerate(facts["classes"]["classes"]):
        assert one["texts"] == 100
        assert one["recall"] == pytest.approx(100 * table[row, row] / 100)
        assert one["precision"] == pytest.approx(100 * table[row, row] / table[:, row].sum())
        low, high = one["f1_interval"]
        assert low < one["f1"] < high


def test_the_texts_shown_are_those_of_the_file(study: Study) -> None:
    facts = fill(study)
    lines = (study.folder / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]

    assert facts["why_no_texts"] is None
    for one in [*facts["texts"]["wrong"], *facts["texts"]["disputed"]]:
        assert lines[one["row"] - 1].split("\t") == [*one["text"], one["gold"]]


def test_only_wrong_texts_are_called_wrong_and_the_surest_come_first(study: Study) -> None:
    wrong = fill(study)["texts"]["wrong"]

    assert wrong and all(one["said"] != one["gold"] for one in wrong)
    assert [one["probability"] for one in wrong] == sorted(
        (one["probability"] for one in wrong), reverse=True
    )
    # Text 181 is wrong with seeds 0 and 1, right with seed 2.
    assert {one["seeds_wrong"] for one in wrong if one["row"] > 182} <= {SEEDS}


def test_disputed_texts_are_those_with_more_than_one_answer(study: Study) -> None:
    disputed = fill(study)["texts"]["disputed"]

    # Runs get the first 150 to 152 or 180 to 182 texts right.
    assert {one["row"] for one in disputed} <= set(range(151, 183))
    for one in disputed:
        assert len(one["answers"]) > 1
        assert sum(one["answers"].values()) == one["runs"] == 12


@pytest.mark.slow
def test_no_text_is_shown_once_the_file_has_changed(study: Study) -> None:
    fill(study)
    write_texts(study.folder / "test.tsv", TEXTS, 99)
    changed = facts_of(study)
    (study.folder / "test.tsv").unlink()
    gone = facts_of(study)

    assert (changed["texts"], changed["why_no_texts"]) == (None, "data-changed")
    assert (gone["texts"], gone["why_no_texts"]) == (None, "data-gone")
    assert gone["classes"] == changed["classes"] is not None


def test_a_table_from_elsewhere_says_what_it_lacks(tmp_path: Path) -> None:
    save_imported(tmp_path / "table", load_example("thucnews64-published"))
    facts = report_facts(tmp_path / "table")
    json.dumps(facts, allow_nan=False)

    assert (facts["kind"], facts["why_no_texts"]) == ("imported", "imported")
    assert [facts[name] for name in ("texts", "classes", "data")] == [None, None, None]
    assert [facts[name] for name in ("curves", "confirmed")] == [[], []]
    assert [card["part"] for card in facts["cards"]] == ["optimizer", "reinit", "freeze", "schedule"]
    assert "fit" not in facts["commands"]
    assert len(facts["recipes"]) == 32


def test_a_study_without_runs_has_no_recommendation(study: Study) -> None:
    facts = facts_of(study)

    assert facts["verdict"]["best"] is None
    assert facts["why_no_texts"] == "no-runs"
    assert facts["state"]["runs"]["left"] == 12
    assert "fit" not in facts["commands"]


def test_the_smallest_margin_is_no_finer_than_the_texts(study: Study) -> None:
    facts = fill(study)
    finest = 100 / 300 * np.log(2 * len(facts["verdict"]["factors"]) / 0.05)  # accuracy of 300 texts

    assert facts["verdict"]["score"] == "accuracy"
    assert all((one["smallest_margin"] or 0.0) >= finest - 1e-6 for one in facts["verdict"]["factors"])
    assert all(one["at_baseline"] and one["at_recommended"] for one in facts["verdict"]["factors"])


def test_the_command_trains_the_recommended_recipe(study: Study) -> None:
    facts = fill(study)

    assert recommended(facts)["moved"]["reinit.layers"] == 2
    assert facts["commands"]["fit"].endswith(f"--recipe {recommended(facts)['rows'][0]}")


def test_a_study_that_has_not_been_started_is_an_error(tmp_path: Path, bert: Path) -> None:
    folder = write_study(tmp_path / "study", bert, SETTINGS)

    with pytest.raises(InputError, match="has not been started"):
        report_facts(folder)
