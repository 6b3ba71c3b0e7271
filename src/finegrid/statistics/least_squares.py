"""Contrasts by least squares: the model of main effects and two-factor interactions.

For fractions, and for patchworks that do not say what they are made of. What the model cannot tell apart is
named in ``Contrast.aliases``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.comparisons import Comparison, Contrast, Factors
from finegrid.statistics.outcomes import Floats, Values

Term = tuple[str, ...]  # of the model: none, one or two factors
TINY = 1e-9


@dataclass(frozen=True)
class Residual:
    """What a model leaves, without a basis of it.

    Attributes:
        model: ``[recipes that ran, rank]``, orthonormal columns that span the model.
    """

    model: Floats

    @property
    def df(self) -> int:
        recipes, rank = self.model.shape
        return int(recipes - rank)

    @property
    def share(self) -> Floats:
        """``[recipes that ran]``, how much of each recipe's own chance is left: they add up to ``df``."""
        return np.asarray(1 - np.square(self.model).sum(axis=1))

    def take_out(self, values: Values) -> Floats:
        """The part of ``[recipes that ran, ...]`` that the model does not give."""
        return np.asarray(values - self.model @ (self.model.T @ values))


class LeastSquares:
    """Fits the model to the recipes of a design; columns and inverses are worked out once.

    Args:
        factors: With their levels, the baseline's first.
        recipes: All that are planned.
        ran: ``[recipes]``, which have any run.
    """

    def __init__(self, factors: Factors, recipes: Sequence[Levels], ran: NDArray[np.bool_]) -> None:
        self.factors, self.recipes, self.ran = factors, recipes, ran
        # Two factors that never meet have no product.
        pairs = [
            pair
            for pair in combinations(factors, 2)
            if any(all(factor in recipe for factor in pair) for recipe in recipes)
        ]
        self.terms: tuple[Term, ...] = ((), *((factor,) for factor in factors), *pairs)
        self._columns: dict[Term, Floats] = {}
        self._solvers: dict[tuple[Term, ...], tuple[Floats, Floats]] = {}

    def contrast(self, compared: Sequence[Comparison]) -> Contrast:
        """Of one or two comparisons, by the larger model that gives it.

        That is all two-factor interactions, or its own alone. Without weights if neither model gives it.
        """
        names = self._name_term(compared)
        mains = [term for term in self.terms if len(term) < 2]
        smaller = (*mains, names) if len(names) == 2 else (*mains,)
        for terms in (self.terms, smaller):
            weights = self._solve(compared, terms)
            if weights is not None:
                aliases = self._find_aliases(weights, compared)
                return Contrast(tuple(compared), weights, aliases=aliases)
        return Contrast(tuple(compared), None)

    def residual_basis(self) -> Floats:
        """``[recipes, df]``, orthonormal: what main effects and two-factor interactions leave."""
        model = self._matrix(self.terms)[self.ran]
        left, scale, _ = np.linalg.svd(model, full_matrices=True)
        rank = int((scale > 1e-8 * scale.max(initial=1.0)).sum())
        basis = np.zeros((len(self.recipes), len(model) - rank))
        basis[self.ran] = left[:, rank:]
        return basis

    def residual(self) -> Residual:
        """The same as a projection: its cost grows with the recipes, not with their square."""
        left, scale, _ = np.linalg.svd(self._matrix(self.terms)[self.ran], full_matrices=False)
        rank = int((scale > 1e-8 * scale.max(initial=1.0)).sum())
        return Residual(left[:, :rank])

    def _name_term(self, compared: Sequence[Comparison]) -> Term:
        order = list(self.factors).index
        return tuple(sorted((comparison.factor for comparison in compared), key=order))

    def _solve(self, compared: Sequence[Comparison], terms: tuple[Term, ...]) -> Floats | None:
        """Weights over the recipes that ran, None if the model does not give this effect."""
        if terms not in self._solvers:
            model = self._matrix(terms)[self.ran]
            self._solvers[terms] = model, np.asarray(np.linalg.pinv(model.T), dtype=float)
        model, inverse = self._solvers[terms]
        goal = self._goal(compared, terms)
        solved = inverse @ goal
        if np.abs(model.T @ solved - goal).max(initial=0.0) > 1e-7:
            return None
        weights = np.zeros(len(self.recipes))
        weights[self.ran] = solved
        return weights

    def _matrix(self, terms: Sequence[Term]) -> Floats:
        """``[recipes, columns]``; codes sum to zero over levels; a factor that is not there is 0."""
        return np.hstack([self._columns_of(term) for term in terms])

    def _columns_of(self, term: Term) -> Floats:
        if term not in self._columns:
            columns = np.ones((len(self.recipes), 1))
            for factor in term:
                absent = np.zeros(len(self.factors[factor]) - 1)
                codes = np.array(
                    [
                        self._code(factor, recipe[factor]) if factor in recipe else absent
                        for recipe in self.recipes
                    ]
                )
                columns = (columns[:, :, None] * codes[:, None, :]).reshape(len(columns), -1)
            self._columns[term] = columns
        return self._columns[term]

    def _code(self, factor: str, level: Level) -> Floats:
        """Sum-to-zero code of a level: the last one is minus the sum of the others."""
        levels = list(self.factors[factor])
        eye = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
        code: Floats = eye[levels.index(level)]
        return code

    def _goal(self, compared: Sequence[Comparison], terms: Sequence[Term]) -> Floats:
        """The effect in coefficients: other factors averaged over their levels, children at baseline."""
        names = self._name_term(compared)
        by_name = {comparison.factor: comparison for comparison in compared}
        parts = []
        for term in terms:
            width = int(np.prod([len(self.factors[f]) - 1 for f in term]))
            part: Floats = np.zeros(width)
            if term == names:
                part = np.ones(1)
                for name in names:
                    comparison = by_name[name]
                    step = self._code(name, comparison.level) - self._code(name, comparison.baseline)
                    part = np.asarray(np.kron(part, step), dtype=float)
            elif len(compared) == 1 and len(term) == 1 and self._appears(term[0], compared[0]):
                (child,) = term
                part = self._appears(child, compared[0]) * self._code(child, self.factors[child][0])
            parts.append(part)
        return np.concatenate(parts)

    def _appears(self, child: str, comparison: Comparison) -> int:
        """1 if the level brings this factor, -1 if the level takes it away, else 0."""
        factor = comparison.factor
        if child == factor:
            return 0
        up = any(child in r for r in self.recipes if r.get(factor) == comparison.level)
        down = any(child in r for r in self.recipes if r.get(factor) == comparison.baseline)
        return int(up) - int(down)

    def _find_aliases(self, weights: Floats, compared: Sequence[Comparison]) -> tuple[str, ...]:
        """Other terms of up to two factors that these weights pick up as well."""
        names = {comparison.factor for comparison in compared}
        aliases = []
        for term in self.terms[1:]:
            if set(term) == names:
                continue
            if len(compared) == 1 and any(self._appears(f, compared[0]) for f in term):
                continue
            if np.abs(weights @ self._columns_of(term)).max() > TINY:
                aliases.append(" x ".join(term))
        return tuple(aliases)
