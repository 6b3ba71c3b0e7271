"""Comparisons of levels, and the weighted sums of recipe means that estimate them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from finegrid.recipe.identity import Level
from finegrid.statistics.outcomes import Floats

Factors = Mapping[str, Sequence[Level]]


@dataclass(frozen=True)
class Comparison:
    """One level of a factor against the baseline's."""

    factor: str
    level: Level
    baseline: Level


@dataclass(frozen=True)
class Contrast:
    """An effect as a weighted sum of recipe means.

    Attributes:
        comparisons: One for a main effect, two for an interaction.
        weights: ``[recipes]``; None if no recipes show this effect.
        contexts: How many matched pairs (or quadruples) the weights average over; 0 for least squares.
        planned: How many there are once all runs have finished; 0 for least squares.
        aliases: Effects that the design cannot tell from this one: ``"reinit.layers x freeze.layers"``.
        given: For a conditional effect, the level at which the other factor is held.
    """

    comparisons: tuple[Comparison, ...]
    weights: Floats | None
    contexts: int = 0
    planned: int = 0
    aliases: tuple[str, ...] = ()
    given: tuple[str, Level] | None = None

    @property
    def name(self) -> str:
        return " x ".join(comparison.factor for comparison in self.comparisons)


@dataclass(frozen=True)
class InteractionContrast:
    """The difference of two effects, and these effects.

    Attributes:
        contrast: The interaction.
        conditional: The effect of the first factor at the baseline's and at the other level of the second,
            then of the second at either level of the first. Empty where the design does not show them.
    """

    contrast: Contrast
    conditional: tuple[Contrast, ...] = ()


def list_comparisons(factors: Factors) -> Iterator[Comparison]:
    """Every level but the first of every factor, against the first."""
    for factor, (baseline, *others) in factors.items():
        for level in others:
            yield Comparison(factor, level, baseline)
