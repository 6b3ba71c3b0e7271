"""Guesses how a file is to be read, for ``finegrid init``; asks for what cannot be guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from finegrid.data.columns import LABEL_NAMES, PAIR_NAMES, TEXT_NAMES
from finegrid.data.delimited import Line, looks_like_data, read_lines
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings, quote_all
from finegrid.data.jsonl import read_objects
from finegrid.data.read import ENDINGS, read_bytes
from finegrid.data.settings import Encoding, Format, Quoting
from finegrid.errors import InputError, input_error

MOST_CLASSES = 200
KNOWN_NAMES = TEXT_NAMES | LABEL_NAMES | {name for pair in PAIR_NAMES for name in pair}
TextColumn = str | int | tuple[str | int, str | int]
ColumnValues = Mapping[str | int, Sequence[object]]  # name, or number from 1, to values


@dataclass(frozen=True)
class Sniffed:
    """How to read a file; the fields are those of ``DataSettings``."""

    format: Format
    header: bool
    text: TextColumn
    label: str | int
    encoding: Encoding
    quoting: Quoting


def sniff(path: Path) -> Sniffed:
    """Guess from the content. Raises InputError, with the columns found, if text or label stays unknown."""
    findings = FileFindings(path.name)
    raw = read_bytes(path, findings) or b""
    if not raw.strip() and not findings:
        findings.add_problem("empty file", "the file is empty. Expected a text and its label in each row")
    _stop_at(findings)
    kind = _guess_format(path, raw)
    if kind == "parquet":
        return Sniffed(
            kind, True, *_guess_columns(_read_parquet_columns(path, findings), findings), "auto", "rfc4180"
        )
    text = decode(raw, "auto", findings) or ""
    _stop_at(findings)
    encoding: Encoding = "gb18030" if findings.warnings else "auto"
    if kind == "jsonl":
        return Sniffed(
            kind, True, *_guess_columns(_read_jsonl_columns(text, findings), findings), encoding, "rfc4180"
        )
    kind = correct_separator(text, kind)
    lines, quoting = _read_rows(text, "," if kind == "csv" else "\t", findings)
    header = has_header(lines)
    return Sniffed(kind, header, *_guess_columns(_as_columns(lines, header), findings), encoding, quoting)


def _stop_at(findings: FileFindings) -> None:
    if findings:
        raise InputError("data", findings.problems())


def _guess_format(path: Path, raw: bytes) -> Format:
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    if raw.startswith(b"PAR1"):  # magic number, https://parquet.apache.org/docs/file-format/
        return "parquet"
    return "jsonl" if raw.lstrip().startswith(b"{") else "tsv"


def correct_separator(text: str, kind: Format) -> Format:
    """The format that the ending stands for, unless the first line has only the other's separator."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if ("\t" in first) != ("," in first):
        return "tsv" if "\t" in first else "csv"
    return kind


def _read_rows(text: str, separator: str, findings: FileFindings) -> tuple[list[Line], Quoting]:
    """The rows; quotes are ordinary text if RFC 4180 fails and all rows then have equally many fields."""
    quoted = read_lines(text, separator, "rfc4180", findings)
    if not findings:
        return quoted, "rfc4180"
    plain = read_lines(text, separator, "none", FileFindings(findings.file))
    if len({len(fields) for _, fields in plain}) != 1:
        _stop_at(findings)
    return plain, "none"


def has_header(lines: list[Line]) -> bool:
    names = {cell.strip().casefold() for cell in lines[0][1]} if lines else set()
    return not KNOWN_NAMES.isdisjoint(names) and not looks_like_data(lines)


def _as_columns(lines: list[Line], header: bool) -> ColumnValues:
    if not lines:
        return {}
    first = lines[0][1]
    names: list[str | int] = [cell.strip() for cell in first] if header else list(range(1, len(first) + 1))
    rows = [fields for _, fields in lines[header:] if len(fields) == len(first)]
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _read_jsonl_columns(text: str, findings: FileFindings) -> ColumnValues:
    rows = [row for _, row in read_objects(text, findings)]
    _stop_at(findings)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return {key: [row.get(key) for row in rows] for key in keys}


def _read_parquet_columns(path: Path, findings: FileFindings) -> ColumnValues:
    from finegrid.data.parquet import read_simple_columns  # pyarrow is slow to import, and few need it

    columns = read_simple_columns(path, findings)
    _stop_at(findings)
    return columns


def _guess_columns(columns: ColumnValues, findings: FileFindings) -> tuple[TextColumn, str | int]:
    """The text column or pair, and the label column: by name if names tell, else by values."""
    text: TextColumn | None = guess_text_pair(columns)
    label = _guess_label(columns, text if isinstance(text, tuple) else ())
    if text is None:
        text = guess_text_column({name: values for name, values in columns.items() if name != label})
    if text is None or label is None:
        missing = " and ".join(
            name for name, column in (("--text", text), ("--label", label)) if column is None
        )
        what = f"cannot tell which column is which. Found: {list_names(columns)}. Pass {missing}"
        raise input_error("data", findings.file, what)
    return text, label


def guess_text_pair(columns: ColumnValues) -> tuple[str | int, str | int] | None:
    folded = {str(name).casefold(): name for name in columns}
    for first, second in PAIR_NAMES:
        if first in folded and second in folded:
            return folded[first], folded[second]
    return None


def _guess_label(columns: ColumnValues, texts: tuple[str | int, ...]) -> str | int | None:
    named = [name for name in columns if str(name).casefold() in LABEL_NAMES]
    few = [name for name in columns if name not in texts and _has_few_values(columns[name])]
    varied = [name for name in few if len(set(map(str, columns[name]))) > 1]
    plain = [name for name in named if str(name).casefold() in ("label", "标签")]
    for candidates in (plain, named, varied, few):
        if candidates:
            return candidates[0] if len(candidates) == 1 else None
    return None


def _has_few_values(values: Sequence[object]) -> bool:
    simple = all(isinstance(value, str | int) for value in values)
    distinct = len(set(map(str, values)))
    return simple and 0 < distinct <= min(MOST_CLASSES, len(values) / 2)


def guess_text_column(columns: ColumnValues) -> str | int | None:
    """The column with the longest strings, of those that are named like texts if there are any."""
    strings = {
        name: fmean(len(str(value)) for value in values)
        for name, values in columns.items()
        if values and all(isinstance(value, str) for value in values)
    }
    text_like = {name: length for name, length in strings.items() if str(name).casefold() in TEXT_NAMES}
    candidates = text_like or strings
    return max(candidates, key=candidates.__getitem__) if candidates else None


def list_names(columns: ColumnValues) -> str:
    return quote_all([str(name) for name in columns]) or "none"
