"""What the ledger keeps of a run that has ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun
from finegrid.study.lock import check_there
from finegrid.study.record import Epoch, FreeScores, Record, Seconds, status_of
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

if TYPE_CHECKING:
    from finegrid.training.loaded import LoadedStudy
    from finegrid.training.run import Run


def save_predictions(loaded: LoadedStudy, family: str, runs: Sequence[Run]) -> None:
    """Write what the runs of a family predict that are done, before their records exist."""
    from finegrid.study.prediction_file import BySplit, RunPredictions, name_row, save_family

    check_there(loaded.study.files)
    texts = {"dev": loaded.tokens.dev, "test": loaded.tokens.test}

    def by_split(logits: Mapping[str, Any]) -> BySplit:
        return {split: RunPredictions(of.labels, logits[split], of.ids) for split, of in texts.items()}

    rows = {}
    for run in runs:
        if run.progress.status == "done":
            rows[name_row(run.run_id)] = by_split(run.logits)
            rows |= {name_row(run.run_id, key): by_split(one.logits) for key, one in run.chosen.items()}
    if rows:
        save_family(loaded.study.files.predictions_of_family(family), rows)


def free_scores(run: Run) -> dict[str, FreeScores]:
    """What a run that is done scores at every level of free factors."""
    scores = {} if run.scorer is None else dict.fromkeys(run.scorer.choices, FreeScores(best_epoch=0))
    for key, choice in run.chosen.items():
        scores[key] = FreeScores(
            best_epoch=choice.best_epoch,
            dev=run.scores("dev", choice.logits["dev"]),
            test=run.scores("test", choice.logits["test"]),
            temperature=choice.temperature,
            members=tuple(sorted(choice.members)),
            dev_looks=choice.looks,
        )
    return scores


def record_of(loaded: LoadedStudy, run: Run, family: str, started: float) -> Record:
    """The record of a run that has ended, but for the rows that it stands for.

    Args:
        loaded: the study.
        run: that has ended.
        family: it was trained in.
        started: when its family did, seconds since 1970.
    """
    from finegrid.audit.costs import start_seconds
    from finegrid.machine import versions

    progress = run.progress
    ended = [entry for entry in progress.epochs if "dev_seconds" in entry]
    train_seconds = [entry["train_seconds"] for entry in ended]
    done = progress.status == "done"
    return Record(
        run_id=run.run_id,
        recipe=run.recipe.moved(),
        seed=run.seed,
        status=status_of(progress.status),
        reason=progress.reason or None,
        protocol=loaded.study.head.protocol,
        best_epoch=progress.best_epoch,
        dev=run.scores("dev", run.logits["dev"]) if done else {},
        test=run.scores("test", run.logits["test"]) if done else {},
        epochs=tuple(map(Epoch.from_json, ended)),
        free=free_scores(run) if done else {},
        seconds=Seconds(
            pretrain=start_seconds(run) if run.recipe.start_keys(run.seed) else None,
            epoch=sum(train_seconds) / len(train_seconds) if train_seconds else None,
            train=sum(train_seconds),
            dev=sum(entry["dev_seconds"] for entry in ended),
            test=progress.test_seconds,
            free=None if run.scorer is None else progress.free_seconds,
        ),
        clipped=clipped_share(run, ended),
        memory=progress.memory,
        family=family,
        threads=loaded.settings.threads,
        stack=loaded.settings.stack_size,
        path=progress.path,
        recomputed=run.model.engine.recompute or None,
        precision=loaded.precision,
        device=loaded.settings.device,
        versions=versions(),
        started=started,
        ended=max(started, time.time()),  # the clock may have been set back
    )


def clipped_share(run: Run, epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """Of the steps of some epochs, those whose gradients were clipped; None where nothing clips."""
    steps = len(epochs) * run.loaded.steps_per_epoch(run.recipe)
    counts = [epoch["clipped"] for epoch in epochs if "clipped" in epoch]
    return sum(counts) / steps if counts else None


def record_lost(study: Study, settings: RunSettings, run: PlannedRun, family: Family, reason: str) -> Record:
    """The record of a run whose worker died, but for the rows that it stands for."""
    return Record(
        run_id=run.run_id,
        recipe=run.levels,
        seed=run.seed,
        status="failed",
        reason=reason,
        protocol=study.head.protocol,
        best_epoch=0,
        memory=0,
        family=family.family_id,
        threads=settings.threads,
        stack=settings.stack_size,
        precision=settings.precision,
        device=settings.device,
    )
