"""Takes the wanted cells of CSV and TSV, and doubts what looks wrong: headers, widths, swallowed lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from finegrid.data.columns import LABEL_NAMES, TEXT_NAMES, find_columns, number_columns
from finegrid.data.delimited import Line, find_line_end, is_blank, read_lines
from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.header import comes_again, strip_row
from finegrid.data.settings import (
    SEPARATOR_NAMES,
    SEPARATORS,
    DataSettings,
    Format,
    Separator,
    resolve_separator,
)
from finegrid.spelling import count_noun

LISTED_LINES = 5


def read_delimited(
    text: str, kind: Format, settings: DataSettings, findings: FileFindings
) -> list[tuple[int, list[object]]]:
    """Line number and wanted cells of each row."""
    separator = resolve_separator(kind, settings.separator)
    lines = read_lines(text, separator, settings.quoting, findings)
    if not lines or lines[0][0] > 1:  # the first line is broken, and the problem is noted
        return []
    header = strip_row(lines[0][1])
    if settings.header:
        width, rows = len(header), refuse_repeated_header(lines, findings)
        columns = find_columns(
            settings.read_columns, header, findings, _explain_missing_column(lines, separator)
        )
    else:
        width = Counter(len(fields) for _, fields in lines).most_common(1)[0][0]
        columns, rows = number_columns(settings.read_columns, width, findings), lines
    if columns is None:
        return []
    cells = select_cells(rows, columns, width, findings)
    known = len(settings.columns)  # a group's column is not doubted
    if len(header) == width:
        first, rest = [header[index] for index in columns[:known]], [row[:known] for _, row in cells]
        _doubt_header(first, rest, settings.header, findings)
    if settings.quoting == "rfc4180" and '"' in text:
        _doubt_long_texts(rows, columns[known - 1], separator, find_line_end(text), findings)
    return cells


def refuse_repeated_header(lines: Sequence[Line], findings: FileFindings) -> list[Line]:
    """The rows below the header. Where it comes again, files were put one after the other: a problem."""
    header = lines[0][1]
    again = [number for number, fields in lines[1:] if fields == header]
    if not again:
        return list(lines[1:])
    what = f"the header comes again in {list_lines(again)}. Take {'it' if len(again) == 1 else 'them'} out"
    findings.add_problem("header again", what)
    return [(number, fields) for number, fields in lines[1:] if fields != header]


def list_lines(numbers: Sequence[int]) -> str:
    """``lines 32 and 63``; of many, the first few."""
    if len(numbers) == 1:
        return f"line {numbers[0]:,}"
    if len(numbers) > LISTED_LINES:
        first = ", ".join(f"{number:,}" for number in numbers[:LISTED_LINES])
        return f"lines {first} and {len(numbers) - LISTED_LINES:,} more"
    return f"lines {', '.join(f'{number:,}' for number in numbers[:-1])} and {numbers[-1]:,}"


def find_swallowed(
    rows: Iterable[Line], width: int, separator: str, line_end: str
) -> list[tuple[int, list[list[str]]]]:
    """Rows with line ends in a quoted field where each of their lines alone has the fields of a row.

    Such a field is hardly one text: a quotation mark that is ordinary text began it, and the next one ended
    it. Returns the line on which each begins, and what its lines are as rows.
    """
    found = []
    for number, fields in rows:
        if len(fields) == width and any(line_end in field for field in fields):
            plain = [line.split(separator) for line in separator.join(fields).split(line_end)]
            if all(len(cells) == width for cells in plain):
                found.append((number, plain))
    return found


def _doubt_long_texts(
    rows: Sequence[Line], label: int, separator: str, line_end: str, findings: FileFindings
) -> None:
    """A warning of rows that swallowed others: their lines end in labels that other rows have."""
    if not rows:
        return
    width = Counter(len(fields) for _, fields in rows).most_common(1)[0][0]
    swallowed = find_swallowed(rows, width, separator, line_end)
    if not swallowed:
        return
    known = {fields[label].strip() for _, fields in rows if len(fields) == width}
    believed = [
        number for number, plain in swallowed if all(cells[label].strip() in known for cells in plain)
    ]
    if believed:
        findings.warnings.append(
            f"{findings.file}: in {list_lines(believed)} a quoted text begins that holds whole rows, with "
            'their labels. If quotation marks are ordinary text here, set quoting = "none"'
        )


def select_cells(
    rows: Sequence[Line], columns: Sequence[int], width: int, findings: FileFindings
) -> list[tuple[int, list[object]]]:
    """The cells in some columns of the rows that have as many fields as expected; others are problems."""
    longer = [fields for _, fields in rows if len(fields) == width + 1]
    if longer and len(longer) > len(rows) / 2 and not any(fields[-1].strip() for fields in longer):
        what = (
            f"{count_noun(len(longer), 'row')} have {width + 1} fields, the last one empty; expected {width}"
        )
        findings.add_problem("trailing", f"{what}: a separator at the end of each line? Take it off")
        return []
    cells: list[tuple[int, list[object]]] = []
    for number, fields in rows:
        if len(fields) == width:
            cells.append((number, [fields[index] for index in columns]))
            continue
        fields_found = f"{count_noun(len(fields), 'field')}, expected {width}"
        if is_blank(fields):
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
    if comes_again(first, lines[1:]):
        return ". The first line looks like data: if it is, set header = false and give columns by number"
    if len(first) == 1:
        for candidate, name in SEPARATOR_NAMES.items():
            if candidate != separator and candidate in first[0]:
                return f". The columns seem to be separated by {name}s: {_name_setting(candidate)}?"
    return ""


def _name_setting(separator: Separator | str) -> str:
    kind = next((kind for kind, usual in SEPARATORS.items() if usual == separator), None)
    return f'separator = "{separator}"' if kind is None else f'format = "{kind}"'


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
    elif label.casefold() in LABEL_NAMES and all(text.casefold() in TEXT_NAMES for text in texts):
        what = f"reads like a header: {quote_all(first)}. Set header = true, or take the line out"
        findings.add_problem("header", what, 1)
