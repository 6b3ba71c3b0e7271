"""What a run predicted of every text: ``predictions/<run_id>.npz``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import input_error
from finegrid.study.folder import StudyFolder


@dataclass(frozen=True)
class RunPredictions:
    gold: NDArray[np.int64]  # [texts]
    logits: NDArray[np.float32]  # [texts, classes]
    ids: NDArray[np.int64]  # [texts], lines of the user's file


def read_run(folder: Path, run_id: str) -> dict[str, RunPredictions]:
    """What a run predicted of dev and of test.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _read_splits(folder, run_id, ("dev", "test"))


def read_logits(folder: Path, run_id: str, split: str) -> RunPredictions:
    """What a run predicted of dev, or of test.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _read_splits(folder, run_id, (split,))[split]


def _read_splits(folder: Path, run_id: str, splits: Sequence[str]) -> dict[str, RunPredictions]:
    files = StudyFolder(folder)
    path = files.predictions_of(run_id)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {
                split: RunPredictions(*(file[f"{split}_{name}"] for name in ("gold", "logits", "ids")))
                for split in splits
            }
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        what = f"cannot be read ({type(error).__name__}). Take its line out of runs.jsonl and run again."
        raise input_error(str(folder), files.relative(path), what) from None
