"""Reads the rows of CSV and TSV, with quotes as in RFC 4180 or as ordinary text, and true line numbers.

Python's ``csv`` limits fields to 128 KiB, takes a lone carriage return for a line end and cannot say
on which line a quote was opened, hence a reader of our own. It ends lines at LF or CR LF (at CR where
a file has no LF), and never at U+2028, U+0085 and the like, where ``str.splitlines`` does.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import Quoting

Line = tuple[int, list[str]]  # number of the line on which the row starts, fields
QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
ORDINARY = 'or set quoting = "none" if quotes are ordinary text here'


def read_lines(text: str, separator: str, quoting: Quoting, findings: FileFindings) -> list[Line]:
    """All rows; blank lines at the end are left out, those in between are rows with one field."""
    return list(stream_lines([text], find_line_end(text), separator, quoting, findings))


def stream_lines(
    pieces: Iterable[str], line_end: str, separator: str, quoting: Quoting, findings: FileFindings
) -> Iterator[Line]:
    """The same of a text that comes in pieces, of which no more are held than the longest row needs.

    Args:
        pieces: of the text, cut anywhere.
        line_end: of the whole text, as `find_line_end` has it.
        separator: between the fields.
        quoting: what quotation marks mean.
        findings: for rows whose quotes are broken.
    """
    blank: list[Line] = []
    for line in _split_rows(pieces, line_end, separator, quoting == "rfc4180", findings):
        if is_blank(line[1]):
            blank.append(line)
            continue
        yield from blank
        blank.clear()
        yield line


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


def _split_rows(
    pieces: Iterable[str], line_end: str, separator: str, quotes: bool, findings: FileFindings
) -> Iterator[Line]:
    # A field and what ends it. Plain fields do not start with a quote, but may have quotes further on.
    plain = rf'(?!")[^{separator}{line_end}]*+'
    ends = r"\r*\n|\r*\Z" if line_end == "\n" else r"\r|\Z"
    field = re.compile(rf"(?:{QUOTED.pattern}|({plain}))({re.escape(separator)}|{ends})")
    number, window = 1, _Window(pieces)
    while window.advance():
        text, start, last = window.text, 0, window.last
        while start < len(text):
            stop = text.find(line_end, start)
            if stop < 0 and not last:
                break
            stop = len(text) if stop < 0 else stop
            line = text[start:stop]
            if quotes and '"' in line:
                try:
                    fields, stop = _split_quoted_row(text, start, field, separator, line_end)
                    if stop == len(text) and not last:
                        break  # the row, or its last line end, may go on
                    yield number, fields
                except _BrokenQuote as broken:
                    if not last and not broken.is_certain(text, line_end):
                        break
                    place = number + text.count(line_end, start, broken.opened)
                    stop = broken.report(text, line_end, place, findings)
            else:
                yield number, line.rstrip("\r").split(separator)
            number += text.count(line_end, start, stop) + 1
            start = stop + 1
        window.done = start


class _Window:
    """What has not been read yet of a text in pieces.

    Where nothing of it could be read, twice as much comes next: long rows are not looked at too often.

    Attributes:
        text: What is there.
        last: Whether nothing comes after it.
        done: How much of it has been read.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._next = next(self._pieces, None)
        self.text, self.done, self.last = "", 0, self._next is None

    def advance(self) -> bool:
        """Take in what comes next. Returns whether there is anything."""
        held = [self.text[self.done :]]
        size, needed = len(held[0]), 2 * len(held[0])
        if self._next is None:
            return False
        while self._next is not None and (size < needed or len(held) == 1):
            held.append(self._next)
            size += len(self._next)
            self._next = next(self._pieces, None)
        self.text, self.done, self.last = "".join(held), 0, self._next is None
        return True


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

    def is_certain(self, text: str, line_end: str) -> bool:
        """Whether what is to come of the text cannot mend it: the quote is closed, and its line ends."""
        match = QUOTED.match(text, self.opened)
        return match is not None and text.find(line_end, match.end()) >= 0

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
