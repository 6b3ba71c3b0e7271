"""Which character stands between the columns of a file."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from finegrid.data.delimited import first_lines, read_lines
from finegrid.data.findings import FileFindings
from finegrid.data.settings import Separator

LOOKED_AT = 200  # lines
ENOUGH = 0.9  # of rows that have equally many fields


def guess_separator(text: str, usual: Separator) -> Separator:
    """The usual one if it makes rows of equally many fields; else the one that does so best.

    Args:
        text: the file's.
        usual: of the format that the file's ending stands for.
    """
    first = first_lines(text.lstrip("\r\n"), LOOKED_AT)
    if _rate(first, usual) >= ENOUGH:
        return usual
    others: list[Separator] = [mark for mark in get_args(Separator) if mark != usual and mark in first]
    return max([usual, *others], key=lambda mark: _rate(first, mark))


def _rate(text: str, separator: Separator) -> float:
    """Share of rows with as many fields as the first, two or more; 0 where the first has one."""
    lines = read_lines(text, separator, "rfc4180", FileFindings(""))
    lines = lines or read_lines(text, separator, "none", FileFindings(""))
    if not lines or len(lines[0][1]) < 2:
        return 0.0
    counts = Counter(len(fields) for _, fields in lines)
    return counts[len(lines[0][1])] / len(lines)
