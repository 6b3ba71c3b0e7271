"""Limits of the system, for real: what is refused is told in words, and the same command then goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT
from support.studies import save_word_checkpoint, write_data, write_word_study
from support.waiting import wait_until

from finegrid.refusals import LESS_MEMORY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits are set by a shell of Linux"),
]
RUN = f"{sys.executable} -m finegrid run study --workers 1"
NO_ROOT = os.name == "posix" and os.geteuid() != 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    write_data(home / "data")
    save_word_checkpoint(home / "model")
    write_word_study(
        home / "study",
        Path("../model"),
        {"schedule.warmup_ratio": [0.0, 0.1]},
        recipe={"training.epochs": 1},
        run="threads = 1\nfamily_size = 2",
    )
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def shell(home: Path, script: str, environment: dict[str, str] = ENVIRONMENT) -> tuple[int, str]:
    """Exit code of a script, and what it said on stderr."""
    done = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stderr


def statuses(home: Path) -> list[str]:
    ledger = home / "study" / "runs.jsonl"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [json.loads(line)["status"] for line in lines]


def check_goes_on(home: Path) -> None:
    assert set(statuses(home)) <= {"done", "failed"}
    code, said = shell(home, RUN)
    assert code == 0, said
    assert statuses(home)[-2:] == ["done", "done"]


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("ulimit -n 8", "Too many open files. Allow more open files (ulimit -n); the same command goes on."),
        ("ulimit -f 1", "File too large. Allow larger files (ulimit -f); the same command goes on."),
        ("ulimit -v 600000", LESS_MEMORY),  # KiB: too little for torch itself
        ("ulimit -v 800000", LESS_MEMORY),  # for the tokeniser
        ("ulimit -v 1000000", LESS_MEMORY),  # for the weights
    ],
)
def test_what_is_refused_ends_in_one_line_and_goes_on_later(home: Path, limit: str, told: str) -> None:
    code, said = shell(home, f"{limit}; {RUN}")

    assert code == 2 and told in said and "Traceback" not in said, said
    assert statuses(home) == []
    check_goes_on(home)


def test_memory_that_ends_in_training_is_told_as_that(home: Path) -> None:
    """Each limit lets it come further; whichever it is, what has failed has failed for memory."""
    for kibibytes in (1_050_000, 1_100_000, 1_150_000, 1_200_000, 1_250_000):
        shutil.rmtree(home / "study" / "state", ignore_errors=True)
        code, said = shell(home, f"ulimit -v {kibibytes}; {RUN}")

        assert code in (0, 1, 2) and "Traceback" not in said, (kibibytes, said)
        assert code == 0 or LESS_MEMORY in said, (kibibytes, said)
    check_goes_on(home)


@pytest.mark.parametrize(
    "surroundings",
    [
        f"env -i PYTHONPATH={os.environ.get('PYTHONPATH', '')} {RUN}",
        f"env -u HOME {RUN}",
        f"HOME=/nowhere/at/all {RUN}",
        f"ulimit -n 16; {RUN}",
    ],
)
def test_what_a_study_does_not_need_may_be_missing(home: Path, surroundings: str) -> None:
    code, said = shell(home, surroundings)

    assert code == 0 and statuses(home) == ["done", "done"], said


@pytest.mark.skipif(NO_ROOT, reason="only root may mount")
def test_a_tiny_dev_shm_is_enough(home: Path) -> None:
    mount = "mount -t tmpfs -o size=16k tmpfs /dev/shm"
    if shell(home, f"unshare -m sh -c '{mount}'")[0]:
        pytest.skip("this machine lets nobody mount")
    code, said = shell(home, f"unshare -m sh -c '{mount} && {RUN}'")

    assert code == 0 and statuses(home) == ["done", "done"], said


@pytest.mark.skipif(NO_ROOT, reason="only root may mount")
def test_a_disk_that_is_really_full_stops_the_study_and_it_goes_on(home: Path) -> None:
    (home / "small").mkdir()
    mount = "mount -t tmpfs -o size=96k tmpfs small && cp -r study small/"
    if shell(home, f"unshare -m sh -c '{mount}'")[0]:
        pytest.skip("this machine lets nobody mount")
    fill = "sed -i s,\\.\\./,../../,g small/study/study.toml; head -c 200k /dev/zero > small/fill"
    run = RUN.replace("study", "small/study")
    again = "rm small/fill; mount -o remount,size=64m small"
    script = f"{mount}; ({fill}) 2> /dev/null; {run}; echo code $? >&2; {again}; {run}; echo code $? >&2"
    _, said = shell(home, f"unshare -m bash -c '{script}'")

    first, second = said.split("code 2", 1)
    assert "No space left on device" in first and "Make room" in first and "Traceback" not in said, said
    assert second.rstrip().endswith("code 0") and "failed" not in said, said


@pytest.mark.skipif(NO_ROOT, reason="only root may become somebody else")
def test_a_user_whom_nobody_knows_trains(home: Path) -> None:
    """As in containers with a number for a user."""
    shell(home, "chmod -R a+rwX . ..")
    become = "import os, runpy, sys; import finegrid.cli.app; os.setgroups([]); os.setuid(54321)"
    code, said = shell(home, f"{sys.executable} -c '{become}; print(os.getuid())'")
    if code:
        pytest.skip(f"cannot become another user here: {said}")
    script = f"{become}; sys.argv[0] = 'finegrid'; runpy.run_module('finegrid', run_name='__main__')"
    code, said = shell(
        home, f'env -u HOME -u USER -u LOGNAME {sys.executable} -c "{script}" run study --workers 1'
    )

    if "Permission denied" in said:
        pytest.skip("that user may not read this interpreter or these folders")
    assert code == 0 and statuses(home) == ["done", "done"], said


def test_a_folder_that_is_deleted_under_a_run_ends_it_in_one_line(home: Path) -> None:
    shell(home, "sed -i s/epochs.*/epochs = 500/ study/study.toml")
    running = subprocess.Popen(
        ["bash", "-c", RUN], cwd=home, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (home / "study" / "audit.json").exists())
    shutil.rmtree(home / "study", ignore_errors=True)
    _, said = running.communicate(timeout=300)

    assert running.returncode == 2 and "Traceback" not in said, said
    assert "study" in said.splitlines()[-1] and not (home / "study" / "runs.jsonl").exists()
