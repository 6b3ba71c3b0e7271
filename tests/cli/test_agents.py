"""What AGENTS.md promises to programs: exit codes, and JSON."""

from __future__ import annotations

import json
import re
from inspect import signature
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from support.command_line import Call

from finegrid.cli import app as cli
from finegrid.cli import setup
from finegrid.cli.later import find_function
from finegrid.cli.say import TIME_OVER, exit_with
from finegrid.training.loaded import LoadedStudy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "AGENTS.md").read_text(encoding="utf-8")


def test_every_exit_code_is_one_that_the_program_ends_with(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(folder: Path) -> NoReturn:
        exit_with("1 of 2 runs failed or diverged")
        raise AssertionError

    def over(folder: Path) -> NoReturn:
        raise typer.Exit(TIME_OVER)

    def interrupt(folder: Path) -> NoReturn:
        raise KeyboardInterrupt

    ended = {call("explain").returncode, call("status", tmp_path).returncode}
    for happens in (fail, over, interrupt):
        monkeypatch.setattr(setup, "read_study", happens)
        ended.add(call("status", tmp_path).returncode)

    assert ended == {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)}


def test_commands_with_json_are_all_named() -> None:
    """With their schema, or as being without one."""
    with_json = {
        name
        for name, place in cli.COMMANDS.items()
        if "as_json" in signature(find_function(place)).parameters
    }

    assert {*re.findall(r"`finegrid ([\w-]+)\s--json`", PAGE)} == with_json


def test_schemas_are_those_of_what_they_stand_beside() -> None:
    rows = re.findall(r"^\| `(.+?)`.*?\| \[\w+\]\((docs/reference/\S+)\) \|$", PAGE, re.M)

    assert len(rows) >= 3
    for what, path in rows:
        title = json.loads((ROOT / path).read_text(encoding="utf-8")).get("title", "")
        assert not what.endswith("--json") or what == title


@pytest.mark.parametrize("command", ["plan", "status", "explain", "machine"])
def test_json_without_a_schema_has_its_number(call: Call, loaded: LoadedStudy, command: str) -> None:
    about = [loaded.study.folder] if command in ("plan", "status") else []

    assert json.loads(call(command, *about, "--json").stdout)["schema"] == 1
