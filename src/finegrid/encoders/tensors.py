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
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def refuse(what: str) -> Exception:
        return input_error(str(path.parent), path.name, what)

    if (instead := describe_stand_in(path)) is not None:
        raise refuse(f"cannot be loaded: it {instead}")
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        if begin.startswith((b"PK\x03\x04", b"\x80\x02")):
            what = "it is a pickle of PyTorch under another name. Call it pytorch_model.bin."
            raise refuse(f"cannot be loaded: {what}")
        if size < 8 + length and length <= MOST_HEADER:
            raise refuse(
                f"cannot be loaded: it is cut within its header ({size:,} bytes). Download it again."
            )
        if length > MOST_HEADER:
            raise refuse("cannot be loaded: no safetensors file. Download it again.")
        header = file.read(length)
    try:
        tensors = {
            str(name): (
                str(about["dtype"]),
                tuple(map(int, about["shape"])),
                tuple(map(int, about["data_offsets"])),
            )
            for name, about in json.loads(header).items()
            if name != "__metadata__"
        }
        end = max((offsets[1] for *_, offsets in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise refuse("cannot be loaded: its header is no safetensors header. Download it again.") from None
    if size < 8 + length + end:
        what = f"it is cut: {size:,} bytes, but its header speaks of {8 + length + end:,}. Download it again."
        raise refuse(f"cannot be loaded: {what}")
    return {
        name: StoredTensor(kind, shape, piecewise(path, 8 + length + offsets[0], kind, math.prod(shape)))
        for name, (kind, shape, offsets) in tensors.items()
    }


def piecewise(path: Path, begin: int, kind: str, count: int) -> Callable[[], Iterator[Values]]:
    """What reads ``count`` values from byte ``begin`` of a file, a few MiB at a time."""

    def pieces() -> Iterator[Values]:
        if (dtype := FLOATS.get(kind)) is None:
            return
        with path.open("rb") as file:
            file.seek(begin)
            for first in range(0, count, PIECE):
                values: Values = np.fromfile(file, dtype, min(PIECE, count - first))
                if kind == "BF16":  # the upper half of a float32
                    values = (values.astype(np.uint32) << 16).view(np.float32)
                yield values

    return pieces
