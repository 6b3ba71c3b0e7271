"""The checked table of a study: texts and labels of train, dev and test."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.doctor import find_group_warnings, find_unknown_labels, find_warnings
from finegrid.data.findings import FileFindings, quote
from finegrid.data.label_findings import describe_quantity
from finegrid.data.read import CheckedRows, read_rows
from finegrid.data.resample import Resampling, count_texts, draw_split, pool_rows
from finegrid.data.settings import DataSettings
from finegrid.data.split import Parts, draw, find_units
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
    rows_of_file: Mapping[str, int] = field(default_factory=dict)  # by part that has a file: its rows
    group_numbers: Mapping[str, int] = field(default_factory=dict)  # of the groups that have names
    # What looks wrong, with counts and examples; asked whether to look for near-twins among many texts too.
    look: Callable[[bool], Sequence[str]] = lambda near_twins: ()

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Findings that do not stop the study. Looked for once they are asked for: who trains does not."""
        return tuple(self.look(False))

    def fingerprint(self) -> str:
        """16 hex digits that stand for labels, texts and ids, whatever files they came from."""
        splits = [
            [split.texts, split.labels.tolist(), split.ids.tolist()]
            for split in (self.train, self.dev, self.test)
        ]
        content = json.dumps([self.labels, splits], separators=(",", ":")).encode()
        return hashlib.sha256(content).hexdigest()[:16]


def load_table(
    settings: DataSettings, base: Path, split_file: Path | None = None, keep_split: bool = True
) -> DataTable:
    """Read, check and split the user's files, with paths relative to ``base``.

    What has to be drawn is read from ``split_file``, or drawn and, if ``keep_split``, written there. Raises
    InputError with all problems of all files; then nothing has been written.
    """
    checked = _check_files(settings, base, split_file)
    train = checked.rows["train"]
    if keep_split and split_file is not None and settings.draws and not split_file.exists():
        write_split(split_file, checked.parts, _describe(train, settings))
    return checked.make_table({part: train.take(indices) for part, indices in checked.parts.items()})


def load_splits(
    settings: DataSettings, base: Path, resampling: Resampling, begun: Sequence[str] = ()
) -> tuple[DataTable, ...]:
    """The tables of all splits of the pool. Raises InputError with all problems of all files.

    No split file is written or followed: a split follows from the texts, ``split_seed`` and its number.

    Args:
        settings: of the data.
        base: where paths start.
        resampling: how often the pool is split, and what is in it.
        begun: fingerprints of the splits with which the study has begun. Where an older version drew these,
            which told texts apart that are equal but for case and blanks, they stay.
    """
    checked = _check_files(settings, base, None)
    tables = _draw_tables(checked, settings, resampling, fold=True)
    if begun and begun != [table.fingerprint() for table in tables]:
        older = _draw_tables(checked, settings, resampling, fold=False)
        if begun == [table.fingerprint() for table in older]:
            return older
    return tables


def _draw_tables(
    checked: _CheckedFiles, settings: DataSettings, resampling: Resampling, fold: bool
) -> tuple[DataTable, ...]:
    train = checked.rows["train"]
    parts = checked.parts if fold else _draw_parts(train, checked.names, settings, fold)
    drawn = {part: train.take(indices) for part, indices in parts.items()}
    redrawn = ("dev", "test") if resampling.pools_test(settings) else ("dev",)
    counts = count_texts({**checked.rows, **drawn}, redrawn, fold)
    pool = pool_rows([checked.rows[part] for part in resampling.pooled_files(settings)])
    labels = _index_labels(pool, checked.names)
    units = find_units(pool.texts, labels, pool.groups, fold)
    tables = []
    for split in range(resampling.splits):
        parts = draw_split(pool, labels, checked.names, settings, counts, split, units)
        tables.append(checked.make_table({part: pool.take(rows) for part, rows in parts.items()}, split == 0))
    return tuple(tables)


def load_pool(settings: DataSettings, base: Path, resampling: Resampling) -> Split:
    """All texts of the pool, in the order that splits are drawn in. Raises InputError."""
    checked = _check_files(settings, base, None)
    pool = pool_rows([checked.rows[part] for part in resampling.pooled_files(settings)])
    return _as_split(pool, checked.names, _number_groups([pool]))


def unite_splits(splits: Sequence[Split]) -> Split:
    """The texts of several splits, each once, by rising id."""
    texts, labels, groups = {}, {}, {}
    for split in splits:
        for place, row in enumerate(split.ids.tolist()):
            texts[row], labels[row] = split.texts[place], split.labels[place]
            groups[row] = 0 if split.groups is None else split.groups[place]
    ids = np.array(sorted(texts), dtype=np.int64)
    numbers = None if splits[0].groups is None else np.array([groups[row] for row in ids], dtype=np.int64)
    return Split([texts[row] for row in ids], np.array([labels[row] for row in ids]), ids, numbers)


def fingerprint_tables(tables: Sequence[DataTable]) -> str:
    """16 hex digits that stand for a study's data: of its table, or of those of all its splits."""
    each = [table.fingerprint() for table in tables]
    return each[0] if len(each) == 1 else hashlib.sha256("/".join(each).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class _CheckedFiles:
    """The rows of the user's files without problems, and how the train file's are split."""

    names: tuple[str, ...]
    rows: Mapping[str, CheckedRows]  # by part, of those that have a file
    parts: Parts
    warnings: tuple[str, ...]  # of the files

    def make_table(self, drawn: Mapping[str, CheckedRows], warned: bool = True) -> DataTable:
        """The table of the drawn parts, the others being whole files; with its warnings, if asked."""
        by_part = {part: {**self.rows, **drawn}[part] for part in PARTS}
        groups = _number_groups(by_part.values())
        splits = {part: _as_split(by_part[part], self.names, groups) for part in PARTS}
        rows_of_file = {part: len(rows) for part, rows in self.rows.items()}
        table = DataTable(self.names, splits["train"], splits["dev"], splits["test"], rows_of_file, groups)
        if warned:
            look = partial(find_warnings, by_part)
            table = replace(table, look=lambda near_twins: (*self.warnings, *look(near_twins)))
        return table


def _check_files(settings: DataSettings, base: Path, split_file: Path | None) -> _CheckedFiles:
    """Raises InputError with all problems of all files."""
    findings = {part: FileFindings(name) for part, name in name_files(settings.files).items()}
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
        if not findings["train"] and (quantity := describe_quantity(Counter(rows["train"].labels))):
            problems = [Problem(rows["train"].file, quantity), *problems]
        raise InputError("data", problems)
    warnings = [warning for file_findings in findings.values() for warning in file_findings.warnings]
    return _CheckedFiles(names, rows, parts, (*warnings, *find_group_warnings(rows.values())))


def name_files(files: Mapping[str, Path]) -> dict[str, str]:
    """What messages call the files of a study, by part: their own names, or their paths where two are alike.

    A path is relative to the study, and means little to who typed another one.
    """
    counts = Counter(path.name for path in files.values())
    return {part: path.name if counts[path.name] == 1 else str(path) for part, path in files.items()}


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
    if settings.draws and split_file is not None and split_file.exists():
        return read_split(split_file, rows.labels, settings, _describe(rows, settings))
    return _draw_parts(rows, names, settings, fold=True)


def _draw_parts(rows: CheckedRows, names: tuple[str, ...], settings: DataSettings, fold: bool) -> Parts:
    return draw(rows.texts, _index_labels(rows, names), names, settings, rows.file, rows.groups, fold)


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
