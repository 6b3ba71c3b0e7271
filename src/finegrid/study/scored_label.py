"""The label that a score such as ``f1:sport`` is of: without gold texts of it there is nothing to measure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from finegrid.data.findings import quote
from finegrid.data.table import DataTable
from finegrid.errors import InputError, Problem
from finegrid.metrics import check_score
from finegrid.study.folder import SETTINGS_FILE

Golds = Mapping[str, NDArray[np.int64]]  # dev and test -> ``[texts]``, class numbers


def check_scored_label(score: str, table: DataTable) -> None:
    """Refuse the F1 of a label that the data do not have, or not in dev or test.

    Raises:
        InputError: so it is.
    """
    check_score(score, table.labels)
    check_gold(score, list(table.labels), {"dev": table.dev.labels, "test": table.test.labels}, SETTINGS_FILE)


def check_gold(score: str, labels: list[str], golds: Golds, source: str) -> None:
    """Refuse the F1 of a label without gold texts in one of these splits: it is 0 whatever a run does.

    Args:
        score: of the study.
        labels: of the study; the score's is among them.
        golds: the gold labels.
        source: what the problem is told of.

    Raises:
        InputError: so it is.
    """
    lacking = [split for split, gold in golds.items() if count_gold(score, labels, gold) == 0]
    if lacking:
        label, where = quote(score.partition(":")[2]), " and ".join(lacking)
        what = (
            f"found no text of {label} in {where}, so its F1 there is 0 whatever a run does. Expected a "
            "label that dev and test have. Take another score, or files with texts of it."
        )
        raise InputError(source, [Problem("score", what)])


def count_gold(score: str, labels: list[str], gold: NDArray[np.int64]) -> int | None:
    """How many texts have the label that a score is of; None of a score that is of all labels."""
    label = score.partition(":")[2]
    return int((gold == labels.index(label)).sum()) if label else None
