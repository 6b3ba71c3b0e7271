"""``--on``, ``--storage`` and ``--mix``: every command that trains takes them, and Python does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Call
from support.studies import write_study

import finegrid as fg
from finegrid.errors import InputError, input_error
from finegrid.running.cluster import session

Asked = list[tuple[str, str | None, bool]]
COMMANDS = {
    "run": ("--storage", "/states", "--mix"),
    "confirm": ("--storage", "/states", "--mix"),
    "fit": ("--recipe", "baseline", "--storage", "/states", "--mix"),
    "demo": ("--storage", "/states", "--mix"),
    "plan": ("--mix",),  # which keeps no states
}
TRAIN_ONE = ("fit", "plan")  # or none: there is nothing to mix here
CALLS: dict[str, Callable[[fg.Study], Any]] = {
    "run": lambda study: study.run(on="ray", storage="/states", mix=True),
    "until decided": lambda study: study.run(on="ray", storage="/states", mix=True, until_decided=True),
    "fit": lambda study: study.fit("baseline", on="ray", storage="/states", mix=True),
    "plan": lambda study: study.plan(on="ray", mix=True),
}


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Path:
    return write_study(tmp_path / "study", bert, settings='[factors]\n"reinit.layers" = [0, 1]\n')


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What clusters were asked for, none of which is there."""
    found: Asked = []

    def connected(*about: Any) -> Any:
        found.append(about)
        raise input_error("cluster", "head", "is away")

    monkeypatch.setattr(session, "connected", connected)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_trains_asks_for_the_cluster_that_was_named(
    command: str, study: Path, call: Call, asked: Asked
) -> None:
    place = study.parent / "demo" if command == "demo" else study
    done = call(command, place, *COMMANDS[command], "--on", "ray")

    assert done.returncode == 2 and "head    is away" in done.stderr
    assert asked == [("ray", "/states" if "--storage" in COMMANDS[command] else None, True)]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_there_is_on_a_cluster_only_is_refused_without_one(
    command: str, study: Path, call: Call, asked: Asked
) -> None:
    place = study.parent / "demo" if command == "demo" else study
    about = ("--recipe", "baseline") if command == "fit" else ()
    if "--storage" in COMMANDS[command]:
        refused = call(command, place, *about, "--storage", "/states")
        assert refused.returncode == 2 and '--storage    found "/states" without --on' in refused.stderr
    if command in TRAIN_ONE:
        refused = call(command, place, *about, "--mix")
        assert refused.returncode == 2 and "--mix    found without --on" in refused.stderr
    assert not (study / "runs.jsonl").exists() and asked == []


@pytest.mark.parametrize("name", CALLS)
def test_python_asks_for_the_cluster_that_was_named(name: str, study: Path, asked: Asked) -> None:
    with pytest.raises(InputError, match="is away"):
        CALLS[name](fg.Study.load(study))

    assert asked == [("ray", None if name == "plan" else "/states", True)]


def test_python_names_its_own_arguments_where_there_is_no_cluster(study: Path) -> None:
    with pytest.raises(InputError, match=r'storage +found "/states" without on\b'):
        fg.Study.load(study).run(storage="/states")
    with pytest.raises(InputError, match=r"mix +found without on\b"):
        fg.Study.load(study).fit("baseline", mix=True)
