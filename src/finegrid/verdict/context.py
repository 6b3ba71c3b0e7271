"""What a strategy does in its place: in the baseline, in the recommended recipe, beside another strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.comparisons import Comparison
from finegrid.statistics.decide import Decision, Interval, adjusted_intervals, decide, finest_margin
from finegrid.statistics.effects import Analysis, Effect
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.posterior import find_posterior


@dataclass(frozen=True)
class LocalEffect:
    """An effect in one recipe, points; posterior.

    Attributes:
        effect: Posterior mean: the recipe with the level less the recipe with the baseline's level.
        interval: Which holds it with a probability of 95 %.
    """

    effect: float
    interval: Interval


@dataclass(frozen=True)
class Condition:
    """What was decided on a strategy at one level of another one.

    Attributes:
        given: The other factor and its level.
        effect: There.
        decision: On an interval that is adjusted over all conditions that are told.
    """

    given: tuple[str, Level]
    effect: Effect
    decision: Decision


def find_local_effects(
    experiment: Experiment, chosen: Sequence[Levels], comparisons: Sequence[Comparison]
) -> list[list[LocalEffect | None]]:
    """Every comparison in each of some recipes, its other levels as they are.

    None where the recipe has no such factor, or the noise of a run is unknown. A recipe that the study does
    not have follows from its effects.
    """
    kept, contrasts = experiment.completion.kept, experiment.families.contrasts
    besides: list[Levels] = []

    def locate(levels: Levels) -> int:
        """A row of the study that has runs; else a place among those besides, counted from -1 down."""
        row = contrasts.find_recipe(levels)
        if row is not None:
            if kept[row]:
                return row
            levels = experiment.outcomes.recipes[row]
        if levels not in besides:
            besides.append(levels)
        return -1 - besides.index(levels)

    pairs = [
        [locate({**recipe, one.factor: level}) for level in (one.level, one.baseline)]
        if one.factor in recipe
        else None
        for recipe in chosen
        for one in comparisons
    ]
    posterior = find_posterior(experiment, besides)
    if posterior is None:
        return [[None] * len(comparisons) for _ in chosen]
    first = len(posterior.points) - len(besides)
    found: list[LocalEffect | None] = []
    for pair in pairs:
        if pair is None:
            found.append(None)
            continue
        there, at_baseline = (int(posterior.places[at]) if at >= 0 else first - 1 - at for at in pair)
        difference = posterior.compare([there], at_baseline)
        found.append(LocalEffect(float(difference.expected[0]), difference.interval(0)))
    count = len(comparisons)
    return [found[count * place : count * (place + 1)] for place in range(len(chosen))]


def find_conditions(
    analysis: Analysis, margin: float, alpha: float, grain: float
) -> dict[Comparison, tuple[Condition, ...]]:
    """By comparison, what was decided at either level of the strategy that it is shown to depend on.

    Of several such strategies the one with the smallest p-value. All these effects share ``alpha``. None of a
    strategy that is not to be used because runs fail with it.
    """
    shown = [
        one for one in analysis.interactions if one.effect.decision and one.effect.decision.kind == "interact"
    ]
    failing = {
        effect.comparison for effect in analysis.effects if effect.decision and effect.decision.because
    }
    strongest: dict[Comparison, tuple[Effect, ...]] = {}
    for interaction in sorted(shown, key=lambda one: one.effect.p):
        for pair in (interaction.conditional[:2], interaction.conditional[2:]):
            if (
                len(pair) == 2
                and pair[0].comparison not in failing
                and all(np.isfinite(effect.se) for effect in pair)
            ):
                strongest.setdefault(pair[0].comparison, pair)
    told = [effect for pair in strongest.values() for effect in pair]
    if not told:
        return {}
    estimate, se, df = np.array([(effect.estimate, effect.se, effect.df) for effect in told]).T
    finest = finest_margin(grain, alpha / len(told))
    intervals = iter(adjusted_intervals(estimate, se, df, alpha, grain))
    found = {}
    for comparison, pair in strongest.items():
        conditions = []
        for effect in pair:
            assert effect.contrast.given is not None
            conditions.append(
                Condition(effect.contrast.given, effect, decide(next(intervals), margin, finest=finest))
            )
        found[comparison] = tuple(conditions)
    return found
