"""The jackknife by group: against leaving groups out one by one, and with groups of one text."""

import numpy as np
import pytest

from finegrid import metrics
from finegrid.statistics.grouped import sum_by_group


def test_groups_of_one_text_are_the_texts() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 2, 40)).astype(np.float32)

    assert np.array_equal(sum_by_group(values, np.arange(40)), values)


def test_the_variance_is_that_of_leaving_out_whole_groups() -> None:
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(150), 1 + np.arange(150) % 9))  # of 1 to 9 texts
    hard = rng.normal(size=150)[groups]  # texts of one group are hard together
    gold = rng.integers(0, 3, len(groups))
    right = hard + rng.normal(size=len(groups)) > -1
    predicted = np.where(right, gold, (gold + 1) % 3)

    def score(kept: np.ndarray) -> float:
        return 100 * metrics.macro_f1(metrics.confusion(gold[kept], predicted[kept], 3))

    left_out = np.array([score(groups != group) for group in range(150)])
    jackknife = 149 / 150 * ((left_out - left_out.mean()) ** 2).sum()
    values = sum_by_group(metrics.influence(gold, predicted, 3, "macro-f1"), groups)
    alone = metrics.influence(gold, predicted, 3, "macro-f1").var(ddof=1) / len(groups)

    assert values.shape == (150,) and abs(values.mean()) < 1e-3
    assert values.var(ddof=1) / 150 == pytest.approx(jackknife, rel=0.05)
    assert jackknife > 1.5 * alone  # what taking texts for independent would have missed
