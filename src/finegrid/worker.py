"""A worker process: takes jobs as JSON lines on stdin, answers with events as JSON lines on stdout.

When stdin closes the parent is gone, however it ended, and the worker ends with it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from finegrid.errors import InputError
from finegrid.study import RunSettings, load_study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finegrid.fitted import Fitted
    from finegrid.recipe import Recipe
    from finegrid.run import Run
    from finegrid.workbench import Workbench

Job = dict[str, Any]
REPORT_EVERY_SECONDS = 0.5


class Channel:
    """Events to the parent. Owns the real stdout: whatever a library prints goes to stderr instead."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: str, **content: Any) -> None:
        self._out.write(json.dumps({"event": event, **content}, ensure_ascii=True) + "\n")
        self._out.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    channel = Channel()
    jobs: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=read_jobs, args=(jobs,), daemon=True).start()
    serve(channel, jobs, Path(sys.argv[1]), RunSettings.model_validate_json(sys.argv[2], strict=True))


def serve(channel: Channel, jobs: queue.Queue[Job], folder: Path, settings: RunSettings) -> None:
    """Work until something is wrong; then say what."""
    try:
        work(channel, jobs, folder, settings)
    except InputError as error:
        problems = [[problem.where, problem.what] for problem in error.problems]
        channel.send("problems", source=error.source, problems=problems)
    except Exception:
        traceback.print_exc()  # to the log
        channel.send("broken", traceback=traceback.format_exc())


def read_jobs(jobs: queue.Queue[Job]) -> None:
    """Queue jobs until stdin closes; then end the process at once, in the middle of whatever it does."""
    try:
        for line in sys.stdin:
            jobs.put(json.loads(line))  # fails on the last line of a parent that was killed while it wrote
    finally:
        os._exit(0)


def work(channel: Channel, jobs: queue.Queue[Job], folder: Path, settings: RunSettings) -> None:
    # Torch is imported here and below, after the thread that watches the parent has started.
    from finegrid.probe import make_audit
    from finegrid.workbench import Workbench, prepare_process

    prepare_process(settings)
    bench = Workbench(load_study(folder), settings)
    channel.send("ready", fingerprints=bench.fingerprints)
    while True:
        job = jobs.get()
        if job["do"] == "audit":
            channel.send("audit", audit=make_audit(bench).model_dump())
        elif job["do"] == "fit":
            fit(channel, bench, job)
        else:
            train(channel, bench, job)


def train(channel: Channel, bench: Workbench, job: Job) -> None:
    """Train a family, write its predictions, and send its records."""
    started = time.time()
    for run in train_members(channel, bench, job):
        if run.progress.status == "done":
            save_predictions(bench, run)
        channel.send("record", record=record_of(bench, run, job["family"], started))
    channel.send("trained", family=job["family"])


def fit(channel: Channel, bench: Workbench, job: Job) -> None:
    """Train one run, and keep its model."""
    from finegrid.recipe import Recipe
    from finegrid.workbench import check_lengths

    started = time.time()
    recipe = Recipe().at(job["recipe"])
    check_lengths({recipe.model.max_length}, bench.tokens.train.template.specials, "--recipe")
    (run,) = train_members(channel, bench, job)
    record = record_of(bench, run, job["family"], started)
    if run.progress.status == "done":
        keep(
            bench,
            run,
            fitted_of(bench, recipe, {**record, "stands_for": job["stands_for"]}),
            Path(job["out"]),
        )
    channel.send("fitted", record=record)


def keep(bench: Workbench, run: Run, fitted: Fitted, out: Path) -> None:
    """Write the model of a run as it was at its best epoch."""
    from finegrid.model.kept import keep_model

    run.restore_best_()  # after best-test, its weights are still those of the last epoch
    keep_model(run.model, bench.study.checkpoint.folder, fitted, out)


def fitted_of(bench: Workbench, recipe: Recipe, record: dict[str, Any]) -> Fitted:
    """What a kept model has to say about itself.

    Args:
        bench: the study.
        recipe: as it was asked for. The run's own leaves out what is inert with the study's texts, such as a
            ``max_length`` that none of them exceeds; texts to come may be longer.
        record: of the run.
    """
    from finegrid.fitted import Fitted

    told = ("run_id", "seed", "stands_for", "best_epoch", "protocol", "dev", "test")
    made = ("precision", "threads", "device", "versions")
    return Fitted(
        labels=list(bench.tokens.labels),
        pooling=recipe.model.pooling,
        max_length=recipe.model.max_length,
        recipe=recipe.moved(),
        texts=2 if bench.tokens.train.parts == 2 else 1,
        columns=list(bench.study.head.data.columns),
        score=bench.study.head.score,
        fingerprints=bench.fingerprints,
        **{name: record[name] for name in (*told, *made)},
    )


def train_members(channel: Channel, bench: Workbench, job: Job) -> list[Run]:
    """Train the runs of a job in lockstep, and report their steps."""
    from finegrid.recipe import Recipe
    from finegrid.run import Run
    from finegrid.state import StateFile
    from finegrid.train import train_family

    reported = 0.0

    def on_step(done: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = time.monotonic()
            channel.send("step", done=done)

    members = (Run(bench, one["run_id"], Recipe().at(one["levels"]), one["seed"]) for one in job["runs"])
    settings = bench.settings
    path = state_path(bench.study.folder, job["family"])
    state = StateFile(path, settings.save_after_seconds, last_digits(settings))
    with long_lived_left_alone():
        return train_family(bench, members, state, on_step)


def last_digits(settings: RunSettings) -> dict[str, str]:
    """What decides on the last digits of a run, beside what its id holds."""
    import torch

    from finegrid.model.operations import kernels

    return {
        "threads": str(settings.threads),
        "device": settings.device,
        "stack": str(settings.stack_size),
        "torch": torch.__version__,
        "kernels": str(kernels(torch.device(settings.device)) is not None),
    }


@contextmanager
def long_lived_left_alone() -> Iterator[None]:
    """Keep the garbage collector from walking through models and libraries over and over: 4 % of a step."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def state_path(folder: Path, family: str) -> Path:
    return folder / "state" / f"{family}.safetensors"


def save_predictions(bench: Workbench, run: Run) -> None:
    """Write ``predictions/<run_id>.npz``, before its record exists."""
    from finegrid.data.tokens import save_arrays_

    dev, test = bench.tokens.dev, bench.tokens.test
    arrays: dict[str, NDArray[Any]] = {
        "dev_logits": run.logits["dev"],
        "test_logits": run.logits["test"],
        "dev_ids": dev.ids,
        "test_ids": test.ids,
        "dev_gold": dev.labels,
        "test_gold": test.labels,
    }
    save_arrays_(bench.study.folder / "predictions" / f"{run.run_id}.npz", arrays)


def record_of(bench: Workbench, run: Run, family: str, started: float) -> dict[str, Any]:
    """The ledger's record of a run that has ended."""
    from finegrid.probe import pretrain_seconds, versions

    progress = run.progress
    epochs = [entry for entry in progress.epochs if "dev_seconds" in entry]
    train_seconds = [entry["train_seconds"] for entry in epochs]
    done = progress.status == "done"
    return {
        "schema": 1,
        "run_id": run.run_id,
        "recipe": run.recipe.moved(),
        "seed": run.seed,
        "status": progress.status,
        **({"reason": progress.reason} if progress.reason else {}),
        "protocol": bench.study.head.protocol,
        "best_epoch": progress.best_epoch,
        "dev": run.scores("dev", run.logits["dev"]) if done else {},
        "test": run.scores("test", run.logits["test"]) if done else {},
        "epochs": epochs,
        "seconds": {
            **({"pretrain": pretrain_seconds(run)} if run.recipe.pretrain.tokens else {}),
            "epoch": sum(train_seconds) / len(train_seconds) if train_seconds else None,
            "train": sum(train_seconds),
            "dev": sum(entry["dev_seconds"] for entry in epochs),
            "test": progress.test_seconds,
        },
        "memory": progress.memory,
        "family": family,
        "threads": bench.settings.threads,
        "stack": bench.settings.stack_size,
        "precision": bench.precision,
        "device": bench.settings.device,
        "versions": versions(),
        "started": started,
        "ended": time.time(),
    }


if __name__ == "__main__":
    main()
