"""What the ledger keeps of a run that has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finegrid.training.loaded import LoadedStudy
    from finegrid.training.run import Run


def save_predictions(loaded: LoadedStudy, run: Run) -> None:
    """Write ``predictions/<run_id>.npz``, before its record exists."""
    from finegrid.data.tokens import save_arrays_

    dev, test = loaded.tokens.dev, loaded.tokens.test
    arrays: dict[str, NDArray[Any]] = {
        "dev_logits": run.logits["dev"],
        "test_logits": run.logits["test"],
        "dev_ids": dev.ids,
        "test_ids": test.ids,
        "dev_gold": dev.labels,
        "test_gold": test.labels,
    }
    save_arrays_(loaded.study.folder / "predictions" / f"{run.run_id}.npz", arrays)


def record_of(loaded: LoadedStudy, run: Run, family: str, started: float) -> dict[str, Any]:
    """The ledger's record of a run that has ended."""
    from finegrid.audit.costs import start_seconds
    from finegrid.machine import versions

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
        "protocol": loaded.study.head.protocol,
        "best_epoch": progress.best_epoch,
        "dev": run.scores("dev", run.logits["dev"]) if done else {},
        "test": run.scores("test", run.logits["test"]) if done else {},
        "epochs": epochs,
        "seconds": {
            **({"pretrain": start_seconds(run)} if run.recipe.start_keys(run.seed) else {}),
            "epoch": sum(train_seconds) / len(train_seconds) if train_seconds else None,
            "train": sum(train_seconds),
            "dev": sum(entry["dev_seconds"] for entry in epochs),
            "test": progress.test_seconds,
        },
        "memory": progress.memory,
        "family": family,
        "threads": loaded.settings.threads,
        "stack": loaded.settings.stack_size,
        "path": progress.path,
        "precision": loaded.precision,
        "device": loaded.settings.device,
        "versions": versions(),
        "started": started,
        "ended": time.time(),
    }
