"""The checked table of a study: texts and labels of train, dev and test."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.doctor import find_group_warnings, find_unknown_labels, find_warnings
from finegrid.data.findings import FileFindings, quote
from finegrid.data.read import CheckedRows, read_rows
from finegrid.data.settings import DataSettings
from finegrid.data.split import Parts, draw
from finegrid.data.split_file import describe_split, read_split, write_split
from finegrid.errors import InputError, Problem

PARTS = ("train", "dev", "test")
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, eq=False)
class Split:
    """The texts of train, dev or test, in the order of their file."""

    texts: list[tuple[str, ...]]  # 1-tuples, or 2-tuples of a text pair
    labels: NDArray[np.int64]  # [texts], indices into Table.labels
    ids: NDArray[np.int64]  # [texts], data rows of the file they came from, counted from 1
    groups: NDArray[np.int64] | None = None  # [texts], equal numbers are one group, in all splits

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, eq=False)
class DataTable:
    """The checked texts and labels of a study."""

    labels: tuple[str, ...]  # class names, in numerical order if all are whole numbers
    train: Split
    dev: Split
    test: Split
    warnings: tuple[str, ...]  # findings that do not stop the study, with counts and examples

    def fingerprint(self) -> str:
        """16 hex digits that stand for labels, texts and ids, whatever files they came from."""
        splits = [
            [split.texts, split.labels.tolist(), split.ids.tolist()]
            for split in (self.train, self.dev, self.test)
        ]
        content = json.dumps([self.labels, splits], separators=(",", ":")).encode()
        return hashlib.sha256(content).hexdigest()[:16]


def load_table(settings: DataSettings, base: Path, split_file: Path | None = None) -> DataTable:
    """Read, check and split the user's files, with paths relative to ``base``.

    What has to be drawn is read from ``split_file``, or drawn and written there. Raises InputError with all
    problems of all files; then nothing has been written.
    """
    findings = {part: FileFindings(str(path)) for part, path in settings.files.items()}
    rows = {part: read_rows(path, base, settings, findings[part]) for part, path in settings.files.items()}
    problems = [problem for file_findings in findings.values() for problem in file_findings.problems()]
    names = _sort_labels(set(rows["train"].labels))
    parts: Parts = {}
    if not findings["train"]:
        problems += _find_label_problems({part: rows[part] for part in rows if not findings[part]}, names)
        try:
            parts = _read_or_draw_parts(rows["train"], names, settings, split_file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError("data", problems)
    if split_file is not None and settings.draws and not split_file.exists():
        write_split(split_file, parts, _describe(rows["train"], settings))
    drawn = {part: rows["train"].take(indices) for part, indices in parts.items()}
    by_part = {part: {**rows, **drawn}[part] for part in PARTS}
    file_warnings = [warning for file_findings in findings.values() for warning in file_findings.warnings]
    groups = _number_groups(by_part.values())
    splits = {part: _as_split(by_part[part], names, groups) for part in PARTS}
    warnings = (*file_warnings, *find_group_warnings(rows.values()), *find_warnings(by_part))
    return DataTable(names, **splits, warnings=warnings)


def _find_label_problems(rows: dict[str, CheckedRows], names: tuple[str, ...]) -> list[Problem]:
    if len(names) == 1:
        what = f"one class only, {quote(names[0])}. Expected two or more: is this the right label column?"
        return [Problem(rows["train"].file, what)]
    untrained = {part: part_rows for part, part_rows in rows.items() if part != "train"}
    return [
        problem
        for part, part_rows in untrained.items()
        for problem in find_unknown_labels(part, part_rows, names)
    ]


def _read_or_draw_parts(
    rows: CheckedRows, names: tuple[str, ...], settings: DataSettings, split_file: Path | None
) -> Parts:
    """Indices of the train file's rows by part: as the split file says, or drawn."""
    if not settings.draws:
        return {"train": np.arange(len(rows))}
    if split_file is not None and split_file.exists():
        return read_split(split_file, rows.labels, settings, _describe(rows, settings))
    return draw(rows.texts, _index_labels(rows, names), names, settings, rows.file, rows.groups)


def _describe(rows: CheckedRows, settings: DataSettings) -> str:
    return describe_split(rows.texts, rows.labels, settings, rows.groups)


def _number_groups(parts: Iterable[CheckedRows]) -> dict[str, int]:
    """A number for every group that has a name."""
    names = sorted({group for rows in parts for group in rows.groups or () if group})
    return {name: number for number, name in enumerate(names)}


def _sort_labels(labels: set[str]) -> tuple[str, ...]:
    if all(WHOLE.fullmatch(label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _index_labels(rows: CheckedRows, names: tuple[str, ...]) -> NDArray[np.int64]:
    index = {name: number for number, name in enumerate(names)}
    return np.array([index[label] for label in rows.labels], dtype=np.int64)


def _as_split(rows: CheckedRows, names: tuple[str, ...], groups: Mapping[str, int]) -> Split:
    labels, ids = _index_labels(rows, names), rows.ids.copy()
    numbers = None
    if rows.groups is not None:  # who has no group is one: by its row, below all that have names
        each = zip(rows.groups, rows.ids, strict=True)
        numbers = np.array([groups[name] if name else -int(row) for name, row in each], dtype=np.int64)
        numbers.setflags(write=False)
    for array in (labels, ids):
        array.setflags(write=False)
    return Split(rows.texts, labels, ids, numbers)
