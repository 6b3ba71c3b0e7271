"""What can be looked up of recipes: as the runs have it, bounded, and the same for a pair either way."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from support.pretend import CLASSES, GOLD, TEXTS
from support.reported import Facts, audited_study, fill, hits

from finegrid.planning.runs import PlannedRun
from finegrid.report.facts import details
from finegrid.report.facts.details import details_facts
from finegrid.report.facts.facts import report_facts
from finegrid.report.facts.texts import readable_table
from finegrid.results.load import any_results
from finegrid.study.load import read_study
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.verdict import Verdict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    study = audited_study(tmp_path_factory.mktemp("details") / "study", bert)
    fill(study)
    return study.folder


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    return with_interim_decisions(any_results(folder))


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return report_facts(folder)["details"]


def test_confusions_add_up_to_all_runs_of_a_recipe(facts: Facts, verdict: Verdict) -> None:
    found = verdict.results.predictions("test")
    assert found is not None and len(facts["confusion"]) == len(facts["rows"]) == len(verdict.results.recipes)
    for recipe, table in enumerate(facts["confusion"]):
        said = found.predicted[recipe]
        assert np.sum(table) == 3 * TEXTS
        for gold, answer in ((0, 0), (0, 1), (2, 0)):
            assert table[gold][answer] == ((said == answer) & (gold == GOLD)).sum()


def test_pairs_are_differences_of_the_recipes_own_scores(facts: Facts, verdict: Verdict) -> None:
    means = [mean for mean, _ in verdict.scores]
    pairs = list(combinations(range(len(facts["rows"])), 2))

    assert len(facts["pairs"]["difference"]) == len(pairs)
    for at, (one, other) in enumerate(pairs):
        difference = facts["pairs"]["difference"][at]
        assert difference == pytest.approx(means[one] - means[other], abs=1e-4)
        assert facts["pairs"]["low"][at] <= difference <= facts["pairs"]["high"][at]


def test_texts_are_counted_on_which_one_of_two_is_right_more_often(facts: Facts, verdict: Verdict) -> None:
    found = verdict.results.predictions("test")
    assert found is not None
    right = (found.predicted == found.gold).sum(axis=1)
    for at, (one, other) in enumerate(combinations(range(len(right)), 2)):
        assert facts["pairs"]["better"][at] == (right[one] > right[other]).sum()
        assert facts["pairs"]["worse"][at] == (right[one] < right[other]).sum()


def test_texts_tell_what_most_runs_answer_and_how_many_are_right(
    folder: Path, facts: Facts, verdict: Verdict
) -> None:
    found = verdict.results.predictions("test")
    table, _ = readable_table(verdict.results, read_study(folder))
    assert found is not None and table is not None and facts["texts"]
    for text in facts["texts"]:
        place = int(np.flatnonzero(table.test.ids == text["row"])[0])
        assert text["text"] == list(table.test.texts[place])
        assert text["gold"] == verdict.results.labels[found.gold[place]]  # type: ignore[index]
        for recipe, (said, right) in enumerate(zip(text["said"], text["right"], strict=True)):
            answers = found.predicted[recipe][:, place].tolist()
            assert right == round(100 * answers.count(found.gold[place]) / len(answers))
            label = verdict.results.labels.index(facts["answers"][said])  # type: ignore[union-attr]
            assert answers.count(label) == max(map(answers.count, range(CLASSES)))
        assert len(set(text["right"])) > 1


def test_what_is_told_is_bounded(folder: Path, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MOST_RECIPES", 3)
    monkeypatch.setattr(details, "MOST_CLASSES", 2)
    monkeypatch.setattr(details, "MOST_TEXTS", 5)
    table, _ = readable_table(verdict.results, read_study(folder))
    some = details_facts(verdict, table)
    results = verdict.results

    assert len(some["rows"]) == 3 == len(some["confusion"]) == len(some["pairs"]["difference"])
    assert verdict.recommended is not None
    for recipe in (results.baseline, verdict.recommended):
        assert results.recipes[recipe].rows[0] in some["rows"]
    assert (len(some["labels"]), some["classes"], len(some["confusion"][0])) == (2, CLASSES, 2)
    assert len(some["texts"]) == 5 < some["differing"]
    monkeypatch.setattr(details, "MOST_LETTERS", 1)
    assert details_facts(verdict, table)["texts"] == []
    assert details_facts(verdict, None)["texts"] == []


def test_a_recipe_without_a_run_cannot_be_picked(tmp_path: Path, bert: Path) -> None:
    def which(run: PlannedRun) -> int:
        return hits(run)

    study = audited_study(tmp_path / "study", bert)
    fill(study, which, seeds=1)
    lines = study.files.ledger.read_text().splitlines()
    study.files.ledger.write_text("".join(f"{line}\n" for line in lines[:-1]))
    found = report_facts(study.folder)

    lacking = [one["rows"][0] for one in found["recipes"] if one["test"] is None]
    assert len(lacking) == 1 and lacking[0] not in found["details"]["rows"]
    assert len(found["details"]["rows"]) == len(found["recipes"]) - 1
