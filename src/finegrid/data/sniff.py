"""Finds out how a study's files are to be read, for ``finegrid init``; asks for what cannot be guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from finegrid.data.content import PARQUET, format_of_ending, read_content, refuse_other_text
from finegrid.data.delimited import QUOTED, Line, are_even, find_line_end, first_lines, read_lines
from finegrid.data.delimited_rows import find_swallowed, select_cells
from finegrid.data.encoding import NO_UNICODE, Decoded, decode
from finegrid.data.findings import FileFindings
from finegrid.data.guess_columns import ChosenColumns, ColumnValues, TextColumn, choose_columns
from finegrid.data.header import LOOKED_AT, guess_header, name_columns
from finegrid.data.jsonl import list_by_key, read_objects
from finegrid.data.separator import guess_separator
from finegrid.data.settings import SEPARATORS, Encoding, Format, Quoting, Separator
from finegrid.errors import InputError, Problem, input_error


@dataclass(frozen=True)
class Said:
    """What the user says of how files are read; what is None, or auto, is to be found out."""

    text: TextColumn | None = None
    label: str | int | None = None
    header: bool | None = None
    format: Format | None = None
    separator: Separator | None = None
    quoting: Quoting | None = None
    encoding: Encoding = "auto"

    @property
    def names(self) -> bool:
        """Whether a column is said by name, which only a header can give."""
        texts = self.text if isinstance(self.text, tuple) else (self.text,)
        return any(isinstance(column, str) for column in (*texts, self.label))


@dataclass(frozen=True)
class Reading:
    """How to read the files of a study, and why.

    Attributes:
        columns: Of texts and labels.
        header: Whether the first lines of CSV and TSV name the columns.
        format: Of all files, where an ending does not tell; else ``auto``.
        separator: ``auto`` where the format tells.
        quoting: Of CSV and TSV.
        encoding: Of all files, where it is not UTF-8 and the same; else ``auto``.
        formats: By file.
        encodings: By text file.
        samples: By file that is in no Unicode encoding, a line of it.
        why_header: The reason.
    """

    columns: ChosenColumns
    header: bool
    format: Literal["auto"] | Format
    separator: Literal["auto"] | Separator
    quoting: Quoting
    encoding: Encoding
    formats: Mapping[str, Format]
    encodings: Mapping[str, Encoding]
    samples: Mapping[str, str]
    why_header: str

    def settings(self) -> dict[str, Any]:
        """The fields of `DataSettings` that are to be written: those that must, and quoting and header."""
        text = self.columns.text
        fields: dict[str, Any] = {
            "text": list(text) if isinstance(text, tuple) else text,
            "label": self.columns.label,
            "header": self.header,
            "quoting": self.quoting,
        }
        changed = {"format": self.format, "separator": self.separator, "encoding": self.encoding}
        return {**fields, **{name: value for name, value in changed.items() if value != "auto"}}


@dataclass
class _Opened:
    """A file that is being looked at."""

    path: Path
    findings: FileFindings
    format: Format = "tsv"
    decoded: Decoded | None = None
    separator: Separator = ","
    lines: list[Line] = field(default_factory=list)

    @property
    def delimited(self) -> bool:
        return self.format in SEPARATORS and self.decoded is not None

    @property
    def text(self) -> str:
        return "" if self.decoded is None else self.decoded.text


def sniff(paths: Sequence[Path], said: Said = Said()) -> Reading:
    """Find out from the content how these files, the training texts first, are to be read.

    Files but the first that cannot be opened are passed over: their problems come with those of all rows.

    Raises:
        InputError: the training texts cannot be read, files need to be read in different ways, or it is not
            told which columns are texts and labels.
    """
    files = [_open(path, said) for path in paths]
    if files[0].findings:
        _stop_at(files)
    # What is wrong with the others is told by who reads all rows.
    files = [file for file in files if not file.findings]
    tables = [file for file in files if file.delimited]
    quoting = said.quoting or "rfc4180"
    if tables:
        quoting = _choose_quoting(tables, said)
        _stop_at(files)
    header, why_header = _choose_header(tables, said)
    values = _read_columns(files[0], header)
    _stop_at(files)
    columns = choose_columns(values, said.text, said.label, files[0].findings)
    _stop_at(files)
    assert columns is not None
    _refuse_different_separators(tables)
    encodings = {file.path.name: file.decoded.encoding for file in files if file.decoded}
    foreign = NO_UNICODE.intersection(encodings.values())
    return Reading(
        columns,
        header,
        _choose_format(files, said),
        _choose_separator(tables),
        quoting,
        said.encoding if said.encoding != "auto" else _choose_encoding(encodings, foreign),
        {file.path.name: file.format for file in files},
        encodings,
        {f.path.name: f.decoded.sample for f in files if f.decoded and f.decoded.encoding in foreign},
        why_header,
    )


def guess_format(path: Path, raw: bytes) -> Format:
    """By magic number, by ending, by the first character."""
    if raw.startswith(PARQUET):  # https://parquet.apache.org/docs/file-format/
        return "parquet"
    kind = format_of_ending(path)
    looks_json = raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"')
    if kind is None or (kind in SEPARATORS and looks_json):
        return "jsonl" if looks_json else "tsv"
    return kind


def choose_lines(text: str, separator: Separator, findings: FileFindings) -> tuple[list[Line], Quoting]:
    """The rows; quotes are ordinary text where RFC 4180 fails, or makes one text of several rows.

    They are only if all rows then have equally many fields. Else the problems of RFC 4180 stand in
    ``findings``, or what is swallowed is doubted when the file is read.
    """
    of_quotes = FileFindings(findings.file)
    quoted = read_lines(text, separator, "rfc4180", of_quotes)
    if '"' in text and (of_quotes or _swallows(quoted, text, separator)):
        plain = read_lines(text, separator, "none", FileFindings(findings.file))
        if are_even(plain):
            return plain, "none"
    findings.take(of_quotes)
    return quoted, "rfc4180"


def _open(path: Path, said: Said) -> _Opened:
    findings = FileFindings(path.name)
    file = _Opened(path, findings)
    raw = read_content(path, findings)
    if raw is None:
        return file
    if not raw.strip():
        findings.add_problem("empty file", "the file is empty. Expected a text and its label in each row")
        return file
    file.format = said.format or guess_format(path, raw)
    if file.format == "parquet":
        return file
    file.decoded = decode(raw, said.encoding, findings)
    if file.decoded is None:
        return file
    if not refuse_other_text(file.text, findings) and file.format in SEPARATORS:
        file.separator = said.separator or guess_separator(file.text, SEPARATORS[file.format])
        if said.format is None and file.separator == "\t":
            file.format = "tsv"
        elif said.format is None and file.separator == ",":
            file.format = "csv"
    return file


def _stop_at(files: Sequence[_Opened]) -> None:
    problems = [problem for file in files for problem in file.findings.problems()]
    if problems:
        raise InputError("data", problems)


def _choose_quoting(tables: Sequence[_Opened], said: Said) -> Quoting:
    """One way for all files, and their first rows by it."""
    if said.quoting:
        for file in tables:
            file.lines = read_lines(file.text, file.separator, said.quoting, file.findings)
        return said.quoting
    found = set()
    for file in tables:
        text = file.text if '"' in file.text else first_lines(file.text, LOOKED_AT)
        file.lines, quoting = choose_lines(text, file.separator, file.findings)
        found.add(quoting)
    if "none" not in found:
        return "rfc4180"
    for file in tables:
        if '"' in file.text:
            file.findings = FileFindings(file.path.name)
            file.lines = read_lines(file.text, file.separator, "none", file.findings)
            _refuse_real_quotes(file)
    return "none"


def _refuse_real_quotes(file: _Opened) -> None:
    """Where another file has quotation marks as ordinary text, this one may not need them as quotes."""
    quoted = sum(any(map(QUOTED.fullmatch, fields)) for _, fields in file.lines)
    if not are_even(file.lines) or 2 * quoted > len(file.lines):
        what = (
            "its fields are quoted as in RFC 4180, while quotation marks in another file are ordinary text. "
            "Write the files alike"
        )
        file.findings.add_problem("quoting", what)


def _choose_header(tables: Sequence[_Opened], said: Said) -> tuple[bool, str]:
    if said.header is not None:
        return said.header, "as you said"
    if not tables:
        return True, ""
    if said.names:
        return True, "columns are said by name"
    return guess_header([file.lines for file in tables])


def _choose_format(files: Sequence[_Opened], said: Said) -> Literal["auto"] | Format:
    if said.format is not None:
        return said.format
    formats = {file.format for file in files}
    if all(_reads_as(file) for file in files):
        return "auto"
    if len(formats) > 1:
        problems = [
            Problem(file.path.name, f"holds {file.format.upper()}, and its ending does not say so. Rename it")
            for file in files
            if not _reads_as(file)
        ]
        raise InputError("data", problems)
    return formats.pop()


def _reads_as(file: _Opened) -> bool:
    """Whether the ending tells the format, or at least that it is one of rows with a separator of its own."""
    usual = format_of_ending(file.path)
    own = file.delimited and file.separator not in SEPARATORS.values()
    return usual == file.format or (own and usual in SEPARATORS)


def _choose_separator(tables: Sequence[_Opened]) -> Literal["auto"] | Separator:
    if not tables or tables[0].separator == SEPARATORS[tables[0].format]:
        return "auto"
    return tables[0].separator


def _refuse_different_separators(tables: Sequence[_Opened]) -> None:
    own = {file.separator for file in tables if file.separator not in SEPARATORS.values()}
    if own and len({file.separator for file in tables}) > 1:
        found = ", ".join(f"{file.path.name}: {file.separator!r}" for file in tables)
        raise input_error("data", "separator", f"the files have different ones ({found}). Write them alike")


def _choose_encoding(encodings: Mapping[str, Encoding], foreign: set[Encoding]) -> Encoding:
    """Named where all files need the same; else each is looked at again when it is read."""
    return next(iter(foreign)) if len(foreign) == 1 == len(set(encodings.values())) else "auto"


def _swallows(lines: Sequence[Line], text: str, separator: Separator) -> bool:
    """Whether a quoted field holds whole rows. Of commas only if a column tells: texts hold commas, too."""
    if not lines:
        return False
    width = len(lines[0][1])
    swallowed = find_swallowed(lines, width, separator, find_line_end(text))
    if not swallowed or separator == "\t":
        return bool(swallowed)
    starts = {number for number, _ in swallowed}
    others = [fields for number, fields in lines if number not in starts and len(fields) == width]
    rows = [cells for _, plain in swallowed for cells in plain]
    known = [{fields[index].strip() for fields in others} for index in range(width)]
    return any(all(cells[index].strip() in known[index] for cells in rows) for index in range(width))


def _read_columns(file: _Opened, header: bool) -> ColumnValues:
    if file.format == "parquet":
        from finegrid.data.parquet import read_simple_columns  # pyarrow is slow to import, and few need it

        return read_simple_columns(file.path, file.findings, LOOKED_AT)
    if file.format == "jsonl":
        rows = read_objects(first_lines(file.text, LOOKED_AT), file.findings)
        return list_by_key([row for _, row in rows])
    if file.lines and not any(len(fields) == len(file.lines[0][1]) for _, fields in file.lines[1:]):
        select_cells(file.lines[header:], [], len(file.lines[0][1]), file.findings)
    return _as_columns(file.lines, header)


def _as_columns(lines: Sequence[Line], header: bool) -> ColumnValues:
    if not lines:
        return {}
    first = lines[0][1]
    rows = [fields for _, fields in lines[header:LOOKED_AT] if len(fields) == len(first)]
    names = name_columns(first, header)
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}
