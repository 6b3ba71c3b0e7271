"""Of hundreds of classes all are in the facts, and page and figures show those that matter."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.older_predictions import save_run
from support.pretend import record_scores
from support.reported import SEEDS, audited_study, fill

from finegrid import metrics
from finegrid.planning.runs import plan_runs
from finegrid.report.chart.charts import captions, charts
from finegrid.report.facts.classes import COMMON, CONFUSED, LOWEST, MOST_SHOWN, class_facts, cut_interval
from finegrid.report.facts.facts import report_facts
from finegrid.report.facts.texts import count_commonest
from finegrid.report.page.page import render_page
from finegrid.report.write import write_report
from finegrid.results.load import load_results
from finegrid.statistics.decide import Interval
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.prediction_file import Arrays, RunPredictions
from finegrid.study.predictions import read_each
from finegrid.study.record import Record, Seconds
from finegrid.study.study import Study
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge

FACTORS = '[design]\nseeds = 2\n[factors]\n"optimizer.bias_correction" = [true, false]'
Facts = Any  # report.json


def study_of(folder: Path, bert: Path, classes: int, texts: int) -> Study:
    """Of that many classes, the first ones common. A text is right, or taken for the class beside its own."""
    audited_study(folder, bert, FACTORS, 'score = "macro-f1"\n')
    audit = load_audit(folder)
    assert audit is not None
    labels = [f"class {number:04d}" for number in range(classes)]
    gold = np.concatenate([np.arange(classes), np.arange(texts - classes) % max(classes // 5, 2)])
    always = np.eye(classes, dtype=np.float32)[np.zeros(texts, dtype=np.int64)]
    majority = metrics.summary(gold, always, labels)
    sizes = {"train": texts, "dev": texts, "test": texts}
    changed = {"labels": labels, "majority": {"dev": majority, "test": majority}, "sizes": sizes}
    audit = audit.model_copy(update=changed)
    save_audit(folder, audit)
    study = load_study(folder)
    for run in plan_runs(study, audit, "fp32"):
        random = np.random.default_rng([run.seed, int(run.run_id, 16)])
        wrong = random.random(texts) < 0.2 + 0.5 * (gold % 7 == 3)
        said = np.where(wrong, (gold ^ 1) % classes, gold)
        logits = 4 * np.eye(classes, dtype=np.float32)[said]
        logits += random.random(logits.shape, dtype=np.float32)
        found = RunPredictions(gold, logits, np.arange(1, texts + 1))
        save_run(study.files.predictions_of(run.run_id), found, found)
        scores = metrics.summary(gold, logits, labels)
        study.ledger.append(record_scores(run, scores, Seconds(train=20.0)))
    return study


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Study:
    return study_of(tmp_path_factory.mktemp("many") / "study", bert, 150, 900)


@pytest.fixture(scope="module")
def facts(many: Study) -> Facts:
    return json.loads(json.dumps(report_facts(many.folder)))


def test_every_class_is_in_the_facts_with_its_interval(facts: Facts, many: Study) -> None:
    found = facts["classes"]

    assert [one["label"] for one in found["classes"]] == [f"class {number:04d}" for number in range(150)]
    assert found["all"] == 150 and sum(one["texts"] for one in found["classes"]) == 900
    results = load_results(many)
    recommended = next(recipe for recipe in facts["recipes"] if recipe["recommended"])
    records = next(one for one in results.recipes if one.rows[0] == recommended["rows"][0]).records.values()
    for one in found["classes"]:
        mean = np.mean([100 * record.score("test", f"f1:{one['label']}") for record in records])
        assert one["f1"] == pytest.approx(mean)
        low, high = one["f1_interval"]
        assert (low is None and high is None) or 0 <= low <= one["f1"] <= high <= 100


def test_the_most_common_and_the_lowest_classes_are_shown(facts: Facts) -> None:
    found = facts["classes"]
    by_label = {one["label"]: one for one in found["classes"]}
    common, lowest = ([by_label[label] for label in found[name]] for name in ("common", "lowest"))
    others = [one for label, one in by_label.items() if label not in found["common"]]
    with_texts = [one for one in others if one["texts"] >= 5]

    assert (len(common), len(lowest)) == (COMMON, LOWEST)
    assert min(one["texts"] for one in common) >= max(one["texts"] for one in others)
    assert not {*found["common"]} & {*found["lowest"]}
    least = sorted(one["f1"] for one in with_texts)
    assert [one["f1"] for one in lowest[: len(with_texts)]] == least[:LOWEST]


def test_the_confusion_table_is_of_the_largest_confusions(facts: Facts) -> None:
    found = facts["classes"]
    pairs = [(one["gold"], one["said"]) for one in found["pairs"]]
    texts = [one["texts"] for one in found["pairs"]]

    assert len(found["labels"]) == len(found["confusion"]) == CONFUSED
    assert {label for pair in pairs[: CONFUSED // 2] for label in pair} <= {*found["labels"]}
    assert texts == sorted(texts, reverse=True) and all(gold != said for gold, said in pairs)
    table = np.array(found["confusion"])
    for one in found["pairs"]:
        if {one["gold"], one["said"]} <= {*found["labels"]}:
            row, column = found["labels"].index(one["gold"]), found["labels"].index(one["said"])
            assert table[row, column] == one["texts"]


@pytest.mark.parametrize(
    ("lang", "told"), [("en", "Of 150 classes the 20 most common"), ("zh", "150 个类别中")]
)
def test_figures_say_how_many_classes_they_leave_out_and_where_all_are(
    facts: Facts, lang: Any, told: str
) -> None:
    drawn, said = charts(facts, lang), captions(facts, lang)

    rows = [row["label"] for row in drawn["classes"]["datasets"]["rows"] if row["label"]]
    assert sorted(rows) == sorted(facts["classes"]["common"] + facts["classes"]["lowest"])
    assert len([row for row in drawn["classes"]["datasets"]["rows"] if row["title"]]) == 2
    assert len(drawn["confusion"]["datasets"]["labels"]) == CONFUSED
    assert told in " ".join(said["classes"][1]) and "JSON" in " ".join(said["classes"][1])
    assert "150" in " ".join(said["confusion"][1]) and "100 %" in " ".join(said["confusion"][1])


def test_the_page_lists_some_classes_and_holds_all(facts: Facts) -> None:
    page = render_page(facts)
    body = re.sub(r"<script.*?</script>|data:image[^\"]*", "", page, flags=re.DOTALL)
    shown = {*facts["classes"]["common"], *facts["classes"]["lowest"]}

    assert all(label in body for label in shown)
    assert "Of 150 classes the 20 most common ones are shown" in body
    named = set(re.findall(r"class \d{4}", body))
    assert len(named) < 120 and "class 0149" in page


def test_few_classes_are_all_shown(tmp_path: Path, bert: Path) -> None:
    study = study_of(tmp_path / "study", bert, MOST_SHOWN, 300)
    found = class_facts(judge(load_results(study)))
    assert found is not None

    labels = [one["label"] for one in found["classes"]]
    assert found["common"] == found["labels"] == labels and found["lowest"] == []


def test_an_interval_is_cut_where_no_f1_can_be_and_unknown_without_width() -> None:
    assert cut_interval(Interval(-20.0, 60.0)) == Interval(0.0, 60.0)
    assert cut_interval(Interval(60.0, 120.0)) == Interval(60.0, 100.0)
    for nothing in (Interval(0.0, 0.0), Interval(100.0, 100.0), Interval(-np.inf, np.inf)):
        assert not cut_interval(nothing).is_known


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the arrays of predictions that are read, as they are read."""
    names: list[str] = []
    take = Arrays.__getitem__

    def note(file: Any, name: str) -> Any:
        names.append(name)
        return take(file, name)

    monkeypatch.setattr(Arrays, "__getitem__", note)
    return names


def test_a_verdict_opens_the_test_logits_of_two_recipes_at_most(many: Study, opened: list[str]) -> None:
    """The baseline's and those of the recommended one, whose models are asked together."""
    verdict = judge(load_results(many))
    as_json(verdict)

    models = sum(ensemble.models for ensemble in verdict.ensembles)
    assert models > 0 and len(verdict.ensembles) <= 2
    assert [name for name in opened if "logits" in name] == ["test_logits"] * models


def test_a_report_opens_those_of_one_recipe_again(tmp_path: Path, bert: Path, opened: list[str]) -> None:
    facts = fill(audited_study(tmp_path / "study", bert))

    assert facts["texts"]["wrong"]  # which are found by their probabilities
    models = sum(ensemble["models"] for ensemble in facts["verdict"]["ensembles"])
    assert [name for name in opened if "logits" in name] == ["test_logits"] * (models + SEEDS)


def test_the_most_frequent_answer_is_counted_without_a_table_of_classes() -> None:
    random = np.random.default_rng(0)
    said = random.integers(-1, 4, (9, 200)).astype(np.int16)
    expected = np.stack([(said == number).sum(axis=0) for number in range(4)]).max(axis=0)

    assert count_commonest(said).tolist() == expected.tolist()


@pytest.mark.slow
def test_a_thousand_classes_take_no_memory_of_classes_cubed(tmp_path: Path, bert: Path) -> None:
    study = study_of(tmp_path / "study", bert, 1000, 2000)
    tracemalloc.start()
    found = class_facts(judge(load_results(study)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found is not None and len(found["classes"]) == 1000
    assert peak < 100_000_000  # a cube takes 8,000,000,000, a table 8,000,000


def test_the_json_beside_the_page_has_all_classes(many: Study, tmp_path: Path) -> None:
    write_report(many.folder, "html", None, tmp_path / "page.html", "en")
    written = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))

    assert len(written["classes"]["classes"]) == 150


def test_predictions_are_read_once_for_each_purpose(many: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def note(folder: Path, records: Iterable[Record], take: Any) -> Any:
        records = list(records)
        calls.extend(record.run_id for record in records)
        return read_each(folder, records, take)

    monkeypatch.setattr("finegrid.results.results.read_each", note)
    results = load_results(many)
    judge(results)
    judge(results)

    assert sorted(calls) == sorted(record.run_id for record in many.ledger.latest().values())
