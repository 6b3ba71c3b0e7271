"""Reads the texts to be labelled from a file of the user's, and labels where the file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finegrid.data.cells import UnfitCell, as_label, as_text
from finegrid.data.cells_of_file import Cells, ColumnName, ColumnOptions, read_cells
from finegrid.data.columns import LABEL_NAMES, TEXT_NAMES, suggest_name
from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.guess_columns import ColumnValues, guess_text_pair, list_names
from finegrid.errors import InputError
from finegrid.spelling import count_noun


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
    cells: Cells = field(repr=False)  # of all columns


def read_texts(path: Path, parts: int, options: ColumnOptions | None = None) -> UnlabelledTexts:
    """Read CSV, TSV, JSON lines, Parquet, or plain text with a text a line.

    Args:
        path: the file.
        parts: how many texts a row has: 2 for pairs.
        options: what the user says of the file, and how the study's files were read.

    Raises:
        InputError: with all problems of the file.
    """
    options = options or ColumnOptions()
    findings = FileFindings(path.name)
    cells = read_cells(path, options, findings)
    columns = find_texts(cells, parts, options, findings) if not findings else []
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
    if parts == 1 and not isinstance(columns[0], str):
        names = ("text",)
    return UnlabelledTexts(names, texts, labels, findings.warnings, cells)


def find_texts(cells: Cells, parts: int, options: ColumnOptions, findings: FileFindings) -> list[ColumnName]:
    """The columns of the texts: as asked, else as in the study, else by their names, else the only ones.

    Nothing is guessed by how long strings are: an address is longer than many a text.
    """
    columns = cells.columns
    if options.texts:
        found_columns = [find_column(columns, column, "--text", findings) for column in options.texts]
        if len(options.texts) != parts and not findings:
            what = f"found {count_noun(len(options.texts), 'text column')}, but the model reads {parts} a row"
            findings.add_problem("--text", f"--text: {what}. Pass --text {'twice' if parts == 2 else 'once'}")
        return [column for column in found_columns if column is not None]
    of_study = list(options.of_study.columns[:-1])
    if len(of_study) == parts and all(column in columns for column in of_study):
        return of_study
    others = {name: values for name, values in columns.items() if not is_label(name, options)}
    if parts == 2:
        pair = guess_text_pair(columns)
        if pair is not None:
            return list(pair)
    elif len(named := [name for name in others if str(name).casefold() in TEXT_NAMES]) == 1:
        return named
    wordy = [name for name, values in others.items() if _has_words(values)]
    if len(wordy) == parts:
        if len(others) > parts:
            taken = list_names(dict.fromkeys(wordy, ()))
            findings.warnings.append(
                f"{findings.file}: the texts are taken from column {taken}. Else pass --text"
            )
        return wordy
    _ask_for_texts(cells, parts, of_study, findings)
    return []


def find_label(
    columns: ColumnValues, texts: Sequence[ColumnName], options: ColumnOptions, findings: FileFindings
) -> ColumnName | None:
    """The column of the labels, if there is one."""
    if options.label is not None:
        return find_column(columns, options.label, "--label", findings)
    of_study = options.of_study.columns[-1:]
    candidates = [name for name in columns if name not in texts]
    named = [name for name in candidates if name in of_study] or [
        name for name in candidates if str(name).casefold() in LABEL_NAMES
    ]
    return named[0] if len(named) == 1 else None


def is_label(name: ColumnName, options: ColumnOptions) -> bool:
    return name in (options.label, *options.of_study.columns[-1:]) or str(name).casefold() in LABEL_NAMES


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


def _has_words(values: Sequence[object]) -> bool:
    """Whether a column may hold texts: strings, and not all of them numbers."""
    words = [value for value in values if isinstance(value, str)]
    return bool(words) and not all(_is_number(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _ask_for_texts(cells: Cells, parts: int, of_study: Sequence[ColumnName], findings: FileFindings) -> None:
    if not cells.columns:
        findings.add_problem("empty file", "no rows. Expected a text in each")
        return
    missing = [column for column in of_study if column not in cells.columns]
    what = "cannot tell which column holds the text" + "s" * (parts == 2)
    if missing:
        named = [quote(column) if isinstance(column, str) else f"number {column}" for column in missing]
        what += f": there is no {' and no '.join(named)}, as in the study"
    found = list_names(cells.columns)
    if cells.first:
        found += f", and no header; the first line is {quote_all(list(cells.first))}"
    advice = (
        "Pass --text"
        + " twice" * (parts == 2)
        + ", and --header if the first line has names" * bool(cells.first)
    )
    findings.add_problem("--text", f"{what}. Found: {found}. {advice}")
