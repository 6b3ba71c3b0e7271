"""`finegrid run` with stacks: recorded, never mixed in silence, and formed anew whole after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Call, finished, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.results.load import load_results
from finegrid.study.load import load_study
from finegrid.training.run import Run
from finegrid.training.stack import Stack
from finegrid.verdict.diagnose import mixed

FACTORS = {"schedule.warmup_ratio": [0.0, 0.1, 0.6]}


@pytest.fixture
def study(tmp_path: Path, call: Call) -> Path:
    """Three runs that share a frozen layer, trained as one stack."""
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    recipe = {"freeze.layers": 1}
    study = write_word_study(tmp_path / "study", Path("../model"), FACTORS, recipe=recipe, run="stack = 3")
    done = call("run", study, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return study


def test_what_is_lost_of_a_stack_comes_back_to_the_same_bits(study: Path, call: Call) -> None:
    lines = (study / "runs.jsonl").read_text().splitlines()
    before = finished(study)
    (study / "runs.jsonl").write_text(lines[0] + "\n")
    again = call("run", study, "--workers", "1")

    assert again.returncode == 0, again.stderr
    assert len(records(study)) == 3  # the first was trained again for company, not recorded again
    assert {record["stack"] for record in records(study)} == {3}
    assert finished(study) == before


def test_a_stack_is_trained_whole_whatever_is_left_of_it(study: Path, call: Call, monkeypatch: Any) -> None:
    sizes = []
    form = Stack.__init__

    def init(self: Stack, runs: list[Run]) -> None:
        sizes.append(len(runs))
        form(self, runs)

    monkeypatch.setattr(Stack, "__init__", init)
    (study / "runs.jsonl").write_text((study / "runs.jsonl").read_text().splitlines()[0] + "\n")
    call("run", study, "--workers", "1")

    assert sizes == [3]


def test_other_stacks_are_refused_unless_mixing_is_allowed_and_then_told(study: Path, call: Call) -> None:
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace("stack = 3", "stack = 1"))
    refused = call("run", study)

    assert refused.returncode == 2 and "stack 3" in refused.stderr and "--mix" in refused.stderr
    (study / "study.toml").write_text(text)
    found = records(study)
    del found[0]["stack"]  # as records were before there were stacks: each run by itself
    (study / "runs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in found))
    assert "stack 1" in call("run", study).stderr
    assert [one.values for one in mixed(load_results(load_study(study)))] == [
        {"name": "stack", "values": "1, 3"}
    ]
