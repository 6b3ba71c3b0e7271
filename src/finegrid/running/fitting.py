"""One recipe is trained to keep its model; the ledger does not get the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from finegrid.planning.capacity import recomputes
from finegrid.planning.families import Family
from finegrid.planning.runs import plan_run
from finegrid.recipe.recipe import Recipe
from finegrid.running.crew import Crew
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
    crew.watcher.planned([family], [family], audit)
    worker = crew.workers[0]
    worker.family = family
    crew.watcher.began(family, worker.index)
    # Its state is not that of the study's family of this run, which may have other members.
    state = f"fit-{run.run_id}"
    levels = recipe.moved(), recipe.free_levels()
    out, onnx, about = keeping.out, keeping.onnx, keeping.about
    again = recomputes(crew.settings, audit, run.recipe)
    worker.send(FitJob(state, RunToTrain.of(run), *levels, run.stands_for, out, onnx, about, again))
    record = replace(crew.wait_for(worker, FitDone).record, stands_for=run.stands_for)
    crew.study.files.state_of(state).unlink(missing_ok=True)
    crew.watcher.finished(family)
    compare_with_ledger(crew, audit, record)
    return record


def compare_with_ledger(crew: Crew, audit: Audit, record: Record) -> None:
    """Say so where the ledger has other scores for the same run."""
    known = read_runs(crew.study, audit, depth=None).latest.get(record.run_id)
    if known is not None and known.done and record.done and known.dev != record.dev:
        before, now = (each.score("dev", crew.study.head.score) for each in (known, record))
        crew.watcher.said(warning_of("unlike the ledger", before=before, now=now))
