"""`finegrid pretrain` as a program: exit codes, what it says, and a kill that nothing was told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.pretrain_samples import text_of, write_config, write_lines
from support.waiting import wait_until

from finegrid.cli import app as cli
from finegrid.pretraining import command

FINEGRID = (sys.executable, "-m", "finegrid", "pretrain")
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "PYTHONUTF8": "1"}
SMALL = ("--length", "32", "--batch-tokens", "256", "--threads", "1")


def call(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FINEGRID, *SMALL, *options], cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    write_lines(folder / "a.txt", [*text_of(0), text_of(0)[3]])
    write_lines(folder / "b.txt", text_of(1))
    write_config(folder / "shape.json")
    return folder


@pytest.mark.slow
def test_it_says_what_it_dropped_and_what_it_reached(texts: Path) -> None:
    files = ("--corpus", "a.txt", "--corpus", "b.txt", "--weight", "2", "--weight", "0.5")
    done = call(*files, "--config", "shape.json", "--tokens", "3000", "--out", "made", folder=texts)
    card = (texts / "made" / "README.md").read_text()

    assert (done.returncode, done.stdout) == (0, "")
    assert "a.txt: 81 lines" in done.stderr and "1 repeated lines dropped" in done.stderr
    assert "held-out loss" in done.stderr and "wrote made" in done.stderr
    assert "finegrid pretrain --length 32" in card and "| a.txt | 81 | 1 |" in card


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--corpus none.txt --config shape.json --tokens 9", ["none.txt", "no such file"]),
        ("--corpus a.txt --init mini-zh --config shape.json", ["--init", "--tokens"]),
        ("--corpus a.txt --init mini-zh --budget soon", ['"soon"']),
        ("--corpus a.txt --config shape.json --grow 3;6", ['"3;6"']),
        ("--corpus a.txt --config shape.json --tokens 9 --device tpu", ["--device", '"tpu"', "cpu or cuda"]),
        ("--corpus a.txt --config shape.json --tokens 9 --device cuda", ["no CUDA device", "--device cpu"]),
    ],
)
def test_what_cannot_be_is_told_with_exit_code_2(
    options: str,
    told: list[str],
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(texts)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["finegrid", "pretrain", *SMALL, *options.split(), "--out", "x"])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in told)
    assert not (texts / "x").exists()


@pytest.mark.parametrize(
    ("start", "rate"),
    [("--init {bert}", 1e-4), ("--config shape.json", 1e-3), ("--init {bert} --rate 0.01", 0.01)],
)
def test_from_a_checkpoint_the_usual_rate_is_gentle(
    start: str, rate: float, texts: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(command, "pretrain", lambda settings, *rest: asked.append(settings.rate))
    monkeypatch.chdir(texts)
    options = f"--corpus a.txt {start.format(bert=bert)} --tokens 9 --out x".split()
    monkeypatch.setattr(sys, "argv", ["finegrid", "pretrain", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (ended.value.code, asked) == (0, [rate])


@pytest.mark.slow
def test_after_a_real_kill_the_same_command_makes_the_same_bits(texts: Path) -> None:
    options = ("--corpus", "a.txt", "--config", "shape.json", "--tokens", "12000")
    assert call(*options, "--out", "whole", folder=texts).returncode == 0
    program = (
        "import finegrid.pretraining.command as c, finegrid.cli.app as cli;"
        "c.pretrain.__defaults__ = (0.0,); cli.main()"
    )
    killed = [sys.executable, "-c", program, "pretrain", *SMALL, *options, "--out", "killed"]
    process = subprocess.Popen(killed, cwd=texts, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    state = texts / "killed" / "work" / "state.safetensors"
    wait_until(lambda: state.exists() or process.poll() is not None)
    process.kill()
    process.wait()
    assert not json.loads((texts / "killed" / "pretraining.json").read_text())["finished"]
    assert call(*options, "--out", "killed", folder=texts).returncode == 0

    whole, again = ((texts / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == again
