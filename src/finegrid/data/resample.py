"""Splits of one pool of texts: train, dev and test drawn anew, each as large as without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid.data.alike import fold_rows
from finegrid.data.read import CheckedRows
from finegrid.data.settings import DataSettings
from finegrid.data.split import Ints, Parts, Units, draw_training, split_off
from finegrid.streams import Streams


@dataclass(frozen=True)
class Resampling:
    """How often the pool is split, and what is in it.

    Attributes:
        splits: How many different splits there are.
        pool_test: Whether texts of a test file are in the pool. Else that file is the test set of all splits.
    """

    splits: int
    pool_test: bool

    def pools_test(self, settings: DataSettings) -> bool:
        """Whether test is drawn anew for every split."""
        return self.pool_test or settings.test is None

    def pooled_files(self, settings: DataSettings) -> list[str]:
        """The parts whose files make up the pool."""
        pooled = ("train", "dev", "test") if self.pool_test else ("train", "dev")
        return [part for part in pooled if part in settings.files]


def pool_rows(files: Sequence[CheckedRows]) -> CheckedRows:
    """The rows of all files, one after the other; their ids count through, from 1.

    With one file they are its own rows.
    """
    if len(files) == 1:
        return files[0]
    numbers = np.arange(1, sum(map(len, files)) + 1, dtype=np.int64)
    groups = None
    if all(rows.groups is not None for rows in files):
        groups = [group for rows in files for group in rows.groups or ()]
    return CheckedRows(
        " + ".join(rows.file for rows in files),
        "row",
        [text for rows in files for text in rows.texts],
        [label for rows in files for label in rows.labels],
        numbers,
        numbers,
        groups,
    )


def count_texts(parts: Mapping[str, CheckedRows], wanted: Collection[str], fold: bool) -> dict[str, int]:
    """Distinct texts of some parts: what a draw of them takes. ``fold``: as of `find_units`."""
    return {part: len(set(fold_rows(parts[part].texts) if fold else parts[part].texts)) for part in wanted}


def draw_split(
    pool: CheckedRows,
    labels: Ints,
    names: Sequence[str],
    settings: DataSettings,
    counts: Mapping[str, int],
    split: int,
    units: Units,
) -> Parts:
    """Indices of the pool's rows, by part.

    Split number ``split`` of a pool is the same however many there are, so that more may be asked for later.

    Args:
        pool: all rows.
        labels: ``[rows]``, indices into ``names``.
        names: of the classes.
        settings: for ``train_size`` and ``split_seed``.
        counts: distinct texts of dev, and of test where it is drawn.
        split: from 0.
        units: of the pool, what stays together.

    Raises:
        InputError: a class, or groups, too small to be in every part.
    """
    bits: NDArray[np.uint64] = Streams(settings.split_seed).bits(f"resample/{split}", len(labels))
    parts = split_off(units, labels, names, counts, bits, pool.file)
    if settings.train_size is not None:
        rows, stream = parts["train"], f"resample/{split}/train_size"
        parts["train"] = draw_training(labels[rows], rows, len(names), settings, pool.file, stream)
    return parts
