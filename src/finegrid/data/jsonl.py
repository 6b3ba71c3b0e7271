"""Reads the rows of JSON lines: one object a line, columns by key."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from finegrid.data.columns import suggest_name
from finegrid.data.findings import FileFindings, quote, quote_all


def read_jsonl(
    text: str, wanted: Sequence[str | int], findings: FileFindings
) -> list[tuple[int, list[object]]]:
    """Line number and wanted values of each row."""
    if not all(_is_key(column, findings) for column in wanted):
        return []
    cells: list[tuple[int, list[object]]] = []
    for number, row in read_objects(text, findings):
        missing = [column for column in wanted if column not in row]
        for column in missing:
            close = suggest_name(str(column), list(row))
            what = f"no key {quote(column)}.{close} Found: {quote_all(list(row)) or 'no keys'}"
            findings.add_problem(f"no key {quote(column)}", what, number)
        if not missing:
            cells.append((number, [row[str(column)] for column in wanted]))
    return cells


def read_objects(text: str, findings: FileFindings) -> list[tuple[int, dict[str, object]]]:
    """The object of each line, with its line number; blank lines at the end are left out."""
    # Inside JSON a line end can only be LF or CR; U+2028 is an ordinary character of a string.
    return list(parse_objects(text.rstrip().split("\n" if "\n" in text else "\r"), findings))


def parse_objects(lines: Iterable[str], findings: FileFindings) -> Iterator[tuple[int, dict[str, object]]]:
    """The same of lines that come one after the other."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            findings.add_problem("empty line", "an empty line. Take it out", number)
        elif (row := _parse(line.rstrip(), number, findings)) is not None:
            yield number, row


def list_by_key(rows: Sequence[Mapping[str, object]]) -> dict[str | int, list[object]]:
    """The values of objects by key, None where an object has no such key."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in keys}


def _parse(line: str, number: int, findings: FileFindings) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        what = f"no JSON from column {error.colno} on: {error.msg}: {quote(line[max(0, error.pos - 10) :])}"
        findings.add_problem("JSON", what, number)
        return None
    except (ValueError, RecursionError):  # numbers of thousands of digits, brackets nested without end
        findings.add_problem("JSON", f"JSON that is too big or too deep: {quote(line)}", number)
        return None
    if isinstance(row, dict):
        return row
    findings.add_problem(
        "JSON", f'{quote(row)}, expected an object like {{"text": ..., "label": ...}}', number
    )
    return None


def _is_key(column: str | int, findings: FileFindings) -> bool:
    if isinstance(column, int):
        findings.add_problem("column", f"JSON lines have no column {column}. Give the key by name")
    return isinstance(column, str)
