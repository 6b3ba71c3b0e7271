"""What the models of all seeds of a recipe score together: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from finegrid import metrics
from finegrid.results.results import Results
from finegrid.statistics.decide import Interval, plain_interval
from finegrid.statistics.grouped import sum_by_group
from finegrid.study.prediction_file import take_logits
from finegrid.study.predictions import read_each
from finegrid.verdict.outcomes import measure_grain

MOST_PROBABILITIES = 60_000_000  # of all models of a recipe: a quarter of a GiB is read for them


@dataclass(frozen=True)
class Ensemble:
    """The models of a recipe, asked together. Points; intervals (95 %) are of other texts and these models.

    Attributes:
        recipe: of the results.
        models: one a seed; a prediction takes so many times what it takes of one.
        score: of the class whose mean probability is highest, on test.
        interval: of it.
        gain: on the mean score of the models one by one, on the same texts.
        gain_interval: of it.
    """

    recipe: int
    models: int
    score: float
    interval: Interval
    gain: float
    gain_interval: Interval


def score_ensembles(results: Results, recipes: Sequence[int]) -> tuple[Ensemble, ...]:
    """Of some recipes those that have two models or more. None of a table, where seeds have texts of their
    own, and where the probabilities of all models are more than `MOST_PROBABILITIES`.

    Raises:
        InputError: predictions that cannot be read.
    """
    if results.audit is None or results.repeats or results.is_nested("test"):
        return ()
    return tuple(found for recipe in dict.fromkeys(recipes) for found in _score(results, recipe))


def _score(results: Results, recipe: int) -> Iterator[Ensemble]:
    labels, predictions = results.labels, results.predictions("test")
    records = [record for (row, _), record in results.finished() if row == recipe]
    if labels is None or predictions is None or len(records) < 2:
        return
    if len(records) * len(predictions.gold) * len(labels) > MOST_PROBABILITIES:
        return
    read = read_each(results.folder, records, lambda file: take_logits(file, "test"))
    answers = pool(said.logits for _, said in read)
    grain = measure_grain(results, "test")
    told = judge_answers(predictions.gold, answers, labels, results.score, predictions.groups, grain)
    yield Ensemble(recipe, len(records), *told)


def pool(logits: Iterable[NDArray[np.float32]]) -> NDArray[np.int64]:
    """``[1 + models, texts]``: what all models answer by the mean of their probabilities, then each alone.

    Args:
        logits: of each model, ``[texts, classes]``; they are looked at one by one.
    """
    total, alone = np.zeros(1), []
    for own in logits:
        total = total + special.softmax(own.astype(np.float64), axis=1)
        alone.append(own.argmax(axis=1))
    return np.stack([total.argmax(axis=1), *alone])


def judge_answers(
    gold: NDArray[np.int64],
    answers: NDArray[np.int64],
    labels: Sequence[str],
    score: str,
    groups: NDArray[np.int64] | None = None,
    grain: float = 0.0,
) -> tuple[float, Interval, float, Interval]:
    """Score of what all answer, and its gain on the mean score of each, both with their interval.

    Args:
        gold: ``[texts]``.
        answers: ``[1 + models, texts]``, see `pool`.
        labels: names of the classes.
        score: such as ``macro-f1``.
        groups: ``[texts]``, equal numbers are one group; None: each text is one.
        grain: points that a single text, or group, moves the score by, at most.
    """
    tables = [metrics.confusion(gold, own, len(labels)) for own in answers]
    points = np.array([100 * metrics.score_of(metrics.summary_of(one, labels), score) for one in tables])
    influence = metrics.influence(gold, answers, len(labels), score, labels)
    if groups is not None:
        influence = sum_by_group(influence, groups)
    together, gain = float(points[0]), float(points[0] - points[1:].mean())
    own = influence[0]
    return (
        together,
        over_texts(together, own, grain),
        gain,
        over_texts(gain, own - influence[1:].mean(axis=0), grain),
    )


def over_texts(estimate: float, influence: NDArray[np.floating[Any]], grain: float) -> Interval:
    """95 %, of other texts alone: by the jackknife that leaves out single ones, or groups.

    Args:
        estimate: points.
        influence: ``[texts or groups]``, what each contributes.
        grain: points that a single one moves the score by, at most.
    """
    count = len(influence)
    se = float(influence.std(dtype=np.float64, ddof=1) / np.sqrt(count)) if count > 1 else np.inf
    return plain_interval(estimate, se, count - 1, grain=grain)
