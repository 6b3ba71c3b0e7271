"""Scores: pure functions of arrays, 0 to 1 (mcc: -1 to 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import InputError, Problem

PLAIN_SCORES = ("macro-f1", "accuracy", "mcc")


def confusion(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """``[classes, classes]`` counts; rows are gold labels, columns predictions."""
    counts = np.bincount(gold * classes + predicted, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def f1_per_class(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """``[classes]``; 0 for a class that is never predicted, or neither gold nor predicted."""
    hits = np.diag(table).astype(float)
    both = table.sum(axis=0) + table.sum(axis=1)
    f1: NDArray[np.float64] = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
    return f1


def macro_f1(table: NDArray[np.int64]) -> float:
    """The mean F1 over the classes present in the gold labels."""
    return float(f1_per_class(table)[table.sum(axis=1) > 0].mean())


def mcc(table: NDArray[np.int64]) -> float:
    """Matthews correlation for any number of classes (Gorodkin 2004, equation 8); 0 where it is undefined."""
    total, hits = table.sum(), np.trace(table)
    gold, predicted = table.sum(axis=1).astype(float), table.sum(axis=0).astype(float)
    spread = np.sqrt((total**2 - predicted @ predicted) * (total**2 - gold @ gold))
    return float((hits * total - gold @ predicted) / spread) if spread > 0 else 0.0


def summary(gold: NDArray[np.int64], logits: NDArray[np.float32], labels: Sequence[str]) -> dict[str, Any]:
    """All scores of some predictions: the plain ones, and F1 by label."""
    table = confusion(gold, logits.argmax(axis=1), len(labels))
    return {
        "macro-f1": macro_f1(table),
        "accuracy": float(np.trace(table) / table.sum()),
        "mcc": mcc(table),
        "f1": dict(zip(labels, f1_per_class(table).tolist(), strict=True)),
    }


def score_of(scores: dict[str, Any], name: str) -> float:
    """One score out of a `summary`: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``."""
    kind, _, label = name.partition(":")
    return float(scores[kind][label] if label else scores[kind])


def check_score(name: str, labels: Sequence[str] | None = None) -> None:
    """Refuse an unknown score.

    Raises:
        InputError: not one of ours, or (where the labels are known) F1 of a label that does not exist.
    """
    kind, colon, label = name.partition(":")
    if name in PLAIN_SCORES or (kind == "f1" and colon and (labels is None or label in labels)):
        return
    expected = " | ".join(f'"{plain}"' for plain in PLAIN_SCORES)
    what = f'"{name}" is not a score. Expected {expected} | "f1:<label>"'
    if labels is not None:
        what += f" with one of the labels {', '.join(labels)}"
    raise InputError("study.toml", [Problem("score", f"{what}.")])
