"""How one comes in: help, exit codes, cards, the demo."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT, Call

from finegrid import __version__
from finegrid.cli import app as cli
from finegrid.cli import setup
from finegrid.cli.later import find_function
from finegrid.errors import InputError
from finegrid.recipe.recipe import DEFAULTS
from finegrid.study.demo import prepare_demo
from finegrid.study.load import load_study

COMMANDS = ("init", "plan", "run", "status", "table", "explain", "demo")


@pytest.mark.slow
def test_the_module_and_the_script_are_the_same_program() -> None:
    script = Path(sys.executable).with_name("finegrid")
    for program in ([script], [sys.executable, "-m", "finegrid"]):
        done = subprocess.run([*program, "--version"], capture_output=True, encoding="utf-8", env=ENVIRONMENT)
        assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_help_names_every_command(call: Call) -> None:
    told = call("--help").stdout

    assert all(command in told for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call: Call, command: str) -> None:
    done = call(command, "--help")

    assert done.returncode == 0 and "Usage" in done.stdout


def test_every_command_decides_by_the_same_margin() -> None:
    called = [find_function(place) for place in cli.COMMANDS.values()]
    parameters = [signature(function).parameters.get("margin") for function in called]
    margins = [parameter.default for parameter in parameters if parameter is not None]

    assert margins == [None] * len(margins) and len(margins) > 1  # each chooses by the study


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nope",),
        ("init",),
        ("run",),
        ("run", "/nope"),
        ("run", "/nope", "--workers", "0"),
        ("run", "/nope", "--device", "tpu"),
        ("status", "/dev/null"),
        ("table", "/nope", "--format", "html"),
        ("explain", "reinit.layer"),
        ("demo", "/dev/null"),
    ],
)
def test_wrong_input_ends_with_2_a_message_and_no_traceback(call: Call, arguments: tuple[str, ...]) -> None:
    done = call(*arguments)

    assert done.returncode == 2
    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "factor", [*DEFAULTS, "reinit", "freeze", "optimizer", "schedule", "training", "model"]
)
def test_every_factor_has_a_card(call: Call, factor: str) -> None:
    done = call("explain", factor)

    assert done.returncode == 0
    assert factor in done.stdout and "default" in done.stdout


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "read_study", interrupted)
    done = call("status", "anywhere")

    assert done.returncode == 130
    assert "the same command goes on" in done.stderr


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot read or write: No space left on device. Make room; the same command goes on.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            "cannot read or write a: Permission denied. Allow it; the same command goes on.",
        ),
        (OSError("no such luck"), "cannot read or write: no such luck"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_told_with_what_is_known_of_it(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: OSError, told: str
) -> None:
    def refused(folder: Path) -> None:
        raise error

    monkeypatch.setattr(setup, "read_study", refused)
    done = call("status", "anywhere")

    assert (done.returncode, done.stderr) == (2, f"{told}\n")


def test_a_terminal_that_cannot_show_chinese_gets_escapes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "argv", ["finegrid", "status", str(tmp_path / "标题")])
    with pytest.raises(SystemExit):
        cli.main()

    assert b"\\u6807\\u9898" in raw.getvalue()


def test_modules_where_the_user_stands_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit(9)")
    done = subprocess.run(
        [Path(sys.executable).with_name("finegrid"), "--version"], cwd=tmp_path, capture_output=True
    )

    assert done.returncode == 0


def test_the_demo_is_the_preset_on_the_embedded_data_and_checkpoint(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo")
    study = load_study(tmp_path / "demo")

    assert study.is_published_grid and len(study.rows) == 64
    assert study.checkpoint.layers == 12
    assert study.factors["freeze.layers"] == [0, 6]
    assert study.baseline.training.epochs >= 3


def test_the_demo_knows_its_folder_again_and_refuses_others(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo")
    prepare_demo(tmp_path / "demo")
    (tmp_path / "demo" / "study.toml").unlink()
    prepare_demo(tmp_path / "demo")  # killed before it had written the file
    path = tmp_path / "demo" / "study.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("patience = 0", "# as an earlier version wrote it"), encoding="utf-8")
    prepare_demo(tmp_path / "demo")
    path.write_text(text.replace("epochs = 4", "epochs = 5"), encoding="utf-8")
    with pytest.raises(InputError, match="not the demo's study"):
        prepare_demo(tmp_path / "demo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        prepare_demo(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_the_table_of_an_unfinished_demo_has_the_published_columns_and_levels(
    tmp_path: Path, call: Call
) -> None:
    prepare_demo(tmp_path / "demo")
    lines = call("table", tmp_path / "demo", "--format", "csv").stdout.splitlines()
    published = (Path(__file__).parent / "thucnews64-levels.csv").read_text().splitlines()

    assert [line.rsplit(",", 1)[0] for line in lines] == published
    assert json.loads(call("plan", tmp_path / "demo", "--json").stdout)["recipes"] == 64
