"""What a study measured, as arrays, and what stands in for the runs that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.gaps import Gaps
from finegrid.statistics.nested import Splits, average_over_splits

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]

DENSE = 512  # recipes; of more, no array has recipes x recipes values where another way is known


@dataclass(frozen=True)
class Block:
    """Recipes of a patchwork of designs that are a design of their own, and the effects taken from it.

    Attributes:
        recipes: ``[recipes]``, which belong to it.
        factors: Those that are varied in it; the others are at their baseline level.
        given: Factors whose effects it gives, and whose interactions with each other.
    """

    recipes: NDArray[np.bool_]
    factors: tuple[str, ...]
    given: tuple[str, ...]


@dataclass(frozen=True)
class Outcomes:
    """The distinct recipes of a study and their scores.

    Attributes:
        factors: The active factors (inert ones are out) with their levels; the first level is the baseline's.
        recipes: One per distinct recipe, planned ones without a run included. A factor that does not exist
            in a recipe (``freeze.dropout`` where nothing is frozen) is absent from it.
        score: ``[recipes, seeds]``, points from 0 to 100; nan where no run finished.
        influence: ``[recipes, seeds, texts]``, points; what each text contributes to the score, mean 0 over
            texts (`metrics.influence`). None where predictions are unknown. Values of missing runs are not
            read.
        repeats: ``[recipes, repeats]``, points; true repeats of each recipe, with nothing shared between the
            columns. Imported tables and comparisons have them, and then ``score`` is their mean, ``[recipes,
            1]``, and so are influence values.
        blocks: Designs that this is a patchwork of; an effect comes from the first that gives it. Empty: one
            design.
        grain: Points that a single test text moves the score by, at most; 0 where that is unknown.
        run_text: ``[recipes]``, points squared; variance of one text in one run, of repeats whose predictions
            are known (`repeats.of_runs`); 0 where no recipe has two.
        measured: Whether a spread of 0 was measured. Where only rounded scores of unknown texts are told, it
            is False: equal scores then leave the noise unknown.
        splits: Which split of a pool every seed has, where each split has texts of its own; None where all
            seeds have the same texts.
        may_stand_in: Whether effects may stand in for the noise of a run where there is a single seed. Where
            they share one run's trajectory, the noise of one says nothing of that of another.

    Raises:
        ValueError: shapes that do not agree, or levels that the factors do not list.
    """

    factors: Mapping[str, Sequence[Level]]
    recipes: Sequence[Levels]
    score: Floats
    influence: Values | None = None
    repeats: Floats | None = None
    blocks: tuple[Block, ...] = ()
    grain: float = 0.0
    run_text: Floats | None = None
    measured: bool = True
    splits: Splits | None = None
    may_stand_in: bool = True

    def __post_init__(self) -> None:
        shape = self.score.shape
        if len(shape) != 2 or shape[0] != len(self.recipes):
            raise ValueError(f"score has shape {shape}, expected [{len(self.recipes)} recipes, seeds]")
        if self.influence is not None and self.influence.shape[:2] != shape:
            raise ValueError(f"influence has shape {self.influence.shape}, expected [*{shape}, texts]")
        if self.repeats is not None and (shape[1] != 1 or len(self.repeats) != shape[0]):
            raise ValueError("repeats go with a score of one column, their mean")
        if self.splits is not None and len(self.splits.of_seed) != shape[1]:
            raise ValueError(f"{len(self.splits.of_seed)} seeds have splits, expected {shape[1]}")
        for recipe in self.recipes:
            for factor, level in recipe.items():
                if level not in self.factors.get(factor, ()):
                    raise ValueError(f"{factor} = {level!r} is not among the factors' levels")
        if len({tuple(sorted(recipe.items())) for recipe in self.recipes}) < len(self.recipes):
            raise ValueError("two recipes are the same: merge their runs, or pass them as repeats")

    @classmethod
    def of_repeats(
        cls,
        factors: Mapping[str, Sequence[Level]],
        recipes: Sequence[Levels],
        repeats: Floats,
        measured: bool = True,
    ) -> Outcomes:
        """An imported table: ``repeats`` is ``[recipes, repeats]``, nan where a recipe has fewer."""
        there = np.isfinite(repeats)
        total = np.where(there, repeats, 0.0).sum(axis=1)
        count = there.sum(axis=1)
        mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return cls(factors, recipes, mean[:, None], repeats=repeats, measured=measured)

    @property
    def ran(self) -> NDArray[np.bool_]:
        """``[recipes, seeds]``: which runs finished."""
        there: NDArray[np.bool_] = np.isfinite(self.score)
        return there


@dataclass(frozen=True)
class Completion:
    """How the table of runs is completed; this depends on which runs finished, not on their scores.

    A missing run stands at recipe mean + seed effect from the additive model (Yates 1933). The plain
    formulae for complete data then give the least-squares estimates with seeds as blocks: no bias from
    imbalance. Noise is another matter, see ``operator``.

    Recipes are compared inside seeds. Where runs fall into parts that share neither a recipe nor a seed,
    nothing tells how the seeds of one part compare with those of another. The part with the most runs is
    kept; the recipes of the others have no score, rather than one at a made-up place.

    Attributes:
        kept: ``[recipes]``, which recipes of the study have any run, in the part that is kept.
        kept_seeds: ``[seeds]``, which seeds of the study have any run in it.
        ran: ``[kept recipes, kept seeds]``, which runs finished.
        operator: ``[kept recipes, kept seeds, finished runs]``: every value as a weighted sum of finished
            runs. None if none is missing, and of more recipes than `DENSE`: there ``gaps`` stands in.
        split_of_seed: ``[kept seeds]``, numbers of splits; None where all seeds have the same texts.
    """

    kept: NDArray[np.bool_]
    kept_seeds: NDArray[np.bool_]
    ran: NDArray[np.bool_]
    operator: Floats | None
    split_of_seed: tuple[int, ...] | None = None

    @property
    def seeds(self) -> int:
        return int(self.ran.shape[1])

    @cached_property
    def gaps(self) -> Gaps | None:
        """How missing runs follow from finished ones, by structure. None if none is missing."""
        return None if self.ran.all() else Gaps(self.ran)

    @cached_property
    def average(self) -> Floats | None:
        """``[kept seeds, splits]``: weights that make means of splits; None where seeds have no splits."""
        return None if self.split_of_seed is None else average_over_splits(self.split_of_seed)

    @property
    def columns(self) -> int:
        """Splits; seeds where these have none: the columns of what is analysed."""
        return self.seeds if self.average is None else int(self.average.shape[1])

    @property
    def ran_columns(self) -> NDArray[np.bool_]:
        """``[kept recipes, columns]``: where any run finished."""
        return self.ran if self.average is None else np.asarray(self.ran @ self.average > 0)


def complete(ran: NDArray[np.bool_], splits: Splits | None = None) -> Completion:
    """``ran``: ``[recipes, seeds]``, which runs finished."""
    kept, kept_seeds = np.asarray(ran.any(axis=1)), np.asarray(ran.any(axis=0))
    if not ran[np.ix_(kept, kept_seeds)].all():
        kept, kept_seeds = find_largest_part(ran)
    ran = ran[np.ix_(kept, kept_seeds)]
    of_seed = None if splits is None else tuple(np.array(splits.of_seed)[kept_seeds].tolist())
    dense = len(ran) <= DENSE and not ran.all()
    return Completion(kept, kept_seeds, ran, _operator(ran) if dense else None, of_seed)


def label_parts(ran: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """``[recipes]`` and ``[seeds]``: to which part each belongs; parts share neither recipes nor seeds."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    recipes, seeds = ran.shape
    row, column = np.nonzero(ran)
    edges = coo_array((np.ones(len(row)), (row, recipes + column)), shape=(recipes + seeds,) * 2)
    _, labels = connected_components(edges, directed=False)
    return labels[:recipes], labels[recipes:]


def connects_all(ran: NDArray[np.bool_]) -> bool:
    """Whether seeds connect all recipes that have any run."""
    parts, _ = label_parts(ran)
    return len(set(parts[ran.any(axis=1)].tolist())) <= 1


def find_largest_part(ran: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``[recipes]`` and ``[seeds]`` of the part with the most runs; of equals, that of the first recipe."""
    of_recipe, of_seed = label_parts(ran)
    there = ran.any(axis=1)
    runs = np.bincount(of_recipe, weights=ran.sum(axis=1))
    order = dict.fromkeys(of_recipe[there].tolist())
    part = max(order, key=lambda label: runs[label])
    return np.asarray((of_recipe == part) & there), np.asarray(of_seed == part)


@dataclass(frozen=True)
class Filled:
    """The completed table: recipes and seeds that have any run, without gaps.

    Where seeds draw splits of a pool, its columns are means of splits in the place of seeds.

    Attributes:
        completion: Which they are, and how missing runs follow from finished ones.
        score: ``[kept recipes, columns]``, points.
        influence: ``[kept recipes, columns, texts]``, points, or None.
    """

    completion: Completion
    score: Floats
    influence: Values | None

    @property
    def seeds(self) -> int:
        """Of its columns."""
        return self.completion.columns

    @property
    def texts(self) -> int:
        """0 without predictions."""
        return 0 if self.influence is None else int(self.influence.shape[2])


def fill(outcomes: Outcomes, completion: Completion) -> Filled:
    """Complete the table of runs. ``completion``: of ``outcomes.ran``."""
    rows, columns, ran = completion.kept, completion.kept_seeds, completion.ran
    score = outcomes.score[np.ix_(rows, columns)].astype(float)
    influence = outcomes.influence
    if influence is not None and not (rows.all() and columns.all()):
        influence = influence[np.ix_(rows, columns)]
    if completion.operator is None:
        if completion.gaps is not None:
            completion.gaps.fill_(score)
            if influence is not None:
                influence = influence.copy()
                completion.gaps.fill_(influence)
        return average_seeds(Filled(completion, score, influence))
    gap = completion.operator[~ran]  # [missing, finished runs]
    score[~ran] = gap @ score[ran]
    if influence is not None:
        influence = influence.copy()
        influence[~ran] = gap.astype(influence.dtype) @ influence[ran]
    return average_seeds(Filled(completion, score, influence))


def average_seeds(filled: Filled) -> Filled:
    """The same with means of splits for columns, where seeds have splits."""
    average, influence = filled.completion.average, filled.influence
    if average is None:
        return filled
    if influence is not None:
        influence = np.einsum("rst,sk->rkt", influence, average.astype(influence.dtype))
    return Filled(filled.completion, filled.score @ average, influence)


def _operator(ran: NDArray[np.bool_]) -> Floats:
    """Of runs that are connected: then the model gives every missing one."""
    recipes, seeds = ran.shape
    row, column = np.indices(ran.shape)
    model = np.zeros((*ran.shape, recipes + seeds))
    model[row, column, row] = 1.0
    model[row, column, recipes + column] = 1.0
    inverse = np.linalg.pinv(model[ran])
    operator = np.zeros((*ran.shape, int(ran.sum())))
    operator[ran] = np.eye(int(ran.sum()))
    operator[~ran] = model[~ran] @ inverse
    return operator
