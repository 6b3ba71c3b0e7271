"""Output that nobody takes, or that finds no room: no traceback, and training goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT, FINEGRID, records
from support.studies import save_word_checkpoint, write_data, write_word_study


def run_with(*command: str | Path, **streams: int) -> tuple[int, str]:
    """Exit code, and what was said on stderr where that is open."""
    streams.setdefault("stdout", subprocess.DEVNULL)
    done = subprocess.run(
        [*FINEGRID, *map(str, command)],
        env=ENVIRONMENT,
        stderr=streams.pop("stderr", subprocess.PIPE),
        encoding="utf-8",
        timeout=120,
        **streams,  # type: ignore[call-overload]
    )
    return done.returncode, done.stderr or ""


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("command", [("--help",), ("--version",)])
def test_a_pipe_that_was_closed_ends_a_command_quietly(command: tuple[str, ...]) -> None:
    assert run_with(*command, stdout=closed_pipe()) == (141, "")


def test_a_full_disk_behind_stdout_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        code, said = run_with("--version", stdout=full.fileno())

    assert code == 2
    assert (
        said == "cannot read or write stdout: No space left on device. Make room; the same command goes on.\n"
    )


def test_streams_that_the_caller_has_closed_are_no_fault() -> None:
    command = " ".join(FINEGRID)
    said = subprocess.run(
        ["bash", "-c", f"{command} --version >&- && {command} --nothing 2>&-"],
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
    )

    assert (said.returncode, said.stdout, said.stderr) == (2, "", "")  # problems do not go to stdout instead


@pytest.mark.slow
def test_training_goes_on_where_nobody_reads_its_progress(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    study = write_word_study(tmp_path / "study", Path("../model"), {"reinit.layers": [1, 0]})
    code, _ = run_with("run", study, "--workers", "1", stderr=closed_pipe())

    assert code == 0
    assert [record["status"] for record in records(study)] == ["done", "done"]
