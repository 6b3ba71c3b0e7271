"""Audits of studies that nobody looked at, for tests of plans and forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finegrid.study.audit_file import Audit, Cost


def audit_of(*costs: Cost) -> Audit:
    return Audit(
        engine=1,
        fingerprints={},
        labels=["a", "b"],
        sizes={"train": 100, "dev": 10, "test": 10},
        tokens={"mean": 20.0},
        majority=majority_of(["a", "b"]),
        warnings=[],
        rows=[],
        costs=list(costs),
        versions={},
    )


def majority_of(labels: Sequence[str], score: float = 0.2) -> dict[str, dict[str, Any]]:
    """What always predicting one class comes to, made up."""
    each = {"macro-f1": score, "accuracy": score, "mcc": 0.0, "f1": dict.fromkeys(labels, score)}
    return {"dev": each, "test": each}
