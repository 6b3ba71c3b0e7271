"""Systems judged by their predictions, as a study judges the levels of one factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.comparing.paired import PairedAnswers
from finegrid.errors import InputError, input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.results.results import Distinct, Given, Predictions, Results
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import analyse_mains, score_recipes
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats, Outcomes
from finegrid.statistics.repeats import of_runs
from finegrid.study.record import Record, Scores
from finegrid.verdict.verdict import Verdict, judge

FACTOR = "system"
SMALLEST = float(np.finfo(np.float64).eps)  # scikit-learn's: a probability of 0 would be an infinite loss


@dataclass(frozen=True)
class Loss:
    """The mean loss of a system's probabilities, and how it differs from the baseline's; lower is better.

    Attributes:
        mean, around: Over runs and texts, with a 95 % interval.
        difference, between: Less the baseline's, paired by text, with a 95 % interval; None of the baseline,
            and if the baseline has no probabilities.
    """

    mean: float
    around: Interval
    difference: float | None = None
    between: Interval | None = None


@dataclass(frozen=True)
class SystemsCompared:
    """All that `finegrid compare` tells.

    Attributes:
        answers: What was compared.
        paired_seeds: Whether the n-th files of all systems are one seed.
        verdict: Of the score: a study of one factor, the system.
        log_loss, brier: By system; None where probabilities are not known.
    """

    answers: PairedAnswers
    paired_seeds: bool
    verdict: Verdict
    log_loss: tuple[Loss | None, ...]
    brier: tuple[Loss | None, ...]

    @property
    def names(self) -> list[str]:
        return [system.name for system in self.answers.systems]


def compare_systems(
    answers: PairedAnswers,
    score: str = "macro-f1",
    margin: float | None = None,
    paired_seeds: bool = False,
) -> SystemsCompared:
    """Judge every system against the first.

    Args:
        score: ``macro-f1``, ``accuracy``, ``mcc`` or ``f1:<label>``.
        margin: points; smaller differences are none. None: as a verdict chooses it.
        paired_seeds: whether the n-th files of all systems are one seed; else files are repeats, which have
            nothing in common.

    Raises:
        InputError: no such score, or F1 of a label that no text has.
    """
    check_score(score, answers)
    verdict = judge(collect_results(answers, score, paired_seeds), margin)
    log_loss, brier = zip(
        *(measure_losses(each, answers.truth) for each in answers.probabilities), strict=True
    )
    return SystemsCompared(
        answers,
        paired_seeds,
        verdict,
        compare_losses(answers, log_loss, paired_seeds),
        compare_losses(answers, brier, paired_seeds),
    )


def check_score(score: str, answers: PairedAnswers) -> None:
    """Refuse a score that nobody knows, or that these texts cannot show."""
    kind, _, label = score.partition(":")
    if kind == "f1" and label in answers.labels and label not in answers.gold.classes:
        what = f'no text of {answers.gold.file} has the label of "{score}", so nothing can be said of it.'
        raise input_error("command line", "--score", what)
    try:
        metrics.check_score(score, answers.gold.classes)
    except InputError as error:
        raise InputError("command line", error.problems) from None


def collect_results(answers: PairedAnswers, score: str, paired_seeds: bool) -> Results:
    """The runs of a study whose one factor is the system."""
    seeds = tuple(range(answers.predicted.shape[1]))
    recipes = []
    for index, system in enumerate(answers.systems):
        records = {
            run: Record(
                run_id="",
                seed=run,
                status="done",
                test=score_run(answers.truth, answers.predicted[index, run].astype(np.int64), answers.labels),
            )
            for run in range(len(system.files))
        }
        recipes.append(Distinct((index + 1,), {FACTOR: system.name}, {}, records))
    texts = np.arange(1, len(answers.truth) + 1)
    predictions = Predictions(answers.truth, answers.predicted, texts, len(answers.labels))
    return Results(
        folder=Path(),
        score=score,
        protocol="best-dev",
        audit=None,
        factors={FACTOR: [system.name for system in answers.systems]},
        inert={},
        recipes=tuple(recipes),
        seeds=seeds,
        planned_seeds=seeds,
        holds_at={},
        repeats=not paired_seeds,
        given=Given(answers.labels, predictions),
    )


def score_run(truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str]) -> Scores:
    """All scores of one run, as the ledger of a study has them."""
    table = metrics.confusion(truth, predicted, len(labels))
    return {
        "macro-f1": metrics.macro_f1(table),
        "accuracy": float(np.trace(table) / table.sum()),
        "mcc": metrics.mcc(table),
        "f1": dict(zip(labels, metrics.f1_per_class(table).tolist(), strict=True)),
    }


def measure_losses(
    probabilities: NDArray[np.float64] | None, truth: NDArray[np.int64]
) -> tuple[Floats | None, Floats | None]:
    """Log loss (nats) and Brier score (1950, summed over classes: 0 to 2) of each text, ``[runs, texts]``.

    Args:
        probabilities: ``[runs, texts, classes]``; None if not known.
        truth: ``[texts]``.
    """
    if probabilities is None:
        return None, None
    of_truth = probabilities[:, np.arange(len(truth)), truth]
    squares = np.square(probabilities).sum(axis=2)
    return -np.log(np.maximum(of_truth, SMALLEST)), squares - 2 * of_truth + 1


def compare_losses(
    answers: PairedAnswers, losses: Sequence[Floats | None], paired_seeds: bool
) -> tuple[Loss | None, ...]:
    """Of every system whose probabilities are known. ``losses``: by system, ``[runs, texts]``."""
    known = [index for index, each in enumerate(losses) if each is not None]
    if not known:
        return tuple(None for _ in losses)
    experiment = Experiment.of(loss_outcomes(answers, losses, known, paired_seeds))
    means = dict(zip(known, score_recipes(experiment), strict=True))
    found = {index: Loss(mean, around) for index, (mean, around) in means.items()}
    if 0 in found:
        for index, effect in zip(known[1:], analyse_mains(experiment), strict=True):
            found[index] = Loss(*means[index], effect.estimate, effect.plain)
    return tuple(found.get(index) for index in range(len(losses)))


def loss_outcomes(
    answers: PairedAnswers, losses: Sequence[Floats | None], known: Sequence[int], paired_seeds: bool
) -> Outcomes:
    """A loss is a mean over texts, so a text's influence on it is its own loss less the mean."""
    runs, texts = answers.predicted.shape[1:]
    each = np.full((len(known), runs, texts), np.nan)
    for row, index in enumerate(known):
        values = losses[index]
        assert values is not None
        each[row, : len(values)] = values
    mean = each.mean(axis=2)
    influence = np.nan_to_num(each - mean[:, :, None])
    names: list[Level] = [answers.systems[index].name for index in known]
    recipes: list[Levels] = [{FACTOR: name} for name in names]
    if paired_seeds:
        return Outcomes({FACTOR: names}, recipes, mean, influence)
    return of_runs({FACTOR: names}, recipes, mean, influence)
