"""Names that MLflow, file systems and TensorBoard take, and that stay apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finegrid.export.names import clean_name, make_distinct, name_curves, name_finals, name_metrics
from finegrid.export.tables import name_factors

TEXT = st.text(st.characters(codec="utf-8"))


@given(st.sets(TEXT | st.sampled_from(["", ".", "..", "a/b", "a_b", "A_B", "a_b_2", "x" * 300, "数" * 300])))
def test_any_labels_become_names_of_files_that_differ(labels: set[str]) -> None:
    names = make_distinct(labels, clean_name)

    assert len({name.casefold() for name in names.values()}) == len(labels)
    for name in names.values():
        assert re.fullmatch(r"[\w.\- ]+", name) and name.strip(". ") and len(name.encode()) < 120


@pytest.mark.parametrize("label", ["..", "a/../b", "/a", "x" * 300, "数" * 200, "\n", "<b>"])
def test_mlflow_takes_them(label: str) -> None:
    validation = pytest.importorskip("mlflow.utils.validation", reason="finegrid[mlflow] is not installed")

    for name in name_metrics([f"test/f1:{label}", "test/f1:other"]).values():
        validation._validate_metric_name(name)
        validation._validate_param_name(clean_name(label))


def test_curves_do_not_pass_for_final_scores() -> None:
    keys = ["dev/macro-f1", "test/macro-f1", "dev/f1:a/b", "test/f1:a/b"]

    assert list(name_curves(keys).values()) == [
        *("dev/macro-f1", "test_by_epoch/macro-f1", "dev_f1/a_b", "test_f1_by_epoch/a_b")
    ]
    assert list(name_finals(keys).values()) == [
        *("dev_best/macro-f1", "test/macro-f1", "dev_f1_best/a_b", "test_f1/a_b")
    ]


def test_a_factor_does_not_take_a_column_of_ours() -> None:
    assert name_factors(["status", "rate", "factor.status"]) == {
        "status": "factor.status",
        "rate": "rate",
        "factor.status": "factor.status_2",
    }
