"""Scores against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from finegrid import metrics
from finegrid.errors import InputError

Ints = NDArray[np.int64]


def scores(gold: Ints, predicted: Ints, classes: int) -> dict[str, Any]:
    logits = np.eye(classes, dtype=np.float32)[predicted]
    return metrics.summary(gold, logits, [str(label) for label in range(classes)])


def assert_as_sklearn(gold: Ints, predicted: Ints, classes: int) -> None:
    found = scores(gold, predicted, classes)
    present = np.unique(gold)
    expected = {
        "accuracy": accuracy_score(gold, predicted),
        "macro-f1": f1_score(gold, predicted, labels=present, average="macro", zero_division=0),
    }
    if len(set(gold) | set(predicted)) > 1:  # sklearn warns of a single label, where both say 0
        expected["mcc"] = matthews_corrcoef(gold, predicted)
    else:
        assert found["mcc"] == 0.0
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    by_class = f1_score(gold, predicted, labels=range(classes), average=None, zero_division=0)
    assert list(found["f1"].values()) == pytest.approx(by_class.tolist(), abs=1e-12)


labels = st.integers(2, 5).flatmap(
    lambda classes: st.lists(
        st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=30
    ).map(lambda pairs: (np.array(pairs, dtype=np.int64), classes))
)


@settings(max_examples=60, deadline=None)
@given(labels)
def test_scores_are_those_of_sklearn(drawn: tuple[Ints, int]) -> None:
    pairs, classes = drawn
    assert_as_sklearn(pairs[:, 0], pairs[:, 1], classes)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ([0, 1, 2, 0], [0, 0, 0, 0]),  # classes never predicted
        ([0, 0, 1, 1], [2, 2, 2, 2]),  # a class predicted that no text has
        ([0, 0, 0], [0, 0, 0]),
        ([0, 0, 0], [1, 2, 1]),
        ([0], [1]),
    ],
)
def test_degenerate_predictions_are_scored_as_by_sklearn(gold: list[int], predicted: list[int]) -> None:
    assert_as_sklearn(np.array(gold), np.array(predicted), 3)


def test_macro_f1_by_hand() -> None:
    # a: 2 of 3 found, none wrong: 4/5. b: 1 found, 1 wrong: 2/3. c is in no gold label and does not count.
    found = scores(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)

    assert found["macro-f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_large_counts_do_not_overflow() -> None:
    table = np.array([[3 * 10**8, 10**8], [10**8, 5 * 10**8]])

    assert metrics.mcc(table) == pytest.approx(0.5833333)


def test_a_label_with_a_colon_has_a_score() -> None:
    found = metrics.summary(np.array([0, 1]), np.eye(2, dtype=np.float32), ["a:b", "c"])

    assert metrics.score_of(found, "f1:a:b") == 1.0


@pytest.mark.parametrize("name", ["macro-f1", "accuracy", "mcc", "f1:sport", "f1:a:b"])
def test_known_scores_pass(name: str) -> None:
    metrics.check_score(name, ["sport", "a:b"])


@pytest.mark.parametrize("name", ["f1", "f1:", "F1:sport", "auc", "", "accuracy:sport", "f1:other"])
def test_unknown_scores_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a score"):
        metrics.check_score(name, ["sport"])


def test_of_hundreds_of_labels_a_message_names_some_and_the_closest() -> None:
    labels = [f"intent_{number:03d}" for number in range(320)]
    with pytest.raises(InputError) as refused:
        metrics.check_score("f1:intent-17", labels)
    (problem,) = refused.value.problems

    assert "intent_009 and 310 more" in problem.what and "intent_010" not in problem.what
    assert 'Did you mean "f1:intent_' in problem.what
