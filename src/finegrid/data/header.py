"""Whether the first line of CSV or TSV names the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from finegrid.data.columns import LABEL_NAMES, PAIR_NAMES, TEXT_NAMES
from finegrid.data.delimited import Line

KNOWN_NAMES = TEXT_NAMES | LABEL_NAMES | {name for pair in PAIR_NAMES for name in pair}
NAME = re.compile(r"[^\W\d][\w .:/-]{0,29}")  # what people call columns
LOOKED_AT = 20_000  # rows of a file


def guess_header(files: Sequence[Sequence[Line]]) -> tuple[bool, str]:
    """Whether the files' first lines name their columns, and why.

    They do if one of the names is a usual one; if all files begin alike; or if they read like names: short
    words that come in no other row, above a column whose other values all come again.
    """
    firsts = [strip_row(lines[0][1]) for lines in files if lines]
    if not firsts:
        return False, "no rows"
    names = [name.casefold() for name in firsts[0]]
    repeated = any(
        comes_again(lines[0][1], skip_repeats(lines[0][1], lines[1:LOOKED_AT])) for lines in files if lines
    )
    if repeated:
        return False, "a cell of the first line comes again below it"
    known = [name for name in firsts[0] if name.casefold() in KNOWN_NAMES]
    if known:
        return True, f"a usual name: {known[0]!r}"
    if len(set(names)) < len(names) or not all(names):
        return False, "its cells are no names"
    has_classes = any(_is_above_classes(lines, all_cells=False) for lines in files if lines)
    if len(firsts) > 1 and all(first == firsts[0] for first in firsts) and has_classes:
        return True, "all files begin with it"
    if len(firsts) > 1 and any(first != firsts[0] for first in firsts):
        return False, "the files begin differently"
    if all(map(NAME.fullmatch, firsts[0])) and _is_above_classes(files[0], all_cells=True):
        return True, "it reads like names, and no cell of it comes again"
    return False, "it reads like a row"


def comes_again(first: Sequence[str], rows: Sequence[Line], most_rows: int = 1000) -> bool:
    """Whether a cell of the first row comes again in its column, as labels do and column names do not."""
    return any(
        name.strip() == cell.strip() != ""
        for _, fields in rows[:most_rows]
        for name, cell in zip(first, fields, strict=False)
    )


def skip_repeats(first: Sequence[str], rows: Sequence[Line]) -> list[Line]:
    """The rows that are not the first line again, as files that were put one after the other have it."""
    return (
        [(number, fields) for number, fields in rows if fields != list(first)]
        if len(first) > 1
        else list(rows)
    )


def name_columns(first: Sequence[str], header: bool) -> list[str | int]:
    """The first line's cells as names, numbers from 1 where these are empty, stand twice, or are none."""
    names = strip_row(first)
    return [
        name if header and name and names.count(name) == 1 else number
        for number, name in enumerate(names, start=1)
    ]


def strip_row(fields: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in fields]


def _is_above_classes(lines: Sequence[Line], all_cells: bool) -> bool:
    """Whether some column has few values, each of several rows (all of them, if asked for), but the first."""
    first, rows = lines[0][1], skip_repeats(lines[0][1], lines[1:LOOKED_AT])
    rows = [line for line in rows if len(line[1]) == len(first)]
    for index in range(len(first)):
        counts = Counter(fields[index].strip() for _, fields in rows)
        again = sum(count > 1 for count in counts.values())
        needed = len(counts) if all_cells else len(counts) / 2
        if counts and 2 * len(counts) <= len(rows) and again >= needed and first[index].strip() not in counts:
            return True
    return False
