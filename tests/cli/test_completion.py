"""What a shell gets that asks `finegrid` how a line may go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT, Call


def offers(call: Call, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    monkeypatch.setenv("_FINEGRID_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    done = call()
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("finegrid st", ["status"]),
        ("finegrid verdict --tol", ["--tolerance"]),
        ("finegrid verdict study --lang ", ["en", "zh"]),
        ("finegrid run study --precision b", ["bf16"]),
        ("finegrid export study --to t", ["tensorboard"]),
        ("finegrid explain reinit.l", ["reinit.layers"]),
        ("finegrid explain 早", ["早停", "早停法"]),
        ("finegrid init --preset f", ["few-sample", "free"]),
        ("finegrid init --factors llrd,reinit.p", ["llrd,reinit.pooler"]),
    ],
)
def test_a_line_goes_on(call: Call, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]) -> None:
    assert offers(call, monkeypatch, line) == offered


def test_studies_are_offered_and_other_folders_are_left_to_the_shell(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.toml").touch()
    (tmp_path / "films").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)

    assert offers(call, monkeypatch, "finegrid verdict ") == ["first", "second"]
    assert offers(call, monkeypatch, "finegrid verdict fi") == ["first"]
    assert offers(call, monkeypatch, f"finegrid verdict {tmp_path}/s") == [f"{tmp_path}/second"]
    assert offers(call, monkeypatch, "finegrid verdict fil") == []
    assert offers(call, monkeypatch, "finegrid verdict nowhere/x") == []


@pytest.mark.parametrize(
    ("shell", "told"),
    [("zsh", '"status":"Say what is done'), ("fish", "status\tSay what is done")],
)
def test_other_shells_are_told_what_a_command_does(
    call: Call, monkeypatch: pytest.MonkeyPatch, shell: str, told: str
) -> None:
    monkeypatch.setenv("_FINEGRID_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "finegrid st")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")

    assert told in call().stdout


@pytest.mark.slow
def test_bash_completes_with_the_script_that_finegrid_prints(tmp_path: Path) -> None:
    """The script, a shell, and the program, as they meet after `finegrid --install-completion`."""
    program = Path(sys.executable).with_name("finegrid")
    asked = "COMP_WORDS=(finegrid explain reinit.l); COMP_CWORD=2; _finegrid_completion finegrid"
    script = f'source <(_FINEGRID_COMPLETE=source_bash finegrid); {asked}; echo "${{COMPREPLY[@]}}"'
    environment = {**ENVIRONMENT, "PATH": f"{program.parent}:{ENVIRONMENT['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, encoding="utf-8"
    )

    assert done.stdout == "reinit.layers\n", done.stderr
