"""One recipe is trained to keep its model; the ledger does not get the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from finegrid.encoders.families import find_hub_id
from finegrid.errors import WorkerBrokeError
from finegrid.planning.capacity import recomputes
from finegrid.planning.families import Family
from finegrid.planning.runs import plan_run
from finegrid.recipe.recipe import Recipe
from finegrid.running.auditing import check_unchanged
from finegrid.running.crew import MOST_TIMES, Crew, WorkerLostError
from finegrid.running.messages import FitDone, FitJob, RunToTrain
from finegrid.running.progress.words import warning_of
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record
from finegrid.study.runs_on_file import read_runs


@dataclass(frozen=True)
class Keeping:
    """Where a model is kept, and what beside it."""

    out: Path
    onnx: bool = False  # whether as ONNX, too
    about: str = ""  # what its card says of the study, in Markdown


def fit_recipe(crew: Crew, recipe: Recipe, seed: int, audit: Audit, keeping: Keeping) -> Record:
    """Train a recipe on the first worker, which keeps its model if it is done.

    Returns:
        The run's record, with the rows of the table that it stands for; none if it is not of the study.
    """
    run = plan_run(crew.study, audit, crew.settings.precision, recipe, seed)
    family = Family((run,), (run,))
    job = FitJob(
        f"fit-{run.run_id}",  # not the state of the study's family of this run, which may have other members
        RunToTrain.of(run),
        *(recipe.moved(), recipe.free_levels()),
        run.stands_for,
        keeping.out,
        keeping.onnx,
        keeping.about,
        # What the card names is known here: on a node folders are called otherwise.
        title=crew.study.folder.resolve().name,
        hub_id=find_hub_id(crew.study.checkpoint.folder),
        recompute=recomputes(crew.settings, audit, run.recipe),
    )
    crew.watcher.planned([family], [family], audit)
    record = fit_with_any(crew, job, family, audit)
    crew.watcher.finished(family)
    compare_with_ledger(crew, audit, record)
    return record


def fit_with_any(crew: Crew, job: FitJob, family: Family, audit: Audit) -> Record:
    """Have a run trained by a worker that is there, and by another one where that is lost.

    Raises:
        InputError: the data or the model have changed since the audit.
        WorkerBrokeError: it broke, or so many were lost with the run that this may be what kills them.
    """
    for left in reversed(range(MOST_TIMES)):
        if not crew.workers:
            _, ready = crew.insist(crew.start_first)
            check_unchanged(crew.study, audit, ready)
        worker = crew.workers[0]
        worker.family = family
        crew.watcher.began(family, worker.index)
        worker.send(job)
        try:
            record = crew.wait_for(worker, FitDone).record
        except WorkerLostError as error:
            crew.watcher.returned(family)
            if not left:
                raise WorkerBrokeError(
                    f"{MOST_TIMES} workers were lost with it; the last one: {error}"
                ) from None
            continue
        crew.place.forget(crew.study, worker, job.family)
        return crew.place.sign(replace(record, stands_for=job.stands_for), worker)
    raise AssertionError("nobody was asked")


def compare_with_ledger(crew: Crew, audit: Audit, record: Record) -> None:
    """Say so where the ledger has other scores for the same run."""
    known = read_runs(crew.study, audit, depth=None).latest.get(record.run_id)
    if known is not None and known.done and record.done and known.dev != record.dev:
        before, now = (each.score("dev", crew.study.head.score) for each in (known, record))
        crew.watcher.said(warning_of("unlike the ledger", before=before, now=now))
