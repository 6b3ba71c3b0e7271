"""Texts that belong together, such as those of one author, are one observation, not many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finegrid.statistics.outcomes import Values


def sum_by_group(influence: Values, groups: NDArray[np.int64]) -> Values:
    """What each group of texts contributes to a score: the jackknife that leaves out whole groups.

    A score's sampling variance is that of these values over their number, as it is with single texts: the
    values of a group are added up and scaled by groups over texts, so that groups may be of any size. With
    groups of one text they are the texts' own values. (Miller 1974, Biometrika 61; in surveys: linearisation
    with primary sampling units.)

    Args:
        influence: ``[..., texts]``, points, mean 0 over texts (`metrics.influence`).
        groups: ``[texts]``, equal numbers are one group.

    Returns:
        ``[..., groups]``, in the order of their numbers.
    """
    names, place = np.unique(groups, return_inverse=True)
    order = np.argsort(place, kind="stable")
    begins = np.searchsorted(place[order], np.arange(len(names)))
    sums = np.add.reduceat(influence[..., order], begins, axis=-1)
    return np.asarray(sums * influence.dtype.type(len(names) / len(groups)))
