"""Reads the texts to be labelled from a file of the user's, and labels where the file has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrid.data.cells import UnfitCell, as_label, as_text
from finegrid.data.cells_of_file import Cells, ColumnName, ColumnOptions
from finegrid.data.columns import LABEL_NAMES, TEXT_NAMES, suggest_name
from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.guess_columns import ColumnValues, guess_text_pair, list_names
from finegrid.data.row_file import MOST_ROWS, RowFile, RowPart, is_word, open_rows
from finegrid.errors import InputError
from finegrid.spelling import count_noun

MOST_LABELS = 10_000  # that are told apart: a model has fewer


def parse_column(name: str) -> ColumnName:
    """A column as the command line names it: by its name, or by its number from 1."""
    return int(name) if name.isdecimal() else name


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts that a model is to label, all of them in memory."""

    names: tuple[str, ...]  # of the text columns
    texts: list[tuple[str, ...]]  # 1-tuples, or pairs
    labels: list[str] | None  # where there are labels in every row
    warnings: list[str]


@dataclass(frozen=True)
class TextPart:
    """Some rows of a `TextFile`."""

    texts: list[tuple[str, ...]]
    labels: list[str] | None
    rows: RowPart


@dataclass(frozen=True)
class TextFile:
    """A file whose texts have been checked, to be read part by part.

    Attributes:
        names: Of the text columns.
        count: Of rows.
        warnings: What its reader must know.
        found_labels: The labels that it has, if it has one in every row: some of them, where there are many.
    """

    names: tuple[str, ...]
    count: int
    warnings: list[str]
    found_labels: frozenset[str] | None
    rows: RowFile
    unit: str  # what is counted: lines of a text file, rows of a table
    columns: tuple[ColumnName, ...]
    label: ColumnName | None  # whether or not every row has one

    @property
    def labelled(self) -> bool:
        """Whether every row has a label."""
        return self.found_labels is not None

    def parts(self, most: int) -> Iterator[TextPart]:
        """All rows, so many at a time at most, in their order."""
        for part in self.rows.parts(most):
            texts = list(zip(*(map(as_text, part.columns[name]) for name in self.columns), strict=True))
            labels = [*map(as_label, part.columns[self.label])] if self.labelled and self.label else None
            yield TextPart(texts, labels, part)

    def name_of(self, column: ColumnName) -> str:
        """What a column is called beside predictions: one without a name by what it is, or its number."""
        if isinstance(column, str):
            return column
        if column in self.columns:
            return self.names[self.columns.index(column)]
        return "label" if column == self.label else f"column{column}"


def read_texts(path: Path, parts: int, options: ColumnOptions | None = None) -> UnlabelledTexts:
    """Read all texts of a file at once; see `open_texts`."""
    file = open_texts(path, parts, options)
    read = list(file.parts(MOST_ROWS))
    texts = [text for part in read for text in part.texts]
    labels = [label for part in read for label in part.labels or ()] if file.labelled else None
    return UnlabelledTexts(file.names, texts, labels, file.warnings)


def open_texts(
    path: Path, parts: int, options: ColumnOptions | None = None, name: str | None = None
) -> TextFile:
    """Open CSV, TSV, JSON lines, Parquet, or plain text with a text a line, and check every row.

    Args:
        path: the file.
        parts: how many texts a row has: 2 for pairs.
        options: what the user says of the file, and how the study's files were read.
        name: what messages call it; None: its own name.

    Raises:
        InputError: with all problems of the file.
    """
    options = options or ColumnOptions()
    findings = FileFindings(name or path.name)
    rows = open_rows(path, options, findings)
    columns, label = [], None
    if rows is not None:
        columns = find_texts(rows.sample, parts, options, findings)
    if rows is not None and not findings:
        label = find_label(rows.sample.columns, columns, options, findings)
    if rows is None or findings:
        raise InputError("predict", findings.problems())
    if not rows.count:
        findings.add_problem("empty file", "no rows. Expected a text in each")
    labels = check_rows(rows, columns, label, findings)
    if findings:
        raise InputError("predict", findings.problems())
    names = tuple(column if isinstance(column, str) else f"text{column}" for column in columns)
    if parts == 1 and not isinstance(columns[0], str):
        names = ("text",)
    return TextFile(names, rows.count, findings.warnings, labels, rows, findings.unit, tuple(columns), label)


def check_rows(
    rows: RowFile, columns: Sequence[ColumnName], label: ColumnName | None, findings: FileFindings
) -> frozenset[str] | None:
    """Look at every text, and at every label as long as there is one in each row. Returns the labels.

    A text that cannot be used is a problem; where a label is missing, that is a warning, and None.
    """
    labels: set[str] = set()
    labelled = label is not None
    for part in rows.parts(MOST_ROWS):
        for name in columns:
            for place, cell in zip(part.places, part.columns[name], strict=True):
                try:
                    as_text(cell)
                except UnfitCell as unfit:
                    findings.add_problem(unfit.kind, unfit.what, place)
        if labelled and label is not None:
            labelled = _take_labels(part.columns[label], part.places, labels, findings)
    return frozenset(labels) if labelled else None


def find_texts(cells: Cells, parts: int, options: ColumnOptions, findings: FileFindings) -> list[ColumnName]:
    """The columns of the texts: as asked, else as in the study, else by their names, else the only ones.

    Nothing is guessed by how long strings are: an address is longer than many a text.
    """
    columns = cells.columns
    if options.texts:
        found_columns = [find_column(columns, column, options.asked_by, findings) for column in options.texts]
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


def _take_labels(
    cells: Sequence[object], places: Sequence[int], labels: set[str], findings: FileFindings
) -> bool:
    """Add the labels of some rows. Returns whether all have one; a warning where some have none."""
    for place, cell in zip(places, cells, strict=True):
        try:
            found = as_label(cell)
        except UnfitCell as unfit:
            findings.warnings.append(f"no scores: {findings.where(place)}: {unfit.what}")
            return False
        if len(labels) < MOST_LABELS:
            labels.add(found)
    return True


def _has_words(values: Sequence[object]) -> bool:
    """Whether a column may hold texts: strings, and not all of them numbers."""
    return any(map(is_word, values))


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
