"""Ctrl-C ends every command in one line and with 130, whenever it comes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT, command_line, started
from support.studies import save_word_checkpoint, write_data, write_word_study

STOPPED = "stopped; the same command goes on\n"
# Presses Ctrl-C whenever a module of that name is looked for, so and so often.
PRESSING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            for _ in range({times}):
                os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
sys.argv = ["finegrid", *{command!r}]
from finegrid.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "times"),
    [
        ("typer", 1),  # before the command line is there
        ("finegrid.cli.results", 2),  # a command's module
        ("finegrid.verdict.interim", 1),  # what the command needs
    ],
)
def test_ctrl_c_while_something_is_imported(module: str, times: int) -> None:
    code = PRESSING.format(name=module, times=times, command=["verdict", "nowhere"])
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, encoding="utf-8"
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", STOPPED)


def test_ctrl_c_while_python_ends_is_not_told() -> None:
    code = (
        "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)"
        + PRESSING.format(name="", times=1, command=["--version"])
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, encoding="utf-8"
    )

    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.slow
def test_ctrl_c_at_many_moments_of_many_commands(tmp_path: Path) -> None:
    """From when Python has started: until then it answers itself."""
    write_data(tmp_path / "data")
    model = save_word_checkpoint(tmp_path / "model")
    study = write_word_study(tmp_path / "study", Path("../model"), {"reinit.layers": [1, 0]})
    fresh = write_word_study(tmp_path / "fresh", Path("../model"), {"reinit.layers": [1, 0]})
    train = tmp_path / "data" / "train.tsv"
    with command_line() as call:
        assert call("run", study, "--workers", "1").returncode == 0
        assert call("fit", study, "--recipe", "baseline").returncode == 0
    commands: list[tuple[str | Path, ...]] = [
        ("status", study),
        ("verdict", study),
        ("report", study, "--out", tmp_path / "page.html"),
        ("export", study, "--to", "csv", "--out", tmp_path / "tables"),
        ("watch", study),
        ("init", "--train", train, "--model", model, "--out", tmp_path / "new"),
        ("plan", fresh, "--probe"),
        ("run", fresh),
        ("predict", study / "models" / "best", train, "--out", tmp_path / "said.tsv"),
    ]
    draw = random.Random(0)
    bad = []
    for number in range(4 * len(commands)):
        command = commands[number % len(commands)]
        after, again = draw.uniform(0.2, 4.0), draw.choice((None, 0.0, 0.05))
        code, said = interrupt(command, after, again)
        # Pressed again in Python's last moments, the signal itself ends it; a shell says 130 of that, too.
        ended = (130,) if again is None else (130, -signal.SIGINT)
        if code != 0 and (code not in ended or not said.endswith(STOPPED) or "Traceback" in said):
            bad.append((command, after, again, code, said))

    assert bad == []
    assert not [path.name for path in tmp_path.rglob("*.tmp")]


def interrupt(command: tuple[str | Path, ...], after: float, again: float | None) -> tuple[int, str]:
    """Exit code and stderr of a command in whose process group Ctrl-C is pressed, once or twice."""
    with started(*command) as process:
        for pause in (after, *([] if again is None else [again])):
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=120)
    return process.returncode, said
