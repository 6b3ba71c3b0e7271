"""Facts of classes: how well the recommended recipe does each, and which it takes for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.facts.report import ClassesFacts, ClassFacts, ConfusedPair
from finegrid.spelling import json_number
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import UNKNOWN, score_recipe
from finegrid.verdict.classes import rescore_classes
from finegrid.verdict.to_json import pair
from finegrid.verdict.verdict import Verdict

MOST_SHOWN = 50  # classes: of up to so many, figures and tables show all
COMMON, LOWEST = 20, 20  # classes that are shown of more
LEAST_TEXTS = 5  # of test: with fewer an F1 is mostly luck, and such a class is called low after all others
CONFUSED = 20  # classes in the confusion table then
MOST_PAIRS = 30  # of classes that are taken for each other


def class_facts(verdict: Verdict) -> ClassesFacts | None:
    """Of the recommended recipe: F1 of every class with a 95 % interval, and what is taken for what.

    None where there are no predictions of it.
    """
    results, index = verdict.results, verdict.recommended
    predictions = results.predictions("test")
    labels = results.labels
    if predictions is None or labels is None or index is None:
        return None
    gold, predicted, count = predictions.gold, predictions.predicted[index], predictions.classes
    runs = predicted[(predicted >= 0).any(axis=1)].astype(np.int64)  # [finished seeds, texts]
    if not len(runs):  # they diverged
        return None
    total = sum_confusions(gold, runs, count)
    experiments = rescore_classes(verdict.test, results, index)
    scores = [score_recipe(experiment, index) for experiment in experiments]
    classes = describe_classes(labels, total, scores, len(runs))
    pairs = find_pairs(total)
    common, lowest = choose_shown(classes)
    confused = choose_confused(pairs, common) if lowest else np.arange(count)
    return {
        "rows": list(results.recipes[index].rows),
        "seeds": len(runs),
        "all": count,
        "classes": classes,
        "common": [labels[number] for number in common],
        "lowest": [labels[number] for number in lowest],
        "labels": [labels[number] for number in confused],
        "confusion": (total[np.ix_(confused, confused)] / len(runs)).round(4).tolist(),
        "pairs": describe_pairs(labels, total, pairs, len(runs)),
    }


def sum_confusions(gold: NDArray[np.int64], runs: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """``[classes, classes]`` counts over all runs of a recipe; of nested splits each has some of the texts.

    Args:
        gold: ``[texts]``.
        runs: ``[runs, texts]``, class numbers; -1 of a text that a run does not have.
        classes: how many.
    """
    total = np.zeros((classes, classes), dtype=np.int64)
    for run in runs:
        total += metrics.confusion(gold[run >= 0], run[run >= 0], classes)
    return total


def describe_classes(
    labels: Sequence[str],
    total: NDArray[np.int64],
    scores: Sequence[tuple[float, Interval]],
    runs: int,
) -> list[ClassFacts]:
    """Of every class, in the order of the labels.

    Args:
        labels: of the classes.
        total: ``[classes, classes]``, confusion over all runs of the recipe.
        scores: F1 of each with its interval, points.
        runs: how many they are.
    """
    gold, predicted, hits = total.sum(axis=1), total.sum(axis=0), np.diag(total)
    return [
        {
            "label": label,
            "texts": int(gold[number] // runs),
            "f1": json_number(f1),
            "f1_interval": pair(cut_interval(interval)),
            "precision": json_number(100 * hits[number] / predicted[number]) if predicted[number] else None,
            "recall": json_number(100 * hits[number] / gold[number]) if gold[number] else None,
        }
        for number, (label, (f1, interval)) in enumerate(zip(labels, scores, strict=True))
    ]


def cut_interval(interval: Interval) -> Interval:
    """Within what an F1 can be; unknown where it has no width.

    So it is of a class that all runs get right, or wrong: how far its F1 may be off does not show then.
    """
    if not interval.has_width:
        return UNKNOWN
    return Interval(max(interval.low, 0.0), min(interval.high, 100.0))


def choose_shown(classes: Sequence[ClassFacts]) -> tuple[list[int], list[int]]:
    """Numbers of the classes to show: the most common ones, and of the others those with the lowest F1.

    All and none where they are few. Of the lowest, classes with `LEAST_TEXTS` come first.
    """
    if len(classes) <= MOST_SHOWN:
        return list(range(len(classes))), []
    texts = np.array([one["texts"] for one in classes])
    f1 = np.array([100.0 if one["f1"] is None else one["f1"] for one in classes])
    common = np.argsort(-texts, kind="stable")[:COMMON]
    order = np.lexsort((-texts, f1, texts < LEAST_TEXTS))
    return sorted(common.tolist()), [int(number) for number in order if number not in common][:LOWEST]


def find_pairs(total: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[pairs, 2]``: true and predicted class of the largest confusions, the largest first."""
    wrong = total.copy()
    np.fill_diagonal(wrong, 0)
    gold, said = np.nonzero(wrong)
    order = np.argsort(-wrong[gold, said], kind="stable")[:MOST_PAIRS]
    return np.stack([gold[order], said[order]], axis=1)


def choose_confused(pairs: NDArray[np.int64], common: Sequence[int]) -> NDArray[np.int64]:
    """Numbers of the classes of the largest confusions, those that are confused side by side."""
    found = dict.fromkeys(pairs.reshape(-1).tolist()) or dict.fromkeys(common)
    return np.array(list(found)[:CONFUSED], dtype=np.int64)


def describe_pairs(
    labels: Sequence[str], total: NDArray[np.int64], pairs: NDArray[np.int64], runs: int
) -> list[ConfusedPair]:
    """Arguments as of `describe_classes` and `find_pairs`."""
    gold = total.sum(axis=1)
    return [
        {
            "gold": labels[one],
            "said": labels[other],
            "texts": round(float(total[one, other] / runs), 4),
            "share": round(float(total[one, other] / gold[one]), 4),
        }
        for one, other in pairs.tolist()
    ]
