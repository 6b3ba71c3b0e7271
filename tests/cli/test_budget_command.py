"""`finegrid plan --budget`, from study.toml to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import Call
from support.studies import save_word_checkpoint, write_data, write_word_study

FACTORS: dict[str, list[object]] = {
    "optimizer.bias_correction": [True, False],
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.3],
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    return write_word_study(tmp_path / "study", Path("../model"), FACTORS)


def test_a_budget_probes_what_was_not_probed_and_then_plans(study: Path, call: Call) -> None:
    first = call("plan", study, "--budget", "1h", "--json", "--workers", "1")
    assert first.returncode == 0, first.stderr
    assert (study / "audit.json").exists() and not (study / "runs.jsonl").exists()
    told = json.loads(first.stdout)
    assert told["design"]["kind"] == "full"
    assert (
        told["budget"]["chosen"]["seconds"] <= 3600 and told["budget"]["variances"]["from"] == "assumptions"
    )

    probed = (study / "audit.json").read_bytes()
    again = call("plan", study, "--budget", "60m", "--workers", "1")
    assert (study / "audit.json").read_bytes() == probed
    lines = again.stdout.splitlines()
    assert any(line.startswith("budget 60 min with 1 worker: full design") for line in lines)
    assert any("assumed, no two seeds have finished" in line for line in lines)


@pytest.mark.parametrize("options", [["--budget", "soon"], ["--budget", "3h", "--seeds", "3"]])
def test_what_cannot_be_planned_is_refused_before_anything_is_probed(
    study: Path, call: Call, options: list[str]
) -> None:
    refused = call("plan", study, *options)

    assert refused.returncode == 2 and "command line: 1 problem" in refused.stderr
    assert not (study / "audit.json").exists()


def test_without_a_budget_nothing_is_said_of_one(study: Path, call: Call) -> None:
    assert "budget" not in json.loads(call("plan", study, "--json").stdout)
