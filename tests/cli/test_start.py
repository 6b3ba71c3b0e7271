"""Commands that answer at once import only what they need: `benchmarks/start.py` says what that takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.command_line import ENVIRONMENT, Call
from support.reported import audited_study, fill

import finegrid

# Calls each command, and prints which of the packages that standard input names it has imported by then.
CALL_EACH = """
import contextlib, io, json, sys
from finegrid.cli.app import main
commands, heavy = json.load(sys.stdin)
found = {}
for command in commands:
    sys.argv = ["finegrid", *command]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    found[command[0]] = [name for name in heavy if name in sys.modules]
print(json.dumps(found))
"""
TRAINS = ("torch", "transformers", "tokenizers", "triton")
DRAWS = ("altair", "vl_convert", "jinja2", "starlette", "uvicorn")
RARE = ("pyarrow", "mlflow", "tensorboard", "sklearn", "pydoe", "chardet", "scipy.stats", "scipy.optimize")


def test_commands_that_answer_at_once_import_little(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert)
    fill(study)
    folder = str(study.folder)
    # In one process: what a command imports, those after it have as well.
    commands = [["--help"], *([name, folder] for name in ("status", "plan", "table", "verdict"))]
    heavy = [*TRAINS, *DRAWS, *RARE, "scipy", "numpy", "pydantic"]
    done = subprocess.run(
        [sys.executable, "-c", CALL_EACH],
        input=json.dumps([commands, heavy]),
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
    )

    found = json.loads(done.stdout)
    assert found["--help"] == []
    assert found["status"] == found["plan"] == found["table"] == ["numpy", "pydantic"]
    assert found["verdict"] == ["scipy", "numpy", "pydantic"]


def test_help_of_every_command_is_its_own(call: Call) -> None:
    """It is read from the sources, and called by another name where Python has taken the name."""
    told = call("--help").stdout

    assert "Take over a table of recipes" in told  # of `import`, whose function is `import_`
    assert "Take over a table of recipes" in call("import", "--help").stdout


def test_the_version_is_known_where_nothing_is_installed(tmp_path: Path) -> None:
    """Sources on a path, without the metadata that pip writes."""
    source = Path(finegrid.__file__).parent.parent
    program = (
        "import importlib.metadata as m, sys\n"
        "def none(name): raise m.PackageNotFoundError(name)\n"
        "m.version = m.distribution = none\n"
        "sys.argv = ['finegrid', '--version']\n"
        "from finegrid.machine import versions\n"
        "print(versions()['finegrid'])\n"
        "from finegrid.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**ENVIRONMENT, "PYTHONPATH": str(source)},
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
    )

    assert done.stdout == f"{finegrid.__version__}\n{finegrid.__version__}\n", done.stderr
