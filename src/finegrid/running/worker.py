"""A worker process: takes jobs as JSON lines on stdin, answers with events as JSON lines on stdout.

When stdin closes the parent is gone, however it ended, and the worker ends with it.
"""

from __future__ import annotations

import gc
import io
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finegrid.errors import InputError, visible
from finegrid.metrics import score_of
from finegrid.refusals import describe_failure, find_refusal, lacks_memory
from finegrid.running.messages import (
    AuditDone,
    AuditJob,
    Broken,
    Channel,
    EpochDone,
    FitDone,
    FitJob,
    Job,
    Problems,
    Ready,
    RecordReady,
    Refused,
    RunToTrain,
    SetAside,
    StepDone,
    Trained,
    TrainJob,
    parse_job,
)
from finegrid.running.records import record_of, save_predictions
from finegrid.spelling import format_level, json_number
from finegrid.study.load import load_study
from finegrid.study.lock import check_there
from finegrid.study.own_strategies import import_own
from finegrid.study.settings import RunSettings
from finegrid.unfit import UnfitError

if TYPE_CHECKING:
    from finegrid.inference.keep import Export
    from finegrid.strategies.scoring import Scoring
    from finegrid.training.loaded import LoadedStudy
    from finegrid.training.run import Run

REPORT_EVERY_SECONDS = 0.5


class Log(io.FileIO):
    """Where a worker's stderr goes. A log that cannot be written, as on a full disk, is no reason to end."""

    def write(self, line: Any) -> int:
        with suppress(OSError):
            super().write(line)
        return len(line)


def main() -> None:
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(Log(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    channel = Channel()
    jobs: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=read_jobs, args=(jobs,), daemon=True).start()
    folder, settings, *allowed = sys.argv[1:]
    serve(channel, jobs, Path(folder), RunSettings.model_validate_json(settings, strict=True), allowed)


def serve(
    channel: Channel, jobs: queue.Queue[Job], folder: Path, settings: RunSettings, allowed: Sequence[str] = ()
) -> None:
    """Work until something is wrong; then say what.

    Args:
        channel: to the parent.
        jobs: from there.
        folder: of the study.
        settings: how to execute it.
        allowed: hashes of the code of own strategies that may run.
    """
    try:
        work(channel, jobs, folder, settings, allowed)
    except InputError as error:
        channel.send(Problems(error.source, error.problems))
    except Exception as error:
        traceback.print_exc()  # to the log
        if (refused := find_refusal(error)) is not None:
            channel.send(Refused.of(refused))
        else:
            reason = describe_failure(error)
            channel.send(Broken(reason if lacks_memory(error) else traceback.format_exc(), reason))


def read_jobs(jobs: queue.Queue[Job]) -> None:
    """Queue jobs until stdin closes; then end the process at once, in the middle of whatever it does."""
    try:
        for line in sys.stdin:
            jobs.put(parse_job(line))  # fails on the last line of a parent that was killed while it wrote
    finally:
        os._exit(0)


def work(
    channel: Channel, jobs: queue.Queue[Job], folder: Path, settings: RunSettings, allowed: Sequence[str]
) -> None:
    # Torch is imported here and below, after the thread that watches the parent has started.
    from finegrid.audit.costs import make_audit
    from finegrid.inference.teacher import open_teacher
    from finegrid.model.device import name_gpu
    from finegrid.training.loaded import LoadedStudy, prepare_process
    from finegrid.training.teaching import teach

    prepare_process(settings)
    own = partial(import_own, allowed=allowed)
    loaded = LoadedStudy(load_study(folder, own), settings, open_teacher, teach)
    channel.send(Ready(loaded.fingerprints, loaded.contents, name_gpu(loaded.device)))
    while True:
        match jobs.get():
            case AuditJob(others):
                channel.send(AuditDone(make_audit(loaded, others)))
            case TrainJob() as job:
                train(channel, loaded, job)
            case FitJob() as job:
                fit(channel, loaded, job)


def train(channel: Channel, loaded: LoadedStudy, job: TrainJob) -> None:
    """Train a family, write its predictions, and send its records."""
    started = time.time()
    loaded = loaded.of_seed(job.runs[0].seed)  # a family's runs have one seed
    loaded.recompute = job.recompute
    runs = train_members(channel, loaded, job.family, job.runs, loaded.study.free_scorings)
    save_predictions(loaded, job.family, runs)
    for run in runs:
        record = record_of(loaded, run, job.family, started)
        channel.send(RecordReady(replace(record, predictions=job.family if record.done else None)))
    channel.send(Trained(job.family))


def fit(channel: Channel, loaded: LoadedStudy, job: FitJob) -> None:
    """Train one run, and keep its model."""
    from finegrid.inference.keep import fitted_of, keep, title_model
    from finegrid.study.free import key_of_free
    from finegrid.training.loaded import check_lengths

    started = time.time()
    loaded = loaded.of_seed(job.run.seed)
    loaded.recompute = job.recompute
    recipe = loaded.study.blank.at({**job.recipe, **job.free})
    free = {key_of_free(job.free): recipe.scoring} if job.free else {}
    if problems := recipe.problems(loaded.study.checkpoint):  # of own strategies, the parent cannot tell
        raise InputError("--recipe", problems)
    check_lengths({recipe.model.max_length}, loaded.tokens.train.template.specials, "--recipe")
    (run,) = train_members(channel, loaded, job.family, [job.run], free)
    record = record_of(loaded, run, job.family, started)
    if run.progress.status == "done":
        kept = replace(record, stands_for=job.stands_for)
        for level in record.free:
            kept = kept.at_free(level)
        named = title_model(loaded, job.title, job.hub_id, job.about)
        keep(loaded, run, fitted_of(loaded, recipe, kept), job.out, named, export_of(job))
    channel.send(FitDone(record))


def export_of(job: FitJob) -> Export | None:
    """What writes a kept model once more; None where nobody asks for it."""
    if not job.onnx:
        return None
    from finegrid.inference.onnx_file import export_onnx  # its libraries are an extra

    return export_onnx


def train_members(
    channel: Channel,
    loaded: LoadedStudy,
    family: str,
    runs: Sequence[RunToTrain],
    free: Mapping[str, Scoring],
) -> list[Run]:
    """Train the runs of a job in lockstep, scored at free levels as well, and report their steps."""
    from finegrid.training.run import Run
    from finegrid.training.state import StateFile
    from finegrid.training.train import train_family

    reported = 0.0

    def on_step(done: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = time.monotonic()
            channel.send(StepDone(done))

    def tell_aside(unfit: UnfitError) -> None:
        file = loaded.study.files.relative(path)
        log(f"{file} was set aside: {unfit}")
        channel.send(SetAside(file, unfit.reason))

    def on_epoch(run: Run) -> None:
        check_there(loaded.study.files)
        entry, score = run.progress.epochs[-1], loaded.study.head.score
        loss = json_number(entry["train_loss"])
        dev = score_of(entry["dev"], score)
        channel.send(EpochDone(run.run_id, entry["epoch"], loss, dev))
        seconds = entry["train_seconds"] + entry["dev_seconds"]
        of = f"epoch {entry['epoch']} of {run.recipe.training.epochs}"
        told = "" if loss is None else f"loss {loss:.4f}, "
        log(f"{run.run_id} {of}: {told}{score} {dev:.4f} on dev, {seconds:.1f} s")

    for run in runs:
        levels = ", ".join(f"{name} = {format_level(level)}" for name, level in run.levels.items())
        log(f"{run.run_id} begins with seed {run.seed}: {levels}")
    members = (Run(loaded, run.run_id, loaded.study.blank.at(run.levels), run.seed, free) for run in runs)
    settings = loaded.settings
    path = loaded.study.files.state_of(family)
    state = StateFile(path, settings.save_after_seconds, last_digits(settings), tell_aside)
    with long_lived_left_alone():
        try:
            return train_family(loaded, members, state, on_step, on_epoch)
        except Exception as error:
            if state.taken and not lacks_memory(error) and find_refusal(error) is None:
                state.set_aside(UnfitError("broke", describe_failure(error)))
            raise


def log(line: str) -> None:
    """A line of ``logs/worker-N.log``, which is where a worker's stderr goes."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(line)}", file=sys.stderr, flush=True)


def last_digits(settings: RunSettings) -> dict[str, str]:
    """What decides on the last digits of a run, beside what its id holds."""
    import torch

    from finegrid.model.kernels.operations import describe_rounding

    return {
        "threads": str(settings.threads),
        "device": settings.device,
        "stack": str(settings.stack_size),
        **describe_rounding(torch.device(settings.device)),
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


if __name__ == "__main__":
    main()
