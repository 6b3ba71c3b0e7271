"""Any two recipes: their difference, paired by seed and text, with a plain interval.

    pairs = compare_pairs(experiment, rows)

All pairs are one family, whose variances lend to each other as those of effects do. Nobody knows beforehand
which pair a reader picks, so the intervals are not corrected for the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse

from finegrid.statistics.decide import Interval, plain_interval
from finegrid.statistics.experiment import Experiment


@dataclass(frozen=True)
class RecipePair:
    """One recipe less another, on the same seeds and texts; points.

    Attributes:
        one, other: Rows of ``Outcomes.recipes``.
        estimate: ``one`` less ``other``; nan where the runs do not show it.
        plain: The 95 % interval of this difference on its own.
    """

    one: int
    other: int
    estimate: float
    plain: Interval


def compare_pairs(experiment: Experiment, rows: Sequence[int]) -> list[RecipePair]:
    """Every two of ``rows``, in the order of `itertools.combinations`.

    Args:
        rows: of ``Outcomes.recipes``.
    """
    kept = np.flatnonzero(experiment.completion.kept).tolist()
    place = {row: index for index, row in enumerate(kept)}
    given = list(combinations([row for row in rows if row in place], 2))
    known: dict[tuple[int, int], tuple[float, Interval]] = {}
    if given:
        columns = np.array([[place[one], place[other]] for one, other in given])
        values = np.tile([1.0, -1.0], len(given))
        lines = np.repeat(np.arange(len(given)), 2)
        weights = sparse.csr_array((values, (lines, columns.ravel())), shape=(len(given), len(kept)))
        noise = experiment.noise_of(weights)
        estimates = weights @ experiment.filled.score.mean(axis=1)
        for pair, mean, error, df in zip(given, estimates, np.sqrt(noise.variance), noise.df, strict=True):
            chance = float(error), float(df)
            known[pair] = float(mean), plain_interval(float(mean), *chance, grain=experiment.outcomes.grain)
    unknown = np.nan, Interval(-np.inf, np.inf)
    return [RecipePair(one, other, *known.get((one, other), unknown)) for one, other in combinations(rows, 2)]
