"""Frames to CSV: UTF-8, numbers in full, and no cell that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finegrid.atomic import replacing
from finegrid.export.frame import Frame, Kind

# What makes a cell a formula (OWASP, "CSV injection"), also in the full width of Chinese and Japanese input.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_csv(path: Path, frames: Iterable[Frame]) -> int:
    """Frames of the same columns, one below the other. Returns the lines below the header; 0: no file."""
    count = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for frame in frames:
            if count == 0:
                writer.writerow([safe(column.name) for column in frame.columns])
            cells = [list(map(WRITTEN[column.kind], column.values)) for column in frame.columns]
            writer.writerows(zip(*cells, strict=True))
            count += len(frame)
    return count


def safe(text: str) -> str:
    """Text that no spreadsheet computes: an apostrophe in front says so."""
    return f"'{text}" if text.startswith(FORMULA) else text


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def numbers(values: Sequence[int]) -> str:
    """Apart by spaces: ``1,9`` is a decimal number in half of the world, ``1-9`` a date."""
    return " ".join(map(str, values))


def optional(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value is None else write(value)


WRITTEN: dict[Kind, Callable[[Any], str]] = {
    "text": optional(safe),
    "category": optional(safe),
    "whole": optional(str),
    "number": optional(repr),
    "truth": optional(lambda value: "true" if value else "false"),
    "time": optional(moment),
    "wholes": optional(numbers),
}
