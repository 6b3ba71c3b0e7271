"""Predictions that are gone or damaged: the rest is judged, and runs are trained again to the same bits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.command_line import Call, command_line, finished, records
from support.older_predictions import make_older
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.errors import InputError
from finegrid.results.load import any_results
from finegrid.study.prediction_file import open_arrays, save_family, take_run
from finegrid.study.runs_on_file import NO_OTHER_LINE


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of two families of two, each scored at a free level, too."""
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    factors: dict[str, Sequence[object]] = {
        "reinit.layers": [0, 1],
        "freeze.layers": [0, 1],
        "average.ema": [0.0, 0.5],
    }
    write_word_study(folder / "study", Path("../model"), factors, design="seeds = 1")
    with command_line() as call:
        done = call("run", folder / "study", "--workers", "1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study"


def delete_all(study: Path) -> int:
    shutil.rmtree(study / "predictions")
    return 4


def first_of(study: Path) -> Path:
    """The file of one of the families."""
    first, _ = sorted((study / "predictions").iterdir())
    return first


def leave_out_free(study: Path) -> int:
    """As of a run that was scored at the level by nobody."""
    path = first_of(study)
    rows = open_arrays(path, lambda file: {name: take_run(file.of(name)) for name in file.names or ()})
    assert len(rows) == 4
    path.unlink()
    save_family(
        path, {name: said for name, said in rows.items() if name != next(n for n in rows if " " in n)}
    )
    return 1


def cut(study: Path) -> int:
    path = first_of(study)
    path.write_bytes(path.read_bytes()[:-40])
    return 2


def turn_logits(study: Path) -> int:
    """A byte in the middle of logits: who reads none of them does not see it."""
    path = first_of(study)
    content = bytearray(path.read_bytes())
    content[content.index(b"dev_logits.npy") + 180] ^= 1
    path.write_bytes(content)
    return 2


@pytest.mark.parametrize("lose", [delete_all, leave_out_free, cut, turn_logits])
def test_lost_predictions_are_trained_again_to_the_same_bits(
    study: Path, call: Call, lose: Callable[[Path], int]
) -> None:
    before, files = finished(study), read_files(study / "predictions")
    lines = (study / "runs.jsonl").read_bytes()
    count = lose(study)
    done = call("run", study, "--workers", "1")

    assert done.returncode == 0, done.stderr
    assert f"{count} finished run" in done.stderr and f"{count} to train" in done.stderr
    assert finished(study) == before and read_files(study / "predictions") == files
    assert (study / "runs.jsonl").read_bytes().startswith(lines)
    assert len(records(study)) == 4 + count
    assert "lost or damaged" not in call("status", study).stderr


def read_files(folder: Path) -> dict[str, bytes]:
    """By name, the arrays of all files: the time when they were packed is not theirs."""
    import numpy as np

    found = {}
    for path in folder.iterdir():
        with np.load(path, allow_pickle=False) as file:
            found[path.name] = b"".join(name.encode() + file[name].tobytes() for name in sorted(file.files))
    return found


def test_the_rest_is_judged_and_all_that_is_lost_is_named_at_once(study: Path, call: Call) -> None:
    cut(study)
    status = call("status", study)

    assert json.loads(call("status", study, "--json").stdout)["runs"]["left"] == 2
    assert "2 left" in status.stdout and "2 finished runs without predictions" in status.stderr
    assert call("table", study).stderr.count(f"predictions/{first_of(study).name}") == 1
    verdict = call("verdict", study)
    assert verdict.returncode == 0 and "2 finished runs without predictions" in verdict.stdout
    exported = call("export", study, "--to", "csv", "--predictions")
    assert exported.returncode == 0 and "lost or damaged" in exported.stdout
    assert call("report", study).returncode == 0


def test_logits_that_are_damaged_are_named_with_what_mends_them(study: Path, call: Call) -> None:
    turn_logits(study)
    refused = call("export", study, "--to", "csv", "--predictions")

    assert refused.returncode == 2 and "`finegrid run` trains its runs again" in refused.stderr


def test_a_study_of_an_older_version_is_read_and_goes_on(study: Path, call: Call) -> None:
    before, files = finished(study), read_files(study / "predictions")
    told = [call("verdict", study, "--json").stdout, call("table", study).stdout]
    make_older(study)
    assert len(list((study / "predictions").iterdir())) == 8
    assert [call("verdict", study, "--json").stdout, call("table", study).stdout] == told

    lines = [line for line in (study / "runs.jsonl").read_text().splitlines() if '"freeze.layers"' in line]
    for line in lines:  # of one family
        (study / "predictions" / f"{json.loads(line)['run_id']}.npz").unlink()
    assert "2 finished runs without predictions" in call("status", study).stderr
    done = call("run", study, "--workers", "1")
    assert done.returncode == 0 and "2 to train" in done.stderr
    (family,) = {json.loads(line)["family"] for line in lines}
    again = {run_id: found for run_id, found in finished(study).items() if found[1] is not None}
    assert len(again) == 2 and again == {run_id: before[run_id] for run_id in again}
    assert read_files(study / "predictions")[f"{family}.npz"] == files[f"{family}.npz"]
    assert call("table", study).stdout == told[1]


def test_a_line_that_does_not_fit_is_left_out_and_its_run_is_trained_again(study: Path, call: Call) -> None:
    path = study / "runs.jsonl"
    before, lines = finished(study), path.read_text().splitlines()
    content = [json.loads(line) for line in lines]
    content[0]["test"]["macro-f1"] = "0.5"
    del content[1]["seed"]
    content[2]["schema"] = 2
    path.write_text("".join(json.dumps(one) + "\n" for one in content))
    status, table = call("status", study), call("table", study)

    for output in (status.stderr, table.stderr, call("verdict", study).stdout):
        told = " ".join(output.split())  # lines are folded
        assert "3 lines left out (line 1: " in told and "line 2: seed is missing" in told
        assert "line 3: written by a newer finegrid (schema 2); update finegrid" in told
    assert "3 left" in status.stdout
    written = path.read_bytes()
    done = call("run", study, "--workers", "1")
    assert done.returncode == 0 and NO_OTHER_LINE in done.stderr
    assert path.read_bytes().startswith(written)
    content[:3] = []
    again = [json.loads(line) for line in path.read_text().splitlines()[3:]]
    path.write_text("".join(json.dumps(one) + "\n" for one in again))
    assert finished(study) == before


def test_an_audit_that_does_not_fit_is_told_and_made_anew(study: Path, call: Call) -> None:
    audit = json.loads((study / "audit.json").read_text())
    audit["labels"] = audit["labels"][:1]
    (study / "audit.json").write_text(json.dumps(audit))

    assert "audit.json does not fit" in call("status", study).stderr
    with pytest.raises(InputError, match=r"audit\.json does not fit"):
        any_results(study)
    lines = (study / "runs.jsonl").read_bytes()
    done = call("run", study)
    assert done.returncode == 0 and "audit.json does not fit" in done.stderr
    assert (study / "runs.jsonl").read_bytes() == lines
