"""A file of predictions: plain arrays of all runs of a family, or of one run, as older versions wrote it.

The runs of a family have one seed, so they answer the same texts: labels and lines stand there once, and what
a run says is a row of every other array. A row has a name, since free factors give a run several.

What a file claims is checked before anything is unpacked or allocated: its arrays are of plain numbers, not
packed, and as large as the file says. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from numpy.typing import NDArray

from finegrid.losses import LOSSES, losses_of_texts
from finegrid.refusals import saving

SPLITS = ("dev", "test")
T = TypeVar("T")
# What a file that others have touched may raise when it is read.
UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, RuntimeError, MemoryError),
    *(struct.error, zlib.error),
)
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|>]?\w+)', 'fortran_order': False, "
    rb"'shape': \((\d*(?:, ?\d*){0,2})\), \} *\n",
    re.DOTALL,
)
HEADER_BYTES = 512  # a member's own header and that of its array are shorter, as finegrid writes them
# Of every array that a file may have, its kinds of numbers and how many dimensions it has for one run.
DERIVED = (*(f"{split}_predicted" for split in SPLITS), *(f"test_{name}" for name in LOSSES), "digest")
TEXTS = tuple(f"{split}_{name}" for split in SPLITS for name in ("gold", "ids"))  # runs of a family share
KINDS: Mapping[str, tuple[tuple[str, ...], int]] = {
    **{f"{split}_logits": (("f4",), 2) for split in SPLITS},
    **dict.fromkeys(TEXTS, (("i8",), 1)),
    **{f"{split}_predicted": (("u1", "u2", "u4", "u8", "i8"), 1) for split in SPLITS},
    **{f"test_{name}": (("f4",), 1) for name in LOSSES},
    "digest": (("u1",), 1),
    # Of families alone: the name of every row in UTF-8, filled up with zeros, and CRC-32 of its logits.
    "names": (("u1",), 1),
    **{f"{split}_crc": (("u4",), 0) for split in SPLITS},
}
OF_FAMILY = ("names", *(f"{split}_crc" for split in SPLITS), *DERIVED)


@dataclass(frozen=True)
class RunPredictions:
    """What a run predicts of one split."""

    gold: NDArray[np.int64]  # [texts]
    logits: NDArray[np.float32]  # [texts, classes]
    ids: NDArray[np.int64]  # [texts], lines of the user's file


BySplit = Mapping[str, RunPredictions]  # dev and test


def name_row(run_id: str, free: str = "") -> str:
    """What a row of a family's file is called: of a run as it is scored at a level of free factors."""
    return f"{run_id} {free}" if free else run_id


def save_family(path: Path, rows: Mapping[str, BySplit]) -> None:
    """Write what runs of a family predict, whole or not at all. Rows of its other runs stay.

    Args:
        path: of the family's file. Its folder holds so many that nobody looks there for drafts of dead
            writers; who takes the study's lock does.
        rows: by `name_row`.

    Raises:
        OSError: the system refuses.
    """
    every = {**read_others(path, rows), **rows}
    size = sum(run.logits.nbytes for row in every.values() for run in row.values())
    with saving(path, size, crowded=True) as draft, draft.open("wb") as file:
        write_family(file, every)


def add_family(path: Path, content: bytes) -> None:
    """Write what another machine has sent of a family, as `save_family`.

    Raises:
        ValueError: it is no file of predictions; or another one of `UNREADABLE`.
    """
    save_family(path, open_arrays(io.BytesIO(content), lambda sent: take_rows(sent, sent.names or ())))


def read_others(path: Path, rows: Mapping[str, BySplit]) -> dict[str, BySplit]:
    """What a family's file says beside ``rows``; nothing where it is not there, or not of the same texts."""

    def take(file: Arrays) -> dict[str, BySplit]:
        found = take_rows(file, [name for name in file.names or () if name not in rows])
        first = next(iter(rows.values()))
        fits = all(is_alike(run, first[split]) for row in found.values() for split, run in row.items())
        return found if fits else {}

    try:
        return open_arrays(path, take)
    except UNREADABLE:
        return {}


def take_rows(file: Arrays, names: Iterable[str]) -> dict[str, BySplit]:
    return {name: take_run(file.of(name)) for name in names}


def is_alike(one: RunPredictions, other: RunPredictions) -> bool:
    """Whether two runs answer the same texts, of as many classes."""
    same = np.array_equal(one.gold, other.gold) and np.array_equal(one.ids, other.ids)
    return same and one.logits.shape == other.logits.shape


def write_family(file: BinaryIO, rows: Mapping[str, BySplit]) -> None:
    """Write a family's file to an open one: the same bytes for the same rows in whichever order.

    Logits go there run by run, so that they are never in memory twice.

    Raises:
        ValueError: the runs do not answer the same texts.
    """
    names = sorted(rows)
    every = [rows[name] for name in names]
    first = every[0]
    if not all(is_alike(row[split], first[split]) for row in every for split in SPLITS):
        raise ValueError("runs of one family were scored on different texts")
    with ZipFile(file, "w", ZIP_STORED) as packed:
        write_array(packed, "names", as_bytes(names))
        for split in SPLITS:
            write_array(packed, f"{split}_ids", first[split].ids.astype(np.int64))
            write_array(packed, f"{split}_gold", first[split].gold.astype(np.int64))
        derived = [derive(row) for row in every]
        for name in derived[0]:
            write_array(packed, name, np.stack([one[name] for one in derived]))
        for split in SPLITS:
            logits = [np.ascontiguousarray(row[split].logits, dtype=np.float32) for row in every]
            write_rows(packed, f"{split}_logits", logits)


def derive(row: BySplit) -> dict[str, NDArray[Any]]:
    """What follows from a run's logits, by the name of its array."""
    found: dict[str, NDArray[Any]] = {}
    for split, run in row.items():
        kind = np.min_scalar_type(run.logits.shape[1] - 1)
        found[f"{split}_predicted"] = run.logits.argmax(axis=1).astype(kind)
        found[f"{split}_crc"] = np.array(zlib.crc32(as_stored(run.logits)), dtype=np.uint32)
    test = row["test"]
    for name, values in losses_of_texts(test.gold, test.logits).items():
        found[f"test_{name}"] = values.astype(np.float32)
    found["digest"] = np.frombuffer(digest_logits(row[split].logits for split in SPLITS), dtype=np.uint8)
    return found


def as_stored(logits: NDArray[np.float32]) -> memoryview:
    return np.ascontiguousarray(logits, dtype=np.float32).data


def as_bytes(names: Sequence[str]) -> NDArray[np.uint8]:
    """``[names, bytes]``, UTF-8 filled up with zeros."""
    each = [name.encode() for name in names]
    width = max(map(len, each))
    return np.frombuffer(b"".join(one.ljust(width, b"\0") for one in each), np.uint8).reshape(-1, width)


def write_array(packed: ZipFile, name: str, array: NDArray[Any]) -> None:
    with packed.open(f"{name}.npy", "w", force_zip64=True) as member:
        write_array_header_1_0(member, header_data_from_array_1_0(np.ascontiguousarray(array)))
        member.write(array.tobytes())


def write_rows(packed: ZipFile, name: str, rows: Sequence[NDArray[np.float32]]) -> None:
    """Arrays of one shape as the rows of one."""
    about = header_data_from_array_1_0(rows[0])
    with packed.open(f"{name}.npy", "w", force_zip64=True) as member:
        write_array_header_1_0(member, {**about, "shape": (len(rows), *rows[0].shape)})
        for row in rows:
            member.write(row.data)


def digest_logits(each: Iterable[NDArray[np.float32]]) -> bytes:
    """32 bytes that stand for the logits of dev and test, in this order."""
    digest = hashlib.sha256()
    for logits in each:
        digest.update(logits.tobytes())
    return digest.digest()


def take_run(file: RunArrays) -> dict[str, RunPredictions]:
    return {split: take_logits(file, split) for split in SPLITS}


def take_logits(file: RunArrays, split: str) -> RunPredictions:
    return RunPredictions(*(file[f"{split}_{name}"] for name in ("gold", "logits", "ids")))


def open_arrays(source: Path | BinaryIO, take: Callable[[Arrays], T]) -> T:
    """What is taken of a file. Raises one of `UNREADABLE`."""
    with ZipFile(source) as file:
        return take(Arrays(file))


@dataclass(frozen=True)
class Member:
    """What a file says of one of its arrays."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # of the values, in the bytes of the array
    size: int  # bytes of all


class Arrays:
    """The arrays of a file, by name. They are read one by one, when they are asked for.

    Attributes:
        names: Of the rows of a family's file; None of a run's own.

    Raises:
        ValueError: they are none of a file of predictions.
    """

    def __init__(self, file: ZipFile) -> None:
        assert file.fp is not None  # it is open
        self._raw = file.fp
        self._infos = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
        self._end = self._raw.seek(0, os.SEEK_END)
        self._starts: dict[str, int] = {}  # where each array's values begin, in the file
        self._kept: dict[str, NDArray[Any]] = {}
        self.is_family = "names" in self._infos
        self.about = {name: self._read_header(name) for name in self._infos if name in KINDS}
        self.check()
        self.names = self._read_names() if self.is_family else None

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A whole array; its checksum is compared. Small ones of a family are read once for all its runs."""
        if name in self._kept:
            return self._kept[name]
        about, info = self.about[name], self._infos[name]
        self._raw.seek(self._starts[name] - about.start)
        content = self._raw.read(about.size)
        if zlib.crc32(content) != info.CRC:
            raise BadZipFile(f"Bad CRC-32 of {name}")
        array = np.frombuffer(content, about.dtype, offset=about.start).reshape(about.shape)
        if self.is_family and not name.endswith("_logits"):
            self._kept[name] = array
        return array

    def read_row(self, name: str, row: int) -> NDArray[Any]:
        """One row of an array, whose checksum nobody compares."""
        about = self.about[name]
        size = math.prod(about.shape[1:]) * about.dtype.itemsize
        self._raw.seek(self._starts[name] + row * size)
        return np.frombuffer(self._raw.read(size), about.dtype).reshape(about.shape[1:])

    def of(self, name: str) -> RunArrays:
        """The arrays of one run.

        Args:
            name: of its row; of a run's own file it does not matter.

        Raises:
            ValueError: a family's file does not have it.
        """
        if self.names is None:
            return RunArrays(self, None)
        if name not in self.names:
            raise ValueError(f"it has no run {name}")
        return RunArrays(self, self.names.index(name))

    def each(self) -> Iterator[RunArrays]:
        """The arrays of every run."""
        return (RunArrays(self, row) for row in ([None] if self.names is None else range(len(self.names))))

    def check(self, classes: int | None = None, texts: Mapping[str, int] | None = None) -> None:
        """Whether the arrays are those of runs, of one number of texts and classes.

        Raises:
            ValueError: they are not.
        """
        if self.is_family and (missing := sorted(set(OF_FAMILY) - self.about.keys())):
            raise ValueError(f"it has no {', '.join(missing)}")
        for split in SPLITS:
            expected = {f"{split}_{name}" for name in ("logits", "gold", "ids")}
            if missing := sorted(expected - self.about.keys()):
                raise ValueError(f"it has no {', '.join(missing)}")
            count, columns = self.about[f"{split}_logits"].shape[-2:]
            if texts is not None and count != texts.get(split, count):
                raise ValueError(f"it has {count} texts of {split}, expected {texts[split]}")
            if columns != (classes or columns) or not columns:
                raise ValueError(f"it has {columns} classes, expected {classes or 'some'}")
            for name in self.about:
                if name.startswith(split) and (shape := self._shape_of_run(name)) and shape[0] != count:
                    raise ValueError(f"{name} has {shape[0]} values of {count} texts")
        if "digest" in self.about:
            if missing := sorted(set(DERIVED) - self.about.keys()):
                raise ValueError(f"it has no {', '.join(missing)}")
            if self._shape_of_run("digest") != (hashlib.sha256().digest_size,):
                raise ValueError("its digest is none")
        if self.is_family:
            rows = self.about["names"].shape[0]
            for name, about in self.about.items():
                if name not in TEXTS and about.shape[0] != rows:
                    raise ValueError(f"{name} has {about.shape[0]} rows of {rows} runs")

    def _shape_of_run(self, name: str) -> tuple[int, ...]:
        shape = self.about[name].shape
        return shape[1:] if self.is_family and name not in TEXTS else shape

    def _read_names(self) -> tuple[str, ...]:
        names = tuple(row.tobytes().rstrip(b"\0").decode() for row in self["names"])
        if len(set(names)) != len(names) or not names:
            raise ValueError("its runs have no names of their own")
        return names

    def _read_header(self, name: str) -> Member:
        info = self._infos[name]
        if info.compress_type != ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise ValueError(f"{name} is packed")
        self._raw.seek(info.header_offset)
        start = self._raw.read(HEADER_BYTES)
        named, extra = struct.unpack("<HH", start[26:30])
        begins = 30 + named + extra
        about = parse_header(name, start[begins : start.find(b"\n", begins) + 1], self.is_family)
        first = info.header_offset + begins
        if about.size != info.file_size or first + about.size > self._end:
            raise ValueError(f"{name} has not as many values as it says")
        self._starts[name] = first + about.start
        return about


@dataclass(frozen=True)
class RunArrays:
    """The arrays of one run of a file.

    Attributes:
        row: Of a family's file; None: the file is the run's own.
    """

    file: Arrays
    row: int | None

    def __contains__(self, name: str) -> bool:
        return name in self.file.about

    def __getitem__(self, name: str) -> NDArray[Any]:
        if self.row is None or name in TEXTS:
            return self.file[name]
        if not name.endswith("_logits"):
            row: NDArray[Any] = self.file[name][self.row]
            return row
        logits = self.file.read_row(name, self.row)
        if zlib.crc32(logits.data) != self.file[f"{name.removesuffix('_logits')}_crc"][self.row]:
            raise BadZipFile(f"Bad CRC-32 of {name}")
        return logits


@lru_cache(maxsize=1024)  # the runs of a study have the same ones
def parse_header(name: str, header: bytes, is_family: bool) -> Member:
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
    dimensions += is_family and name not in TEXTS
    if dtype.kind + str(dtype.itemsize) not in kinds or len(shape) != dimensions:
        raise ValueError(f"{name} is an array of {dtype} of shape {shape}")
    return Member(dtype, shape, len(header), len(header) + math.prod(shape) * dtype.itemsize)
