"""Factors that nothing can tell apart in the recipes that ran."""

from __future__ import annotations

from itertools import compress

from finegrid.recipe.identity import Level
from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.experiment import Experiment


def find_twins(experiment: Experiment, contrast: Contrast) -> tuple[str, ...]:
    """Of a main effect: the other factors whose levels go with this one's, one to one."""
    if len(contrast.comparisons) != 1:
        return ()
    recipes = list(compress(experiment.outcomes.recipes, experiment.completion.kept))

    def levels(factor: str) -> list[Level | None]:
        return [recipe.get(factor) for recipe in recipes]

    own = levels(contrast.name)
    if len(set(own)) < 2:
        return ()
    return tuple(
        factor
        for factor in experiment.outcomes.factors
        if factor != contrast.name
        and len(set(zip(own, levels(factor), strict=True))) == len(set(own)) == len(set(levels(factor)))
    )
