"""A file of the user's as rows that are read part by part, as often as need be, and never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from finegrid.data.cells_of_file import Cells, ColumnName, ColumnOptions, decode_as_study, find_kind
from finegrid.data.content import DAMAGED, read_content
from finegrid.data.delimited import Line, is_blank, stream_lines
from finegrid.data.findings import FileFindings
from finegrid.data.header import LOOKED_AT, guess_header, name_columns, strip_row
from finegrid.data.jsonl import parse_objects
from finegrid.data.quoting import are_even, choose_quoting
from finegrid.data.separator import guess_separator
from finegrid.data.settings import Format, Quoting, Separator, resolve_separator
from finegrid.data.text_source import TextSource, open_bytes, open_source
from finegrid.errors import InputError
from finegrid.spelling import count_noun

SAMPLE = 1000  # values of a column that guesses look at
MOST_ROWS = 8192
MOST_CHARACTERS = 4_000_000  # of the rows that are held at once


@dataclass(frozen=True)
class RowPart:
    """Some rows of a file, by columns.

    Attributes:
        places: Of each row: line, or row of a Parquet file.
        columns: Of all columns that the file has.
        objects: Of JSON lines, each row as it is.
        table: Of Parquet, the rows as Arrow has them.
    """

    places: Sequence[int]
    columns: Mapping[ColumnName, Sequence[object]]
    objects: Sequence[dict[str, object]] = ()
    table: Any = None


@dataclass(frozen=True)
class RowFile:
    """A file whose rows have been counted, and fit its columns.

    Attributes:
        kind: Its format.
        columns: All of them.
        sample: Of those that may be texts or labels some first values: enough to tell whether one has words.
        count: Of rows.
        parts: Reads the rows again, so many at a time at most.
    """

    kind: Format
    columns: tuple[ColumnName, ...]
    sample: Cells
    count: int
    parts: Callable[[int], Iterator[RowPart]]


def open_rows(path: Path, options: ColumnOptions, findings: FileFindings) -> RowFile | None:
    """Look through a file once or a few times. Where there are problems, they stand in ``findings``."""
    start = read_start(path, findings)
    kind = None if start is None else find_kind(path, start, options, findings)
    if kind is None:
        return None
    if kind == "parquet":
        return open_parquet(path, findings)
    decode = partial(decode_as_study, options=options, findings=findings)
    source = open_source(path, options.encoding, decode, findings)
    if source is None:
        return None
    if kind == "jsonl":
        return open_objects(source, findings)
    return open_delimited(path, source, kind, options, findings)


def read_start(path: Path, findings: FileFindings) -> bytes | None:
    """The first bytes of what a file holds, unpacked; None, and a problem, where it cannot be read."""
    try:
        if path.is_file():
            with open_bytes(path) as file:
                return file.read(1024)
    except (ValueError, *DAMAGED):
        pass
    read_content(path, findings)  # tells why
    return None


class Sample:
    """The first values of some columns, and of each that has words at least one of those."""

    def __init__(self) -> None:
        self.values: dict[ColumnName, list[object]] = {}
        self._wordy: set[ColumnName] = set()

    def take(self, row: Iterable[tuple[ColumnName, object]]) -> None:
        for name, value in row:
            kept = self.values.get(name)
            if kept is None:
                kept = self.values[name] = []
            elif len(kept) >= SAMPLE and name in self._wordy:
                continue
            is_first_word = name not in self._wordy and is_word(value)
            if is_first_word:
                self._wordy.add(name)
            if is_first_word or len(kept) < SAMPLE:
                kept.append(value)


def is_word(value: object) -> bool:
    """Whether it is a string, and no number."""
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def open_parquet(path: Path, findings: FileFindings) -> RowFile | None:
    from finegrid.data.parquet import iterate, list_columns, read_schema  # pyarrow is slow to import

    findings.unit = "row"
    schema = read_schema(path, findings)
    if schema is None:
        return None
    sample, count = Sample(), 0
    simple = list_columns(schema, simple=True)
    for table in iterate(path, MOST_ROWS, findings):
        values = table.select(simple).to_pydict()
        for row in zip(*values.values(), strict=True):
            sample.take(zip(values, row, strict=True))
        count += table.num_rows
    if findings:
        return None
    for name in simple:
        sample.values.setdefault(name, [])

    def parts(most: int) -> Iterator[RowPart]:
        done, broken = 0, FileFindings(path.name, findings.unit)
        for table in iterate(path, most, broken):
            places = range(done + 1, done + 1 + table.num_rows)
            done += table.num_rows
            yield RowPart(places, LazyColumns(table), table=table)
        if broken:  # the file has changed since it was looked through
            raise InputError("predict", broken.problems())

    names = tuple(list_columns(schema, simple=False))
    return RowFile("parquet", names, Cells(sample.values, []), count, parts)


class LazyColumns(Mapping[ColumnName, Sequence[object]]):
    """Columns of an Arrow table, made values of Python when asked for."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __getitem__(self, name: ColumnName) -> Sequence[object]:
        values: list[object] = self.table.column(str(name)).to_pylist()
        return values

    def __iter__(self) -> Iterator[ColumnName]:
        return iter(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_columns)


def open_objects(source: TextSource, findings: FileFindings) -> RowFile | None:
    sample, count = Sample(), 0
    for _, row in parse_objects(source.lines(), findings):
        sample.take(row.items())
        count += 1
    if findings:
        return None
    columns = tuple(sample.values)

    def parts(most: int) -> Iterator[RowPart]:
        rows = parse_objects(source.lines(), FileFindings(""))
        while part := take_rows(rows, most, lambda row: sum(len(str(value)) for value in row.values())):
            objects = [row for _, row in part]
            values: dict[ColumnName, Sequence[object]] = {
                name: [row.get(str(name)) for row in objects] for name in columns
            }
            yield RowPart([place for place, _ in part], values, objects)

    return RowFile("jsonl", columns, Cells(sample.values, []), count, parts)


def take_rows(
    rows: Iterator[tuple[int, Any]], most: int, size: Callable[[Any], int]
) -> list[tuple[int, Any]]:
    """The next rows, until there are so many of them, or of their characters."""
    taken, characters = [], 0
    for place, row in islice(rows, most):
        taken.append((place, row))
        characters += size(row)
        if characters >= MOST_CHARACTERS:
            break
    return taken


@dataclass(frozen=True)
class Delimited:
    """How the rows of CSV or TSV are read."""

    source: TextSource
    separator: str
    quoting: Quoting = "rfc4180"
    header: bool = False
    width: int = 0

    def lines(self, quoting: Quoting, findings: FileFindings) -> Iterator[Line]:
        source = self.source
        return stream_lines(source.pieces(), source.line_end, self.separator, quoting, findings)

    def rows(self, findings: FileFindings) -> Iterator[Line]:
        """Those below the header that are as wide as the first; others are problems."""
        for place, cells in islice(self.lines(self.quoting, findings), int(self.header), None):
            if len(cells) == self.width:
                yield place, cells
            elif is_blank(cells):
                findings.add_problem("empty line", "an empty line. Take it out", place)
            else:
                what = (
                    f"{count_noun(len(cells), 'field')}, expected {self.width}. "
                    "Is there a separator in a text? Then put it in quotes"
                )
                findings.add_problem("fields", what, place)


def open_delimited(
    path: Path, source: TextSource, kind: Format, options: ColumnOptions, findings: FileFindings
) -> RowFile | None:
    separator, quoting = choose_layout(path, source, kind, options)
    layout = Delimited(source, separator, quoting)
    first_rows = list(islice(layout.lines(quoting, FileFindings("")), LOOKED_AT))
    if not first_rows:
        any(layout.lines(quoting, findings))  # which may be broken all of them
        return None if findings else RowFile(kind, (), Cells({}, []), 0, lambda most: iter(()))
    first = strip_row(first_rows[0][1])
    header = options.header
    if header is None:
        wanted = {*options.texts, options.label, *options.of_study.columns}
        header = any(name in wanted for name in first) or guess_header([first_rows])[0]
    del first_rows
    names = name_columns(first, header)
    layout = Delimited(source, separator, quoting, header, len(first))
    sample, count = Sample(), 0
    for _, cells in layout.rows(findings):
        sample.take(zip(names, cells, strict=True))
        count += 1
    if findings:
        return None
    for name in names:
        sample.values.setdefault(name, [])

    def parts(most: int) -> Iterator[RowPart]:
        rows = layout.rows(FileFindings(""))
        while part := take_rows(rows, most, lambda cells: sum(map(len, cells))):
            columns = zip(*(cells for _, cells in part), strict=True)
            yield RowPart([place for place, _ in part], dict(zip(names, columns, strict=True)))

    values = {name: sample.values[name] for name in names}
    return RowFile(kind, tuple(names), Cells(values, [], () if header else first), count, parts)


def choose_layout(
    path: Path, source: TextSource, kind: Format, options: ColumnOptions
) -> tuple[str, Quoting]:
    """Separator and quoting: of a .txt without a tab, lines are texts as they are, whatever they hold."""
    study = options.of_study
    usual = resolve_separator(kind, study.separator)
    if path.suffix.lower() == ".txt" and usual not in source.has and options.separator is None:
        return "\t", "none"
    separator: Separator = options.separator or guess_separator(source.first_lines, usual)
    if options.quoting is not None:
        return separator, options.quoting
    layout = Delimited(source, separator)
    if study.quoting == "none" and are_even(layout.lines):
        return separator, "none"
    if '"' not in source.has:
        return separator, "rfc4180"
    return separator, choose_quoting(layout.lines, separator, source.line_end)
