"""Scores: pure functions of arrays, 0 to 1 (mcc: -1 to 1)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import InputError, Problem
from finegrid.spelling import find_near

PLAIN_SCORES = ("macro-f1", "accuracy", "mcc")
ROUNDING = 1e-9  # of scores in files
MARGIN, MOST_MARGIN = 0.2, 0.5  # points; the smallest and the largest margin that are taken by default
TOLERANCE = 0.5  # points that a recommended recipe may lose against the baseline
MOST_NAMED = 10  # labels, in a message
CORRELATIONS = frozenset(
    ("mcc", "matthews", "kappa", "corr", "correlation", "pearson", "spearman", "kendall")
)


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
    return summary_of(confusion(gold, logits.argmax(axis=1), len(labels)), labels)


def summary_of(table: NDArray[np.int64], labels: Sequence[str]) -> dict[str, Any]:
    """The same of a `confusion` table."""
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


def find_scores_problem(scores: Mapping[str, Any], labels: Collection[str]) -> str:
    """Why scores that a file holds are no `summary` of these labels; empty where they are."""
    of_labels = scores.get("f1")
    if not isinstance(of_labels, Mapping) or of_labels.keys() != set(labels):
        return "f1 is not of the study's labels"
    for name, value in (*((name, scores.get(name)) for name in PLAIN_SCORES), *of_labels.items()):
        if why := find_range_problem(name, value):
            return why
    return ""


def find_range_problem(name: str, value: object) -> str:
    """Why a value is none of a score, 0 to 1 (mcc: from -1); empty where it is."""
    low = -1 if name == "mcc" else 0
    fits = isinstance(value, (int, float)) and low - ROUNDING <= value <= 1 + ROUNDING
    return "" if fits else f"{name} is no number from {low} to 1"


def find_epoch_problem(scores: Mapping[str, Any], score: str) -> str:
    """Why scores of an epoch do not tell a score; empty where they do. Files may have fewer than all."""
    if any(isinstance(value, Mapping) != (name == "f1") for name, value in scores.items()):
        return "found a score of another shape"
    try:
        return find_range_problem(score, score_of(scores, score))
    except LookupError:
        return f"{score} is missing"


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
    what, hint = f'"{name}" is not a score. Expected {expected} | "f1:<label>"', ""
    if labels is not None:
        more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
        what += f" with one of the labels {', '.join(labels[:MOST_NAMED])}{more}"
        close = find_near(label, labels)
        hint = f' Did you mean "f1:{close[0]}"?' if close else ""
    raise InputError("study.toml", [Problem("score", f"{what}.{hint}")])


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
    Tibshirani 1993, chapter 21). The score is a function of the confusion table, and it comes out as
    `Influence`: three values a class and run, however many classes there are.

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
        found = Influence.of(count_classes(gold, labels_of_run, classes), score, labels)
        values[run] = found.of_texts(gold, labels_of_run)
    return values.reshape(predicted.shape)


def grain(gold: NDArray[np.int64], classes: int, score: str, labels: Sequence[str] = ()) -> float:
    """Points that a single text moves a score by, at most: of predictions that are all right.

    Args:
        gold: ``[texts]``.
        score: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``; the last needs ``labels``.
    """
    found = Influence.of(count_classes(gold, gold, classes), score, labels)
    present = np.bincount(gold, minlength=classes) > 0
    # A text of one class goes over to another one: the cheapest, or the next to it where that is its own.
    cheapest = np.argsort(found.predicted, kind="stable")[:2]
    other = np.where(np.arange(classes) == cheapest[0], cheapest[-1], cheapest[0])
    change = found.hit + found.predicted - found.predicted[other]
    return float(change[present].max(initial=0.0) / len(gold))


@dataclass(frozen=True)
class ClassCounts:
    """The margins and the diagonal of a confusion table: all that a score of ours is made of.

    Attributes:
        gold, predicted, hits: ``[classes]``, how many texts have a label, were given it, and both.
    """

    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    hits: NDArray[np.int64]

    @property
    def texts(self) -> int:
        return int(self.gold.sum())


def count_classes(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> ClassCounts:
    """``gold``, ``predicted``: ``[texts]``, class numbers."""
    each = (np.bincount(of, minlength=classes) for of in (gold, predicted, gold[gold == predicted]))
    return ClassCounts(*each)


@dataclass(frozen=True)
class Influence:
    """The `influence` of a text by its labels: ``gold[g] + predicted[p]``, and ``hit[g]`` where g is p.

    Attributes:
        hit, gold, predicted: ``[classes]``, points.
    """

    hit: NDArray[np.float64]
    gold: NDArray[np.float64]
    predicted: NDArray[np.float64]

    @classmethod
    def of(cls, counts: ClassCounts, score: str, labels: Sequence[str] = ()) -> Influence:
        """Of one run. ``score``, ``labels``: as of `influence`."""
        kind, _, label = score.partition(":")
        if kind == "f1":
            share = np.zeros(len(counts.gold))
            share[list(labels).index(label)] = 1.0
            return cls._of_f1(counts, share)
        if kind == "macro-f1":
            present = counts.gold > 0
            return cls._of_f1(counts, present / present.sum())
        if kind == "accuracy":
            ones = np.ones(len(counts.gold))
            return cls(100 * ones, -100 * counts.hits.sum() / counts.texts * ones, 0 * ones)
        return cls._of_mcc(counts)

    @classmethod
    def _of_f1(cls, counts: ClassCounts, share: NDArray[np.float64]) -> Influence:
        """Of a weighted sum of F1s: f1 = 2 hits / both, so d f1 = (2 d hits - f1 d both) / both.

        Args:
            counts: of one run.
            share: ``[classes]``, the weight of each.
        """
        both = (counts.gold + counts.predicted).astype(float)
        each = np.divide(100 * counts.texts * share, both, out=np.zeros(len(both)), where=both > 0)
        f1 = np.divide(2.0 * counts.hits, both, out=np.zeros(len(both)), where=both > 0)
        return cls(2 * each, -f1 * each, -f1 * each)

    @classmethod
    def _of_mcc(cls, counts: ClassCounts) -> Influence:
        """The derivative of (hits total - gold . predicted) / sqrt(a b)."""
        total, hits = float(counts.texts), float(counts.hits.sum())
        gold, predicted = counts.gold.astype(float), counts.predicted.astype(float)
        a, b = total**2 - predicted @ predicted, total**2 - gold @ gold
        if a * b <= 0:
            return cls(*np.zeros((3, len(gold))))
        above, each = hits * total - gold @ predicted, 100 * total / np.sqrt(a * b)
        d_gold = hits - predicted - above * (total - gold) / b
        d_predicted = -gold - above * (total - predicted) / a
        return cls(np.full(len(gold), each * total), each * d_gold, each * d_predicted)

    def of_texts(self, gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float32]:
        """``[texts]``, points. ``gold``, ``predicted``: ``[texts]``."""
        values = self.gold[gold] + self.predicted[predicted] + np.where(gold == predicted, self.hit[gold], 0)
        return values.astype(np.float32)
