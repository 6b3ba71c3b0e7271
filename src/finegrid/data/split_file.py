"""The drawn split as a file of the study: written once, honoured afterwards, also when edited by hand."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finegrid.atomic import replacing
from finegrid.data.findings import FileFindings, several, shown
from finegrid.data.settings import DataSettings
from finegrid.data.split import Parts
from finegrid.errors import InputError, input_error

COLUMNS = "split\trow"
ROW = re.compile(r"[0-9]{1,12}")
SHOWN = 200  # characters of a first line that is not ours


def first_line(texts: Sequence[tuple[str, ...]], labels: Sequence[str], settings: DataSettings) -> str:
    """What a split belongs to: the settings it was drawn with, and the content of the train file."""
    content = json.dumps([list(labels), list(texts)], separators=(",", ":")).encode()
    drawn = {f"{part}_share": share for part, share in settings.shares.items()}
    if settings.train_size is not None:
        drawn["train_size"] = settings.train_size
    named = [f"seed={settings.split_seed}", *(f"{name}={value}" for name, value in drawn.items())]
    return " ".join(["# finegrid split", *named, f"content={hashlib.sha256(content).hexdigest()[:16]}"])


def write_split(path: Path, parts: Parts, first: str) -> None:
    """Atomically: the file is there in full or not at all. Raises InputError if it cannot be written."""
    lines = [first, COLUMNS]
    for part, rows in parts.items():
        lines += [f"{part}\t{row + 1}" for row in rows]
    try:
        with replacing(path) as draft:
            draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise input_error("data", path.name, f"cannot be written: {error}") from error


def read_split(path: Path, labels: Sequence[str], settings: DataSettings, first: str) -> Parts:
    """The parts as written. Raises InputError if they do not fit the train file's labels or the settings."""
    findings = FileFindings(path.name)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        findings.problem("file", f"cannot be read: {error}. Delete it to draw the split anew")
        raise InputError("data", findings.problems()) from error
    if lines[0] != first:
        what = (
            f"drawn for other data or settings. Found {lines[0][:SHOWN]!r}, expected {first!r}. "
            "Delete the file to draw the split anew"
        )
        findings.problem("other split", what, 1)
        raise InputError("data", findings.problems())
    parts = _read_rows(lines, len(labels), ("train", *settings.shares), findings)
    _check_parts(parts, labels, findings)
    if findings:
        raise InputError("data", findings.problems())
    return {part: np.array(sorted(rows), dtype=np.int64) for part, rows in parts.items()}


def _read_rows(
    lines: Sequence[str], size: int, known: Sequence[str], findings: FileFindings
) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {part: [] for part in known}
    seen: set[int] = set()
    for number, line in enumerate(lines[1:], start=2):
        if line == COLUMNS or not line.strip():
            continue
        part, _, written = line.partition("\t")
        row = int(written) - 1 if ROW.fullmatch(written) else -1
        if part not in known:
            findings.problem("split", f"split {shown(part)}, expected one of {', '.join(known)}", number)
        elif not 0 <= row < size:
            findings.problem("row", f"row {shown(written)}, expected a number from 1 to {size}", number)
        elif row in seen:
            findings.problem(
                "repeated row", f"row {row + 1} stands here again. Take one of the two out", number
            )
        else:
            seen.add(row)
            parts[part].append(row)
    return parts


def _check_parts(parts: dict[str, list[int]], labels: Sequence[str], findings: FileFindings) -> None:
    """Every part has rows, and every class is trained on."""
    for part, rows in parts.items():
        if not rows:
            findings.problem(
                "empty split", f"no row of {part}. Write some, or delete the file to draw it anew"
            )
    untaught = sorted(set(labels) - {labels[row] for row in parts["train"]})
    if untaught and parts["train"]:
        what = f"no training row of {several(untaught)}. Write some, or take the class out of the data"
        findings.problem("class without training rows", what)
