"""Reads the rows of CSV and TSV, with quotes as in RFC 4180 or as ordinary text, and true line numbers.

Python's ``csv`` limits fields to 128 KiB, takes a lone carriage return for a line end and cannot say
on which line a quote was opened, hence a reader of our own. It ends lines at LF or CR LF (at CR where
a file has no LF), and never at U+2028, U+0085 and the like, where ``str.splitlines`` does.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from finegrid.data.columns import LABEL_NAMES, TEXT_NAMES, find_columns, number_columns
from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.settings import DataSettings, Quoting
from finegrid.spelling import count_noun

Line = tuple[int, list[str]]  # number of the line on which the row starts, fields
QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
ORDINARY = 'or set quoting = "none" if quotes are ordinary text here'


def read_delimited(
    text: str, separator: str, settings: DataSettings, findings: FileFindings
) -> list[tuple[int, list[object]]]:
    """Line number and wanted cells of each row."""
    lines = read_lines(text, separator, settings.quoting, findings)
    if not lines or lines[0][0] > 1:  # the first line is broken, and the problem is noted
        return []
    header = [name.strip() for name in lines[0][1]]
    if settings.header:
        hint = _explain_missing_column(lines, separator)
        columns, width, rows = (
            find_columns(settings.read_columns, header, findings, hint),
            len(header),
            lines[1:],
        )
    else:
        width = Counter(len(fields) for _, fields in lines).most_common(1)[0][0]
        columns, rows = number_columns(settings.read_columns, width, findings), lines
    if columns is None:
        return []
    cells = _select_cells(rows, columns, width, findings)
    if len(header) == width:
        known = len(settings.columns)  # a group's column is not doubted
        first, rest = [header[index] for index in columns[:known]], [row[:known] for _, row in cells]
        _doubt_header(first, rest, settings.header, findings)
    return cells


def read_lines(text: str, separator: str, quoting: Quoting, findings: FileFindings) -> list[Line]:
    """All rows; blank lines at the end are left out, those in between are rows with one field."""
    lines = list(_split_rows(text, separator, quoting == "rfc4180", findings))
    while lines and is_blank(lines[-1][1]):
        lines.pop()
    return lines


def is_blank(fields: list[str]) -> bool:
    return len(fields) == 1 and not fields[0].strip()


def _split_rows(text: str, separator: str, quotes: bool, findings: FileFindings) -> Iterator[Line]:
    line_end = "\n" if "\n" in text else "\r"
    # A field and what ends it. Plain fields do not start with a quote, but may have quotes further on.
    plain = rf'(?!")[^{separator}{line_end}]*+'
    ends = r"\r*\n|\r*\Z" if line_end == "\n" else r"\r|\Z"
    field = re.compile(rf"(?:{QUOTED.pattern}|({plain}))({separator}|{ends})")
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


def _select_cells(
    rows: list[Line], columns: list[int], width: int, findings: FileFindings
) -> list[tuple[int, list[object]]]:
    cells: list[tuple[int, list[object]]] = []
    for number, fields in rows:
        fields_found = f"{count_noun(len(fields), 'field')}, expected {width}"
        if len(fields) == width:
            cells.append((number, [fields[index] for index in columns]))
        elif is_blank(fields):
            findings.add_problem("empty line", "an empty line. Take it out", number)
        elif len(fields) < width:
            findings.add_problem("too few fields", f"{fields_found}. Is a separator missing?", number)
        else:
            findings.add_problem(
                "too many fields", f"{fields_found}. Is there a separator inside a text?", number
            )
    return cells


def _explain_missing_column(lines: list[Line], separator: str) -> str:
    """A sentence on what may be wrong where a column is missing; empty where nothing is suspected."""
    first = lines[0][1]
    if looks_like_data(lines):
        return ". The first line looks like data: if it is, set header = false and give columns by number"
    if len(first) == 1:
        for candidate, name in ((",", "csv"), ("\t", "tsv")):
            if candidate != separator and candidate in first[0]:
                return f'. The columns seem to be separated otherwise: format = "{name}"?'
        if ";" in first[0]:
            return ". Columns separated by semicolons are not known: use commas or tabs"
    return ""


def looks_like_data(lines: list[Line], most_lines: int = 1000) -> bool:
    """Whether a cell of the first row comes again in its column, as labels do and column names do not."""
    first = lines[0][1]
    return any(
        name.strip() == cell.strip() != ""
        for _, fields in lines[1:most_lines]
        for name, cell in zip(first, fields, strict=False)
    )


def looks_like_header(texts: Sequence[str], label: str) -> bool:
    return label.casefold() in LABEL_NAMES and all(text.casefold() in TEXT_NAMES for text in texts)


def _doubt_header(first: list[str], cells: list[list[object]], header: bool, findings: FileFindings) -> None:
    """A warning or a problem where the first row looks like the opposite of what ``header`` says."""
    *texts, label = first
    if header:
        again = sum(isinstance(row[-1], str) and row[-1].strip() == label for row in cells)
        if again:
            findings.warnings.append(
                f"{findings.file}: the first line was read as a header, but its label {quote(label)} "
                f"is also that of {count_noun(again, 'row')}. If it is data, set header = false"
            )
    elif looks_like_header(texts, label):
        what = f"reads like a header: {quote_all(first)}. Set header = true, or take the line out"
        findings.add_problem("header", what, 1)
