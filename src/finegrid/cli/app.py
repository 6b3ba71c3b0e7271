"""``finegrid``: its commands, in the order in which ``finegrid --help`` lists them, and its exit codes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from finegrid import __version__
from finegrid.cli import compare, models, pretrain, results, run, setup, tables
from finegrid.cli.say import tell
from finegrid.errors import InputError, refusal
from finegrid.running.process import WorkerBrokeError

COMMANDS: dict[str, Callable[..., None]] = {
    "init": setup.init,
    "plan": setup.plan,
    "run": run.run,
    "status": setup.status,
    "table": results.table,
    "fit": models.fit,
    "export-onnx": models.export_onnx,
    "predict": models.predict,
    "import": tables.import_,
    "example": tables.example,
    "verdict": results.verdict,
    "report": results.report,
    "confirm": run.confirm,
    "compare": compare.compare,
    "watch": results.watch,
    "export": results.export,
    "explain": setup.explain,
    "demo": run.demo,
    "pretrain": pretrain.pretrain,
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which BERT fine-tuning strategies are worth it on your data, and what do they cost?",
)
for name, command in COMMANDS.items():
    app.command(name)(command)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line. Exit codes: 0 done, 1 some runs failed, 2 wrong input, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese is no reason to fail
    try:
        app()
    except InputError as error:
        print(error, file=sys.stderr)
    except WorkerBrokeError as error:
        print(f"finegrid could not start training:\n{error}", file=sys.stderr)
    except OSError as error:
        tell(refusal(error))
    except SystemExit as ended:
        if ended.code == 130:
            print("stopped; the same command goes on", file=sys.stderr)
        raise
    sys.exit(2)
