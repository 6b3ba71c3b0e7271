"""What quotation marks of a file mean, found out without holding its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from finegrid.data.delimited import Line
from finegrid.data.delimited_rows import find_swallowed
from finegrid.data.findings import FileFindings
from finegrid.data.settings import Quoting

Rows = Callable[[Quoting, FileFindings], Iterator[Line]]


def choose_quoting(rows: Rows, separator: str, line_end: str) -> Quoting:
    """As `sniff.choose_lines`: ordinary text where RFC 4180 fails, or makes one text of several rows.

    They are only if all rows then have equally many fields.

    Args:
        rows: reads the file's rows, from the first.
        separator: between its fields.
        line_end: of its lines.
    """
    findings = FileFindings("")
    swallowed: list[tuple[int, list[list[str]]]] = []
    width = 0
    for line in rows("rfc4180", findings):
        width = width or len(line[1])
        swallowed += find_swallowed([line], width, separator, line_end)
    doubted = bool(swallowed) and (separator == "\t" or _tell_by_column(rows, width, swallowed))
    if not findings and not doubted:
        return "rfc4180"
    return "none" if are_even(rows) else "rfc4180"


def are_even(rows: Rows) -> bool:
    """Whether there are rows, all of equally many fields, where quotation marks are ordinary text."""
    width = 0
    for _, fields in rows("none", FileFindings("")):
        if width and len(fields) != width:
            return False
        width = len(fields)
    return width > 0


def _tell_by_column(rows: Rows, width: int, swallowed: list[tuple[int, list[list[str]]]]) -> bool:
    """Whether some column of what is swallowed has only cells that other rows have there, too."""
    starts = {number for number, _ in swallowed}
    missing = [{cells[index].strip() for _, plain in swallowed for cells in plain} for index in range(width)]
    for number, fields in rows("rfc4180", FileFindings("")):
        if number not in starts and len(fields) == width:
            for index, cell in enumerate(fields):
                missing[index].discard(cell.strip())
            if not all(missing):
                return True
    return False
