"""design.resample from study.toml to report: every seed has a split of its own, and the verdict knows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support.command_line import Call, command_line
from support.studies import draw_texts, save_word_checkpoint, write_tsv, write_word_study

from finegrid.planning.runs import plan_runs
from finegrid.report.facts.facts import report_facts
from finegrid.results.load import load_results
from finegrid.statistics.nested import score_of_choice
from finegrid.study.audit_file import load_audit
from finegrid.study.load import load_study
from finegrid.study.predictions import read_run
from finegrid.verdict.confirm import compare, make_small_study
from finegrid.verdict.verdict import judge

FACTORS: dict[str, Sequence[object]] = {"freeze.layers": [0, 1], "optimizer.bias_correction": [True, False]}
DESIGN = "resample = 5\nseeds = 6"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_checkpoint(tmp_path_factory.mktemp("word"))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "data"
    folder.mkdir()
    write_tsv(folder / "train.tsv", draw_texts(80))
    return folder


def make(folder: Path, pool: Path, checkpoint: Path, design: str = DESIGN, data: str = "") -> Path:
    shutil.copytree(pool, folder / "data")
    train = 'train = "../data/train.tsv"\n'
    recipe = {"training.epochs": 1}
    return write_word_study(folder / "study", checkpoint, FACTORS, "", train + data, recipe, design)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pool: Path, checkpoint: Path) -> Path:
    """Where a study lies that has run, beside its data."""
    home = tmp_path_factory.mktemp("trained")
    with command_line() as call:
        assert call("run", make(home, pool, checkpoint)).returncode == 0
    return home


@pytest.fixture
def ran(tmp_path: Path, trained: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study"


@pytest.mark.slow
def test_a_resampled_study_from_run_to_report(ran: Path, call: Call) -> None:
    study = load_study(ran)
    tables = study.read_tables()
    results = load_results(study)
    audit = load_audit(ran)
    assert audit is not None and audit.splits == [table.fingerprint() for table in tables]

    # Every run was scored on the texts of its seed's split, and seed 5 on those of seed 0.
    latest = study.ledger.latest()
    for run in plan_runs(study, audit, "fp32"):
        scored = read_run(ran, latest[run.run_id])
        for part in ("dev", "test"):
            assert np.array_equal(scored[part].ids, getattr(tables[run.seed % 5], part).ids)
    predictions = results.predictions("test")
    assert predictions is not None and (predictions.predicted >= 0).sum() == 24 * len(tables[0].test)
    assert predictions.predicted.shape[2] > 2 * len(tables[0].test)
    digests = set(results.digests().values())
    assert len(digests) == 24

    verdict = judge(results)
    d = np.mean(results.points("test")[[1, 3]] - results.points("test")[[0, 2]], axis=0)
    by_split = np.array([(d[0] + d[5]) / 2, *d[1:5]])
    assert verdict.analysis.effects[1].estimate == pytest.approx(by_split.mean())
    overlap = len(tables[0].test) / len(tables[0].train)
    assert verdict.analysis.effects[1].se ** 2 == pytest.approx(
        by_split.var(ddof=1) * (1 / 5 + overlap), rel=1e-6
    )
    facts = json.loads(call("verdict", ran, "--json").stdout)
    assert facts["texts"] == len(tables[0].test)
    assert facts["splits"]["seen"] == facts["splits"]["of"] == 5
    assert facts["splits"]["test_per_train"] == pytest.approx(overlap, abs=1e-6)
    of_seed = tuple(seed % 5 for seed in results.seeds)
    choice, _ = score_of_choice(results.points("dev"), results.points("test"), of_seed)
    assert facts["splits"]["choice"] == pytest.approx(choice, abs=1e-4)
    assert all(factor["log_loss"]["low"] is not None for factor in facts["factors"])
    told = " ".join(call("verdict", ran).stdout.split())
    assert "a split of its own of the texts (5 of 5)" in told and "took part in the choice" in told
    in_chinese = "".join(call("verdict", ran, "--lang", "zh").stdout.split())
    assert "每个种子各有一套数据划分（5套中的5套）" in in_chinese
    refused = call("plan", ran, "--budget", "1h")
    assert refused.returncode == 2 and "not planned for" in refused.stderr

    assert call("report", ran).returncode == 0
    page = (ran / "report.html").read_text(encoding="utf-8")
    assert "Every seed has a split of its own of the texts (5 of 5)" in page
    assert "Scores of single recipes on test are of texts that took part in the choice" in page
    report = report_facts(ran)
    assert report["why_no_texts"] is None and report["texts"] is not None
    texts = dict(enumerate(study.read_pool().texts, start=1))
    for shown in report["texts"]["wrong"]:
        assert texts[shown["row"]] == tuple(shown["text"])
        assert 1 <= shown["seeds_wrong"] <= shown["seeds"] <= 6
    for disputed in report["texts"]["disputed"]:
        assert sum(disputed["answers"].values()) == disputed["runs"] and disputed["runs"] % 4 == 0
    for command in (["status", ran], ["table", ran], ["export", ran, "--to", "csv"], ["plan", ran]):
        assert call(*command).returncode == 0

    # A second run has nothing to do; a changed text is noticed in whichever split it is.
    ledger = (ran / "runs.jsonl").read_text()
    assert call("run", ran).returncode == 0 and (ran / "runs.jsonl").read_text() == ledger


@pytest.mark.slow
def test_a_test_file_is_crossed_with_splits_and_fresh_texts_can_confirm(
    tmp_path: Path, pool: Path, checkpoint: Path, call: Call
) -> None:
    rows = draw_texts(140)
    design, data = "resample = 5\nseeds = 5", 'test = "../data/test.tsv"'
    ran = make(tmp_path, pool, checkpoint, design, data)
    write_tsv(tmp_path / "data" / "test.tsv", rows[80:110])
    assert call("run", ran).returncode == 0
    results = load_results(load_study(ran))
    verdict = judge(results)
    predictions = results.predictions("test")

    assert predictions is not None and (predictions.predicted >= 0).all()
    assert verdict.analysis.texts == 30 and verdict.splits is not None and np.isnan(verdict.splits.choice)
    effect = verdict.analysis.effects[1]
    d = np.mean(results.points("test")[[1, 3]] - results.points("test")[[0, 2]], axis=0)
    alone = d.var(ddof=1) * (1 / 5 + verdict.splits.test_per_train)
    assert effect.se**2 >= alone * (1 - 1e-6) and effect.components.text > 0
    assert report_facts(ran)["texts"] is not None

    fresh = write_tsv(tmp_path / "fresh.tsv", [(f"{text} new", label) for text, label in rows[110:]])
    study = load_study(ran)
    small = load_study(make_small_study(study, results, results.recipes[1], 5, fresh))
    tables, own = small.read_tables(), study.read_tables()
    assert all(len(table.test) == 30 for table in tables)
    assert [table.train.texts for table in tables] == [table.train.texts for table in own]


def test_run_ids_of_old_splits_stay_when_more_are_asked_for(ran: Path, call: Call) -> None:
    settings = ran / "study.toml"
    settings.write_text(settings.read_text().replace(DESIGN, "resample = 7\nseeds = 7"), encoding="utf-8")
    before = len((ran / "runs.jsonl").read_text().splitlines())
    told = call("run", ran)

    assert told.returncode == 0 and "run anew" not in told.stderr
    # Seeds 0 to 4 keep their splits; 5 gets another one, and 6 is new.
    assert len((ran / "runs.jsonl").read_text().splitlines()) == before + 8


def test_a_confirmation_goes_on_with_the_splits_of_the_study(ran: Path, tmp_path: Path, call: Call) -> None:
    study = load_study(ran)
    results = load_results(study)
    chosen = results.recipes[1]
    small = load_study(make_small_study(study, results, chosen, 5, None))
    assert small.head.design.numbers == (6, 7, 8, 9, 10)
    for one, other in zip(study.read_tables(), small.read_tables(), strict=True):
        for part in ("train", "dev", "test"):
            assert getattr(one, part).texts == getattr(other, part).texts
            assert getattr(one, part).labels.tolist() == getattr(other, part).labels.tolist()

    assert call("run", small.folder).returncode == 0
    confirmation = compare(results, chosen, small, fresh_texts=False)
    points = load_results(small).points("test")
    d = points[1] - points[0]
    assert confirmation.fresh.difference == pytest.approx(d.mean())
    half = (confirmation.fresh.interval.high - confirmation.fresh.interval.low) / 2
    overlap = len(study.read_table().test) / len(study.read_table().train)
    assert half == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(d.var(ddof=1) * (1 / 5 + overlap)))

    # Texts from elsewhere: the whole pool is split in train and dev, and train stays as large as it was.
    fresh = write_tsv(tmp_path / "fresh.tsv", [(f"{text} new", label) for text, label in draw_texts(20)])
    other_test = load_study(make_small_study(study, results, chosen, 5, fresh))
    sizes = [
        [len(part) for part in (table.train, table.dev, table.test)] for table in other_test.read_tables()
    ]
    table = study.read_table()
    assert sizes == [[len(table.train), len(table.dev), 20]] * 5


def test_a_kept_model_says_which_texts_it_was_trained_on(ran: Path, tmp_path: Path, call: Call) -> None:
    out = tmp_path / "kept"
    assert call("fit", ran, "--recipe", "1", "--seed", "3", "--out", out).returncode == 0
    kept = json.loads((out / "finegrid.json").read_text())
    audit = load_audit(ran)

    assert audit is not None and kept["fingerprints"]["data"] == audit.splits[3]
    assert any(record.run_id == kept["run_id"] for record in load_study(ran).ledger)


@pytest.mark.parametrize(
    ("design", "told"),
    [
        ("resample = 4\nseeds = 8", "greater than or equal to 5"),
        ("resample = 5\nseeds = 3", "seeds that draw 3 of 5 splits"),
        ("resample = 5\nseeds = [0, 5, 10, 15, 20]", "seeds that draw 1 of 5 splits"),
        ("pool_test = true", "there is no pool"),
        ("resample = 5\nseeds = 5\npool_test = true", "there is no test file"),
        ('resample = 5\nseeds = 5\nkind = "screen"', "decides on one dev set"),
    ],
)
def test_what_cannot_be_resampled_is_refused(
    design: str, told: str, tmp_path: Path, pool: Path, checkpoint: Path, call: Call
) -> None:
    ended = call("plan", make(tmp_path, pool, checkpoint, design))

    assert ended.returncode == 2 and told in ended.stderr


def test_pre_training_is_not_resampled(tmp_path: Path, pool: Path, checkpoint: Path, call: Call) -> None:
    study = make(tmp_path, pool, checkpoint)
    settings = study / "study.toml"
    settings.write_text(settings.read_text() + "\n[pretrain]\ntokens = 1000\n", encoding="utf-8")
    ended = call("plan", study)

    assert ended.returncode == 2 and "pretrain.tokens reads the texts of one training set" in ended.stderr


def test_looks_may_start_before_all_splits_are_drawn(tmp_path: Path, pool: Path, checkpoint: Path) -> None:
    study = load_study(make(tmp_path, pool, checkpoint, "resample = 8\nseeds = 2\nlooks = [3, 6]"))

    assert study.head.design.planned == tuple(range(6))
