"""What a run predicted of every text: ``predictions/<run_id>.npz``.

Logits are most of such a file, and most of its readers need none of them. So what follows from them stands
beside them: the predicted labels, the losses of the test texts, and a digest. A file of an older finegrid has
logits alone; there the same is computed when it is read.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from finegrid.data.tokens import save_arrays_
from finegrid.errors import input_error
from finegrid.losses import LOSSES, Loss, losses_of_texts
from finegrid.study.folder import StudyFolder

SPLITS = ("dev", "test")
T = TypeVar("T")
# How much of a file is looked at: what it says of its arrays; all arrays but logits; everything.
Depth = Literal["headers", "answers", "whole"]
# What a file that others have touched may raise when it is read.
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, RuntimeError, MemoryError),
    *(struct.error, zlib.error),
)
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|>]?\w+)', 'fortran_order': False, "
    rb"'shape': \((\d*(?:, ?\d*)?)\), \} *\n",
    re.DOTALL,
)
HEADER_BYTES = 512  # a member's own header and that of its array are shorter, as finegrid writes them


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
        arrays[f"{split}_logits"] = np.ascontiguousarray(run.logits, dtype=np.float32)
        arrays |= {f"{split}_ids": run.ids.astype(np.int64), f"{split}_gold": run.gold.astype(np.int64)}
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


def find_damage(
    path: Path, classes: int, texts: Mapping[str, int], depth: Depth
) -> tuple[str, Mapping[str, str]]:
    """What is wrong with a run's file, and which texts it is on.

    Args:
        path: of the file.
        classes: how many there are.
        texts: how many there are of dev and of test, where that is known.
        depth: how much of the file is read; by its headers a file of 1 MB is checked in 0.1 ms.

    Returns:
        What is wrong, in English, empty if nothing is. By split, what stands for the gold labels and lines of
        its texts; empty by headers alone.
    """

    def check(file: Arrays) -> Mapping[str, str]:
        file.check(classes, texts)
        return {} if depth == "headers" else check_values(file, classes, whole=depth == "whole")

    try:
        return "", open_arrays(path, check)
    except FileNotFoundError:
        return "it is not there", {}
    except UNREADABLE as error:
        return str(error) or type(error).__name__, {}


def check_values(file: Arrays, classes: int, whole: bool) -> Mapping[str, str]:
    """Read the arrays, and see whether they go together. Returns what stands for the texts of each split.

    Raises:
        ValueError: they do not.
    """
    found = {}
    for split in SPLITS:
        gold, ids = file[f"{split}_gold"], file[f"{split}_ids"]
        numbers = [gold, *(file[name] for name in (f"{split}_predicted",) if name in file)]
        if any(len(each) and not 0 <= each.min() <= each.max() < classes for each in numbers):
            raise ValueError(f"a label of {split} is none of {classes}")
        found[split] = hashlib.sha256(gold.tobytes() + ids.tobytes()).hexdigest()
    derived = {name: file[name] for name in DERIVED if name in file}
    if whole:
        logits = {split: file[f"{split}_logits"] for split in SPLITS}
        if derived and digest_logits(logits.values()) != derived["digest"].tobytes():
            raise ValueError("its logits are not those that its digest stands for")
        for split in SPLITS if derived else ():
            if not np.array_equal(logits[split].argmax(axis=1), file[f"{split}_predicted"]):
                raise ValueError(f"its labels of {split} are not those that its logits give")
    return found


def take_logits(file: Arrays, split: str) -> RunPredictions:
    return RunPredictions(*(file[f"{split}_{name}"] for name in ("gold", "logits", "ids")))


def take_answers(file: Arrays, split: str, predicted: NDArray[Any]) -> SplitAnswers:
    return SplitAnswers(file[f"{split}_gold"], predicted.astype(np.int64), file[f"{split}_ids"])


def digest_logits(each: Iterable[NDArray[np.float32]]) -> bytes:
    """32 bytes that stand for the logits of dev and test, in this order."""
    digest = hashlib.sha256()
    for logits in each:
        digest.update(logits.tobytes())
    return digest.digest()


@dataclass(frozen=True)
class Member:
    """What a file says of one of its arrays."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # of the values, in the bytes of the array
    size: int  # bytes of all


class Arrays:
    """The arrays of a run's file, by name. They are read one by one, when they are asked for.

    What a file claims is checked before anything is unpacked or allocated: its arrays are of plain numbers,
    not packed, and as large as the file says. Nothing is ever unpickled.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, file: ZipFile) -> None:
        self._file = file
        self.members = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
        self.about = {name: self._read_header(name) for name in self.members if name in KINDS}
        self.check()

    def __contains__(self, name: str) -> bool:
        return name in self.about

    def __getitem__(self, name: str) -> NDArray[Any]:
        about = self.about[name]
        content = self._file.read(self.members[name])  # compares the checksum
        return np.frombuffer(content, about.dtype, offset=about.start).reshape(about.shape)

    def check(self, classes: int | None = None, texts: Mapping[str, int] | None = None) -> None:
        """Whether the arrays are those of a run, of one number of texts and classes.

        Raises:
            ValueError: they are not.
        """
        for split in SPLITS:
            expected = {f"{split}_{name}" for name in ("logits", "gold", "ids")}
            if missing := sorted(expected - self.about.keys()):
                raise ValueError(f"it has no {', '.join(missing)}")
            count, columns = self.about[f"{split}_logits"].shape
            if texts is not None and count != texts.get(split, count):
                raise ValueError(f"it has {count} texts of {split}, expected {texts[split]}")
            if columns != (classes or columns) or not columns:
                raise ValueError(f"it has {columns} classes, expected {classes or 'some'}")
            for name, about in self.about.items():
                if name.startswith(split) and about.shape[0] != count:
                    raise ValueError(f"{name} has {about.shape[0]} values of {count} texts")
        if "digest" in self.about:
            if missing := sorted(set(DERIVED) - self.about.keys()):
                raise ValueError(f"it has no {', '.join(missing)}")
            if self.about["digest"].shape != (hashlib.sha256().digest_size,):
                raise ValueError("its digest is none")

    def _read_header(self, name: str) -> Member:
        info, raw = self.members[name], self._file.fp
        assert raw is not None  # it is open
        if info.compress_type != ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise ValueError(f"{name} is packed")
        raw.seek(info.header_offset)
        start = raw.read(HEADER_BYTES)
        named, extra = struct.unpack("<HH", start[26:30])
        begins = 30 + named + extra
        about = parse_header(name, start[begins : start.find(b"\n", begins) + 1])
        if about.size != info.file_size:
            raise ValueError(f"{name} has not as many values as it says")
        return about


@lru_cache(maxsize=1024)  # the runs of a study have the same ones
def parse_header(name: str, header: bytes) -> Member:
    """What a header says of an array.

    Raises:
        ValueError: it is no header of such an array.
    """
    found = HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"{name} is no array of numbers")
    dtype = np.dtype(found[1].decode())
    shape = tuple(int(size) for size in found[2].split(b",") if size.strip())
    kinds, dimensions = KINDS[name]
    if dtype.kind + str(dtype.itemsize) not in kinds or len(shape) != dimensions:
        raise ValueError(f"{name} is an array of {dtype} of shape {shape}")
    return Member(dtype, shape, len(header), len(header) + math.prod(shape) * dtype.itemsize)


# Of every array that a file may have, its kinds of numbers and how many dimensions it has.
DERIVED = (*(f"{split}_predicted" for split in SPLITS), *(f"test_{name}" for name in LOSSES), "digest")
KINDS: Mapping[str, tuple[tuple[str, ...], int]] = {
    **{f"{split}_logits": (("f4",), 2) for split in SPLITS},
    **{f"{split}_{name}": (("i8",), 1) for split in SPLITS for name in ("gold", "ids")},
    **{f"{split}_predicted": (("u1", "u2", "u4", "u8", "i8"), 1) for split in SPLITS},
    **{f"test_{name}": (("f4",), 1) for name in LOSSES},
    "digest": (("u1",), 1),
}


def open_arrays(path: Path, take: Callable[[Arrays], T]) -> T:
    """What is taken of a run's file. Raises one of `UNREADABLE`."""
    with ZipFile(path) as file:
        return take(Arrays(file))


def _read_file(folder: Path, run_id: str, take: Callable[[Arrays], T], free: str = "") -> T:
    files = StudyFolder(folder)
    path = files.predictions_of(run_id, free)
    try:
        return open_arrays(path, take)
    except UNREADABLE as error:
        what = f"cannot be read ({type(error).__name__}). `finegrid run` trains its run again."
        raise input_error(str(folder), files.relative(path), what) from None
