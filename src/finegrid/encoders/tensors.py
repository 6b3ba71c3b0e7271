"""The tensors of safetensors files: names, types and shapes from their headers, values in pieces. No torch.

safetensors' own reader for NumPy does not give bfloat16, so the header is read here: a length of eight bytes,
then JSON (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finegrid.data.findings import quote
from finegrid.encoders.files import describe_stand_in
from finegrid.errors import input_error

Values = NDArray[Any]  # of floats
FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
PIECE = 2**22  # values that are in memory at once: 16 MiB of float32
MOST_HEADER = 100_000_000  # bytes, as in safetensors


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a checkpoint's file, whose values are not read before they are asked for."""

    kind: str  # of its values, as safetensors spells it: F32
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[Values]]  # its values, flat and in order; none if these are no floats

    @property
    def is_float(self) -> bool:
        return self.kind in FLOATS


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """What a safetensors file holds, by name.

    Raises:
        InputError: it is cut, or something else.
    """
    if (instead := describe_stand_in(path)) is not None:
        raise input_error(str(path.parent), path.name, f"cannot be loaded: it {instead}")
    try:
        begin, spans = read_spans(path)
    except ValueError as error:
        raise input_error(str(path.parent), path.name, f"cannot be loaded: {error}") from None
    return {
        name: StoredTensor(span.kind, span.shape, piecewise(path, begin + span.begin, span))
        for name, span in spans.items()
    }


class Span(NamedTuple):
    """Where a tensor's values lie."""

    kind: str
    shape: tuple[int, ...]
    begin: int  # byte, counted from the end of the header
    end: int

    @property
    def fits(self) -> bool:
        """Whether it has as many bytes as its shape asks for."""
        dtype = FLOATS.get(self.kind)
        size = None if dtype is None else math.prod(self.shape) * dtype.itemsize
        return min(self.shape, default=0) >= 0 <= self.begin <= self.end and size in (
            None,
            self.end - self.begin,
        )


def read_spans(path: Path) -> tuple[int, dict[str, Span]]:
    """The end of a file's header, in bytes, and what the header says of the tensors behind it.

    Raises:
        ValueError: it is cut, or something else; says what.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if first.startswith((b"PK\x03\x04", b"\x80\x02")):
            raise ValueError("it is a pickle of PyTorch under another name. Call it pytorch_model.bin.")
        if length > MOST_HEADER:
            raise ValueError("no safetensors file. Download it again.")
        if size < 8 + length:
            raise ValueError(f"it is cut within its header ({size:,} bytes). Download it again.")
        header = file.read(length)
    try:
        spans = {
            name: read_span(about) for name, about in json.loads(header).items() if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ValueError("its header is no safetensors header. Download it again.") from None
    if wrong := [name for name, span in spans.items() if not span.fits]:
        raise ValueError(f"shape and size of {quote(wrong[0])} contradict each other. Download it again.")
    expected = 8 + length + max((span.end for span in spans.values()), default=0)
    if size < expected:
        raise ValueError(
            f"it is cut: {size:,} bytes, but its header speaks of {expected:,}. Download it again."
        )
    return 8 + length, spans


def read_span(about: Any) -> Span:
    begin, end = map(int, about["data_offsets"])
    return Span(str(about["dtype"]), tuple(map(int, about["shape"])), begin, end)


def piecewise(path: Path, begin: int, span: Span) -> Callable[[], Iterator[Values]]:
    """What reads a tensor's values from byte ``begin`` of a file, a few MiB at a time."""
    count = math.prod(span.shape)

    def pieces() -> Iterator[Values]:
        if (dtype := FLOATS.get(span.kind)) is None:
            return
        with path.open("rb") as file:
            file.seek(begin)
            for first in range(0, count, PIECE):
                values: Values = np.fromfile(file, dtype, min(PIECE, count - first))
                if span.kind == "BF16":  # the upper half of a float32
                    values = (values.astype(np.uint32) << 16).view(np.float32)
                yield values

    return pieces
