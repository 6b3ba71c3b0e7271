"""A study that learns from a kept model, from `finegrid fit` to every place that tells of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.command_line import Call, command_line, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.errors import InputError
from finegrid.study.load import load_study
from finegrid.verdict.confirm import refuse_columns, small_level

SHARED = "leave out the chance of training it"
FACTORS: Mapping[str, Sequence[object]] = {
    "distil.weight": [0.0, 0.5],
    "optimizer.bias_correction": [True, False],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has run, has kept a model, and has run again with that as its teacher."""
    root = tmp_path_factory.mktemp("taught")
    write_data(root / "data")
    save_word_checkpoint(root / "model")
    plain: Mapping[str, Sequence[object]] = {"optimizer.bias_correction": [True, False]}
    study = write_word_study(root / "study", Path("../model"), plain)
    with command_line() as call:
        assert call("run", study, "--workers", "1").returncode == 0
        done = call("fit", study, "--recipe", "baseline")
        assert done.returncode == 0, done.stderr
        write_word_study(study, Path("../model"), FACTORS, recipe={"distil.teacher": "models/best"})
        done = call("run", study, "--workers", "1")
        assert done.returncode == 0, done.stderr
        assert "changed since" not in done.stderr
    return root


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root, tmp_path / "copy")
    return tmp_path / "copy" / "study"


def ids(study: Path, learning: bool) -> list[str]:
    """Of the runs that learn from a teacher, or of the others, as the ledger has them."""
    return [
        record["run_id"] for record in records(study) if ("distil.teacher" in record["recipe"]) == learning
    ]


def test_runs_without_a_teacher_are_those_of_the_study_before_it(study: Path) -> None:
    assert len(ids(study, learning=False)) == 2 and len(ids(study, learning=True)) == 2


def test_another_teacher_of_the_same_name_makes_other_runs_of_those_that_learn(
    study: Path, call: Call
) -> None:
    assert call("fit", study, "--recipe", "optimizer.rate=0.02", "--force").returncode == 0
    done = call("run", study, "--workers", "1")

    assert done.returncode == 0, done.stderr
    told = "changed since the last audit: distil.teacher=models/best. Runs that read it are run anew"
    assert told in " ".join(done.stderr.split())
    assert len(set(ids(study, learning=True))) == 4


def test_a_shared_teacher_is_told_of_wherever_intervals_are_shown(study: Path, call: Call) -> None:
    verdict = call("verdict", study)
    markdown = call("report", study, "--format", "md", "--out", study / "report.md")

    assert markdown.returncode == 0, markdown.stderr
    for told in (verdict.stdout, (study / "report.md").read_text(encoding="utf-8")):
        assert SHARED in " ".join(told.split())
    assert "不包含训练教师本身的偶然性" in "".join(call("verdict", study, "--lang", "zh").stdout.split())
    kinds = {warning["kind"] for warning in json.loads(call("verdict", study, "--json").stdout)["warnings"]}
    assert "shared-teacher" in kinds and "shared-pretraining" not in kinds


def test_a_confirmation_finds_the_teacher_from_its_own_folder(study: Path) -> None:
    whole = load_study(study)

    assert small_level("distil.teacher", "models/best") == "../models/best"
    assert small_level("distil.teacher", "/kept") == "/kept" and small_level("reinit.layers", 2) == 2
    with pytest.raises(InputError, match="no other columns"):
        refuse_columns(whole, {"distil.teacher": "columns"})


def test_who_only_reads_needs_no_teacher(study: Path, call: Call) -> None:
    shutil.rmtree(study / "models")

    assert call("table", study).returncode == call("verdict", study).returncode == 0
    done = call("run", study, "--workers", "1")
    assert done.returncode == 2
    assert "distil.teacher = models/best: 1 problem" in done.stderr and "finegrid fit" in done.stderr
