"""Writes frames as CSV: UTF-8, numbers in full, and no cell that a spreadsheet takes for a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finegrid.export.frame import ColumnKind, Frame
from finegrid.refusals import saving

# What makes a cell a formula (OWASP, "CSV injection"), also in the full width of Chinese and Japanese input.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_csv(path: Path, frames: Iterable[Frame]) -> int:
    """Frames of the same columns, one below the other. Returns the lines below the header."""
    count = -1
    with saving(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        for line in make_lines(frames):
            file.write(f"{line}\n")
            count += 1
    return count


def make_lines(frames: Iterable[Frame]) -> Iterator[str]:
    """The header once, then the lines of all frames; one that has a cell of several lines is one here."""
    for number, frame in enumerate(frames):
        if number == 0:
            yield ",".join(format_text(column.name) for column in frame.columns)
        cells = [map(FORMATTERS[column.kind], column.values) for column in frame.columns]
        yield from map(",".join, zip(*cells, strict=True))


def format_text(text: str) -> str:
    """Text that no spreadsheet computes (an apostrophe in front says so), in quotes where it needs them.

    Python's csv would leave a carriage return without quotes where lines end otherwise, and readers then see
    two lines.
    """
    unquoted = f"'{text}" if text.startswith(FORMULA) else text
    if any(char in unquoted for char in ',"\r\n'):
        return '"' + unquoted.replace('"', '""') + '"'
    return unquoted


def format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_numbers(values: Sequence[int]) -> str:
    """Numbers apart by spaces: ``1,9`` is a decimal number in half of the world, ``1-9`` a date."""
    return " ".join(map(str, values))


def allow_none(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value is None else write(value)


FORMATTERS: dict[ColumnKind, Callable[[Any], str]] = {
    "text": allow_none(format_text),
    "category": allow_none(format_text),
    "whole": allow_none(str),
    "number": allow_none(repr),
    "truth": allow_none(lambda value: "true" if value else "false"),
    "time": allow_none(format_time),
    "wholes": allow_none(format_numbers),
}
