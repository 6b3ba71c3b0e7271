"""Reads the rows of CSV and TSV, with quotes as in RFC 4180 or as ordinary text, and true line numbers.

Python's ``csv`` limits fields to 128 KiB, takes a lone carriage return for a line end and cannot say
on which line a quote was opened, hence a reader of our own. It ends lines at LF or CR LF (at CR where
a file has no LF), and never at U+2028, U+0085 and the like, where ``str.splitlines`` does.
"""

import re
from collections.abc import Iterator, Sequence

from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import Quoting

Line = tuple[int, list[str]]  # number of the line on which the row starts, fields
QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
ORDINARY = 'or set quoting = "none" if quotes are ordinary text here'


def read_lines(text: str, separator: str, quoting: Quoting, findings: FileFindings) -> list[Line]:
    """All rows; blank lines at the end are left out, those in between are rows with one field."""
    lines = list(_split_rows(text, separator, quoting == "rfc4180", findings))
    while lines and is_blank(lines[-1][1]):
        lines.pop()
    return lines


def join_cells(cells: Sequence[str], separator: str) -> str:
    """A line, quoted as in RFC 4180 where a cell needs it."""
    special = {separator, "\n", "\r", '"'}
    return separator.join(
        f'"{cell.replace(chr(34), 2 * chr(34))}"' if special & set(cell) else cell for cell in cells
    )


def find_line_end(text: str) -> str:
    return "\n" if "\n" in text else "\r"


def first_lines(text: str, most: int) -> str:
    line_end = find_line_end(text)
    return line_end.join(text.split(line_end, most)[:most])


def are_even(lines: Sequence[Line]) -> bool:
    """Whether there are rows, all of equally many fields."""
    return len({len(fields) for _, fields in lines}) == 1


def is_blank(fields: list[str]) -> bool:
    return len(fields) == 1 and not fields[0].strip()


def _split_rows(text: str, separator: str, quotes: bool, findings: FileFindings) -> Iterator[Line]:
    line_end = find_line_end(text)
    # A field and what ends it. Plain fields do not start with a quote, but may have quotes further on.
    plain = rf'(?!")[^{separator}{line_end}]*+'
    ends = r"\r*\n|\r*\Z" if line_end == "\n" else r"\r|\Z"
    field = re.compile(rf"(?:{QUOTED.pattern}|({plain}))({re.escape(separator)}|{ends})")
    start, number = 0, 1
    while start < len(text):
        stop = text.find(line_end, start)
        stop = len(text) if stop < 0 else stop
        line = text[start:stop]
        if quotes and '"' in line:
            try:
                fields, stop = _split_quoted_row(text, start, field, separator, line_end)
                yield number, fields
            except _BrokenQuote as broken:
                place = number + text.count(line_end, start, broken.opened)
                stop = broken.report(text, line_end, place, findings)
        else:
            yield number, line.rstrip("\r").split(separator)
        number += text.count(line_end, start, stop) + 1
        start = stop + 1


def _split_quoted_row(
    text: str, start: int, field: re.Pattern[str], separator: str, line_end: str
) -> tuple[list[str], int]:
    """Fields of the row that starts at ``start``, and where its line end stands."""
    fields: list[str] = []
    while match := field.match(text, start):
        quoted, plain, end = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        start = match.end()
        if end != separator:
            if quoted is None:
                fields[-1] = plain.rstrip("\r")
            return fields, start - 1 if end.endswith(line_end) else len(text)
    raise _BrokenQuote(start)


class _BrokenQuote(Exception):
    """The quote that opens at this offset is never closed, or text follows after it is."""

    def __init__(self, opened: int) -> None:
        super().__init__(opened)
        self.opened = opened

    def report(self, text: str, line_end: str, place: int, findings: FileFindings) -> int:
        """Add the problem. Returns where to go on: at the end of the opening quote's line, or of the text."""
        match = QUOTED.match(text, self.opened)
        if match is None:
            sample = text[self.opened :].split(line_end)[0]
            what = f"the quote that opens {quote(sample)} is never closed. Close it, {ORDINARY}"
            findings.add_problem("quote not closed", what, place)
            return len(text)
        rest = text[match.end() :].split(line_end, 1)[0]
        closed = place + match[0].count(line_end)
        where = f" in line {closed}" if closed > place else ""
        what = (
            f"a quoted field goes on after its closing quote{where}: "
            f"{quote(rest)}. Write quotes inside a quoted field twice, {ORDINARY}"
        )
        findings.add_problem("text after a closing quote", what, place)
        stop = text.find(line_end, self.opened)
        return len(text) if stop < 0 else stop
