"""Ledgers and predictions of runs that nobody trained, with scores that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.study.audit_file import Audit
from finegrid.study.prediction_file import RunPredictions
from finegrid.study.record import Epoch, Record, Seconds, Status
from finegrid.study.study import Study
from support.older_predictions import save_run

TEXTS, CLASSES = 300, 3
GOLD: NDArray[np.int64] = np.arange(TEXTS) % CLASSES
Hits = Callable[[PlannedRun], int | NDArray[np.bool_]]  # how many texts, from the first, or which


def pretend(study: Study, audit: Audit, hits: Hits, seeds: Iterable[int], **changes: Any) -> None:
    """Append a record, and write predictions, for every run that has none yet.

    Args:
        study: whose folder is written to.
        audit: the study's.
        hits: which texts a run gets right, of dev and test alike.
        seeds: of the runs.
        changes: of every record.
    """
    done = study.ledger.latest()
    for run in plan_runs(study, audit, "fp32", list(seeds)):
        if run.run_id not in done:
            study.ledger.append(replace(record_of(study, audit, run, hits(run)), **changes))


def record_of(study: Study, audit: Audit, run: PlannedRun, hits: int | NDArray[np.bool_]) -> Record:
    right = np.arange(TEXTS) < hits if isinstance(hits, int) else hits
    predicted = np.where(right, GOLD, (GOLD + 1) % CLASSES)
    logits = np.eye(CLASSES, dtype=np.float32)[predicted]
    # No two runs have the same logits to the last bit, as no two that were trained do.
    logits[0, 0] += np.float32(int(run.run_id[:6], 16) / 2**26)
    said = RunPredictions(GOLD, logits, np.arange(TEXTS))
    save_run(study.files.predictions_of(run.run_id), said, said)
    scores = metrics.summary(GOLD, logits, audit.labels)
    frozen = bool(run.levels.get("freeze.layers"))
    seconds = Seconds(epoch=10.0, train=12.0 if frozen else 20.0, dev=1.0, test=1.0)
    epochs = (Epoch(epoch=1, dev=scores), Epoch(epoch=2, dev=scores))
    return replace(record_scores(run, scores, seconds), epochs=epochs)


def record_scores(run: PlannedRun, scores: dict[str, Any], seconds: Seconds) -> Record:
    """The record of a run that has the same scores on dev and test."""
    return Record(
        run_id=run.run_id,
        recipe=run.levels,
        stands_for=run.stands_for,
        seed=run.seed,
        status="done",
        best_epoch=1,
        dev=scores,
        test=scores,
        seconds=seconds,
        device="cpu",
        precision="fp32",
        threads=1,
    )


def ended_badly(record: Record, status: Status, reason: str) -> Record:
    """The same run, had it ended so."""
    return Record(
        run_id=record.run_id,
        seed=record.seed,
        stands_for=record.stands_for,
        status=status,
        reason=reason,
    )
