"""Small files of predictions: two systems and more on the same texts, with answers that a test chooses."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("neg", "neu", "pos")
TEXTS = 120
TRUTH: NDArray[np.int64] = np.arange(TEXTS) % 3
IDS = [f"t{number}" for number in range(TEXTS)]


def answer(skill: float, run: int) -> NDArray[np.float64]:
    """Probabilities ``[texts, classes]`` of one run; hard texts are hard for every run."""
    hard = np.random.default_rng(99).standard_normal(TEXTS)
    logits = 0.6 * np.random.default_rng(run).standard_normal((TEXTS, 3))
    logits[np.arange(TEXTS), TRUTH] += skill + hard
    raised = np.exp(logits)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_gold(path: Path) -> Path:
    rows = [(name, f"text {name}", LABELS[label]) for name, label in zip(IDS, TRUTH, strict=True)]
    return write_rows(path, ["id", "text", "label"], rows)


def write_labels(path: Path, labels: Sequence[int], shuffle: bool = True) -> Path:
    """Ids and predicted labels, in another order than gold's."""
    rows = [(name, LABELS[label]) for name, label in zip(IDS, labels, strict=True)]
    order = np.random.default_rng(7).permutation(TEXTS) if shuffle else np.arange(TEXTS)
    return write_rows(path, ["id", "label"], [rows[index] for index in order])


def write_probabilities(path: Path, probabilities: NDArray[np.float64]) -> Path:
    """As `finegrid predict` names the columns."""
    rows = [(name, *values) for name, values in zip(IDS, probabilities.tolist(), strict=True)]
    return write_rows(path, ["id", *(f"probability:{label}" for label in LABELS)], rows)


def write_systems(folder: Path, runs: int = 3) -> list[str]:
    """Gold, and what the command line is given: a baseline and a better system, with probabilities."""
    write_gold(folder / "gold.csv")
    arguments = []
    for number, (name, skill) in enumerate({"base": 0.6, "new": 1.4}.items()):
        for run in range(runs):
            path = folder / f"{name}{run}.csv"
            write_probabilities(path, answer(skill, 10 * number + run))
            arguments.append(f"{name}={path}")
    return arguments
