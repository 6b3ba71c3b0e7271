"""How much chance to expect in a study that is not run yet: measured in its ledger, or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finegrid import metrics
from finegrid.results.results import Results
from finegrid.statistics.effects import Effect, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.variance import Components
from finegrid.study.audit_file import Audit
from finegrid.verdict.outcomes import collect_outcomes

# As in 48 runs of the embedded default, where 33 % of the test texts are wrong: of two seeds of a recipe one
# is right and one is wrong on 12 % of the texts, of two recipes on 17 %. A third also gives the 0.10 points
# of noise in the published thucnews64 table (6 % wrong, 10,000 texts).
SEEDS_DISAGREE, RECIPES_DISAGREE = 1 / 3, 1 / 2  # of the share of wrong texts
# What a run's score adds to that: 0 of 6 points wrong in the published table, 4 of 33 in those 48 runs.
RUN_LUCK = 0.05  # of the share of wrong texts
FACTORS_SHARE = 0.5  # of what recipes differ in by text goes with single factors, in those 48 runs
USUAL_ERROR = 10.0  # % of texts, where no run tells


@dataclass(frozen=True)
class NoiseModel:
    """Variance components of a study's scores in points squared, for any design of its factors.

    A contrast of the size s (its sum of squared weights) has ``s * run + shared``: the first is each recipe's
    own and averages out over recipes, the second goes with the effect itself, in every recipe alike.

    Attributes:
        run: Of one recipe: in one seed, on one text, on one text in one seed.
        shared: Of a main effect, the same.
        runs: How many have finished; what was measured comes from these.
        seeds: How many have any finished run.
        percent_wrong: Of texts, what the assumptions start from; None where nothing is assumed.
    """

    run: Components
    shared: Components
    runs: int
    seeds: int
    percent_wrong: float | None = None

    def predict(self, size: float) -> Components:
        """Of a main effect whose contrast has this size."""
        parts = zip(self.run.parts, self.shared.parts, strict=True)
        return Components(*(size * own + shared for own, shared in parts))


def estimate_noise(results: Results, audit: Audit) -> NoiseModel:
    """From the ledger, once two seeds have finished and show at least one main effect; else assumed.

    Raises:
        InputError: predictions that cannot be read.
    """
    runs = sum(1 for _ in results.finished())
    seeds = int(np.isfinite(results.points("test")).any(axis=0).sum())
    if seeds >= 2:
        analysis = analyse(Experiment.of(collect_outcomes(results, "test")))
        mains = keep_usable(analysis.effects)
        crossed = keep_usable([interaction.effect for interaction in analysis.interactions])
        if mains:
            return measure_noise(mains, crossed, runs, seeds)
    return assume_noise(estimate_percent_wrong(results, audit), len(results.factors), runs, seeds)


def keep_usable(effects: Sequence[Effect]) -> list[Effect]:
    return [effect for effect in effects if np.isfinite(effect.se)]


def measure_noise(mains: Sequence[Effect], crossed: Sequence[Effect], runs: int, seeds: int) -> NoiseModel:
    """Interactions show what is each recipe's own; what main effects have beyond that is shared."""
    sizes, parts = collect_sizes(mains), collect_components(mains)
    of_runs = [parts / sizes]
    if crossed:
        of_runs.append(collect_components(crossed) / collect_sizes(crossed))
    every = np.vstack(of_runs).mean(axis=0)
    run = of_runs[1].mean(axis=0) if crossed else every
    beyond = (parts - sizes * run).mean(axis=0)
    run = np.where(beyond > 0, run, every)
    shared = np.maximum(beyond, 0.0)
    return NoiseModel(Components(*run), Components(*shared), runs, seeds)


def collect_sizes(effects: Sequence[Effect]) -> Floats:
    """``[effects, 1]``."""
    return np.array([[sum_squares(effect.contrast.weights)] for effect in effects])


def sum_squares(weights: Floats | None) -> float:
    """Sum of squared weights; inf where a design does not show the effect."""
    return float(np.square(weights).sum()) if weights is not None else np.inf


def collect_components(effects: Sequence[Effect]) -> Floats:
    """Components ``[effects, 3]``."""
    return np.array([[float(part) for part in effect.components.parts] for effect in effects])


def assume_noise(percent_wrong: float, factors: int, runs: int, seeds: int) -> NoiseModel:
    """From the percentage of wrong texts alone.

    A text is worth 0 or 100 points to accuracy. Where a share q of the texts is right in one run and wrong in
    the other, their difference has the variance q * 100^2 a text, half of it from either run.
    """
    wrong = percent_wrong / 100
    seed_text = SEEDS_DISAGREE * wrong / 2 * 100**2
    text = (RECIPES_DISAGREE - SEEDS_DISAGREE) * wrong / 2 * 100**2
    luck = (RUN_LUCK * percent_wrong) ** 2
    # Each of the factors is at either level in half the recipes, so its effect moves a run by half of itself.
    by_factor = FACTORS_SHARE * text * 4 / max(factors, 1)
    run = Components(*map(np.array, (luck, (1 - FACTORS_SHARE) * text, seed_text)))
    shared = Components(*map(np.array, (0.0, by_factor, 0.0)))
    return NoiseModel(run, shared, runs, seeds, percent_wrong)


def estimate_percent_wrong(results: Results, audit: Audit) -> float:
    """100 less the mean score on dev of what has finished; else a usual one, below the majority class's."""
    points = results.points("dev")
    if np.isfinite(points).any():
        return float(np.clip(100 - np.nanmean(points), 0.1, 100.0))
    dev = audit.majority.get("dev")
    return percent_wrong_of(metrics.score_of(dev, results.score) if dev else 0.0)


def percent_wrong_of(majority: float) -> float:
    """Where no run tells: a usual percentage, below that of always naming the majority class.

    Args:
        majority: what that scores on dev, 0 to 1.
    """
    return float(np.clip((100 - 100 * majority) / 2, 0.1, USUAL_ERROR))
