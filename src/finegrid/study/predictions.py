"""What a run predicted of every text: ``predictions/<run_id>.npz``.

Logits are most of such a file, and most of its readers need none of them. So what follows from them stands
beside them: the predicted labels, the losses of the test texts, and a digest. A file of an older finegrid has
logits alone; there the same is computed when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from finegrid.data.tokens import save_arrays_
from finegrid.errors import input_error
from finegrid.losses import LOSSES, Loss, losses_of_texts
from finegrid.study.folder import StudyFolder

SPLITS = ("dev", "test")
T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]  # by name; of a file they are read one by one, when they are asked for


@dataclass(frozen=True)
class RunPredictions:
    gold: NDArray[np.int64]  # [texts]
    logits: NDArray[np.float32]  # [texts, classes]
    ids: NDArray[np.int64]  # [texts], lines of the user's file


@dataclass(frozen=True)
class SplitAnswers:
    """What a run says of the texts of dev, or of test, without how sure it is."""

    gold: NDArray[np.int64]  # [texts]
    predicted: NDArray[np.int64]  # [texts], class numbers
    ids: NDArray[np.int64]  # [texts], lines of the user's file


@dataclass(frozen=True)
class RunAnswers:
    """``splits``: by ``dev`` and ``test``. ``digest``: 64 hex digits that stand for all logits of the run."""

    splits: Mapping[str, SplitAnswers]
    digest: str


def save_run(path: Path, dev: RunPredictions, test: RunPredictions) -> None:
    """Write a run's file, whole or not at all: what follows from the logits is never that of others."""
    found = {"dev": dev, "test": test}
    arrays: dict[str, NDArray[Any]] = {}
    for split, run in found.items():
        predicted, classes = run.logits.argmax(axis=1), run.logits.shape[1]
        arrays |= {f"{split}_logits": run.logits, f"{split}_ids": run.ids, f"{split}_gold": run.gold}
        arrays[f"{split}_predicted"] = predicted.astype(np.min_scalar_type(classes - 1))
    for name, values in losses_of_texts(test.gold, test.logits).items():
        arrays[f"test_{name}"] = values.astype(np.float32)
    arrays["digest"] = np.frombuffer(digest_logits(found[split].logits for split in SPLITS), dtype=np.uint8)
    save_arrays_(path, arrays)


def read_answers(folder: Path, run_id: str, free: str = "") -> RunAnswers:
    """What a run answers of dev and test. Logits are opened of older files alone.

    Args:
        folder: of the study.
        run_id: of the run.
        free: the level of a free factor that it was scored at, as `StudyFolder.predictions_of` takes it.

    Raises:
        InputError: the file is missing or damaged.
    """

    def take(file: Arrays) -> RunAnswers:
        if "digest" in file:
            return RunAnswers(
                {split: take_answers(file, split, file[f"{split}_predicted"]) for split in SPLITS},
                file["digest"].tobytes().hex(),
            )
        logits = {split: file[f"{split}_logits"] for split in SPLITS}
        return RunAnswers(
            {split: take_answers(file, split, logits[split].argmax(axis=1)) for split in SPLITS},
            digest_logits(logits.values()).hex(),
        )

    return _read_file(folder, run_id, take, free)


def read_losses(folder: Path, run_id: str, free: str = "") -> dict[Loss, NDArray[np.float32]]:
    """Of test, ``[texts]``: log loss (nats) and Brier score. Logits are opened of older files alone.

    Args: as of `read_answers`.

    Raises:
        InputError: the file is missing or damaged.
    """

    def take(file: Arrays) -> dict[Loss, NDArray[np.float32]]:
        if "digest" in file:
            return {name: file[f"test_{name}"] for name in LOSSES}
        found = losses_of_texts(file["test_gold"], file["test_logits"])
        return {name: values.astype(np.float32) for name, values in found.items()}

    return _read_file(folder, run_id, take, free)


def read_run(folder: Path, run_id: str, free: str = "") -> dict[str, RunPredictions]:
    """What a run predicted of dev and of test, with its logits.

    Args: as of `read_answers`.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _read_file(
        folder, run_id, lambda file: {split: take_logits(file, split) for split in SPLITS}, free
    )


def read_logits(folder: Path, run_id: str, split: str) -> RunPredictions:
    """What a run predicted of dev, or of test, with its logits.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _read_file(folder, run_id, lambda file: take_logits(file, split))


def take_logits(file: Arrays, split: str) -> RunPredictions:
    return RunPredictions(*(file[f"{split}_{name}"] for name in ("gold", "logits", "ids")))


def take_answers(file: Arrays, split: str, predicted: NDArray[Any]) -> SplitAnswers:
    gold = file[f"{split}_gold"]
    if predicted.shape != gold.shape:
        raise ValueError(f"{len(predicted)} labels of {len(gold)} texts")
    return SplitAnswers(gold, predicted.astype(np.int64), file[f"{split}_ids"])


def digest_logits(each: Iterable[NDArray[np.float32]]) -> bytes:
    """32 bytes that stand for the logits of dev and test, in this order."""
    digest = hashlib.sha256()
    for logits in each:
        digest.update(logits.tobytes())
    return digest.digest()


def _read_file(folder: Path, run_id: str, take: Callable[[Arrays], T], free: str = "") -> T:
    files = StudyFolder(folder)
    path = files.predictions_of(run_id, free)
    try:
        with np.load(path, allow_pickle=False) as file:
            return take(file)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        what = f"cannot be read ({type(error).__name__}). Take its line out of runs.jsonl and run again."
        raise input_error(str(folder), files.relative(path), what) from None
