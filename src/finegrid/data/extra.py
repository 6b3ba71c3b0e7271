"""The training texts of runs that ask for others than the study's: the first of them, or more from a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.alike import fold_rows
from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.doctor import find_unknown_labels
from finegrid.data.findings import FileFindings, quote_all
from finegrid.data.read import CheckedRows, read_rows
from finegrid.data.row_file import MOST_ROWS
from finegrid.data.settings import DataSettings
from finegrid.data.table import DataTable, Split
from finegrid.data.tokens import TokenisedSplit
from finegrid.data.unlabelled import open_texts
from finegrid.errors import InputError, Problem
from finegrid.spelling import count_noun, expand_user

SHOWN = 5  # rows of texts that are to be taken out


def count_share(texts: int, share: float) -> int:
    """How many the first share of them are: ceil(share * texts), by the digits of the share."""
    return math.ceil(Fraction(str(share)) * texts)  # in floats 0.07 * 100 is a little more than 7


def read_extra(path: Path, base: Path, settings: DataSettings, table: DataTable) -> Split:
    """More training texts, read as the study's own files are.

    Args:
        path: of the file.
        base: where paths start.
        settings: of the study's data.
        table: the study's texts.

    Raises:
        InputError: with all problems of the file: labels that no training text has, and texts or groups
            that are in dev or test too.
    """
    findings = FileFindings(str(path))
    rows = read_rows(path, base, settings, findings)
    problems = findings.problems()
    if not findings:
        problems += find_unknown_labels("extra", rows, table.labels)
        problems += _find_leaks(rows, table)
    if problems:
        raise InputError("texts.extra", problems)
    index = {name: number for number, name in enumerate(table.labels)}
    return Split(rows.texts, np.array([index[label] for label in rows.labels], dtype=np.int64), rows.ids)


def read_unlabelled(factor: str, path: Path, base: Path, settings: DataSettings, table: DataTable) -> Split:
    """Texts without labels, read as the study's own files are; all get the first label, which says nothing.

    Arguments as of `read_extra`; ``factor`` is what names the file.

    Raises:
        InputError: with all problems of the file, texts that are in dev or test too among them.
    """
    asked = ColumnOptions(
        texts=settings.columns[:-1],
        header=settings.header,
        of_study=StudyReading.of(settings),
        asked_by="data.text",
    )
    try:
        file = open_texts(base / expand_user(str(path)), len(table.train.texts[0]), asked, str(path))
    except InputError as error:
        raise InputError(factor, error.problems) from None
    parts = list(file.parts(MOST_ROWS))
    texts = [text for part in parts for text in part.texts]
    places = np.array([place for part in parts for place in part.rows.places])
    ids = np.arange(1, 1 + len(texts))
    unlabelled = CheckedRows(str(path), file.unit, texts, [], ids, places)
    if problems := list(_find_leaks(unlabelled, table)):
        raise InputError(factor, problems)
    return Split(texts, np.zeros(len(texts), dtype=np.int64), ids)


def _find_leaks(rows: CheckedRows, table: DataTable) -> Iterator[Problem]:
    """Texts that would be trained on and scored: of each kind and each split all rows together."""
    for part, split in (("dev", table.dev), ("test", table.test)):
        known = set(fold_rows(split.texts))
        shared = [row for row, text in enumerate(fold_rows(rows.texts)) if text in known]
        if shared:
            what = f"{count_noun(len(shared), 'text')} also in {part}, but perhaps for case and blanks"
            yield _tell_rows(rows, shared, what)
        if rows.groups is None or split.groups is None:
            continue
        scored = {*split.groups.tolist()}
        held = [row for row, name in enumerate(rows.groups) if table.group_numbers.get(name) in scored]
        if held:
            names = quote_all(sorted({rows.groups[row] for row in held}), 3)
            yield _tell_rows(
                rows, held, f"{count_noun(len(held), 'text')} of groups that are in {part}: {names}"
            )


def _tell_rows(rows: CheckedRows, found: Sequence[int], what: str) -> Problem:
    shown = ", ".join(str(rows.places[row]) for row in found[:SHOWN])
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    places = f"{rows.unit}{'s' * (len(found) > 1)} {shown}{more}"
    return Problem(rows.file, f"{what} ({places}). Scores would be too high: take these rows out")


def join_texts(first: TokenisedSplit, second: TokenisedSplit) -> TokenisedSplit:
    """The texts of two splits, one after the other."""
    return replace(
        first,
        tokens=np.concatenate([first.tokens, second.tokens]),
        bounds=np.concatenate([first.bounds, first.bounds[-1] + second.bounds[1:]]),
        labels=np.concatenate([first.labels, second.labels]),
        ids=np.concatenate([first.ids, second.ids]),
    )


def find_first(labels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Rows of the first texts of every class, rising: of each so large a share, and at least one.

    Args:
        labels: ``[texts]``, class numbers.
        share: above 0.
    """
    chosen = [
        np.flatnonzero(labels == label)[: count_share(int(count), share)]
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def take_rows(split: TokenisedSplit, rows: NDArray[np.int64]) -> TokenisedSplit:
    """Some texts of a split, in the order of the rows; itself where these are all."""
    if len(rows) == len(split):
        return split
    parts = (rows[:, None] * split.parts + np.arange(split.parts)).ravel()
    begins, ends = split.bounds[parts], split.bounds[parts + 1]
    places = np.concatenate([np.arange(begin, end) for begin, end in zip(begins, ends, strict=True)])
    bounds = np.concatenate([[0], np.cumsum(ends - begins)]).astype(split.bounds.dtype)
    return replace(
        split, tokens=split.tokens[places], bounds=bounds, labels=split.labels[rows], ids=split.ids[rows]
    )
