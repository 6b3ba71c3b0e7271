"""docs/your-own-strategy.md is done as it stands there: its file, its settings, its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.command_line import Call
from support.strategies.own import CENTRE, GUIDE, write_own
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.audit import contract
from finegrid.audit.contract import PROMISES, Kept

TEXT = GUIDE.read_text(encoding="utf-8")
SETTINGS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0]
COMMANDS = re.findall(r"^    finegrid (.*)$", TEXT, re.MULTILINE)


def test_the_strategy_of_the_guide_has_thirty_lines() -> None:
    assert len(CENTRE.splitlines()) <= 30


def test_the_guide_shows_what_the_check_says() -> None:
    shown = re.findall(r"^    ((?:pass|FAIL)  .*)$", TEXT, re.MULTILINE)

    assert shown == [Kept(promise).line() for promise in ("whole", *PROMISES)]


def test_the_guide_works(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(contract, "PROMISES", {"bounds": PROMISES["bounds"]})  # all take a minute
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    study = write_word_study(tmp_path / "my-study", Path("../model"), {})
    settings = (study / "study.toml").read_text().replace("[factors]\n", "")
    (study / "study.toml").write_text(f"{settings}\n{SETTINGS}")
    write_own(study)

    assert [command.split()[0] for command in COMMANDS] == ["check-strategy", "plan", "run", "verdict"]
    for command in COMMANDS:
        done = call(*shlex.split(command))
        assert done.returncode == 0, done.stderr

    assert "centre.share" in done.stdout
