"""Predictions as older versions wrote them: every run, and every level of a free factor, has a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.data.tokens import save_arrays_
from finegrid.losses import losses_of_texts
from finegrid.study.folder import StudyFolder
from finegrid.study.prediction_file import (
    SPLITS,
    RunPredictions,
    digest_logits,
    open_arrays,
    save_family,
    take_run,
)


def save_run(path: Path, dev: RunPredictions, test: RunPredictions) -> None:
    """The file of a run: what follows from its logits beside them."""
    found = {"dev": dev, "test": test}
    arrays: dict[str, NDArray[Any]] = {}
    for split, run in found.items():
        predicted, classes = run.logits.argmax(axis=1), run.logits.shape[1]
        arrays[f"{split}_logits"] = np.ascontiguousarray(run.logits, dtype=np.float32)
        arrays |= {f"{split}_ids": run.ids.astype(np.int64), f"{split}_gold": run.gold.astype(np.int64)}
        arrays[f"{split}_predicted"] = predicted.astype(np.min_scalar_type(classes - 1))
    for name, values in losses_of_texts(test.gold, test.logits).items():
        arrays[f"test_{name}"] = values.astype(np.float32)
    arrays["digest"] = np.frombuffer(digest_logits(found[split].logits for split in SPLITS), dtype=np.uint8)
    save_arrays_(path, arrays)


def make_older(folder: Path) -> None:
    """Write the predictions of a study as older versions did, and its ledger as if they had."""
    files = StudyFolder(folder)
    for path in list(files.predictions.iterdir()):
        rows = open_arrays(path, lambda file: {name: take_run(file.of(name)) for name in file.names or ()})
        path.unlink()
        for name, found in rows.items():
            save_run(files.predictions_of(*name.split(" ")), found["dev"], found["test"])
    records = [json.loads(line) for line in files.ledger.read_text(encoding="utf-8").splitlines()]
    lines = [{key: value for key, value in one.items() if key != "predictions"} for one in records]
    files.ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def make_family(folder: Path, family: str, runs: Sequence[str]) -> Path:
    """Put the predictions of runs that older versions have scored into the file of a family."""
    files = StudyFolder(folder)
    path = files.predictions_of_family(family)
    for run_id in runs:
        save_family(
            path, {run_id: open_arrays(files.predictions_of(run_id), lambda file: take_run(file.of("")))}
        )
        files.predictions_of(run_id).unlink()
    records = [json.loads(line) for line in files.ledger.read_text(encoding="utf-8").splitlines()]
    lines = [{**one, "predictions": family} if one["run_id"] in runs else one for one in records]
    files.ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path
