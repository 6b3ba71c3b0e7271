"""UnlabelledTexts to be labelled, from a file of the user's; labels where the file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrid.data.cells import Unfit, as_label, as_text
from finegrid.data.columns import LABEL_NAMES, did_you_mean
from finegrid.data.delimited import Line, is_blank, read_lines
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings, counted, several, shown
from finegrid.data.jsonl import read_objects
from finegrid.data.read import format_of, read_bytes
from finegrid.data.settings import Format
from finegrid.data.sniff import Columns, has_header, separated_by, text_column, text_pair
from finegrid.errors import InputError

Column = str | int  # by name, or by number from 1


@dataclass(frozen=True)
class AskedColumns:
    """Where texts and labels stand. None, or nothing: find it out."""

    texts: tuple[Column, ...] = ()
    label: Column | None = None
    header: bool | None = None  # CSV, TSV and plain text only
    usual: tuple[
        Column, ...
    ] = ()  # the columns of the study, the label's last: taken where the file has them


def column_of(name: str) -> Column:
    """A column as the command line names it: by its name, or by its number from 1."""
    return int(name) if name.isdecimal() else name


@dataclass(frozen=True)
class UnlabelledTexts:
    names: tuple[str, ...]  # of the text columns
    texts: list[tuple[str, ...]]  # 1-tuples, or pairs
    labels: list[str] | None  # where there are labels in every row
    warnings: list[str]


@dataclass(frozen=True)
class Cells:
    columns: Columns
    places: list[int]  # line, or row of a Parquet file


def read_texts(path: Path, parts: int, asked: AskedColumns | None = None) -> UnlabelledTexts:
    """Read CSV, TSV, JSON lines, Parquet, or plain text with a text a line.

    Args:
        path: the file; its ending tells the format.
        parts: how many texts a row has: 2 for pairs.
        asked: what the user says about the columns.

    Raises:
        InputError: with all problems of the file.
    """
    asked = asked or AskedColumns()
    findings = FileFindings(path.name)
    cells = read_cells(path, asked, findings)
    columns = find_texts(cells.columns, parts, asked, findings) if not findings else []
    label = find_label(cells.columns, columns, asked, findings) if not findings else None
    if findings:
        raise InputError("predict", findings.problems())
    texts: list[tuple[str, ...]] = []
    for place, row in zip(cells.places, zip(*(cells.columns[c] for c in columns), strict=True), strict=True):
        try:
            texts.append(tuple([as_text(cell) for cell in row]))
        except Unfit as unfit:
            findings.problem(unfit.kind, unfit.what, place)
    if not cells.places and not findings:
        findings.problem("empty file", "no rows. Expected a text in each")
    if findings:
        raise InputError("predict", findings.problems())
    labels = take_labels(cells.columns[label], cells.places, findings) if label is not None else None
    names = tuple(column if isinstance(column, str) else f"text{column}" for column in columns)
    return UnlabelledTexts(
        names if parts == 2 or isinstance(columns[0], str) else ("text",), texts, labels, findings.warnings
    )


def read_cells(path: Path, asked: AskedColumns, findings: FileFindings) -> Cells:
    kind = format_of(path, findings)
    raw = read_bytes(path, findings)
    if raw is None or kind is None:
        return Cells({}, [])
    if kind == "parquet":
        from finegrid.data.parquet import read_simple_columns  # pyarrow is slow to import, and few need it

        findings.unit = "row"
        columns = read_simple_columns(path, findings)
        return Cells(columns, list(range(1, max(map(len, columns.values()), default=0) + 1)))
    text = decode(raw, "auto", findings)
    if text is None:
        return Cells({}, [])
    if findings.warnings:
        findings.warnings[:] = [f"{findings.file} is not UTF-8 and was read as GB18030"]
    if kind == "jsonl":
        rows = read_objects(text, findings)
        keys = list(dict.fromkeys(key for _, row in rows for key in row))
        return Cells({key: [row.get(key) for _, row in rows] for key in keys}, [place for place, _ in rows])
    return delimited(split_lines(path, text, kind, findings), asked, findings)


def split_lines(path: Path, text: str, kind: Format, findings: FileFindings) -> list[Line]:
    """Rows of CSV or TSV; of a .txt without a tab, lines as they are, whatever they hold."""
    if path.suffix.lower() == ".txt" and "\t" not in text:
        return read_lines(text, "\t", "none", findings)
    kind = separated_by(text, kind)
    return read_lines(text, "," if kind == "csv" else "\t", "rfc4180", findings)


def delimited(lines: list[Line], asked: AskedColumns, findings: FileFindings) -> Cells:
    if not lines:
        return Cells({}, [])
    first = [cell.strip() for cell in lines[0][1]]
    header = asked.header
    if header is None:
        wanted = {*asked.texts, asked.label, *asked.usual}
        header = has_header(lines) or any(name in wanted for name in first)
    rows = []
    for place, cells in lines[header:]:
        if len(cells) == len(first):
            rows.append((place, cells))
        elif is_blank(cells):
            findings.problem("empty line", "an empty line. Take it out", place)
        else:
            what = f"{counted(len(cells), 'field')}, expected {len(first)}. Is there a separator in a text?"
            findings.problem("fields", f"{what} Then put it in quotes", place)
    repeated = {name for name in first if first.count(name) > 1}
    names: list[Column] = [
        name if header and name and name not in repeated else index
        for index, name in enumerate(first, start=1)
    ]
    columns = {name: [cells[index] for _, cells in rows] for index, name in enumerate(names)}
    return Cells(columns, [place for place, _ in rows])


def find_texts(columns: Columns, parts: int, asked: AskedColumns, findings: FileFindings) -> list[Column]:
    """The columns of the texts: as asked, else as in the study, else by name, else the longest strings."""
    if asked.texts:
        found = [find(columns, column, "--text", findings) for column in asked.texts]
        if len(asked.texts) != parts and not findings:
            what = f"found {counted(len(asked.texts), 'text column')}, but the model reads {parts} a row"
            findings.problem("--text", f"--text: {what}. Pass --text {'twice' if parts == 2 else 'once'}")
        return [column for column in found if column is not None]
    usual = asked.usual[:-1]
    if usual and len(usual) == parts and all(column in columns for column in usual):
        return list(usual)
    if parts == 2:
        pair = text_pair(columns)
        if pair is not None:
            return list(pair)
    else:
        others = {name: values for name, values in columns.items() if not is_label(name, asked)}
        text = text_column(others)
        if isinstance(text, str | int):
            return [text]
    if columns:
        what = f"cannot tell which column holds the text{'s' if parts == 2 else ''}. Found: {told(columns)}"
        findings.problem("--text", f"{what}. Pass --text{' twice' if parts == 2 else ''}")
    else:
        findings.problem("empty file", "no rows. Expected a text in each")
    return []


def find_label(
    columns: Columns, texts: Sequence[Column], asked: AskedColumns, findings: FileFindings
) -> Column | None:
    """The column of the labels, if there is one."""
    if asked.label is not None:
        return find(columns, asked.label, "--label", findings)
    usual = asked.usual[-1:]
    candidates = [name for name in columns if name not in texts]
    found = [name for name in candidates if name in usual] or [
        name for name in candidates if str(name).casefold() in LABEL_NAMES
    ]
    return found[0] if len(found) == 1 else None


def is_label(name: Column, asked: AskedColumns) -> bool:
    return name in (asked.label, *asked.usual[-1:]) or str(name).casefold() in LABEL_NAMES


def find(columns: Columns, column: Column, option: str, findings: FileFindings) -> Column | None:
    if column in columns:
        return column
    names = list(columns)
    if isinstance(column, int) and 1 <= column <= len(names):
        return names[column - 1]
    close = did_you_mean(str(column), [str(name) for name in names])
    findings.problem(option, f"{option}: no column {shown(column)}.{close} Found: {told(columns)}")
    return None


def told(columns: Columns) -> str:
    return several([str(name) for name in columns]) or "none"


def take_labels(cells: Sequence[object], places: Sequence[int], findings: FileFindings) -> list[str] | None:
    """All labels; None and a warning where some are missing."""
    labels = []
    for place, cell in zip(places, cells, strict=True):
        try:
            labels.append(as_label(cell))
        except Unfit as unfit:
            findings.warnings.append(f"no scores: {findings.where(place)}: {unfit.what}")
            return None
    return labels
