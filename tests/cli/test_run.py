"""`finegrid run`, `table`, `status`, `plan` on a tiny study: what is trained, written and printed."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Call, Called, command_line, records
from support.studies import draw_texts, save_word_checkpoint, write_data, write_tsv, write_word_study

from finegrid.running.progress.study_progress import StudyProgress

# design.md, section 3.
FIELDS = {
    *("schema", "run_id", "recipe", "stands_for", "seed", "status", "best_epoch", "dev", "test", "epochs"),
    *("seconds", "memory", "family", "threads", "precision", "device", "versions"),
}
RUNS_OF_ROWS = [(1, 2), (3, 4), (5, 6), (7, 8)]  # reinit.pooler, the last factor, is inert


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    write_word_study(folder / "study", Path("../model"), design="seeds = [0]")
    return folder


@pytest.fixture(scope="module")
def first(home: Path) -> Called:
    """The study's run."""
    with command_line() as call:
        return call("run", home / "study", "--workers", "1")


@pytest.fixture
def study(home: Path, first: Called, tmp_path: Path) -> Path:
    """A finished study, to be changed."""
    assert first.returncode == 0, first.stderr
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study"


def change(study: Path, old: str, new: str) -> None:
    text = (study / "study.toml").read_text()
    assert old in text
    (study / "study.toml").write_text(text.replace(old, new))


def test_results_go_to_stdout_and_progress_to_stderr(first: Called) -> None:
    assert first.returncode == 0
    assert "s full" in first.stdout and "s frozen" in first.stdout
    assert "8 recipes are 4 distinct runs" in first.stderr
    assert re.search(r"^run 4 of 4: \S+ = .+ \(rows \d-\d\), seed 0: macro-f1 ", first.stderr, re.MULTILINE)
    assert "run 4 of 4" not in first.stdout


def test_a_run_ends_with_the_verdict_in_three_lines_and_the_next_command(first: Called, home: Path) -> None:
    *_, use, sure, then = first.stdout.splitlines()

    assert use == "keep what you have: the baseline (row 1)" and "A second seed would" in sure
    assert then == f"next: finegrid run {home / 'study'} --seeds 3 tells how far runs differ"
    assert "best row" not in first.stdout


@pytest.mark.parametrize(
    ("command", "then"),
    [
        (("status",), "finegrid verdict {} "),
        (("plan",), "finegrid verdict {} "),
        (("verdict",), "finegrid run {} --seeds 3 "),
        (("verdict", "--lang", "zh"), "finegrid run {} --seeds 3 "),
        (("export", "--to", "csv"), "finegrid report {} "),
        (("table",), "finegrid verdict {} "),
    ],
)
def test_every_command_ends_with_the_next_one(
    study: Path, call: Call, command: tuple[str, ...], then: str
) -> None:
    name, *options = command
    done = call(name, study, *options)
    last = (done.stderr if name == "table" else done.stdout).splitlines()[-1]

    assert done.returncode == 0
    assert last.startswith(("下一步：" if "zh" in options else "next: ") + then.format(study))


def test_commands_speak_chinese_to_whose_locale_is_chinese(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    told = {name: call(name, study).stdout for name in ("status", "plan", "verdict", "run")}

    assert told["status"].startswith("4 次不同的运行：完成 4 次、")
    assert (
        "8 行对应 4 次不同的运行，没有待训练的" in told["plan"] and "不起作用：reinit.pooler" in told["plan"]
    )
    assert "再加一个种子即可知道" in told["verdict"] and "保持现状" in told["run"]
    assert all(text.splitlines()[-1].startswith("下一步：finegrid ") for text in told.values())
    assert call("status", study, "--lang", "en").stdout.startswith("4 distinct runs: 4 done, ")
    assert call("status", study, "--lang", "fr").returncode == 2


PROSE = re.compile(r"(?:\b[A-Za-z][a-z]+\b[ ,]+){2,}[a-z]+")
COMMAND = re.compile(r"finegrid [\x20-\x7e]+")


def test_a_table_in_chinese_has_the_same_rows_and_no_english(study: Path, call: Call) -> None:
    english = call("table", study, "--extremes", "--lang", "en").stdout.splitlines()
    done = call("table", study, "--extremes", "--lang", "zh")
    shown = done.stdout.splitlines()

    assert english[0].startswith("| index |") and english[0].endswith(" result |")
    assert shown[0] == english[0].replace("index", "序号").replace("result", "结果")
    assert shown[1:10] == english[1:10] and len(shown) == len(english) == 14
    assert shown[11].startswith("最好：第 ") and shown[13].startswith(
        "每轮耗时（各次运行的中位数）：完整训练 "
    )
    assert [line for line in (*shown, *done.stderr.splitlines()) if PROSE.search(COMMAND.sub("", line))] == []
    for style in ("csv", "json"):
        options = ("table", study, "--format", style, "--lang")
        assert call(*options, "zh").stdout == call(*options, "en").stdout


def test_status_names_the_folder_of_the_logs(study: Path, call: Call) -> None:
    (study / "logs").mkdir(exist_ok=True)

    assert f"logs of the workers, a line an epoch: {study / 'logs'}" in call("status", study).stdout


def test_workers_log_a_line_an_epoch(first: Called) -> None:
    """Here they are threads of this process, so that their stderr is its own."""
    epoch = re.compile(
        r" epoch (\d) of 2: loss \d\.\d{4}, macro-f1 0\.\d{4} on dev, \d+\.\d s$", re.MULTILINE
    )
    begun = re.findall(r" begins with seed 0: .*optimizer\.rate = 0\.01", first.stderr)

    assert sorted(epoch.findall(first.stderr)) == ["1"] * 4 + ["2"] * 4 and len(begun) == 4


def test_json_has_no_next_command(study: Path, call: Call) -> None:
    for command in (("status", study), ("plan", study), ("verdict", study)):
        json.loads(call(*command, "--json").stdout)


def test_status_says_when_a_study_is_at_work(study: Path, call: Call) -> None:
    assert "at work" not in call("status", study).stdout
    progress = {
        **StudyProgress("accuracy", 0.0).as_json(1.0),
        "doing": "training",
        "runs": {"to_train": 8, "ended": 3},
        "seconds_left": 60,
    }
    (study / "progress.json").write_text(json.dumps({**progress, "written": time.time()}))
    told = call("status", study).stdout

    assert "at work now: 3 of 8 runs since this start, about 60 s left" in told
    assert told.splitlines()[-1].startswith(f"next: finegrid watch {study} --open")


def test_before_the_first_run_the_next_command_looks_at_the_model_and_then_trains(
    study: Path, call: Call
) -> None:
    (study / "runs.jsonl").unlink()
    assert call("plan", study).stdout.splitlines()[-1].startswith(f"next: finegrid run {study} trains it")
    (study / "audit.json").unlink()
    assert call("plan", study).stdout.splitlines()[-1].startswith(f"next: finegrid plan {study} --probe")


def test_every_planned_run_has_a_record_with_all_its_fields(study: Path) -> None:
    found = records(study)

    assert len(found) == 4
    assert sorted(tuple(record["stands_for"]) for record in found) == RUNS_OF_ROWS
    for record in found:
        assert record.keys() >= FIELDS
        assert record["status"] == "done" and record["seed"] == 0
        assert record["recipe"]["optimizer.rate"] == 0.01 and "reinit.pooler" not in record["recipe"]
        assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2]
        assert (
            record["best_epoch"] == max(record["epochs"], key=lambda epoch: epoch["dev"]["macro-f1"])["epoch"]
        )
        assert record["dev"] == record["epochs"][record["best_epoch"] - 1]["dev"]
        assert record["memory"] > 0
        assert 0 < record["seconds"]["epoch"] <= record["seconds"]["train"]


def test_runs_that_freeze_the_same_are_one_family(study: Path) -> None:
    frozen = [record["family"] for record in records(study) if "freeze.layers" in record["recipe"]]
    full = [record["family"] for record in records(study) if "freeze.layers" not in record["recipe"]]

    assert len(frozen) == len(full) == 2
    assert len(set(frozen)) == len(set(full)) == 1 and frozen[0] != full[0]


def test_predictions_are_plain_arrays_and_give_the_recorded_scores(study: Path) -> None:
    labels = {name: [line.split("\t")[1] for line in lines[1:]] for name, lines in data_lines(study).items()}
    for record in records(study):
        with np.load(study / "predictions" / f"{record['family']}.npz", allow_pickle=False) as file:
            family = dict(file)
        kept = {f"{part}_{w}" for part in ("dev", "test") for w in ("logits", "ids", "gold", "predicted")}
        own = {"test_log_loss", "test_brier", "digest", "names", "dev_crc", "test_crc"}
        assert set(family) == {*kept, *own} and len(family["names"]) == 2
        row = [bytes(name).decode() for name in family["names"]].index(record["run_id"])
        shared = ("dev_ids", "dev_gold", "test_ids", "test_gold")
        arrays = {name: array if name in shared else array[row] for name, array in family.items()}
        for part, count in (("dev", 12), ("test", 16)):
            assert arrays[f"{part}_logits"].shape == (count, 2)
            assert arrays[f"{part}_logits"].dtype == np.float32
            assert arrays[f"{part}_ids"].tolist() == list(range(1, count + 1))
            named = [("money", "sport")[index] for index in arrays[f"{part}_gold"]]
            assert named == labels[part]
            assert arrays[f"{part}_predicted"].dtype == np.uint8
            assert arrays[f"{part}_predicted"].tolist() == arrays[f"{part}_logits"].argmax(axis=1).tolist()
            right = arrays[f"{part}_predicted"] == arrays[f"{part}_gold"]
            assert record[part]["accuracy"] == pytest.approx(right.mean())


def data_lines(study: Path) -> dict[str, list[str]]:
    return {
        part: (study.parent / "data" / f"{part}.tsv").read_text().splitlines() for part in ("dev", "test")
    }


def test_every_row_of_the_table_is_printed_once_merged_ones_included(study: Path, call: Call) -> None:
    markdown = call("table", study).stdout.splitlines()
    rows = list(csv.reader(io.StringIO(call("table", study, "--format", "csv").stdout)))
    parsed = json.loads(call("table", study, "--format", "json").stdout)
    scores = {row: record["test"]["macro-f1"] for record in records(study) for row in record["stands_for"]}

    assert markdown[0] == "| index | freeze.layers | schedule.warmup_ratio | reinit.pooler | result |"
    assert rows[0] == ["index", "freeze.layers", "schedule.warmup_ratio", "reinit.pooler", "result"]
    assert [line.strip("| ").split(" | ") for line in markdown[2:]] == rows[1:]
    assert [row[0] for row in rows[1:]] == [str(index) for index in range(1, 9)]
    assert [row[-1] for row in rows[1:]] == [f"{scores[index]:.4f}" for index in range(1, 9)]
    assert rows[4][1:4] == ["0", "0.1", "true"]
    assert [row["same_as"] for row in parsed["rows"]] == [1, 1, 3, 3, 5, 5, 7, 7]
    assert [row["result"] for row in parsed["rows"]] == [scores[index] for index in range(1, 9)]


def test_what_programs_read_is_json(study: Path, call: Call) -> None:
    status = json.loads(call("status", study, "--json").stdout)
    plan = json.loads(call("plan", study, "--json", "--seeds", "3").stdout)

    assert status["runs"] == {"distinct": 4, "done": 4, "diverged": 0, "failed": 0, "left": 0}
    assert plan["runs"] == {"distinct": 12, "done": 4, "diverged": 0, "failed": 0, "left": 8}
    assert plan["seeds"] == [0, 1, 2]
    assert plan["inert"]["reinit.pooler"]["rows"] == [2, 4, 6, 8]
    assert plan["seconds_left"] > 0 and status["seconds_left"] == 0


def test_plan_says_in_words_what_is_inert_and_what_it_takes(study: Path, call: Call) -> None:
    told = call("plan", study).stdout

    assert "8 rows are 4 distinct runs" in told
    reason = "pooler.dense.weight, pooler.dense.bias never reach the loss under model.pooling"
    assert f"inert: reinit.pooler in 4 rows: {reason}" in told
    assert "predicted: " in told and "GiB per worker" in told


def test_a_study_that_was_never_probed_says_so(home: Path, tmp_path: Path, call: Call) -> None:
    shutil.copytree(home / "data", tmp_path / "data")
    fresh = write_word_study(tmp_path / "fresh", home / "model")

    assert "not yet probed" in call("plan", fresh).stdout
    assert "not started" in call("status", fresh).stdout
    assert json.loads(call("plan", fresh, "--json").stdout)["runs"] is None
    assert call("table", fresh).stdout.splitlines()[2] == "| 1 | 0 | 0.0 | false |  |"


def test_probing_looks_at_the_model_and_trains_nothing(home: Path, tmp_path: Path, call: Call) -> None:
    shutil.copytree(home / "data", tmp_path / "data")
    fresh = write_word_study(tmp_path / "fresh", home / "model")
    told = call("plan", fresh, "--probe").stdout

    assert "8 rows are 4 distinct runs" in told
    assert (fresh / "audit.json").exists() and not (fresh / "runs.jsonl").exists()
    assert json.loads(call("status", fresh, "--json").stdout)["runs"]["left"] == 4


def test_another_precision_is_a_run_of_its_own_and_counts_when_mixed(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "finegrid.model.device.has_bf16", lambda device: True
    )  # slow where emulated, but right
    refused = call("run", study, "--precision", "bf16")
    assert refused.returncode == 2 and "precision fp32" in refused.stderr and "--mix" in refused.stderr

    before = {record["run_id"] for record in records(study)}
    (study / "runs.jsonl").unlink()
    assert call("run", study, "--precision", "bf16").returncode == 0
    assert before.isdisjoint(record["run_id"] for record in records(study))
    assert {record["precision"] for record in records(study)} == {"bf16"}
    assert json.loads(call("status", study, "--json").stdout)["runs"]["done"] == 4
    assert "| 8 | 1 | 0.1 | true | 0." in call("table", study).stdout


def test_running_again_trains_nothing_and_more_seeds_train_only_those(study: Path, call: Call) -> None:
    ledger = (study / "runs.jsonl").read_bytes()
    again = call("run", study)

    assert again.returncode == 0
    assert (study / "runs.jsonl").read_bytes() == ledger

    more = call("run", study, "--seeds", "2")
    assert more.returncode == 0
    assert (study / "runs.jsonl").read_bytes().startswith(ledger)
    assert [record["seed"] for record in records(study)] == [0] * 4 + [1] * 4
    assert json.loads(call("status", study, "--json").stdout)["runs"]["done"] == 8
    row = json.loads(call("table", study, "--format", "json").stdout)["rows"][0]
    assert row["result"] == pytest.approx(np.mean([run["test"] for run in row["runs"]]))
    assert len(row["runs"]) == 2


def test_seeds_asked_for_at_the_first_run_are_counted_by_every_view_and_were_not_added_later(
    study: Path, call: Call
) -> None:
    (study / "runs.jsonl").unlink()
    change(study, "seeds = [0]", "seeds = 1  # of mine")
    assert call("run", study, "--seeds", "2", "--rows", "1").returncode == 0

    assert "seeds = 2  # of mine" in (study / "study.toml").read_text()
    assert len(records(study)) == 2
    assert json.loads(call("status", study, "--json").stdout)["runs"]["left"] == 6
    verdict = json.loads(call("verdict", study, "--json").stdout)
    assert verdict["missing"]["left"] == 6
    assert "unplanned-seeds" not in {warning["kind"] for warning in verdict["warnings"]}


def test_other_threads_are_refused_with_advice_unless_mixing_is_allowed(study: Path, call: Call) -> None:
    ledger = (study / "runs.jsonl").read_bytes()
    change(study, "[run]", "[run]\nthreads = 2")
    refused = call("run", study)

    assert refused.returncode == 2
    assert "threads 1" in refused.stderr and "threads 2" in refused.stderr and "--mix" in refused.stderr
    assert call("run", study, "--mix").returncode == 0
    assert (study / "runs.jsonl").read_bytes() == ledger


def test_changed_data_are_told_and_everything_is_run_anew(study: Path, call: Call) -> None:
    before = records(study)
    write_tsv(study.parent / "data" / "train.tsv", draw_texts(34, seed=7))
    again = call("run", study)

    assert again.returncode == 0
    assert "changed since the last run: data" in again.stderr
    after = records(study)
    assert after[:4] == before
    assert len({record["run_id"] for record in after}) == 8
    assert json.loads(call("status", study, "--json").stdout)["runs"]["done"] == 4


def test_a_score_of_a_label_that_does_not_exist_is_refused_before_training(study: Path, call: Call) -> None:
    change(study, "\n[data]", 'score = "f1:weather"\n[data]')
    ledger = (study / "runs.jsonl").read_bytes()
    refused = call("run", study)

    assert refused.returncode == 2
    assert '"f1:weather" is not a score' in refused.stderr and "money, sport" in refused.stderr
    assert (study / "runs.jsonl").read_bytes() == ledger
    assert call("status", study).returncode == 0
    assert call("table", study).returncode == 0


def test_only_some_rows_are_trained_when_asked_for(study: Path, call: Call) -> None:
    (study / "runs.jsonl").unlink()

    assert call("run", study, "--rows", "2, 7").returncode == 0
    assert sorted(record["stands_for"] for record in records(study)) == [[1, 2], [7, 8]]
    assert call("run", study, "--rows", "9").returncode == 2


@pytest.mark.slow
def test_any_training_setting_may_be_a_factor(home: Path, tmp_path: Path, call: Call) -> None:
    pairs = [(text, f"new {text}", label) for text, label in draw_texts(50)]
    write_tsv(tmp_path / "data" / "all.tsv", pairs, "text_a\ttext_b\tlabel")
    factors: dict[str, list[object]] = {
        "optimizer.rate": [0.01, 0.001],
        "training.epochs": [1, 2],
        "training.batch_size": [8, 32],
        "model.pooling": ["cls", "pooler"],
        "model.max_length": [6, 10],
    }
    data = 'train = "../data/all.tsv"\ntext = ["text_a", "text_b"]'
    design = 'kind = "fractional"\nresolution = 5'  # half of the rows hold all pairs of levels
    study = write_word_study(tmp_path / "study", home / "model", factors, data=data, design=design)
    done = call("run", study)

    assert done.returncode == 0, done.stderr
    rows = json.loads(call("table", study, "--format", "json").stdout)["rows"]
    by_row = {row: record for record in records(study) for row in record["stands_for"]}
    assert len(rows) == len(by_row) == 16
    for row in rows:
        record = by_row[row["index"]]
        assert row["levels"].items() <= (defaults() | record["recipe"]).items()
        assert len(record["epochs"]) == row["levels"]["training.epochs"]
    assert (study / "split.tsv").exists()


def defaults() -> dict[str, object]:
    from finegrid.recipe.recipe import DEFAULTS

    return {**DEFAULTS, "model.max_length": 12}
