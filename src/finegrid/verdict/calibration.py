"""What each strategy does to the probabilities that a model gives, beside its score. It decides nothing.

Log loss and Brier score (Brier 1950, over all classes: 0 to 2) look at how sure a model is; lower is better.
A strategy may move them by design: label smoothing and R-Drop make a model less sure, more epochs make it
more so, whether or not it is right more often. So they have plain intervals, and no word rests on them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from finegrid.losses import LOSSES, Loss
from finegrid.results.results import Results
from finegrid.statistics.effects import Effect, analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.grouped import sum_by_group
from finegrid.study.predictions import read_each, take_losses

MOST_VALUES = 60_000_000  # runs times texts: what is kept of each takes a GiB there


def measure_calibration(results: Results, test: Experiment) -> Mapping[Loss, tuple[Effect, ...]]:
    """Main effects on log loss and Brier score of test, in the order of the factors.

    Empty for a table, and where runs times texts are more than `MOST_VALUES`.

    Args:
        results: of a study.
        test: its experiment on test: contrasts and splits are shared.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions = results.predictions("test")
    if results.audit is None or predictions is None or predictions.predicted.size > MOST_VALUES:
        return {}
    shape = (len(results.recipes), len(results.seeds))
    mean: dict[Loss, NDArray[np.float64]] = {name: np.full(shape, np.nan) for name in LOSSES}
    crossed = not results.is_nested("test")
    each: dict[Loss, NDArray[np.float32]] = {}
    if crossed:
        each = {name: np.zeros(predictions.predicted.shape, dtype=np.float32) for name in LOSSES}
    places = {record.run_id: at for at, record in results.finished()}
    for record, losses in read_each(results.folder, [one for _, one in results.finished()], take_losses):
        at = places[record.run_id]
        for name, values in losses.items():
            mean[name][at] = values.mean(dtype=np.float64)
            if crossed:
                each[name][at] = values - mean[name][at]
    found: dict[Loss, tuple[Effect, ...]] = {}
    for name in LOSSES:
        influence = each.get(name)
        if influence is not None and predictions.groups is not None:
            influence = sum_by_group(influence, predictions.groups)
        found[name] = analyse_mains(test.with_scores(mean[name], influence), 0.0)
    return found
