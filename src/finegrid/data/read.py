"""Reads one file of the user and checks its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.cells import UnfitCell, as_group, as_label, as_text
from finegrid.data.content import PARQUET, find_format, read_content, refuse_other_text
from finegrid.data.delimited_rows import read_delimited
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings
from finegrid.data.jsonl import read_jsonl
from finegrid.data.settings import DataSettings


@dataclass(frozen=True)
class CheckedRows:
    """Checked rows of one file: texts and labels, and where each row stands."""

    file: str
    unit: str
    texts: list[tuple[str, ...]]
    labels: list[str]
    ids: NDArray[np.int64]  # data rows, counted from 1
    places: NDArray[np.int64]  # line on which the row starts, or row of a Parquet file
    groups: list[str] | None = None  # empty: a group of its own; None: no column of groups

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, index: int) -> str:
        return f"{self.file} {self.unit} {self.places[index]}"

    def take(self, indices: NDArray[np.int64]) -> "CheckedRows":
        texts = [self.texts[index] for index in indices]
        labels = [self.labels[index] for index in indices]
        groups = None if self.groups is None else [self.groups[index] for index in indices]
        return CheckedRows(
            self.file, self.unit, texts, labels, self.ids[indices], self.places[indices], groups
        )


def read_rows(path: Path, base: Path, settings: DataSettings, findings: FileFindings) -> CheckedRows:
    """All rows of the file. Where there are problems, they stand in ``findings`` and rows are missing."""
    cells = _read_cells(path, base, settings, findings)
    if not cells and not findings:
        findings.add_problem("empty file", "no rows. Expected a text and its label in each")
    width = len(settings.columns) - 1
    texts: list[tuple[str, ...]] = []
    labels: list[str] = []
    groups: list[str] = []
    fit: list[int] = []
    for number, (place, row) in enumerate(cells):
        try:
            text, label = tuple([as_text(cell) for cell in row[:width]]), as_label(row[width])
            group = [as_group(cell) for cell in row[width + 1 :]]
        except UnfitCell:
            _report_cells(row, width, place, findings)
            continue
        texts.append(text)
        labels.append(label)
        groups += group
        fit.append(number)
    numbers = np.array(fit, dtype=np.int64)
    places = np.array([place for place, _ in cells], dtype=np.int64)[numbers]
    return CheckedRows(
        findings.file,
        findings.unit,
        texts,
        labels,
        numbers + 1,
        places,
        None if settings.group is None else groups,
    )


def _report_cells(row: Sequence[object], width: int, place: int, findings: FileFindings) -> None:
    """All problems of a row: of its texts the first, of its label, of its group."""
    for cells, check in (
        (row[:width], as_text),
        (row[width : width + 1], as_label),
        (row[width + 1 :], as_group),
    ):
        try:
            for cell in cells:
                check(cell)
        except UnfitCell as unfit:
            findings.add_problem(unfit.kind, unfit.what, place)


def _read_cells(
    path: Path, base: Path, settings: DataSettings, findings: FileFindings
) -> Sequence[tuple[int, list[object]]]:
    kind = find_format(path, findings) if settings.format == "auto" else settings.format
    raw = read_content(base / path, findings)
    if raw is None or kind is None:
        return []
    if not raw.strip():
        findings.add_problem("empty file", "the file is empty. Expected a text and its label in each row")
        return []
    if kind == "parquet":
        from finegrid.data.parquet import read_parquet  # pyarrow is slow to import, and few need it

        return read_parquet(base / path, settings.read_columns, findings)
    if raw.startswith(PARQUET):
        findings.add_problem("format", f'Parquet, read as {kind.upper()}. Set format = "parquet"')
        return []
    decoded = decode(raw, settings.encoding, findings)
    if decoded is None:
        return []
    if refuse_other_text(decoded.text, findings):
        return []
    if kind == "jsonl":
        return read_jsonl(decoded.text, settings.read_columns, findings)
    return read_delimited(decoded.text, kind, settings, findings)
