"""``finegrid``: its commands, in the order in which ``finegrid --help`` lists them, and its exit codes."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated, NoReturn

import typer

from finegrid import __version__
from finegrid.cli.interrupts import STOPPED_CODE, end_process
from finegrid.cli.later import group_of
from finegrid.cli.pipes import take_streams
from finegrid.errors import ClusterLostError, InputError, WorkerBrokeError, refusal, visible
from finegrid.extras import HOW_TO_TRAIN, TO_TRAIN

# By name the module and the function. A command's module is imported when the command is called.
COMMANDS = {
    "init": "setup.init",
    "plan": "setup.plan",
    "run": "run.run",
    "status": "setup.status",
    "table": "results.table",
    "fit": "models.fit",
    "export-onnx": "models.export_onnx",
    "predict": "models.predict",
    "import": "tables.import_",
    "example": "tables.example",
    "verdict": "results.verdict",
    "report": "results.report",
    "confirm": "run.confirm",
    "compare": "compare.compare",
    "watch": "results.watch",
    "export": "results.export",
    "explain": "setup.explain",
    "check-strategy": "strategies.check_strategy",
    "demo": "run.demo",
    "pretrain": "pretrain.pretrain",
    "machine": "machine.machine",
}

app = typer.Typer(
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which BERT fine-tuning strategies are worth it on your data, and what do they cost?",
)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    lang: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """What stands before a command. A language is that of the command, as if it stood behind it."""
    if lang is not None:
        context.default_map = {name: {"lang": lang} for name in COMMANDS}
    if show:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


# They compute with torch in this process, and on some machines torch is built with OpenBLAS.
WITH_TORCH = ("predict", "pretrain", "check-strategy")


def main() -> NoReturn:
    """Run the command line.

    Exit codes: 0 done, 1 some runs failed, 2 wrong input, 3 the time of ``--for`` is over, 130 after Ctrl-C,
    141 where nobody reads the output any more.
    """
    prepare_process()
    try:
        code = run_command()
        sys.stdout.flush()  # a full disk or a closed pipe is told here, and not by Python as it ends
    except KeyboardInterrupt:
        code = STOPPED_CODE
    except OSError as error:
        print(describe(error), file=sys.stderr)
        code = 2
    end_process(code)


def run_command() -> int | str | None:
    """Run the command that was typed. Returns its exit code; says what stopped it."""
    try:
        app(prog_name="finegrid")  # also by python -m finegrid: a shell completes no other name
    except (InputError, WorkerBrokeError, ClusterLostError, ModuleNotFoundError, OSError) as error:
        print(describe(error), file=sys.stderr)
    except SystemExit as ended:
        return ended.code
    return 2


def describe(error: Exception) -> str:
    """What stopped a command. Raises what no user can mend."""
    if isinstance(error, WorkerBrokeError):
        return f"finegrid could not start training:\n{error}"
    if isinstance(error, OSError):
        return visible(refusal(error))
    if isinstance(error, ModuleNotFoundError):
        if error.name not in TO_TRAIN:
            raise error
        return f"{error.name} is not installed. {HOW_TO_TRAIN}"
    if isinstance(error, ClusterLostError):
        return visible(f"{error}. What has ended is kept, and the same command goes on.")
    return str(error)


def prepare_process() -> None:
    """What has to be set before a command is imported and says something."""
    if not {*sys.argv[1:2]} & {*WITH_TORCH}:
        # Threads only wait for each other over matrices as small as a verdict's, which then takes
        # up to twice the CPU time. OpenBLAS reads this when numpy is imported. Workers are told.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Records of thousands of runs are no garbage, and were looked through again and again: a quarter
        # of the time of `status` with 20,480.
        gc.set_threshold(50_000, 20, 20)
    # Else pydantic looks for plugins in all installed packages, whenever it is imported.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    take_streams()
