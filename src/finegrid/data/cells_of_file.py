"""All cells of a file by columns: read as the user says, else as the study's files, else as it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from finegrid.data.content import PARQUET, find_format, format_of_ending, read_content, refuse_other_text
from finegrid.data.delimited import Line, are_even, is_blank, read_lines
from finegrid.data.encoding import NO_UNICODE, Decoded, decode
from finegrid.data.findings import FileFindings, quote
from finegrid.data.guess_columns import ColumnValues
from finegrid.data.header import guess_header, name_columns, strip_row
from finegrid.data.jsonl import list_by_key, read_objects
from finegrid.data.separator import guess_separator
from finegrid.data.settings import DataSettings, Encoding, Format, Quoting, Separator, resolve_separator
from finegrid.data.sniff import choose_lines, guess_format
from finegrid.spelling import count_noun

ColumnName = str | int  # by name, or by number from 1


@dataclass(frozen=True)
class StudyReading:
    """How the files of a study were read: tried first on files like them."""

    columns: tuple[ColumnName, ...] = ()  # of the texts, then of the label
    separator: Literal["auto"] | Separator = "auto"
    quoting: Quoting = "rfc4180"
    encoding: Encoding = "auto"

    @classmethod
    def of(cls, settings: DataSettings) -> StudyReading:
        return cls(settings.columns, settings.separator, settings.quoting, settings.encoding)


@dataclass(frozen=True)
class ColumnOptions:
    """What the user says of a file: columns of texts and label, and how it is read. The rest is guessed."""

    texts: tuple[ColumnName, ...] = ()
    label: ColumnName | None = None
    header: bool | None = None  # CSV, TSV and plain text only
    format: Format | None = None
    separator: Separator | None = None
    quoting: Quoting | None = None
    encoding: Encoding = "auto"
    of_study: StudyReading = field(default_factory=StudyReading)
    asked_by: str = "--text"  # what messages call the setting of the columns of texts


@dataclass(frozen=True)
class Cells:
    """The cells of a file by columns, and where each row stands.

    Attributes:
        columns: Of Parquet those of simple types alone.
        places: Of each row: line, or row of a Parquet file.
        first: Of CSV and TSV without a header, the cells of the first line.
        objects: Of JSON lines, each row as it is.
    """

    columns: ColumnValues
    places: list[int]
    first: Sequence[str] = ()
    objects: Sequence[dict[str, object]] = ()


def read_cells(path: Path, options: ColumnOptions, findings: FileFindings) -> Cells:
    """The cells of a file. Where there are problems, they stand in ``findings``."""
    raw = read_content(path, findings)
    kind = None if raw is None else find_kind(path, raw, options, findings)
    if raw is None or kind is None:
        return Cells({}, [])
    if kind == "parquet":
        from finegrid.data.parquet import read_simple_columns  # pyarrow is slow to import, and few need it

        findings.unit = "row"
        columns = read_simple_columns(path, findings)
        return Cells(columns, list(range(1, max(map(len, columns.values()), default=0) + 1)))
    decoded = decode_as_study(raw, options, findings)
    if decoded is None or refuse_other_text(decoded.text, findings):
        return Cells({}, [])
    if kind == "jsonl":
        rows = read_objects(decoded.text, findings)
        objects = [row for _, row in rows]
        return Cells(list_by_key(objects), [place for place, _ in rows], objects=objects)
    return _split_columns(_split_lines(path, decoded.text, kind, options, findings), options, findings)


def find_kind(path: Path, raw: bytes, options: ColumnOptions, findings: FileFindings) -> Format | None:
    if options.format is not None:
        return options.format
    if format_of_ending(path) is None and not raw.startswith((PARQUET, b'{"')):
        return find_format(path, findings)
    return guess_format(path, raw)


def decode_as_study(raw: bytes, options: ColumnOptions, findings: FileFindings) -> Decoded | None:
    """As the user says; else, where a file is not UTF-8, as the study's files if that fits."""
    study = options.of_study.encoding
    if options.encoding == "auto" and study in NO_UNICODE:
        tried = FileFindings(findings.file)
        decoded = decode(raw, study, tried)
        if decoded is not None and not tried.warnings:  # a warning: it is valid UTF-8, too
            return decoded
    decoded = decode(raw, options.encoding, findings)
    if decoded is not None and decoded.encoding in NO_UNICODE and options.encoding == "auto":
        name, sample = decoded.encoding.upper(), quote(decoded.sample)
        what = f"{findings.file} is not UTF-8 and was read as {name}, e.g. {sample}. Else pass --encoding"
        findings.warnings[:] = [what]
    return decoded


def _split_lines(
    path: Path, text: str, kind: Format, options: ColumnOptions, findings: FileFindings
) -> list[Line]:
    """Rows of CSV or TSV; of a .txt without a tab, lines as they are, whatever they hold."""
    study = options.of_study
    usual = resolve_separator(kind, study.separator)
    if path.suffix.lower() == ".txt" and usual not in text and options.separator is None:
        return read_lines(text, "\t", "none", findings)
    separator = options.separator or guess_separator(text, usual)
    if options.quoting is not None:
        return read_lines(text, separator, options.quoting, findings)
    if study.quoting == "none":
        plain = read_lines(text, separator, "none", FileFindings(findings.file))
        if are_even(plain):
            return plain
    return choose_lines(text, separator, findings)[0]


def _split_columns(lines: list[Line], options: ColumnOptions, findings: FileFindings) -> Cells:
    if not lines:
        return Cells({}, [])
    first = strip_row(lines[0][1])
    header = options.header
    if header is None:
        wanted = {*options.texts, options.label, *options.of_study.columns}
        header = any(name in wanted for name in first) or guess_header([lines])[0]
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
    names = name_columns(first, header)
    columns = {name: [cells[index] for _, cells in rows] for index, name in enumerate(names)}
    return Cells(columns, [place for place, _ in rows], () if header else first)
