"""A worker that hangs while it begins is ended, says so, and leaves a study that goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from support.command_line import Call, records
from support.studies import save_word_checkpoint, write_data, write_word_study
from support.waiting import let_pass

from finegrid.errors import WorkerBrokeError
from finegrid.running import life, place, process
from finegrid.running.runner import Runner
from finegrid.study.load import load_study

SLEEPS = "import time; time.sleep(600)"
COMPUTES = "while True: pass"
LOOKS = 15  # half as long again as one may be quiet
STARTS_ONE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {COMPUTES!r}])"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_data(home / "data")
    checkpoint = save_word_checkpoint(home / "model")
    factors = {"reinit.layers": [1, 0]}
    write_word_study(home / "study", checkpoint, factors, design="seeds = 2", run="family_size = 1")
    return home


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fractions of a second in the place of minutes; and a minute in the place of a test that hangs."""
    monkeypatch.setattr(life, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(life, "QUIET_SECONDS", 1.0)

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("nobody has ended a worker that hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def copy_of(home: Path, name: str) -> Path:
    return Path(shutil.copytree(home / "study", home / name))


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_never_answers_ends_the_command_and_the_same_command_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    folder = copy_of(home, "deaf")
    runner = Runner(study := load_study(folder), study.head.run)
    with monkeypatch.context() as pretending:
        pretending.setattr(place, "LocalWorker", process.LocalWorker)
        pretending.setattr(process, "WORKER", (sys.executable, "-c", SLEEPS))
        with pytest.raises(WorkerBrokeError) as ended:
            runner.run()

    assert str(ended.value) == (
        "the worker process did nothing for 1 s while it began: a disk or a driver that hangs, or too little "
        f"address space (`ulimit -v`); see {folder / 'logs' / 'worker-0.log'}"
    )
    assert not (folder / "runs.jsonl").exists()
    assert call("run", folder).returncode == 0
    assert [record["status"] for record in records(folder)] == ["done"] * 4


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as started:
        try:
            yield started
        finally:
            for child in psutil.Process(started.pid).children():
                child.kill()
            started.kill()


def looks_at(number: int, looks: int) -> list[str]:
    alive = life.Life(number)
    found = []
    for _ in range(looks):
        let_pass(life.LOOK_SECONDS)
        found.append(alive.look())
    return found


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("code", [COMPUTES, STARTS_ONE])
def test_who_computes_is_alive_and_so_is_who_waits_for_a_child_that_does(code: str) -> None:
    with running(code) as started:
        assert looks_at(started.pid, LOOKS) == [""] * LOOKS


@pytest.mark.usefixtures("impatient")
def test_who_was_stopped_may_go_on_and_who_computes_for_hours_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(SLEEPS) as started:
        psutil.Process(started.pid).suspend()
        assert looks_at(started.pid, LOOKS) == [""] * LOOKS
        psutil.Process(started.pid).resume()
        assert "did nothing" in looks_at(started.pid, LOOKS)[-1]
    monkeypatch.setattr(life, "LONGEST_SECONDS", 0.5)
    with running(COMPUTES) as started:
        *before, last = looks_at(started.pid, 5)
        assert before == [""] * 4 and last == "the worker process was not ready after 0 h"
