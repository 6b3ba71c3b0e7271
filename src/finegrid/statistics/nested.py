"""Studies whose seeds draw splits of their own from one pool of texts.

Train, dev and test are drawn anew for every split, so an effect in one split has the chance of its training
sample, of its test texts and of its runs in it. Texts are nested in splits, and nothing is crossed: an effect
is the mean over splits of its mean over a split's seeds, and its error comes from these K values alone,

    variance = S^2 (1/K + test/train), K - 1 degrees of freedom.

S^2 / K would hold for K samples that have nothing in common. Splits of one pool share texts, and the second
term is for that: the correlation that Nadeau & Bengio (2003, Machine Learning 52, "corrected resampled t")
give it. They show that no unbiased estimate exists; docs/statistics.md has what this one covers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Splits:
    """Which split of the pool every seed was trained and tested on.

    Attributes:
        of_seed: ``[seeds]``, numbers of splits.
        overlap: Test texts over training texts of a split, as they are.
    """

    of_seed: tuple[int, ...]
    overlap: float


def average_over_splits(of_seed: tuple[int, ...]) -> Floats:
    """``[seeds, splits]``: weights that turn columns of seeds into means of splits."""
    numbers = np.array(of_seed)
    member = numbers[:, None] == np.unique(numbers)[None, :]
    return np.asarray(member / member.sum(axis=0))


def score_of_choice(dev: Floats, test: Floats, of_seed: tuple[int, ...]) -> tuple[float, float]:
    """What choosing by a split's own dev scores gives on that split's own test texts: a mean over splits.

    A dev text of one split is a test text of another. So the test score of a recipe that was chosen by dev
    scores of all splits is too high: its texts took part in the choice. Here every split chooses by itself,
    by texts that it does not test on. It is the score of "take the best mean on dev" after
    the seeds of one split, so it is, if anything, below that of a choice by all of them.

    Args:
        dev: ``[recipes, seeds]``, points; nan where no run finished.
        test: ``[recipes, seeds]``, the same runs.
        of_seed: ``[seeds]``, numbers of splits.

    Returns:
        The score, and its standard deviation over splits; nan where no split has a run, or there is only one.
    """
    chosen = []
    for split in dict.fromkeys(of_seed):
        here = np.array(of_seed) == split
        ran = np.isfinite(dev[:, here]) & np.isfinite(test[:, here])
        count = ran.sum(axis=1)
        if not count.any():
            continue
        # Only recipes with all the split's seeds: with a lucky one alone, a recipe looks better than it is.
        whole = np.flatnonzero(count == count.max())
        means = np.where(ran, dev[:, here], 0.0).sum(axis=1)[whole] / count.max()
        best = whole[np.flatnonzero(means == means.max())]  # ties: their mean
        tested = np.where(ran, test[:, here], 0.0).sum(axis=1)[best] / count.max()
        chosen.append(float(tested.mean()))
    if not chosen:
        return np.nan, np.nan
    return float(np.mean(chosen)), float(np.std(chosen, ddof=1)) if len(chosen) > 1 else np.nan
