"""Influence values of texts, against brute force."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from finegrid import metrics

LABELS = ["a", "b", "c", "d"]
SCORES = ["macro-f1", "accuracy", "mcc", "f1:b"]


def predictions(texts: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Three of four classes have gold texts; the fourth is predicted now and then."""
    random = np.random.default_rng(seed)
    gold = random.choice(3, size=texts, p=[0.6, 0.3, 0.1])
    wrong = random.random(texts) < 0.25
    return gold, np.where(wrong, random.integers(0, 4, texts), gold)


def points(gold: NDArray[np.int64], predicted: NDArray[np.int64], score: str) -> float:
    logits = np.eye(4, dtype=np.float32)[predicted]
    return 100 * metrics.score_of(metrics.summary(gold, logits, LABELS), score)


@pytest.mark.parametrize("score", SCORES)
def test_influence_is_what_leaving_a_text_out_changes(score: str) -> None:
    gold, predicted = predictions(400)
    values = metrics.influence(gold, predicted, 4, score, LABELS)
    whole = points(gold, predicted, score)
    without = np.array(
        [points(np.delete(gold, text), np.delete(predicted, text), score) for text in range(400)]
    )

    # First order: a class of 40 texts leaves 1/40 of itself over.
    assert values == pytest.approx(399 * (whole - without), rel=0.06, abs=0.5)
    assert abs(values.mean(dtype=float)) < 1e-4


@pytest.mark.parametrize("score", SCORES)
def test_influence_gives_the_spread_of_the_bootstrap(score: str) -> None:
    gold, predicted = predictions(500, seed=1)
    random = np.random.default_rng(2)
    draws = [random.integers(0, 500, 500) for _ in range(1500)]
    spread = np.std([points(gold[draw], predicted[draw], score) for draw in draws])

    values = metrics.influence(gold, predicted, 4, score, LABELS)
    assert values.std() / np.sqrt(500) == pytest.approx(spread, rel=0.08)


def test_influence_of_a_difference_knows_that_the_texts_are_the_same() -> None:
    gold, first = predictions(500, seed=3)
    second = first.copy()
    second[:10] = gold[:10]
    random = np.random.default_rng(4)
    draws = [random.integers(0, 500, 500) for _ in range(1500)]
    changes = [points(gold[d], second[d], "macro-f1") - points(gold[d], first[d], "macro-f1") for d in draws]

    values = metrics.influence(gold, np.stack([first, second]), 4, "macro-f1")
    assert (values[1] - values[0]).std() / np.sqrt(500) == pytest.approx(np.std(changes), rel=0.1)


@pytest.mark.parametrize("score", [*SCORES, "f1:d"])
def test_degenerate_predictions_have_finite_influence(score: str) -> None:
    gold = np.array([0, 0, 1, 1])
    values = metrics.influence(gold, np.array([[0, 0, 0, 0], [0, 0, 1, 1], [2, 2, 2, 2]]), 4, score, LABELS)

    assert values.shape == (3, 4) and np.isfinite(values).all()


def test_the_largest_study_takes_seconds() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(0, 10, 10_000)
    predicted = np.where(random.random((128, 10_000)) < 0.9, gold, 3)
    started = time.perf_counter()
    values = metrics.influence(gold, predicted, 10, "macro-f1")

    assert time.perf_counter() - started < 2  # a quarter of 64 recipes x 8 seeds
    assert values.nbytes == 128 * 10_000 * 4


def f1_influence_by_cubes(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """``[classes, gold, predicted]``, points: the derivative of every class's F1, written out."""
    table = metrics.confusion(gold, predicted, 4)
    both = (table.sum(axis=0) + table.sum(axis=1)).astype(float)
    eye = np.eye(4)
    hit = eye[:, :, None] * eye[:, None, :]
    either = eye[:, :, None] + eye[:, None, :]
    change = 2 * hit - metrics.f1_per_class(table)[:, None, None] * either
    per_text = np.divide(table.sum(), both, out=np.zeros(4), where=both > 0)
    return np.asarray(100 * change * per_text[:, None, None])


@pytest.mark.parametrize("seed", range(5))
def test_influence_on_f1_is_that_of_the_formula_written_out(seed: int) -> None:
    gold, predicted = predictions(60, seed)
    cells = f1_influence_by_cubes(gold, predicted)
    present = np.bincount(gold, minlength=4) > 0
    macro = cells[present].mean(axis=0)[gold, predicted]

    assert metrics.influence(gold, predicted, 4, "macro-f1") == pytest.approx(macro, rel=1e-6, abs=1e-5)
    for number, label in enumerate(LABELS):
        of_label = metrics.influence(gold, predicted, 4, f"f1:{label}", LABELS)
        assert of_label == pytest.approx(cells[number][gold, predicted], rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("score", [*SCORES, "f1:d"])
def test_the_grain_is_the_largest_change_that_one_text_makes(score: str) -> None:
    gold = np.repeat([0, 1, 2], [5, 3, 2])
    places = [(text, label) for text in range(10) for label in range(4)]
    moved = [np.where(np.arange(10) == text, label, gold) for text, label in places]
    values = metrics.influence(gold, gold, 4, score, LABELS).astype(float)
    # First order: what the text's own value becomes where it is given another label, with all else as it is.
    found = metrics.Influence.of(metrics.count_classes(gold, gold, 4), score, LABELS)
    losses = [values[t] - found.of_texts(gold, after)[t] for (t, _), after in zip(places, moved, strict=True)]

    assert metrics.grain(gold, 4, score, LABELS) == pytest.approx(max(losses) / 10, rel=1e-6)


@pytest.mark.parametrize("score", ["macro-f1", "accuracy", "mcc", "f1:7"])
def test_influence_takes_no_table_of_classes(score: str) -> None:
    classes = 20_000  # squared they are 3 GiB, cubed 58,000
    gold = np.arange(classes)
    predicted = np.where(gold % 7 == 0, (gold + 1) % classes, gold)
    labels = [str(number) for number in range(classes)]
    tracemalloc.start()
    values = metrics.influence(gold, predicted, classes, score, labels)
    metrics.grain(gold, classes, score, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert np.isfinite(values).all() and peak < 20_000_000
