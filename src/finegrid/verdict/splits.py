"""What a verdict says of seeds that drew their own split of the texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finegrid.results.results import Results
from finegrid.statistics.decide import Interval, plain_interval
from finegrid.statistics.nested import score_of_choice


@dataclass(frozen=True)
class DrawnSplits:
    """The splits of the pool that have runs.

    Attributes:
        seen: How many.
        of: How many the study asks for.
        test_per_train: Test texts over training texts of a split.
        choice: Mean over splits of the test score of the recipe that the split's own dev scores choose,
            points; nan where the test texts have a file of their own: none of them is a dev text elsewhere.
        interval: Its 95 % interval.
    """

    seen: int
    of: int
    test_per_train: float
    choice: float
    interval: Interval


def describe_splits(results: Results) -> DrawnSplits | None:
    """None where all seeds have the same texts."""
    splits = results.splits("test")
    if splits is None or results.resampling is None:
        return None
    ran = np.flatnonzero(np.isfinite(results.points("test")).any(axis=0))
    seen = {splits.of_seed[seed] for seed in ran}
    choice, interval = np.nan, Interval(-np.inf, np.inf)
    if results.is_nested("test"):
        choice, sd = score_of_choice(results.points("dev"), results.points("test"), splits.of_seed)
        if len(seen) > 1:
            se = sd * np.sqrt(1 / len(seen) + splits.overlap)
            interval = plain_interval(choice, float(se), len(seen) - 1.0)
    return DrawnSplits(len(seen), results.resampling.splits, splits.overlap, choice, interval)
