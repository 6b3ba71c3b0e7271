"""Reads the texts to be labelled from a file of the user's, and labels where the file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrid.data.cells import UnfitCell, as_label, as_text
from finegrid.data.columns import LABEL_NAMES, suggest_name
from finegrid.data.delimited import Line, is_blank, read_lines
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings, quote
from finegrid.data.jsonl import read_objects
from finegrid.data.read import find_format, read_bytes
from finegrid.data.settings import Format
from finegrid.data.sniff import (
    ColumnValues,
    correct_separator,
    guess_text_column,
    guess_text_pair,
    has_header,
    list_names,
)
from finegrid.errors import InputError
from finegrid.spelling import count_noun

ColumnName = str | int  # by name, or by number from 1


@dataclass(frozen=True)
class ColumnOptions:
    """In which columns the user says that texts and labels stand; what is not said is guessed."""

    texts: tuple[ColumnName, ...] = ()
    label: ColumnName | None = None
    header: bool | None = None  # CSV, TSV and plain text only
    # The columns of the study, the label's last: taken where the file has them.
    of_study: tuple[ColumnName, ...] = ()


def parse_column(name: str) -> ColumnName:
    """A column as the command line names it: by its name, or by its number from 1."""
    return int(name) if name.isdecimal() else name


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts that a model is to label."""

    names: tuple[str, ...]  # of the text columns
    texts: list[tuple[str, ...]]  # 1-tuples, or pairs
    labels: list[str] | None  # where there are labels in every row
    warnings: list[str]


@dataclass(frozen=True)
class Cells:
    """The cells of a file by columns, and where each row stands."""

    columns: ColumnValues
    places: list[int]  # line, or row of a Parquet file


def read_texts(path: Path, parts: int, options: ColumnOptions | None = None) -> UnlabelledTexts:
    """Read CSV, TSV, JSON lines, Parquet, or plain text with a text a line.

    Args:
        path: the file; its ending tells the format.
        parts: how many texts a row has: 2 for pairs.
        options: what the user says about the columns.

    Raises:
        InputError: with all problems of the file.
    """
    options = options or ColumnOptions()
    findings = FileFindings(path.name)
    cells = read_cells(path, options, findings)
    columns = find_texts(cells.columns, parts, options, findings) if not findings else []
    label = find_label(cells.columns, columns, options, findings) if not findings else None
    if findings:
        raise InputError("predict", findings.problems())
    texts: list[tuple[str, ...]] = []
    for place, row in zip(cells.places, zip(*(cells.columns[c] for c in columns), strict=True), strict=True):
        try:
            texts.append(tuple([as_text(cell) for cell in row]))
        except UnfitCell as unfit:
            findings.add_problem(unfit.kind, unfit.what, place)
    if not cells.places and not findings:
        findings.add_problem("empty file", "no rows. Expected a text in each")
    if findings:
        raise InputError("predict", findings.problems())
    labels = take_labels(cells.columns[label], cells.places, findings) if label is not None else None
    names = tuple(column if isinstance(column, str) else f"text{column}" for column in columns)
    return UnlabelledTexts(
        names if parts == 2 or isinstance(columns[0], str) else ("text",), texts, labels, findings.warnings
    )


def read_cells(path: Path, options: ColumnOptions, findings: FileFindings) -> Cells:
    kind = find_format(path, findings)
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
    return split_columns(split_lines(path, text, kind, findings), options, findings)


def split_lines(path: Path, text: str, kind: Format, findings: FileFindings) -> list[Line]:
    """Rows of CSV or TSV; of a .txt without a tab, lines as they are, whatever they hold."""
    if path.suffix.lower() == ".txt" and "\t" not in text:
        return read_lines(text, "\t", "none", findings)
    kind = correct_separator(text, kind)
    return read_lines(text, "," if kind == "csv" else "\t", "rfc4180", findings)


def split_columns(lines: list[Line], options: ColumnOptions, findings: FileFindings) -> Cells:
    if not lines:
        return Cells({}, [])
    first = [cell.strip() for cell in lines[0][1]]
    header = options.header
    if header is None:
        wanted = {*options.texts, options.label, *options.of_study}
        header = has_header(lines) or any(name in wanted for name in first)
    rows = []
    for place, cells in lines[header:]:
        if len(cells) == len(first):
            rows.append((place, cells))
        elif is_blank(cells):
            findings.add_problem("empty line", "an empty line. Take it out", place)
        else:
            what = (
                f"{count_noun(len(cells), 'field')}, expected {len(first)}. Is there a separator in a text?"
            )
            findings.add_problem("fields", f"{what} Then put it in quotes", place)
    repeated = {name for name in first if first.count(name) > 1}
    names: list[ColumnName] = [
        name if header and name and name not in repeated else index
        for index, name in enumerate(first, start=1)
    ]
    columns = {name: [cells[index] for _, cells in rows] for index, name in enumerate(names)}
    return Cells(columns, [place for place, _ in rows])


def find_texts(
    columns: ColumnValues, parts: int, options: ColumnOptions, findings: FileFindings
) -> list[ColumnName]:
    """The columns of the texts: as asked, else as in the study, else by name, else the longest strings."""
    if options.texts:
        found_columns = [find_column(columns, column, "--text", findings) for column in options.texts]
        if len(options.texts) != parts and not findings:
            what = f"found {count_noun(len(options.texts), 'text column')}, but the model reads {parts} a row"
            findings.add_problem("--text", f"--text: {what}. Pass --text {'twice' if parts == 2 else 'once'}")
        return [column for column in found_columns if column is not None]
    of_study = options.of_study[:-1]
    if of_study and len(of_study) == parts and all(column in columns for column in of_study):
        return list(of_study)
    if parts == 2:
        pair = guess_text_pair(columns)
        if pair is not None:
            return list(pair)
    else:
        others = {name: values for name, values in columns.items() if not is_label(name, options)}
        text = guess_text_column(others)
        if isinstance(text, str | int):
            return [text]
    if columns:
        texts = f"the text{'s' if parts == 2 else ''}"
        what = f"cannot tell which column holds {texts}. Found: {list_names(columns)}"
        findings.add_problem("--text", f"{what}. Pass --text{' twice' if parts == 2 else ''}")
    else:
        findings.add_problem("empty file", "no rows. Expected a text in each")
    return []


def find_label(
    columns: ColumnValues, texts: Sequence[ColumnName], options: ColumnOptions, findings: FileFindings
) -> ColumnName | None:
    """The column of the labels, if there is one."""
    if options.label is not None:
        return find_column(columns, options.label, "--label", findings)
    of_study = options.of_study[-1:]
    candidates = [name for name in columns if name not in texts]
    named = [name for name in candidates if name in of_study] or [
        name for name in candidates if str(name).casefold() in LABEL_NAMES
    ]
    return named[0] if len(named) == 1 else None


def is_label(name: ColumnName, options: ColumnOptions) -> bool:
    return name in (options.label, *options.of_study[-1:]) or str(name).casefold() in LABEL_NAMES


def find_column(
    columns: ColumnValues, column: ColumnName, option: str, findings: FileFindings
) -> ColumnName | None:
    if column in columns:
        return column
    names = list(columns)
    if isinstance(column, int) and 1 <= column <= len(names):
        return names[column - 1]
    close = suggest_name(str(column), [str(name) for name in names])
    findings.add_problem(option, f"{option}: no column {quote(column)}.{close} Found: {list_names(columns)}")
    return None


def take_labels(cells: Sequence[object], places: Sequence[int], findings: FileFindings) -> list[str] | None:
    """All labels; None and a warning where some are missing."""
    labels = []
    for place, cell in zip(places, cells, strict=True):
        try:
            labels.append(as_label(cell))
        except UnfitCell as unfit:
            findings.warnings.append(f"no scores: {findings.where(place)}: {unfit.what}")
            return None
    return labels
