"""Scores: pure functions of arrays, 0 to 1 (mcc: -1 to 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import InputError, Problem

PLAIN_SCORES = ("macro-f1", "accuracy", "mcc")
MARGIN, MOST_MARGIN = 0.2, 0.5  # points; the smallest and the largest margin that are taken by default
TOLERANCE = 0.5  # points that a recommended recipe may lose against the baseline
CORRELATIONS = frozenset(
    ("mcc", "matthews", "kappa", "corr", "correlation", "pearson", "spearman", "kendall")
)
MARGIN = 0.2  # points; smaller differences are none


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


def score_of(scores: Mapping[str, Any], name: str) -> float:
    """One score out of a `summary`: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``."""
    kind, _, label = name.partition(":")
    return float(scores[kind][label] if label else scores[kind])


def range_of(name: str) -> tuple[float, float]:
    """What a score can be, in points: from and to. Of tables from elsewhere, also by other names."""
    words = re.findall(r"[^\W\d_]+", name.partition(":")[0].casefold())
    return (-100.0 if CORRELATIONS.intersection(words) else 0.0), 100.0


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


def influence(
    gold: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: int,
    score: str,
    labels: Sequence[str] = (),
) -> NDArray[np.float32]:
    """What each text contributes to a score, in points (0 to 100): the infinitesimal jackknife.

    The value of a text is the derivative of the score by that text's weight, times the number of texts: the
    score of a sample with slightly other weights is the score + the weighted mean of these values. They sum
    to zero, and their variance over the number of texts is the sampling variance of the score (Efron &
    Tibshirani 1993, chapter 21). The score is a function of the confusion table, so there are only
    ``classes ** 2`` distinct values per run.

    Args:
        gold: ``[texts]``.
        predicted: ``[..., texts]``, any number of runs on the same texts.
        score: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``; the last needs ``labels``.

    Returns:
        ``[..., texts]``, float32: points are of order 100, a few decimals suffice, and a study of 64
        recipes and 8 seeds on 10,000 texts fits into 20 MB.
    """
    texts = predicted.shape[-1]
    runs = predicted.reshape(-1, texts)
    values = np.empty(runs.shape, dtype=np.float32)
    for run, labels_of_run in enumerate(runs):
        cells = influence_of_cells(confusion(gold, labels_of_run, classes), score, labels)
        values[run] = cells.astype(np.float32).ravel()[gold * classes + labels_of_run]
    return values.reshape(predicted.shape)


def grain(gold: NDArray[np.int64], classes: int, score: str, labels: Sequence[str] = ()) -> float:
    """Points that a single text moves a score by, at most: of predictions that are all right.

    Args:
        gold: ``[texts]``.
        score: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``; the last needs ``labels``.
    """
    cells = influence_of_cells(confusion(gold, gold, classes), score, labels)
    present = np.bincount(gold, minlength=classes) > 0
    change = (np.diag(cells)[:, None] - cells)[present]
    return float(change.max(initial=0.0) / len(gold))


def influence_of_cells(
    table: NDArray[np.int64], score: str, labels: Sequence[str] = ()
) -> NDArray[np.float64]:
    """``[classes, classes]``, points: the `influence` of a text in each cell of the confusion table."""
    kind, _, label = score.partition(":")
    if kind == "f1":
        number = list(labels).index(label)
        return np.asarray(100 * _f1_influence(table, slice(number, number + 1))[0])
    if kind == "macro-f1":
        return np.asarray(100 * _f1_influence(table)[table.sum(axis=1) > 0].mean(axis=0))
    if kind == "accuracy":
        return np.asarray(100 * (np.eye(len(table)) - np.trace(table) / table.sum()))
    return 100 * _mcc_influence(table)


def _f1_influence(table: NDArray[np.int64], chosen: slice = slice(None)) -> NDArray[np.float64]:
    """``[chosen classes, gold, predicted]``: f1 = 2 hits / both, so d f1 = (2 d hits - f1 d both) / both."""
    both = (table.sum(axis=0) + table.sum(axis=1)).astype(float)
    eye = np.eye(len(table))[chosen]
    hit = eye[:, :, None] * eye[:, None, :]
    either = eye[:, :, None] + eye[:, None, :]
    change = 2 * hit - f1_per_class(table)[chosen, None, None] * either
    per_text = np.divide(table.sum(), both, out=np.zeros(len(table)), where=both > 0)
    return np.asarray(change * per_text[chosen, None, None])


def _mcc_influence(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """``[gold, predicted]``: the derivative of (hits total - gold . predicted) / sqrt(a b)."""
    total, hits = float(table.sum()), float(np.trace(table))
    gold, predicted = table.sum(axis=1).astype(float), table.sum(axis=0).astype(float)
    a, b = total**2 - predicted @ predicted, total**2 - gold @ gold
    if a * b <= 0:
        return np.zeros(table.shape)
    above = hits * total - gold @ predicted
    d_above = total * np.eye(len(table)) + hits - predicted[:, None] - gold[None, :]
    d_a = 2 * total - 2 * predicted[None, :]
    d_b = 2 * total - 2 * gold[:, None]
    return np.asarray(total * (d_above - above / 2 * (d_a / a + d_b / b)) / np.sqrt(a * b))
