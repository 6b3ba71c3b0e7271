"""Keeps the drawn split in a file of the study, which is followed ever after, also if edited by hand."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.settings import DataSettings
from finegrid.data.split import Parts
from finegrid.errors import InputError, input_error
from finegrid.refusals import saving

COLUMNS = "split\trow"
ROW = re.compile(r"[0-9]{1,12}")
QUOTED_CHARACTERS = 200  # characters of a first line that is not ours


def describe_split(
    texts: Sequence[tuple[str, ...]],
    labels: Sequence[str],
    settings: DataSettings,
    groups: Sequence[str] | None = None,
) -> str:
    """The first line of the file: the settings of the draw, and a hash of the train file's content."""
    columns = [list(labels), list(texts), *([] if groups is None else [list(groups)])]
    content = json.dumps(columns, separators=(",", ":")).encode()
    settings_drawn_with: dict[str, object] = {
        f"{part}_share": share for part, share in settings.shares.items()
    }
    if groups is not None:
        settings_drawn_with["group"] = json.dumps(settings.group)
    if settings.train_size is not None:
        settings_drawn_with["train_size"] = settings.train_size
    seed_and_settings = [
        f"seed={settings.split_seed}",
        *(f"{name}={value}" for name, value in settings_drawn_with.items()),
    ]
    return " ".join(
        ["# finegrid split", *seed_and_settings, f"content={hashlib.sha256(content).hexdigest()[:16]}"]
    )


def write_split(path: Path, parts: Parts, first: str) -> None:
    """Atomically: the file is there in full or not at all. Raises InputError if it cannot be written."""
    lines = [first, COLUMNS]
    for part, rows in parts.items():
        lines += [f"{part}\t{row + 1}" for row in rows]
    try:
        with saving(path) as draft:
            draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise input_error("data", path.name, f"cannot be written: {error}") from error


def read_split(path: Path, labels: Sequence[str], settings: DataSettings, first: str) -> Parts:
    """The parts as written. Raises InputError if they do not fit the train file's labels or the settings."""
    findings = FileFindings(path.name)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        findings.add_problem("file", f"cannot be read: {error}. Delete it to draw the split anew")
        raise InputError("data", findings.problems()) from error
    if lines[0] != first:
        what = (
            f"drawn for other data or settings. Found {lines[0][:QUOTED_CHARACTERS]!r}, expected {first!r}. "
            "Delete the file to draw the split anew"
        )
        findings.add_problem("other split", what, 1)
        raise InputError("data", findings.problems())
    parts = _read_rows(lines, len(labels), ("train", *settings.shares), findings)
    _check_parts(parts, labels, findings)
    if findings:
        raise InputError("data", findings.problems())
    return {part: np.array(sorted(rows), dtype=np.int64) for part, rows in parts.items()}


def _read_rows(
    lines: Sequence[str], size: int, names: Sequence[str], findings: FileFindings
) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {part: [] for part in names}
    seen: set[int] = set()
    for number, line in enumerate(lines[1:], start=2):
        if line == COLUMNS or not line.strip():
            continue
        part, _, number_text = line.partition("\t")
        row = int(number_text) - 1 if ROW.fullmatch(number_text) else -1
        if part not in names:
            findings.add_problem("split", f"split {quote(part)}, expected one of {', '.join(names)}", number)
        elif not 0 <= row < size:
            findings.add_problem(
                "row", f"row {quote(number_text)}, expected a number from 1 to {size}", number
            )
        elif row in seen:
            findings.add_problem(
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
            findings.add_problem(
                "empty split", f"no row of {part}. Write some, or delete the file to draw it anew"
            )
    untaught = sorted(set(labels) - {labels[row] for row in parts["train"]})
    if untaught and parts["train"]:
        what = f"no training row of {quote_all(untaught)}. Write some, or take the class out of the data"
        findings.add_problem("class without training rows", what)
