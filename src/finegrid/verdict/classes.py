"""The runs of a study by the F1 of each class, all classes at once: of one recipe, with intervals.

The F1 of a class hangs on the texts that have its label and on those that were given it. They are looked up
once, so that a class costs about as much as it has texts, not a pass over all texts of all runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from finegrid.results.results import Predictions, Results
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.grouped import sum_by_group
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.repeats import of_runs
from finegrid.verdict.outcomes import find_diverged, find_majority, score_majority


def rescore_classes(test: Experiment, results: Results, recipe: int) -> Iterator[Experiment]:
    """The same runs by the F1 of each class on test, in the order of the labels.

    Args:
        test: the study's score on test.
        results: of the study, or the comparison.
        recipe: whose mean the experiments are ready to tell, and nobody else's.

    Raises:
        InputError: predictions that cannot be read.
    """
    predictions, points = results.predictions("test"), collect_class_points(results)
    crossed = predictions is not None and not results.is_nested("test")
    answers = collect_answers(predictions, results, test.influencing(recipe)) if crossed else None
    recipes = [one.levels for one in results.recipes]
    for number in range(len(points)):
        influence = None if answers is None else answers.of_class(number)
        if influence is not None and predictions is not None and predictions.groups is not None:
            influence = sum_by_group(influence, predictions.groups)
        if not results.repeats or influence is None:
            yield test.with_scores(points[number], influence)
        else:
            again = of_runs(results.factors, recipes, points[number], influence)
            yield test.with_scores(again.score, again.influence, again.repeats, again.run_text)


def collect_class_points(results: Results) -> Floats:
    """``[classes, recipes, seeds]``, points: `verdict.outcomes.count_points` by the F1 of each class."""
    labels = results.labels
    assert labels is not None
    told = np.full((len(labels), len(results.recipes), len(results.seeds)), np.nan)
    for at, record in results.finished():
        by_label = record.test["f1"]
        assert isinstance(by_label, Mapping)
        told[:, *at] = [100 * by_label[label] for label in labels]
    points = results.scale.to_points(told)
    diverged = find_diverged(results)
    if results.audit is not None and diverged.any():
        each = [score_majority(results.audit, "test", f"f1:{label}") for label in labels]
        points[:, diverged] = np.array(each)[:, None]
    return points


def collect_answers(
    predictions: Predictions | None, results: Results, recipes: NDArray[np.bool_]
) -> ClassAnswers | None:
    """What the runs of some recipes answer: those that finished, and those that diverged.

    Args:
        predictions: of test.
        results: whose they are.
        recipes: ``[recipes]``, which.
    """
    if predictions is None:
        return None
    gold, said = predictions.gold, predictions.predicted
    diverged = find_diverged(results) & recipes[:, None]
    finished = (said >= 0).any(axis=2) & recipes[:, None]
    runs = np.flatnonzero(finished | diverged)
    answers = said.reshape(-1, len(gold))[runs].astype(np.int64)
    if results.audit is not None and diverged.any():
        answers[diverged.reshape(-1)[runs]] = find_majority(results.audit, "test", gold)
    return ClassAnswers(gold, answers, runs, said.shape[:2], predictions.classes)


@dataclass(frozen=True, eq=False)
class ClassAnswers:
    """Which runs give which texts which label.

    Attributes:
        gold: ``[texts]``, class numbers.
        answers: ``[runs]`` some of all runs, ``[runs, texts]``, class numbers.
        runs: ``[runs]``, their places among all runs.
        shape: Recipes and seeds: all runs.
        classes: How many.
    """

    gold: NDArray[np.int64]
    answers: NDArray[np.int64]
    runs: NDArray[np.int64]
    shape: tuple[int, ...]
    classes: int

    @cached_property
    def _gold_texts(self) -> list[NDArray[np.int64]]:
        """By class, the texts that have its label."""
        return self._sort(self.gold)

    @cached_property
    def _answered(self) -> list[NDArray[np.int64]]:
        """By class, the places in ``answers``, read line by line, where a run gave its label."""
        return self._sort(self.answers.reshape(-1))

    def _sort(self, labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        ends = np.cumsum(np.bincount(labels, minlength=self.classes))[:-1]
        return np.split(np.argsort(labels, kind="stable"), ends)

    def of_class(self, number: int) -> NDArray[np.float32]:
        """``[recipes, seeds, texts]``, points: `metrics.influence` on the F1 of a class; 0 of other runs.

        A text with neither the label nor the answer has no part in it.
        """
        count, texts = len(self.runs), len(self.gold)
        run, text = np.divmod(self._answered[number], texts)
        hit = self.gold[text] == number
        both = len(self._gold_texts[number]) + np.bincount(run, minlength=count)
        hits = np.bincount(run[hit], minlength=count)
        each = np.divide(100.0 * texts, both, out=np.zeros(count), where=both > 0)
        less = np.divide(2.0 * hits, both, out=np.zeros(count), where=both > 0) * each
        values = np.zeros((int(np.prod(self.shape)), texts), dtype=np.float32)
        values[np.ix_(self.runs, self._gold_texts[number])] = -less[:, None]
        values[self.runs[run], text] = np.where(hit, 2 * each[run] - 2 * less[run], -less[run])
        return values.reshape(*self.shape, texts)
