"""Contrasts by matching: recipes that differ in the compared factors alone.

Every recipe with the level in question has such a partner in full designs, in one-at-a-time designs, and in
full designs with conditional factors. The effect is the mean difference over these pairs, which in a full
design is the difference of equally weighted marginal means. A factor that only one of the two has
(``freeze.dropout`` where nothing is frozen) must be at its baseline level in the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.comparisons import Comparison, Contrast, Factors
from finegrid.statistics.outcomes import Floats


class Matching:
    """Finds partners among the recipes of a design.

    Args:
        factors: With their levels, the baseline's first.
        recipes: All that are planned.
        ran: ``[recipes]``, which have any run.
    """

    def __init__(self, factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_]) -> None:
        self.factors, self.recipes, self.ran = factors, recipes, ran
        self.rows = {_sort_levels(recipe): row for row, recipe in enumerate(recipes)}
        self._by_moves: dict[frozenset[tuple[str, Level]], int] = {}
        for row, recipe in enumerate(recipes):
            self._by_moves.setdefault(self._find_moves(recipe), row)
        self._at_baseline: dict[str, set[str]] = {}
        self._every_factor = {name for recipe in recipes for name in recipe}

    def contrast(self, compared: Sequence[Comparison]) -> Contrast | None:
        """Of one or two comparisons; None if some recipe at the level has no partner in the design."""
        at_level = [
            recipe
            for recipe in self.recipes
            if all(recipe.get(comparison.factor) == comparison.level for comparison in compared)
        ]
        if any(map(self._has_children, compared)):
            at_level = [r for r in at_level if not self._has_children_off_baseline(r, compared)]
        groups = []
        for recipe in at_level:
            group = self._find_partners(recipe, compared)
            if group is None:
                return None
            groups.append(group)
        if not groups:
            return None
        finished = [group for group in groups if all(self.ran[row] for row, _ in group)]
        weights = None
        if finished:
            weights = np.zeros(len(self.recipes))
            for group in finished:
                for row, sign in group:
                    weights[row] += sign / len(finished)
        return Contrast(tuple(compared), weights, len(finished), len(groups))

    def conditional_contrasts(self, interaction: Contrast) -> list[Contrast]:
        """Of a matched interaction: the effects whose difference it is, in the same pairs."""
        a, b = interaction.comparisons
        return [*self._split_by(a, b, interaction), *self._split_by(b, a, interaction)]

    def _split_by(self, a: Comparison, b: Comparison, interaction: Contrast) -> list[Contrast]:
        """The effect of ``a`` at the baseline level and at the other level of ``b``."""
        assert interaction.weights is not None
        by_level = {
            b.baseline: -interaction.weights * self._mark(b.factor, b.baseline),
            b.level: interaction.weights * self._mark(b.factor, b.level),
        }
        contexts, planned = interaction.contexts, interaction.planned
        return [
            Contrast((a,), weights, contexts, planned, given=(b.factor, level))
            for level, weights in by_level.items()
        ]

    def _find_partners(
        self, recipe: Levels, compared: Sequence[Comparison]
    ) -> list[tuple[int, float]] | None:
        """Rows and signs of the recipes that differ from this one in the compared factors alone.

        None if one of them is not in the design.
        """
        partners = []
        names = {comparison.factor for comparison in compared}
        rest = {factor: level for factor, level in recipe.items() if factor not in names}
        for choice in product((1, 0), repeat=len(compared)):
            levels = rest | {
                comparison.factor: (comparison.level if up else comparison.baseline)
                for comparison, up in zip(compared, choice, strict=True)
            }
            row = self.find(levels)
            if row is None:
                return None
            partners.append((row, float(math.prod(1 if up else -1 for up in choice))))
        return partners

    def find(self, levels: Levels) -> int | None:
        """The recipe with these levels, or that agrees with them in every factor that both have.

        What only one of them has must be at its baseline level: a child factor is no part of its parent's
        effect. So both have the same factors off the baseline level, at the same levels.
        """
        row = self.rows.get(_sort_levels(levels))
        return self._by_moves.get(self._find_moves(levels)) if row is None else row

    def _find_moves(self, levels: Levels) -> frozenset[tuple[str, Level]]:
        """What is off its baseline level."""
        return frozenset((name, level) for name, level in levels.items() if level != self.factors[name][0])

    def _has_children_off_baseline(self, recipe: Levels, compared: Sequence[Comparison]) -> bool:
        """Whether a factor that exists only at the compared levels is off its baseline level here."""
        names = {comparison.factor for comparison in compared}
        for factor, level in recipe.items():
            if factor in names or level == self.factors[factor][0]:
                continue
            for comparison in compared:
                there = self._list_factors_at_baseline(comparison)
                if there and factor not in there:
                    return True
        return False

    def _has_children(self, comparison: Comparison) -> bool:
        """Whether some factor does not exist where the compared one is at its baseline level."""
        return self._list_factors_at_baseline(comparison) != self._every_factor

    def _list_factors_at_baseline(self, comparison: Comparison) -> set[str]:
        """The factors of the recipes in which the compared one is at its baseline level."""
        found = self._at_baseline.get(comparison.factor)
        if found is None:
            at_baseline = (r for r in self.recipes if r.get(comparison.factor) == comparison.baseline)
            found = self._at_baseline[comparison.factor] = {name for r in at_baseline for name in r}
        return found

    def _mark(self, factor: str, level: Level) -> Floats:
        """``[recipes]``, 1 where the factor is at this level, else 0."""
        return np.array([float(recipe.get(factor) == level) for recipe in self.recipes])


def _sort_levels(levels: Levels) -> tuple[tuple[str, Level], ...]:
    return tuple(sorted(levels.items()))
