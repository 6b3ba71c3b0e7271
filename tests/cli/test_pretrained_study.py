"""A study with `pretrain.tokens`, from `finegrid run` to every place that tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import Call, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.results.load import load_results
from finegrid.study.load import load_study

SHARED = "leave out the chance of pre-training"


@pytest.fixture
def study(tmp_path: Path, call: Call, request: pytest.FixtureRequest) -> Path:
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    factors = {"pretrain.tokens": [0, 600], "reinit.layers": [0, 1]}
    recipe = {"pretrain.shared": request.param}
    study = write_word_study(tmp_path / "study", Path("../model"), factors, recipe=recipe)
    done = call("run", study, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return study


@pytest.mark.slow
@pytest.mark.parametrize("study", [True], indirect=True)
def test_a_shared_encoder_is_told_of_wherever_intervals_are_shown(study: Path, call: Call) -> None:
    verdict = call("verdict", study)
    report = call("report", study)
    markdown = call("report", study, "--format", "md", "--out", study / "report.md")

    assert (report.returncode, markdown.returncode) == (0, 0), report.stderr + markdown.stderr
    for told in (
        verdict.stdout,
        (study / "report.html").read_text(encoding="utf-8"),
        (study / "report.md").read_text(encoding="utf-8"),
    ):
        assert SHARED in " ".join(told.split())
    assert "不包含预训练本身的偶然性" in "".join(call("verdict", study, "--lang", "zh").stdout.split())


@pytest.mark.parametrize("study", [False], indirect=True)
def test_seconds_of_a_run_hold_those_of_its_pre_training(study: Path, call: Call) -> None:
    pretrained = [record for record in records(study) if "pretrain.tokens" in record["recipe"]]
    spent = {record["seconds"]["pretrain"] for record in pretrained}
    found = load_results(load_study(study)).seconds()
    whole = [
        sum(record["seconds"][part] for part in ("pretrain", "train", "dev", "test")) for record in pretrained
    ]

    assert len(pretrained) == 2 and len(spent) == 1 and min(spent) > 0  # one encoder for both, made once
    assert not any("pretrain" in r["seconds"] for r in records(study) if r not in pretrained)
    assert set(whole) < set(found.ravel().tolist())
    verdict = json.loads(call("verdict", study, "--json").stdout)
    assert not [warning for warning in verdict["warnings"] if warning["kind"] == "shared-pretraining"]
