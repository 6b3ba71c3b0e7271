"""What a file holds: its bytes, unpacked if need be, and named for what they are if they are no table."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import Format
from finegrid.spelling import find_near

ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# Magic numbers: how compressed files begin, what opens them.
PACKED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
PACKED_ENDINGS = frozenset((".gz", ".bz2", ".xz"))
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
MOST_BYTES = 4 << 30  # of a file, packed or not
PARQUET = b"PAR1"
LFS_POINTER = b"version https://git-lfs"
PICKLE = ("a pickle, which may run code when it is read", "Save the table as CSV or Parquet")
# How other files begin, what they are, and what to do with them.
OTHER_KINDS: dict[bytes, tuple[str, str]] = {
    LFS_POINTER: ("a Git LFS pointer, not the file itself", "Run git lfs pull"),
    b"PK\x03\x04": ("an Excel workbook, or another ZIP archive", "Save the sheet as CSV, or unpack it"),
    b"PK\x05\x06": ("an empty ZIP archive", "Fetch the file again"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook of old", "Save the sheet as CSV"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "Unpack it with zstd -d"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it"),
    b"Rar!\x1a\x07": ("a RAR archive", "Unpack it"),
    b"%PDF-": ("a PDF", "Save its table as CSV"),
    b"{\\rtf": ("a document in rich text", "Save its table as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "Export the table as CSV"),
    b"ARROW1\0\0": ("an Arrow (Feather) file", "Save the table as Parquet"),
    b"\x93NUMPY": ("a NumPy array", "Save the table as CSV or Parquet"),
    **{bytes([0x80, protocol]): PICKLE for protocol in (2, 3, 4, 5)},
}
WEB = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
FASTTEXT = re.compile(r"(?:[^\n]*\s)?__label__\S")
ONE_OBJECT = re.compile(r'\s*\{\s*\n\s*"')


def read_content(path: Path, findings: FileFindings) -> bytes | None:
    """The bytes of a table's file, unpacked, or None and a problem.

    Parquet comes as it is. What is no table, such as a workbook or a web page, is a problem that names it.
    """
    raw = read_bytes(path, findings)
    if raw is not None:
        raw = _unpack(path, raw, findings)
    if raw is None:
        return None
    for start, (what, advice) in OTHER_KINDS.items():
        if raw.startswith(start):
            _refuse(what, advice, findings)
            return None
    return raw


def refuse_other_text(text: str, findings: FileFindings) -> bool:
    """The same for text: web pages, JSON that is not in lines, lines of fastText. Whether it is one."""
    if WEB.match(text):
        _refuse(
            "an HTML page, perhaps an error page instead of the download", "Fetch the file again", findings
        )
    elif text.lstrip().startswith("[") and _is_json_list(text):
        _refuse("a JSON list", "Write each element on its own line (jq -c '.[]')", findings)
    elif ONE_OBJECT.match(text):
        _refuse("JSON over many lines", "Write each object on its own line (jq -c .)", findings)
    elif _is_fasttext(text):
        advice = "Write text and label into columns, with a tab between them"
        _refuse("lines of fastText (__label__...)", advice, findings)
    else:
        return False
    return True


def read_bytes(path: Path, findings: FileFindings) -> bytes | None:
    """The file as it is, or None and a problem."""
    try:
        if path.is_dir():
            findings.add_problem("file", "a folder, expected a file. Name one file in it")
        elif not path.exists():
            findings.add_problem("file", f"no such file in {path.parent.resolve()}.{_suggest_file(path)}")
        elif not path.is_file():
            findings.add_problem("file", "not an ordinary file. Copy what it holds into one")
        elif (size := path.stat().st_size) > MOST_BYTES:
            what = f"{size / 2**30:.1f} GiB, more than the {MOST_BYTES >> 30} GiB that are read. Take a part"
            findings.add_problem("file", what)
        else:
            return path.read_bytes() if size else b""  # files of the system say 0, and some have no end
    except (OSError, ValueError) as error:  # no permission; a name that no file can have
        findings.add_problem("file", f"cannot be read: {error}")
    return None


def find_format(path: Path, findings: FileFindings) -> Format | None:
    """The format that the file's ending stands for, or None and a problem."""
    kind = format_of_ending(path)
    if kind is None:
        endings = " ".join(ENDINGS)
        what = (
            f"the ending {quote(path.suffix)} is not known. Known: {endings}, packed or not (.gz, .bz2, .xz)"
        )
        findings.add_problem("format", f"{what}. Set format, or convert the file")
    return kind


def format_of_ending(path: Path) -> Format | None:
    """``train.csv`` and ``train.csv.gz`` are CSV."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED_ENDINGS else path
    return ENDINGS.get(name.suffix.lower())


def _refuse(what: str, advice: str, findings: FileFindings) -> None:
    findings.add_problem("no table", f"{what}; expected CSV, TSV, JSON lines or Parquet. {advice}")


def _is_fasttext(text: str) -> bool:
    lines = [line for line in text[:100_000].split("\n")[:1000] if line.strip()]
    return sum(FASTTEXT.match(line) is not None for line in lines) > len(lines) / 2


def _is_json_list(text: str) -> bool:
    """Whether it begins like one: a first row of CSV may begin with a bracket, too."""
    after = text.lstrip()[1:].lstrip()
    if after[:1] == "]" and not after[1:].strip():
        return True
    try:
        json.JSONDecoder().raw_decode(after)
    except (ValueError, RecursionError):
        return after.startswith("{")
    return text.rstrip().endswith("]") or after.startswith("{")


def _unpack(path: Path, raw: bytes, findings: FileFindings) -> bytes | None:
    opener = next((opener for start, opener in PACKED.items() if raw.startswith(start)), None)
    if opener is None:
        return raw
    try:
        with opener(path) as file:
            unpacked: bytes = file.read(MOST_BYTES + 1)
    except DAMAGED as error:
        findings.add_problem("packed", f"packed, and cannot be unpacked: {error}. Fetch or pack it again")
        return None
    if len(unpacked) > MOST_BYTES:
        findings.add_problem("packed", f"packed, and over {MOST_BYTES >> 30} GiB when unpacked. Unpack it")
        return None
    return unpacked


def _suggest_file(path: Path) -> str:
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = find_near(path.name, names)
    return f" Did you mean {quote(close[0])}?" if close else ""
