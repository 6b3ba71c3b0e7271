"""Runs that diverge or fail, machines that cannot, broken files: clear words, and the others go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
from safetensors.numpy import load_file, save_file
from support.command_line import Call, InlineWorker, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.running import auditing, place, worker
from finegrid.running.messages import Ended, Job
from finegrid.running.records import save_predictions
from finegrid.study.audit_file import Audit
from finegrid.study.load import load_study
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.training.loaded import prepare_process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Path:
    """Two runs, not yet begun, each on its own."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    factors = {"reinit.layers": [1, 0]}
    return write_word_study(tmp_path / "study", Path("../model"), factors, run="family_size = 1")


def spoil_top_layer(model: Path) -> None:
    """Whoever trains the top layer as it is diverges; whoever draws it afresh does not."""
    weights = load_file(model / "model.safetensors")
    weights["encoder.layer.1.output.dense.weight"][:] = 3e38  # finite, but no product with it is
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def test_a_run_that_diverges_is_recorded_with_its_reason_and_the_others_go_on(
    study: Path, call: Call
) -> None:
    spoil_top_layer(study.parent / "model")
    done = call("run", study, "--workers", "1")

    assert done.returncode == 1
    assert "1 of 2 runs failed or diverged" in done.stderr
    by_row = {record["stands_for"][0]: record for record in records(study)}
    assert (by_row[1]["status"], by_row[2]["status"]) == ("done", "diverged")
    assert by_row[2]["reason"] == "the loss was nan at step 1 of 4"
    assert by_row[2].keys() >= by_row[1].keys() - {"predictions"}
    assert call("table", study).stdout.splitlines()[3] == "| 2 | 0 | diverged |"
    assert "diverged: row 2, seed 0: the loss was nan at step 1 of 4" in call("status", study).stdout

    ledger = (study / "runs.jsonl").read_bytes()
    assert call("run", study).returncode == 1  # not tried again: it would diverge again
    assert (study / "runs.jsonl").read_bytes() == ledger


def test_a_worker_that_breaks_in_a_run_fails_that_run_only_and_the_next_time_it_is_tried_again(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = save_predictions, []

    def spoiled_once(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise ArithmeticError("spoiled")
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "save_predictions", spoiled_once)
    first = call("run", study, "--workers", "1")

    assert first.returncode == 1
    statuses = {record["status"]: record for record in records(study)}
    assert statuses.keys() == {"done", "failed"}
    assert "spoiled; see logs/" in statuses["failed"]["reason"]
    assert statuses["failed"].keys() >= statuses["done"].keys() - {"started", "ended", "path", "predictions"}

    assert call("run", study).returncode == 0
    assert [record["status"] for record in records(study)].count("done") == 2
    assert json.loads(call("status", study, "--json").stdout)["runs"]["failed"] == 0


class DiesFirst(InlineWorker):
    """Every worker but the first ends before it is ready, as one that the system kills while it loads."""

    started: ClassVar[list[int]] = []

    def __init__(self, study: Study, settings: RunSettings, index: int, events: Any) -> None:
        self.started.append(index)
        if index == 0:
            super().__init__(study, settings, index, events)
            return
        self.index, self.family, self.ready, self.log = index, None, False, study.folder / "worker-1.log"
        self.reason = ""
        events.put((self, Ended(-9)))

    def send(self, job: Job) -> None:
        if self.index == 0:
            super().send(job)


def test_a_worker_that_dies_while_it_loads_costs_no_run(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "LocalWorker", DiesFirst)
    monkeypatch.setattr(DiesFirst, "started", [])
    done = call("run", study, "--workers", "2")

    assert done.returncode == 0, done.stderr
    assert [record["status"] for record in records(study)] == ["done", "done"]
    assert DiesFirst.started == [0, 1]  # nor is it tried again and again


def test_files_that_change_while_a_study_runs_end_it(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts later would train on them under the old runs' names."""

    def then_edit(*asked: Any) -> Audit:
        found = auditing.audit_study(*asked)
        with (study.parent / "data" / "train.tsv").open("a") as file:
            file.write("the new match\tsport\n")
        return found

    monkeypatch.setattr("finegrid.running.runner.audit_study", then_edit)
    done = call("run", study, "--workers", "2")

    assert done.returncode == 2
    assert "changed while the study ran: data" in done.stderr


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda raw: raw[: len(raw) // 2], "model.safetensors|weights"),
        (lambda raw: b"version https://git-lfs.github.com/spec/v1\n", "model.safetensors|weights"),
    ],
)
def test_weights_that_cannot_be_read_end_with_2_and_the_reason(
    study: Path, call: Call, damage: object, expected: str
) -> None:
    weights = study.parent / "model" / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))  # type: ignore[operator]
    done = call("run", study)

    assert done.returncode == 2
    assert "rror" in done.stderr or "cannot be loaded" in done.stderr
    assert not (study / "runs.jsonl").exists()


def test_cuda_where_there_is_none_is_refused(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = call("run", study, "--device", "cuda")

    assert done.returncode == 2 and "no CUDA device" in done.stderr and "--device cpu" in done.stderr


def test_bf16_where_the_processor_has_none_is_refused(
    study: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finegrid.model.device.has_bf16", lambda device: False)
    done = call("run", study, "--precision", "bf16")

    assert done.returncode == 2 and "--precision fp32" in done.stderr
    assert prepare_process.__module__ == "finegrid.training.loaded"
    assert load_study(study).head.run.precision == "fp32"


@pytest.mark.parametrize("name", ["predictions", "state", ".lock", ".lease", "cache"])
def test_a_folder_that_cannot_be_written_is_told_at_once(study: Path, call: Call, name: str) -> None:
    if name in (".lock", ".lease"):
        (study / name).mkdir()
    else:
        (study / name).write_text("in the way")
    done = call("run", study)

    assert done.returncode == 2
    assert name in done.stderr
    assert not (study / "runs.jsonl").exists()


def test_a_tokenizer_that_is_missing_is_told(study: Path, call: Call) -> None:
    for path in (study.parent / "model").glob("tokenizer*"):
        path.unlink()
    done = call("run", study)

    assert done.returncode == 2 and "tokenizer" in done.stderr


def test_data_that_went_bad_after_init_are_told_before_training(study: Path, call: Call) -> None:
    with (study.parent / "data" / "dev.tsv").open("a") as file:
        file.write("a text\tunheard of\n")
    done = call("run", study)

    assert done.returncode == 2 and "unheard of" in done.stderr
    assert not (study / "runs.jsonl").exists()
