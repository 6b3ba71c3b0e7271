"""What runs predicted of every text, in ``predictions/``: a file a family.

Logits are most of such a file, and most of its readers need none of them. So what follows from them stands
beside them: the predicted labels, the losses of the test texts, and a digest. Older versions gave every run,
and every level of a free factor, a file of its own; the oldest had logits alone, and there the same is
computed when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import input_error
from finegrid.losses import LOSSES, Loss, losses_of_texts
from finegrid.study.folder import StudyFolder
from finegrid.study.prediction_file import (
    DERIVED,
    SPLITS,
    UNREADABLE,
    Arrays,
    RunArrays,
    RunPredictions,
    digest_logits,
    name_row,
    open_arrays,
    take_logits,
    take_run,
)
from finegrid.study.record import Record

T = TypeVar("T")
# How much of a file is looked at: what it says of its arrays; all arrays but logits; everything.
Depth = Literal["headers", "answers", "whole"]


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


@dataclass(frozen=True)
class PredictionPlace:
    """Where a run's predictions are."""

    path: Path
    row: str  # its name, in the file of a family; of a run's own file it does not matter

    @classmethod
    def of(cls, files: StudyFolder, record: Record, free: str = "") -> PredictionPlace:
        """Of a run as it was scored at a level of a free factor (empty: at the first level of all)."""
        row = name_row(record.run_id, free)
        if record.predictions is None:
            return cls(files.predictions_of(record.run_id, free), row)
        return cls(files.predictions_of_family(record.predictions), row)


def read_answers(folder: Path, record: Record, free: str = "") -> RunAnswers:
    """What a run answers of dev and test. Logits are opened of the oldest files alone.

    Args:
        folder: of the study.
        record: of the run.
        free: the level of a free factor that it was scored at; empty: at the first level of all.

    Raises:
        InputError: the file is missing or damaged.
    """
    ((_, found),) = read_each(folder, [record], take_answers, free)
    return found


def read_losses(folder: Path, record: Record, free: str = "") -> dict[Loss, NDArray[np.float32]]:
    """Of test, ``[texts]``: log loss (nats) and Brier score. Logits are opened of the oldest files alone.

    Args: as of `read_answers`.

    Raises:
        InputError: the file is missing or damaged.
    """
    ((_, found),) = read_each(folder, [record], take_losses, free)
    return found


def read_run(folder: Path, record: Record, free: str = "") -> dict[str, RunPredictions]:
    """What a run predicted of dev and of test, with its logits.

    Args: as of `read_answers`.

    Raises:
        InputError: the file is missing or damaged.
    """
    ((_, found),) = read_each(folder, [record], take_run, free)
    return found


def read_logits(folder: Path, record: Record, split: str) -> RunPredictions:
    """What a run predicted of dev, or of test, with its logits.

    Raises:
        InputError: the file is missing or damaged.
    """
    ((_, found),) = read_each(folder, [record], lambda file: take_logits(file, split))
    return found


def read_each(
    folder: Path, records: Iterable[Record], take: Callable[[RunArrays], T], free: str = ""
) -> Iterator[tuple[Record, T]]:
    """What is taken of every run, file by file: every file is opened once.

    Args:
        folder: of the study.
        records: of the runs.
        take: such as `take_answers` and `take_losses`.
        free: as of `read_answers`.

    Raises:
        InputError: a file is missing or damaged.
    """
    files = StudyFolder(folder)
    by_path: dict[Path, list[Record]] = {}
    for record in records:
        by_path.setdefault(PredictionPlace.of(files, record, free).path, []).append(record)
    for path, each in by_path.items():
        names = [name_row(record.run_id, free) for record in each]
        try:
            found = open_arrays(path, partial(_take_rows, names, take))
        except UNREADABLE as error:
            what = f"cannot be read ({type(error).__name__}). `finegrid run` trains its runs again."
            raise input_error(str(folder), files.relative(path), what) from None
        yield from zip(each, found, strict=True)


def _take_rows(names: Sequence[str], take: Callable[[RunArrays], T], file: Arrays) -> list[T]:
    return [take(file.of(name)) for name in names]


def take_answers(file: RunArrays) -> RunAnswers:
    """What `read_answers` gives, for `read_each`."""

    def answers(split: str, predicted: NDArray[Any]) -> SplitAnswers:
        return SplitAnswers(file[f"{split}_gold"], predicted.astype(np.int64), file[f"{split}_ids"])

    if "digest" in file:
        return RunAnswers(
            {split: answers(split, file[f"{split}_predicted"]) for split in SPLITS},
            file["digest"].tobytes().hex(),
        )
    logits = {split: file[f"{split}_logits"] for split in SPLITS}
    return RunAnswers(
        {split: answers(split, logits[split].argmax(axis=1)) for split in SPLITS},
        digest_logits(logits.values()).hex(),
    )


def take_losses(file: RunArrays) -> dict[Loss, NDArray[np.float32]]:
    """What `read_losses` gives, for `read_each`."""
    if "digest" in file:
        return {name: file[f"test_{name}"] for name in LOSSES}
    found = losses_of_texts(file["test_gold"], file["test_logits"])
    return {name: values.astype(np.float32) for name, values in found.items()}


@dataclass(frozen=True)
class Looked:
    """What is found in a file of predictions.

    Attributes:
        why: What is wrong with it, in English; empty if nothing is.
        names: Of its rows; None of a run's own file.
        texts: By split, what stands for the gold labels and lines of its texts; empty by headers alone.
    """

    why: str = ""
    names: frozenset[str] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


def look_into(path: Path, classes: int, texts: Mapping[str, int], depth: Depth) -> Looked:
    """What is wrong with a file, whose runs it has, and which texts they are on.

    Args:
        path: of the file.
        classes: how many there are.
        texts: how many there are of dev and of test, where that is known.
        depth: how much of the file is read; by its headers a file of 1 MB is checked in 0.2 ms.
    """

    def check(file: Arrays) -> Looked:
        file.check(classes, texts)
        found = {} if depth == "headers" else check_values(file, classes, whole=depth == "whole")
        return Looked("", None if file.names is None else frozenset(file.names), found)

    try:
        return open_arrays(path, check)
    except FileNotFoundError:
        return Looked("it is not there")
    except UNREADABLE as error:
        return Looked(str(error) or type(error).__name__)


def check_values(file: Arrays, classes: int, whole: bool) -> Mapping[str, str]:
    """Read the arrays, and see whether they go together. Returns what stands for the texts of each split.

    Raises:
        ValueError: they do not.
    """
    found = {}
    for split in SPLITS:
        gold, ids = file[f"{split}_gold"], file[f"{split}_ids"]
        numbers = [gold, *(file[name] for name in (f"{split}_predicted",) if name in file.about)]
        if any(each.size and not 0 <= each.min() <= each.max() < classes for each in numbers):
            raise ValueError(f"a label of {split} is none of {classes}")
        found[split] = hashlib.sha256(gold.tobytes() + ids.tobytes()).hexdigest()
    for run in file.each():
        check_run(run, whole)
    return found


def check_run(run: RunArrays, whole: bool) -> None:
    """Read what a run has of its own, and see whether it follows from its logits, if these are read, too.

    Raises:
        ValueError: it does not.
    """
    derived = {name: run[name] for name in DERIVED if name in run}
    if not whole:
        return
    logits = {split: run[f"{split}_logits"] for split in SPLITS}
    if derived and digest_logits(logits.values()) != derived["digest"].tobytes():
        raise ValueError("its logits are not those that its digest stands for")
    for split in SPLITS if derived else ():
        if not np.array_equal(logits[split].argmax(axis=1), run[f"{split}_predicted"]):
            raise ValueError(f"its labels of {split} are not those that its logits give")
