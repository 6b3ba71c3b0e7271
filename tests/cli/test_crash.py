"""Killed at any moment, in any way: nothing is left behind, the same command finishes the same study."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command_line import command_line, finegrid, finished, readable, records, started, workers_of
from support.studies import save_word_checkpoint, write_data, write_word_study
from support.waiting import wait_until

RUNS = 4  # of two families: two full runs, and two that share a frozen layer
FACTORS: dict[str, Sequence[object]] = {"freeze.layers": [0, 1], "schedule.warmup_ratio": [0.0, 0.1]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    recipe = {"training.epochs": 16, "training.batch_size": 4}
    write_word_study(
        folder / "study",
        Path("../model"),
        FACTORS,
        recipe=recipe,
        run="save_after_seconds = 0\nfamily_size = 2",
    )
    return folder


@pytest.fixture(scope="module")
def undisturbed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The finished study, never killed, by one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(home, folder, dirs_exist_ok=True)
    with command_line() as call:
        done = call("run", folder / "study", "--workers", "1")
    assert done.returncode == 0, done.stderr
    return finished(folder / "study")


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "study"


@pytest.mark.slow
def test_two_workers_compute_what_one_does(study: Path, undisturbed: dict[str, Any]) -> None:
    done = finegrid("run", study, "--workers", "2")

    assert done.returncode == 0, done.stderr
    assert finished(study) == undisturbed


def saved_epochs(study: Path) -> dict[str, list[dict[str, Any]]]:
    """By run id, the epochs in the state files."""
    found = {}
    for path in (study / "state").glob("*.safetensors"):
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        runs = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["runs"])
        found.update({run_id: about["epochs"] for run_id, about in runs.items()})
    return found


def nobody_is_left(study: Path) -> bool:
    return not workers_of(study)


def some_run_has_ended(study: Path) -> bool:
    return (study / "runs.jsonl").exists() and any(readable(study))


def some_epochs_are_saved(study: Path) -> bool:
    return any(len(epochs) >= 3 for epochs in saved_epochs(study).values())


def kill_parent_while_its_worker_starts(study: Path) -> None:
    with started("run", study) as parent:
        wait_until(lambda: workers_of(study))
        parent.kill()
        wait_until(lambda: nobody_is_left(study), 3)


def press_ctrl_c_while_it_trains(study: Path) -> None:
    """Before that, a second run is refused and the first goes on."""
    with started("run", study, "--workers", "1") as parent:
        wait_until(lambda: (study / "audit.json").exists())
        (worker,) = workers_of(study)
        worker.suspend()  # or the study may end while the second run is refused
        second = finegrid("run", study)
        assert second.returncode == 2 and "another finegrid run" in second.stderr
        assert parent.poll() is None and len(workers_of(study)) == 1
        worker.resume()
        os.killpg(parent.pid, signal.SIGINT)
        parent.wait(10)
        assert parent.returncode == 130
        assert parent.stderr is not None and "the same command goes on" in parent.stderr.read()
        wait_until(lambda: nobody_is_left(study), 3)


def kill_both_in_the_middle_of(study: Path, moment: Callable[[], bool]) -> dict[str, list[dict[str, Any]]]:
    """The epochs that were saved."""
    with started("run", study, "--workers", "1") as parent:
        wait_until(moment)
        os.killpg(parent.pid, signal.SIGKILL)
        wait_until(lambda: nobody_is_left(study), 3)
    return saved_epochs(study)


def kill_parent_while_two_workers_train(study: Path) -> None:
    with started("run", study, "--workers", "2") as parent:
        # A line longer than a page of memory is seen half written: ask for a whole one.
        wait_until(lambda: some_run_has_ended(study))
        parent.kill()
        wait_until(lambda: nobody_is_left(study), 3)


def write_the_last_record_half(study: Path) -> None:
    ledger = study / "runs.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-200])


def check_that_it_ends_as(
    study: Path, undisturbed: dict[str, Any], saved: dict[str, list[dict[str, Any]]]
) -> None:
    """Where nobody kills it any more, all is as if nobody ever had; some of the ``saved`` runs went on."""
    with command_line() as call:
        done = call("run", study, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert finished(study) == undisturbed
    assert len(undisturbed) == RUNS
    assert not list((study / "state").iterdir())
    went_on = [epochs_went_on(record, saved) for record in readable(study) if record["run_id"] in saved]
    assert any(went_on)


def test_a_study_killed_in_several_ways_equals_one_that_was_never_killed(
    study: Path, undisturbed: dict[str, Any]
) -> None:
    press_ctrl_c_while_it_trains(study)
    saved = kill_both_in_the_middle_of(
        study, lambda: some_run_has_ended(study) and some_epochs_are_saved(study)
    )
    write_the_last_record_half(study)
    check_that_it_ends_as(study, undisturbed, saved)


@pytest.mark.slow
def test_a_study_killed_in_every_way_equals_one_that_was_never_killed(
    study: Path, undisturbed: dict[str, Any]
) -> None:
    kill_parent_while_its_worker_starts(study)
    press_ctrl_c_while_it_trains(study)
    saved = kill_both_in_the_middle_of(study, lambda: some_epochs_are_saved(study))
    kill_parent_while_two_workers_train(study)
    write_the_last_record_half(study)
    check_that_it_ends_as(study, undisturbed, saved)


def epochs_went_on(record: dict[str, Any], saved: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether a run's first epochs are those that were saved, down to the seconds they took."""
    before = saved[record["run_id"]]
    return bool(record["epochs"][: len(before)] == before)


@pytest.mark.slow
def test_a_killed_worker_fails_its_runs_only_and_the_next_time_they_are_done(
    study: Path, undisturbed: dict[str, Any]
) -> None:
    with started("run", study, "--workers", "2") as parent:
        wait_until(lambda: len(workers_of(study)) == 2 and some_epochs_are_saved(study))
        victim = max(workers_of(study), key=lambda process: sum(process.cpu_times()[:2]))
        victim.kill()
        _, error = parent.communicate(timeout=60)

    assert parent.returncode == 1, error
    lost = [record for record in records(study) if record["status"] == "failed"]
    assert len({record["family"] for record in lost}) == 1
    assert all("signal 9" in record["reason"] for record in lost)
    assert len(records(study)) == RUNS
    assert "failed: the worker process ended with signal 9" in error

    again = finegrid("run", study, "--workers", "1")
    assert again.returncode == 0, again.stderr
    assert finished(study) == undisturbed
