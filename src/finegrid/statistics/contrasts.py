"""Which recipes each effect of a study compares, in every kind of design.

By matching wherever that works (`matching`), else by least squares (`least_squares`). In a patchwork of
designs, where it says which those are (`Block`), every effect comes from one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from finegrid.recipe.identity import Levels
from finegrid.statistics.comparisons import (
    Comparison,
    Contrast,
    Factors,
    InteractionContrast,
    list_comparisons,
)
from finegrid.statistics.least_squares import LeastSquares, Residual
from finegrid.statistics.matching import Matching
from finegrid.statistics.outcomes import Block, Floats


@dataclass(frozen=True)
class Contrasts:
    """The contrasts of a study's effects, each worked out when first asked for. Scores play no part.

    Attributes:
        factors: With their levels, the baseline's first.
        recipes: All that are planned.
        ran: ``[recipes]``, which have any run.
        blocks: Designs that this is a patchwork of; empty: one design.
    """

    factors: Factors
    recipes: Sequence[Levels]
    ran: NDArray[np.bool_]
    blocks: Sequence[Block] = ()

    @cached_property
    def mains(self) -> tuple[Contrast, ...]:
        """Every level of every factor against the baseline's."""
        if not self.blocks:
            return tuple(self._main(comparison) for comparison in list_comparisons(self.factors))
        by_comparison: dict[Comparison, Contrast] = {}
        for block, design in self._designs:
            for contrast in design.mains:
                (comparison,) = contrast.comparisons
                if comparison.factor in block.given:
                    by_comparison.setdefault(comparison, _spread_over_all(contrast, block))
        return tuple(by_comparison[comparison] for comparison in list_comparisons(self.factors))

    @cached_property
    def interactions(self) -> tuple[InteractionContrast, ...]:
        """Every pair of comparisons of two factors that the design shows."""
        pairs = combinations(list_comparisons(self.factors), 2)
        if not self.blocks:
            shown = (self._interaction(a, b) for a, b in pairs if a.factor != b.factor)
            return tuple(interaction for interaction in shown if interaction is not None)
        by_pair: dict[tuple[Comparison, ...], InteractionContrast] = {}
        for block, design in self._designs:
            for interaction in design.interactions:
                pair = interaction.contrast.comparisons
                if all(comparison.factor in block.given for comparison in pair):
                    conditional = tuple(
                        _spread_over_all(contrast, block) for contrast in interaction.conditional
                    )
                    contrast = _spread_over_all(interaction.contrast, block)
                    by_pair.setdefault(pair, InteractionContrast(contrast, conditional))
        return tuple(by_pair[pair] for pair in pairs if pair in by_pair)

    @cached_property
    def residual_basis(self) -> Floats:
        """``[recipes, df]``, orthonormal: what the model of all recipes together leaves."""
        return self._least_squares.residual_basis()

    @cached_property
    def residual(self) -> Residual:
        """The same as a projection, for many recipes."""
        return self._least_squares.residual()

    @cached_property
    def of_one_design(self) -> Contrasts:
        """Those of all recipes together, whatever the blocks."""
        return Contrasts(self.factors, self.recipes, self.ran) if self.blocks else self

    def find_recipe(self, levels: Levels) -> int | None:
        """The row of a recipe by its levels, as `Matching.find` finds it; None if the design has none."""
        return self._matching.find(levels)

    @cached_property
    def _matching(self) -> Matching:
        return Matching(self.factors, self.recipes, self.ran)

    @cached_property
    def _least_squares(self) -> LeastSquares:
        return LeastSquares(self.factors, self.recipes, self.ran)

    @cached_property
    def _designs(self) -> list[tuple[Block, Contrasts]]:
        """Each block, and its recipes as a design of their own."""
        return [(block, self._cut_out(block)) for block in self.blocks]

    def _cut_out(self, block: Block) -> Contrasts:
        factors = {name: levels for name, levels in self.factors.items() if name in block.factors}
        recipes = [
            {name: level for name, level in recipe.items() if name in factors}
            for recipe, belongs in zip(self.recipes, block.recipes, strict=True)
            if belongs
        ]
        return Contrasts(factors, recipes, self.ran[block.recipes])

    def _main(self, comparison: Comparison) -> Contrast:
        matched = self._matching.contrast([comparison])
        return matched or self._least_squares.contrast([comparison])

    def _interaction(self, a: Comparison, b: Comparison) -> InteractionContrast | None:
        """None where the two factors never meet, or the design ties their product to a main effect."""
        if not any(
            recipe.get(a.factor) == a.level and recipe.get(b.factor) == b.level for recipe in self.recipes
        ):
            return None
        matched = self._matching.contrast([a, b])
        if matched is not None:
            if matched.weights is None:
                return InteractionContrast(matched)
            return InteractionContrast(matched, tuple(self._matching.conditional_contrasts(matched)))
        fitted = self._least_squares.contrast([a, b])
        if fitted.weights is None:
            return None
        conditional = (*self._shift_main(a, b, fitted), *self._shift_main(b, a, fitted))
        return InteractionContrast(fitted, conditional)

    def _shift_main(self, a: Comparison, b: Comparison, interaction: Contrast) -> list[Contrast]:
        """The effect of ``a`` at either level of ``b``: its main effect, half the interaction off or on."""
        main = next(contrast for contrast in self.mains if contrast.comparisons == (a,))
        if main.weights is None or interaction.weights is None:
            return []
        by_level = {
            b.baseline: main.weights - interaction.weights / 2,
            b.level: main.weights + interaction.weights / 2,
        }
        aliases = tuple(dict.fromkeys([*main.aliases, *interaction.aliases]))
        return [
            Contrast((a,), weights, aliases=aliases, given=(b.factor, level))
            for level, weights in by_level.items()
        ]


def _spread_over_all(contrast: Contrast, block: Block) -> Contrast:
    """The same, with weights over all recipes instead of the block's."""
    if contrast.weights is None:
        return contrast
    weights = np.zeros(len(block.recipes))
    weights[block.recipes] = contrast.weights
    return replace(contrast, weights=weights)
