"""Outcomes made ready for every analysis: completed, with their contrasts and their noise.

    experiment = Experiment.of(outcomes)
    seconds = experiment.with_scores(seconds_per_run)    # the same recipes: contrasts are shared

Each part is worked out when first asked for, and once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.least_squares import Residual
from finegrid.statistics.nested import Splits
from finegrid.statistics.outcomes import (
    DENSE,
    Completion,
    Filled,
    Floats,
    Outcomes,
    Values,
    complete,
    fill,
)
from finegrid.statistics.repeats import between_repeats, count_runs
from finegrid.statistics.variance import (
    LEAST_RESIDUAL,
    NOTHING,
    Imbalance,
    Noise,
    StandIn,
    Weights,
    between_seeds,
    find_stand_in,
    measure_imbalance,
    measure_imbalance_by_structure,
    one_seed,
    without_zeros,
)


@dataclass(frozen=True)
class Estimators:
    """Weighted sums over the recipes that ran.

    Attributes:
        weights: ``[estimators, kept recipes]``.
        completion: Of the table that they are taken over.
    """

    weights: Weights
    completion: Completion

    @cached_property
    def imbalance(self) -> Imbalance:
        return measure_imbalance(self.completion, self.weights)


@dataclass(frozen=True)
class EffectFamily:
    """Effects that are judged together.

    Attributes:
        contrasts: All of them.
        given: Places of those that the runs give: their recipes ran, in seeds that connect them.
        estimators: Of these.
    """

    contrasts: tuple[Contrast, ...]
    given: tuple[int, ...]
    estimators: Estimators


def collect_family(contrasts: Sequence[Contrast], completion: Completion) -> EffectFamily:
    rows, given = [], []
    for number, contrast in enumerate(contrasts):
        if contrast.weights is not None:
            rows.append(contrast.weights[completion.kept])
            given.append(number)
    weights = np.array(rows).reshape(len(rows), int(completion.kept.sum()))
    return EffectFamily(tuple(contrasts), tuple(given), Estimators(weights, completion))


@dataclass(frozen=True)
class Families:
    """What follows from the recipes and from which runs finished, whatever the scores."""

    contrasts: Contrasts
    completion: Completion

    @cached_property
    def mains(self) -> EffectFamily:
        return collect_family(self.contrasts.mains, self.completion)

    @cached_property
    def interactions(self) -> EffectFamily:
        contrasts = [interaction.contrast for interaction in self.contrasts.interactions]
        return collect_family(contrasts, self.completion)

    @cached_property
    def conditional(self) -> EffectFamily:
        """Those of all interactions, one after the other."""
        contrasts = [
            contrast for interaction in self.contrasts.interactions for contrast in interaction.conditional
        ]
        return collect_family(contrasts, self.completion)

    @cached_property
    def recipes(self) -> Estimators:
        """The mean of every recipe that ran."""
        count = len(self.completion.ran)
        eye = np.eye(count) if count <= DENSE else sparse.eye_array(count, format="csr")
        return Estimators(eye, self.completion)

    @cached_property
    def leftover(self) -> Floats | Residual:
        """What the model leaves: ``[kept recipes, df]``, orthonormal; of many recipes, as a projection."""
        if len(self.completion.ran) > DENSE:
            residual = self.contrasts.residual
            if residual.df >= LEAST_RESIDUAL:
                return residual
        return self.contrasts.residual_basis[self.completion.kept]

    @cached_property
    def reference(self) -> Floats:
        """``[effects, kept recipes]``: main effects and interactions."""
        parts = [family.estimators.weights for family in (self.mains, self.interactions)]
        return np.vstack(parts)

    @cached_property
    def of_one_design(self) -> Families:
        """Those of all recipes together, whatever the blocks."""
        contrasts = self.contrasts.of_one_design
        return self if contrasts is self.contrasts else Families(contrasts, self.completion)


@dataclass(frozen=True)
class Experiment:
    """The outcomes of a study, ready for every analysis.

    Attributes:
        outcomes: As they were given.
        families: The effects, as weighted sums over the completed table.
    """

    outcomes: Outcomes
    families: Families

    @classmethod
    def of(cls, outcomes: Outcomes) -> Experiment:
        completion = complete(outcomes.ran, outcomes.splits)
        contrasts = Contrasts(outcomes.factors, outcomes.recipes, completion.kept, outcomes.blocks)
        return cls(outcomes, Families(contrasts, completion))

    def with_scores(
        self,
        score: Floats,
        influence: Values | None = None,
        repeats: Floats | None = None,
        run_text: Floats | None = None,
        measured: bool = True,
        splits: Splits | None = None,
    ) -> Experiment:
        """Another score of the same recipes. What depends on finished runs alone is shared.

        Args:
            score: ``[recipes, seeds]``, nan where no run finished; further seeds, or fewer, are allowed.
            influence, repeats, run_text, measured: Of this score; see `Outcomes`.
            splits: Those of this score, where they are others than before.
        """
        outcomes = replace(
            self.outcomes,
            score=score,
            influence=influence,
            repeats=repeats,
            run_text=run_text,
            measured=measured,
            splits=splits or self.outcomes.splits,
            grain=0.0,  # what a text moves this score by is another matter
        )
        if np.array_equal(outcomes.ran, self.outcomes.ran):
            return Experiment(outcomes, self.families)
        completion = complete(outcomes.ran, outcomes.splits)
        if np.array_equal(completion.kept, self.completion.kept):
            return Experiment(outcomes, Families(self.families.contrasts, completion))
        return Experiment.of(outcomes)

    def without_splits(self) -> Experiment:
        """As if all seeds had the same texts: for what does not depend on texts, such as seconds."""
        return self if self.outcomes.splits is None else Experiment.of(replace(self.outcomes, splits=None))

    @property
    def completion(self) -> Completion:
        return self.families.completion

    @property
    def overlap(self) -> float:
        """Of splits of one pool: test over training texts (`nested`); 0 where seeds have the same texts."""
        return 0.0 if self.outcomes.splits is None else self.outcomes.splits.overlap

    @property
    def runs_each(self) -> int:
        """Seeds that have any run; of repeats whose predictions are known, how many a recipe has."""
        known = self.known_repeats
        return self.completion.seeds if known is None else count_runs(known[0])

    @property
    def known_repeats(self) -> tuple[Floats, Floats] | None:
        """Of repeats whose predictions are known: `Outcomes.repeats` and ``run_text`` of recipes that ran."""
        repeats, run_text = self.outcomes.repeats, self.outcomes.run_text
        if repeats is None or run_text is None:
            return None
        return repeats[self.completion.kept], run_text[self.completion.kept]

    @cached_property
    def filled(self) -> Filled:
        return fill(self.outcomes, self.completion)

    @cached_property
    def main_noise(self) -> Noise:
        return self._measure_noise(self.families.mains.estimators)

    @cached_property
    def interaction_noise(self) -> Noise:
        return self._measure_noise(self.families.interactions.estimators)

    @cached_property
    def conditional_noise(self) -> Noise:
        return self._measure_noise(self.families.conditional.estimators)

    def recipe_noise(self, asked: Sequence[int] | None = None) -> Noise:
        """Of the means of some recipes, by their places among those that ran; of all if None."""
        return self._measure_noise(self.families.recipes, asked)

    def noise_of(self, weights: Weights) -> Noise:
        """Of any weighted sums over the recipes that ran, judged as a family.

        Args:
            weights: ``[sums, kept recipes]``, an array or a sparse one.
        """
        if self.completion.columns > 1:
            imbalance = measure_imbalance_by_structure(self.completion, weights)
            return between_seeds(self.filled, weights, imbalance, overlap=self.overlap)
        if self.known_repeats is not None:
            return between_repeats(self.filled, weights, *self.known_repeats)
        return one_seed(self.filled, weights, self._stand_in)

    def influencing(self, row: int) -> NDArray[np.bool_]:
        """``[recipes]``: whose influence values the noise of one recipe's mean is made of.

        Its own where all its runs have finished and there are several seeds. Everyone's otherwise: they
        stand in for its missing runs, or for the difference between seeds.
        """
        alone: NDArray[np.bool_] = np.arange(len(self.outcomes.recipes)) == row
        place = int(self.completion.kept[:row].sum())
        complete_row = self.completion.kept[row] and self.completion.ran[place].all()
        everyone = np.ones(len(alone), dtype=bool)
        return alone if complete_row and self.completion.columns > 1 else everyone

    def _measure_noise(self, estimators: Estimators, asked: Sequence[int] | None = None) -> Noise:
        if self.completion.columns > 1:
            noise = between_seeds(self.filled, estimators.weights, estimators.imbalance, asked, self.overlap)
        else:
            weights = estimators.weights if asked is None else estimators.weights[list(asked)]
            if self.known_repeats is not None:
                return between_repeats(self.filled, weights, *self.known_repeats)
            noise = one_seed(self.filled, weights, self._stand_in)
        return noise if self.outcomes.measured else without_zeros(noise)

    def measure_noise(self, weights: Floats) -> Noise:
        """Of further weighted sums, ``[estimators, recipes that ran]``, as one family."""
        return self._measure_noise(Estimators(weights, self.completion))

    @cached_property
    def _stand_in(self) -> StandIn:
        return self._find_stand_in(self.families)

    @cached_property
    def stand_in_of_one_design(self) -> StandIn:
        """What stands in for the difference between runs, by contrasts of all recipes together."""
        families = self.families.of_one_design
        return self._stand_in if families is self.families else self._find_stand_in(families)

    def _find_stand_in(self, families: Families) -> StandIn:
        # Within one split nothing shows how far splits differ.
        if self.outcomes.splits is not None or not self.outcomes.may_stand_in:
            return NOTHING
        repeats = self.outcomes.repeats
        known = None if repeats is None else repeats[self.completion.kept]
        found = find_stand_in(self.filled, self.families.leftover, families.reference, known)
        return found if self.outcomes.measured else found.without_zero()
