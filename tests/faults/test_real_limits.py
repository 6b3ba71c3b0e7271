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

from finegrid.refusals import LESS_MEMORY, OTHERS

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
    """Each limit lets it come further; whichever it is, what has failed has failed for memory.

    With 1,050,000 KiB a worker was seen to turn without end while it began; OpenBLAS is suspected.
    """
    for kibibytes in (1_150_000, 1_200_000):
        shutil.rmtree(home / "study" / "state", ignore_errors=True)
        code, said = shell(home, f"ulimit -v {kibibytes}; {RUN}")

        assert code in (0, 1, 2) and "Traceback" not in said, (kibibytes, said)
        assert code == 0 or OTHERS in said, (kibibytes, said)
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
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    if shell(home, f"unshare -m sh -c '{mount}'")[0]:
        pytest.skip("this machine lets nobody mount")
    code, said = shell(home, f"unshare -m sh -c '{mount} && {RUN}'")

    assert code == 0 and statuses(home) == ["done", "done"], said
