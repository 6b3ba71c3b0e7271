"""Reads what a teacher says of the texts of a file: beside each, a probability for every label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.cells_of_file import ColumnOptions, read_cells
from finegrid.data.content import find_format
from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import SEPARATORS, DataSettings, resolve_separator
from finegrid.errors import InputError, Problem

NESTED = "probabilities"  # of JSON lines: one key, whose value has a key for each label
TOLERANCE = 1e-3  # that the sum of a row's probabilities may be off 1
HOW = "`finegrid predict MODEL FILE --out NEW` writes a column for each label"


def name_column(label: str) -> str:
    """The column with the probabilities of a label."""
    return f"probability:{label}"


def read_probabilities(
    settings: DataSettings, base: Path, parts: Sequence[str], labels: Sequence[str]
) -> NDArray[np.float64]:
    """``[rows, labels]``, of all rows of some files that were read as texts, one file after the other.

    Args:
        settings: of the data.
        base: where paths start.
        parts: the files: of ``train``, ``dev`` and ``test``.
        labels: in the order that is wanted.

    Raises:
        InputError: a label without a column, or rows that hold no probabilities; all problems at once.
    """
    read = [_read_file(settings.files[part], base, settings, labels) for part in parts]
    problems = [problem for _, own in read for problem in own]
    if problems:
        raise InputError("data", problems)
    return np.concatenate([rows for rows, _ in read])


def _read_file(
    path: Path, base: Path, settings: DataSettings, labels: Sequence[str]
) -> tuple[NDArray[np.float64], list[Problem]]:
    findings = FileFindings(str(path))
    kind = find_format(path, findings) if settings.format == "auto" else settings.format
    nothing = np.empty((0, len(labels)))
    if kind is None:
        return nothing, findings.problems()
    options = ColumnOptions(
        header=settings.header,
        format=kind,
        separator=resolve_separator(kind, settings.separator) if kind in SEPARATORS else None,
        quoting=settings.quoting,
        encoding=settings.encoding,
    )
    cells = read_cells(base / path, options, findings)
    columns = _find_columns(cells.columns, labels, findings)
    if findings:
        return nothing, findings.problems()
    rows = list(zip(*(columns[label] for label in labels), strict=True))
    numbers = [
        _check_row(row, labels, place, findings) for place, row in zip(cells.places, rows, strict=True)
    ]
    return np.array(numbers).reshape(-1, len(labels)), findings.problems()


def _find_columns(
    columns: Mapping[str | int, Sequence[object]], labels: Sequence[str], findings: FileFindings
) -> dict[str, Sequence[object]]:
    """The cells of every label."""
    if NESTED in columns and not any(name_column(label) in columns for label in labels):
        each = [cell if isinstance(cell, dict) else {} for cell in columns[NESTED]]
        return {label: [row.get(label) for row in each] for label in labels}
    missing = [name_column(label) for label in labels if name_column(label) not in columns]
    for name in missing:
        findings.add_problem("no probabilities", f"no column {quote(name)}. {HOW}")
    return {label: columns[name_column(label)] for label in labels if name_column(label) in columns}


def _check_row(
    row: Sequence[object], labels: Sequence[str], place: int, findings: FileFindings
) -> list[float]:
    """A row as numbers; zeros, and a problem, where it is none."""
    numbers = [_as_number(cell) for cell in row]
    for label, cell, number in zip(labels, row, numbers, strict=True):
        if not 0 <= number <= 1 + TOLERANCE:  # NaN, too
            what = f"{quote(name_column(label))} is {quote(cell)}, expected a number from 0 to 1. {HOW}"
            findings.add_problem("probability", what, place)
            return [0.0] * len(labels)
    if abs(sum(numbers) - 1) > TOLERANCE:
        what = f"the probabilities sum to {sum(numbers):.4f}, expected 1. Give every label its own"
        findings.add_problem("sum of probabilities", what, place)
    return numbers


def _as_number(cell: object) -> float:
    """NaN where it is none."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
