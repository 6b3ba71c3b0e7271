"""What free factors add to the costs of runs: copies of weights, and passes over dev and test."""

from __future__ import annotations

from collections.abc import Collection

from finegrid.strategies.scoring import Scoring
from finegrid.study.audit_file import Audit, Cost
from finegrid.study.study import Study


def with_free(audit: Audit, study: Study) -> Audit:
    """The audit as runs cost that are scored at the study's free levels; itself where there are none."""
    scorings = study.free_scorings.values()
    costs = [add_free(cost, study.blank.at(cost.shared).training.epochs, scorings) for cost in audit.costs]
    return audit.model_copy(update={"costs": costs})


def add_free(cost: Cost, epochs: int, scorings: Collection[Scoring]) -> Cost:
    """What a run of so many epochs costs when it is scored so as well."""
    copies = sum(scoring.copies for scoring in scorings)
    dev, test = (sum(scoring.passes(epochs)[place] for scoring in scorings) for place in range(2))
    more = copies * cost.member_memory // cost.copies
    return cost.model_copy(
        update={
            "memory": cost.memory + more,
            "member_memory": cost.member_memory + more,
            "copies": cost.copies + copies if cost.member_memory else cost.copies,
            "evaluation_seconds": cost.evaluation_seconds * (1 + dev / epochs),
            "test_seconds": cost.test_seconds * (1 + test),
        }
    )
