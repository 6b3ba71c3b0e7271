"""Effects as weights over recipes: which recipes a comparison compares, in every kind of design.

In a patchwork of designs, where it says which those are (`Block`), every effect comes from one of them. Two
ways, the first wherever it works:

*Matched.* Every recipe with the level in question has a partner that differs in this factor alone: full
designs, one-at-a-time designs, and full designs with conditional factors. The effect is the mean difference
over these pairs, which in a full design is the difference of equally weighted marginal means. A factor that
only one of the two has (``freeze.dropout`` where nothing is frozen) must be at its baseline level in the
other.

*Least squares.* Fractions, and patchworks that do not say what they are made of: the model of main effects
and two-factor interactions. What it cannot tell apart is named in ``aliases``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.outcomes import Block, Filled, Floats

Factors = Mapping[str, Sequence[Level]]
TINY = 1e-9


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
        contexts, planned: How many matched pairs (or quadruples) the weights average over, of how many
            planned. Both 0 for least squares.
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
        return " x ".join(one.factor for one in self.comparisons)


@dataclass(frozen=True)
class InteractionContrast:
    """Half the difference of two effects, and the effects: of the first factor at either level of the
    second, and of the second at either level of the first (baseline level first)."""

    contrast: Contrast
    conditional: tuple[Contrast, ...] = field(default=())


def main_contrasts(
    factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_], blocks: Sequence[Block] = ()
) -> list[Contrast]:
    """Every non-baseline level of every factor. ``ran``: ``[recipes]``, which have any run."""
    if not blocks:
        design = _Design(factors, recipes, ran)
        return [design.main(comparison) for comparison in _comparisons(factors)]
    found: dict[Comparison, Contrast] = {}
    for block in blocks:
        for contrast in main_contrasts(*_alone(block, factors, recipes, ran)):
            (one,) = contrast.comparisons
            if one.factor in block.given:
                found.setdefault(one, _among_all(contrast, block))
    return [found[comparison] for comparison in _comparisons(factors)]


def interaction_contrasts(
    factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_], blocks: Sequence[Block] = ()
) -> list[InteractionContrast]:
    """Every pair of comparisons of two factors that the design shows."""
    pairs = combinations(list(_comparisons(factors)), 2)
    if not blocks:
        design = _Design(factors, recipes, ran)
        found = [design.interaction(a, b) for a, b in pairs if a.factor != b.factor]
        return [one for one in found if one is not None]
    shown: dict[tuple[Comparison, ...], InteractionContrast] = {}
    for block in blocks:
        for one in interaction_contrasts(*_alone(block, factors, recipes, ran)):
            if all(each.factor in block.given for each in one.contrast.comparisons):
                conditional = tuple(_among_all(each, block) for each in one.conditional)
                whole = InteractionContrast(_among_all(one.contrast, block), conditional)
                shown.setdefault(one.contrast.comparisons, whole)
    return [shown[pair] for pair in pairs if pair in shown]


def _alone(
    block: Block, factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_]
) -> tuple[Factors, list[Levels], NDArray[np.bool_]]:
    """A block as a design of its own: its factors and recipes, and which of those have any run."""
    own = {name: levels for name, levels in factors.items() if name in block.factors}
    levels = [
        {name: level for name, level in recipe.items() if name in own}
        for recipe, is_in in zip(recipes, block.recipes, strict=True)
        if is_in
    ]
    return own, levels, ran[block.recipes]


def _among_all(contrast: Contrast, block: Block) -> Contrast:
    """The same, with weights over all recipes instead of the block's."""
    if contrast.weights is None:
        return contrast
    weights = np.zeros(len(block.recipes))
    weights[block.recipes] = contrast.weights
    return replace(contrast, weights=weights)


def residual_basis(factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_]) -> Floats:
    """``[recipes, df]``, orthonormal: what main effects and two-factor interactions leave."""
    design = _Design(factors, recipes, ran)
    full = design.matrix(design.terms)[ran]
    left, scale, _ = np.linalg.svd(full, full_matrices=True)
    rank = int((scale > 1e-8 * scale.max(initial=1.0)).sum())
    basis = np.zeros((len(recipes), len(full) - rank))
    basis[ran] = left[:, rank:]
    return basis


def weights_of(contrasts: Sequence[Contrast], filled: Filled) -> tuple[Floats, list[int]]:
    """``[given contrasts, kept recipes]``, and which are given: their recipes ran, in seeds they share."""
    rows, given = [], []
    for number, contrast in enumerate(contrasts):
        if contrast.weights is not None:
            weights = contrast.weights[filled.kept]
            if filled.connected[weights != 0].all():
                rows.append(weights)
                given.append(number)
    return np.array(rows).reshape(len(rows), int(filled.kept.sum())), given


def _comparisons(factors: Factors) -> Iterator[Comparison]:
    for factor, (baseline, *others) in factors.items():
        for level in others:
            yield Comparison(factor, level, baseline)


Key = tuple[tuple[str, Level], ...]


def _key(levels: Levels) -> Key:
    return tuple(sorted(levels.items()))


Term = tuple[str, ...]


class _Design:
    def __init__(self, factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_]) -> None:
        self.factors, self.recipes, self.ran = factors, recipes, ran
        self.index = {_key(recipe): row for row, recipe in enumerate(recipes)}
        # Two factors that never meet have no product.
        pairs = [pair for pair in combinations(factors, 2) if any(all(f in r for f in pair) for r in recipes)]
        self.terms: list[Term] = [(), *((factor,) for factor in factors), *pairs]

    # Matched pairs and quadruples

    def family(self, recipe: Levels, moved: Sequence[Comparison]) -> list[tuple[int, float]] | None:
        """Rows and signs of the recipes that differ from this one in the moved factors alone; or None."""
        found = []
        names = {one.factor for one in moved}
        rest = {f: level for f, level in recipe.items() if f not in names}
        for choice in product((1, 0), repeat=len(moved)):
            levels = rest | {
                one.factor: (one.level if up else one.baseline) for one, up in zip(moved, choice, strict=True)
            }
            row = self.index.get(_key(levels))
            if row is None:
                row = self.related(levels)
            if row is None:
                return None
            found.append((row, float(np.prod([1 if up else -1 for up in choice]))))
        return found

    def related(self, levels: Levels) -> int | None:
        """The recipe that agrees with these levels in every factor that both have.

        What only one of them has must be at its baseline level: a child factor is no part of its parent's
        effect.
        """
        for row, recipe in enumerate(self.recipes):
            either = recipe.keys() | levels.keys()
            shared = recipe.keys() & levels.keys()
            if all(recipe[f] == levels[f] for f in shared) and all(
                (recipe.get(f, levels.get(f)) == self.factors[f][0]) for f in either - shared
            ):
                return row
        return None

    def has_children_off_baseline(self, recipe: Levels, moved: Sequence[Comparison]) -> bool:
        """Whether a factor of this recipe that goes away with the moved ones is off its baseline level."""
        names = {one.factor for one in moved}
        for factor, level in recipe.items():
            if factor in names or level == self.factors[factor][0]:
                continue
            for one in moved:
                at_baseline = [r for r in self.recipes if r.get(one.factor) == one.baseline]
                if at_baseline and not any(factor in r for r in at_baseline):
                    return True
        return False

    def matched(self, moved: Sequence[Comparison], scale: float) -> Contrast | None:
        """None if some recipe at the level has no partner in the design."""
        at_level = [r for r in self.recipes if all(r.get(one.factor) == one.level for one in moved)]
        at_level = [r for r in at_level if not self.has_children_off_baseline(r, moved)]
        families = [self.family(recipe, moved) for recipe in at_level]
        complete = [found for found in families if found is not None]
        if not families or len(complete) < len(families):
            return None
        there = [found for found in complete if all(self.ran[row] for row, _ in found)]
        weights = None
        if there:
            weights = np.zeros(len(self.recipes))
            for found in there:
                for row, sign in found:
                    weights[row] += scale * sign / len(there)
        return Contrast(tuple(moved), weights, len(there), len(families))

    def main(self, comparison: Comparison) -> Contrast:
        return self.matched([comparison], 1.0) or self.fitted([comparison])

    def interaction(self, a: Comparison, b: Comparison) -> InteractionContrast | None:
        """None where the two factors never meet, or the design ties their product to a main effect."""
        if not any(r.get(a.factor) == a.level and r.get(b.factor) == b.level for r in self.recipes):
            return None
        contrast = self.matched([a, b], 0.5) or self.fitted([a, b])
        weights = contrast.weights
        if weights is None:
            return InteractionContrast(contrast) if contrast.planned else None
        mains = [self.same_contexts(a, b, weights, contrast), self.same_contexts(b, a, weights, contrast)]
        return InteractionContrast(contrast, tuple(one for pair in mains for one in pair))

    def same_contexts(self, a: Comparison, b: Comparison, weights: Floats, whole: Contrast) -> list[Contrast]:
        """The effect of ``a`` at the baseline level and at the other level of ``b``."""
        if not whole.planned:  # least squares: main effect of a, minus or plus the interaction
            main = self.main(a)
            if main.weights is None:
                return []
            signs = {b.baseline: main.weights - weights, b.level: main.weights + weights}
            aliases = tuple(dict.fromkeys([*main.aliases, *whole.aliases]))
            return [
                Contrast((a,), each, aliases=aliases, given=(b.factor, level))
                for level, each in signs.items()
            ]
        return [
            Contrast((a,), each, whole.contexts, whole.planned, given=(b.factor, level))
            for level, each in (
                (b.baseline, -2 * weights * self.is_at(b.factor, b.baseline)),
                (b.level, 2 * weights * self.is_at(b.factor, b.level)),
            )
        ]

    def is_at(self, factor: str, level: Level) -> Floats:
        return np.array([float(r.get(factor) == level) for r in self.recipes])

    # Least squares

    def matrix(self, terms: Sequence[Term]) -> Floats:
        """``[recipes, columns]``; codes sum to zero over levels; a factor that is not there is 0."""
        return np.hstack([self.columns(term) for term in terms])

    def columns(self, term: Term) -> Floats:
        columns = np.ones((len(self.recipes), 1))
        for factor in term:
            codes = np.array(
                [
                    self.code(factor, r[factor]) if factor in r else np.zeros(len(self.factors[factor]) - 1)
                    for r in self.recipes
                ]
            )
            columns = (columns[:, :, None] * codes[:, None, :]).reshape(len(columns), -1)
        return columns

    def code(self, factor: str, level: Level) -> Floats:
        """Sum-to-zero code of a level: the last one is minus the sum of the others."""
        levels = list(self.factors[factor])
        eye = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
        code: Floats = eye[levels.index(level)]
        return code

    def goal(self, moved: Sequence[Comparison], terms: Sequence[Term]) -> Floats:
        """The effect in coefficients: other factors averaged over their levels, children at baseline."""
        names = tuple(sorted((one.factor for one in moved), key=list(self.factors).index))
        by_name = {one.factor: one for one in moved}
        parts = []
        for term in terms:
            width = int(np.prod([len(self.factors[f]) - 1 for f in term]))
            part: Floats = np.zeros(width)
            if term == names:
                part = np.ones(1)
                for name in names:
                    one = by_name[name]
                    step = self.code(name, one.level) - self.code(name, one.baseline)
                    part = np.asarray(np.kron(part, step), dtype=float)
                part = part * (0.5 if len(moved) == 2 else 1.0)
            elif len(moved) == 1 and len(term) == 1 and self.appears(term[0], moved[0]):
                part = self.appears(term[0], moved[0]) * self.code(term[0], self.factors[term[0]][0])
            parts.append(part)
        return np.concatenate(parts)

    def appears(self, child: str, one: Comparison) -> int:
        """1 if the level brings this factor, -1 if the level takes it away, else 0."""
        if child == one.factor:
            return 0
        up = any(child in r for r in self.recipes if r.get(one.factor) == one.level)
        down = any(child in r for r in self.recipes if r.get(one.factor) == one.baseline)
        return int(up) - int(down)

    def solve(self, moved: Sequence[Comparison], terms: Sequence[Term]) -> Floats | None:
        """Least-squares weights over the recipes that ran, None if the model does not give this effect."""
        model, goal = self.matrix(terms)[self.ran], self.goal(moved, terms)
        solved = np.linalg.pinv(model.T) @ goal
        if np.abs(model.T @ solved - goal).max(initial=0.0) > 1e-7:
            return None
        weights = np.zeros(len(self.recipes))
        weights[self.ran] = solved
        return weights

    def fitted(self, moved: Sequence[Comparison]) -> Contrast:
        """By the larger model that gives it: all two-factor interactions, or its own alone."""
        names = tuple(sorted((one.factor for one in moved), key=list(self.factors).index))
        mains = [term for term in self.terms if len(term) < 2]
        own = [names] if len(names) == 2 else []
        for terms in (self.terms, [*mains, *own]):
            weights = self.solve(moved, terms)
            if weights is not None:
                return Contrast(tuple(moved), weights, aliases=self.aliases(weights, moved))
        return Contrast(tuple(moved), None)

    def aliases(self, weights: Floats, moved: Sequence[Comparison]) -> tuple[str, ...]:
        """Other terms of up to two factors that these weights pick up as well."""
        names = {one.factor for one in moved}
        found = []
        for term in self.terms[1:]:
            if set(term) == names or any(len(moved) == 1 and self.appears(f, moved[0]) for f in term):
                continue
            if np.abs(weights @ self.columns(term)).max() > TINY:
                found.append(" x ".join(term))
        return tuple(found)
