"""Studies on the GPUs that there are; skipped where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.studies import write_study
from support.waiting import wait_until

from finegrid.machine import VISIBLE, gpus
from finegrid.planning.families import Family
from finegrid.running import crew, process
from finegrid.running.messages import Ended, Ready
from finegrid.running.progress.watcher import Watcher
from finegrid.running.runner import Runner
from finegrid.study.load import load_study
from finegrid.study.predictions import read_run
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

pytestmark = pytest.mark.slow
CUDA = RunSettings(device="cuda", family_size=1)
FOUR = '[design]\nseeds = 2\n[factors]\n"reinit.layers" = [0, 1]\n'
ASK = "import torch; print(torch.cuda.device_count(), torch.cuda.get_device_properties(0).uuid)"


@pytest.fixture(autouse=True)
def there_is_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    return load_study(write_study(tmp_path / "four", bert, settings=FOUR))


def ask(allowed: str) -> list[str]:
    """How many GPUs torch sees in a process that may use these, and the UUID of the first one."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, VISIBLE: allowed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def train(study: Study) -> tuple[list[str], list[str], set[int]]:
    """How runs ended, what was said, and the places that trained."""
    said: list[str] = []
    places: set[int] = set()

    def begin(family: Family, worker: int) -> None:
        if not places:  # tiny runs would be over before another worker has begun
            wait_until(lambda: all(map(has_begun_or_ended, runner._crew.workers[1:])))
        places.add(worker)

    def has_begun_or_ended(worker: process.Worker) -> bool:
        heard = [event for source, event in [*runner._crew.events.queue] if source is worker]
        return any(isinstance(event, (Ready, Ended)) for event in heard)

    watcher = Watcher(said=lambda telling: said.extend(telling("en")), began=begin)
    runner = Runner(study, CUDA, watcher=watcher)
    statuses: list[str] = [record.status for record in runner.run()]
    return statuses, [line for line in said if "trains nothing more" in line], places


def logits_of(study: Study) -> dict[str, bytes]:
    return {
        run_id: np.ascontiguousarray(read_run(study.folder, record)["test"].logits).tobytes()
        for run_id, record in study.ledger.latest().items()
    }


def test_each_place_sees_one_gpu_and_no_two_the_same() -> None:
    seen = [ask(gpu) for gpu in gpus()]

    assert [count for count, _ in seen] == ["1"] * len(gpus())
    assert len({uuid for _, uuid in seen}) == len(gpus())


def test_every_gpu_trains(study: Study) -> None:
    statuses, warned, places = train(study)

    assert statuses == ["done"] * 4 and not warned
    assert places == {*range(min(4, len(gpus())))}


def test_a_gpu_may_be_named_by_its_uuid(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, f"GPU-{ask(gpus()[0])[1]}")

    assert train(study) == (["done"] * 4, [], {0})


@pytest.mark.parametrize(("allowed", "place"), [("{gpu},63", 1), ("63,{gpu}", 0)])
def test_a_gpu_that_is_not_there_stops_no_other(
    study: Study, monkeypatch: pytest.MonkeyPatch, allowed: str, place: int
) -> None:
    monkeypatch.setenv(VISIBLE, allowed.format(gpu=gpus()[0]))
    statuses, warned, places = train(study)

    assert statuses == ["done"] * 4 and places == {1 - place}
    assert len(warned) == 1 and "GPU 63 trains nothing more: torch sees no CUDA device" in warned[0]


def test_two_workers_train_the_same_bits_as_one(
    study: Study, tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two places of one GPU stand for two alike."""
    monkeypatch.setenv(VISIBLE, gpus()[0])
    assert train(study)[0] == ["done"] * 4
    other = load_study(write_study(tmp_path / "other", bert, settings=FOUR))
    twice = gpus() * 2
    for module in (crew, process):
        monkeypatch.setattr(module, "gpus", lambda: twice)
    monkeypatch.setattr("finegrid.planning.capacity.gpus", lambda: twice)
    statuses, _, places = train(other)

    assert statuses == ["done"] * 4 and places == {0, 1}
    assert logits_of(other) == logits_of(study)
