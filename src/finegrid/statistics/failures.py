"""Runs that failed to learn: which they are, what they have in common, and whom they put at risk.

    cut = find_cut(score_on_dev, majority)              # what "did not learn" is, from a gap in the scores
    failures = Failures(ended, diverged, cut.below(score_on_dev))
    shares = compare_levels(contrasts, recipes, failures)  # each level against the baseline's, exact tests
    groups = single_out(recipes, failures)              # the levels, or pairs of levels, in which runs fail
    risks = find_cell_failures(recipes, failures)       # of every recipe, how sure it is that it rarely fails

A run fails if it diverges, or if it ends with a score that says it has learned next to nothing. A run whose
worker died says nothing of its recipe: it is missing, and not counted here. `docs/statistics.md` has the
definitions and how often they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.comparisons import Comparison, Contrast
from finegrid.statistics.decide import Failing, holm
from finegrid.statistics.outcomes import Floats

Mask = NDArray[np.bool_]

WAY = 15.0  # median deviations from the majority class's score to the runs above the gap
GAP = 5.0  # median deviations of the runs above it, and standard errors of one score
LEAST_GAP = 5.0  # points
TAIL = 4.0  # times the way from the median of the runs above it to the lowest of them: tails may be long
HALF_WAY, NEAR = 0.5, 0.25  # of the way from the majority class's score to the runs above the gap
MIXED = 0.25  # more than this share of the runs below are of recipes that learned with another seed
LEAST_ABOVE = 3  # runs, and a quarter of all
RARE, SURE = 0.05, 0.9  # a failure rate below the first is rare; a posterior probability of that is sure


@dataclass(frozen=True)
class Cut:
    """The gap in the scores that tells runs that learned from those that did not; points.

    Attributes:
        points: The middle of the gap.
        low, high: The lowest and the highest score of the runs below it.
        lowest_learned: The lowest score above it.
        typical: The median of the runs above it.
        majority: The score of always naming the majority class.
    """

    points: float
    low: float
    high: float
    lowest_learned: float
    typical: float
    majority: float

    def below(self, score: Floats) -> Mask:
        """``[recipes, seeds]``: which runs did not learn; a run without a score is none of them."""
        found: Mask = np.nan_to_num(score, nan=np.inf) < self.points
        return found


def find_cut(score: Floats, majority: float = 0.0, noise: float = 0.0) -> Cut | None:
    """The largest gap in the scores below which runs did not learn; None if there is none.

    A gap is one between neighbours in the order of all scores. Runs below it did not learn if

    1. at least a quarter of the runs, and at least 3, lie above it;
    2. it is wider than 5 median absolute deviations of the runs above it, than four times the way from
       their median to the lowest of them, than 5 standard errors that the sample of texts gives one score,
       and than 5 points;
    3. the way from the majority class's score to the median of the runs above it is longer than 15 such
       deviations, and all runs below have gone less than half of it;
    4. and either they are near the majority class's score: less than a quarter of the way; or runs of one
       recipe end on both sides: more than a quarter of the runs below are of recipes that learned with
       another seed, and there are at least 2.

    So a recipe that is merely bad is not called so, however bad, as long as it learns a quarter of what
    others learn, and is as bad with every seed. With one seed only "near" can hold.

    Args:
        score: ``[recipes, seeds]``, points; nan where there is none.
        majority: Points; 0 where it is not known.
        noise: Points, the standard error of one run's score that the sample of texts gives it.
    """
    there = np.isfinite(score)
    ordered = np.sort(score[there])
    gaps = np.diff(ordered)
    fewest = max(LEAST_ABOVE, -(-len(ordered) // 4))
    wide = np.flatnonzero(gaps > max(LEAST_GAP, GAP * noise))
    for place in wide[np.argsort(-gaps[wide], kind="stable")]:
        below, above = ordered[: place + 1], ordered[place + 1 :]
        if len(above) < fewest:
            continue
        typical = float(np.median(above))
        spread = float(np.median(np.abs(above - typical)))
        least, way = max(GAP * spread, TAIL * (typical - above[0])), typical - majority
        if gaps[place] <= least or way <= WAY * spread or below[-1] >= majority + HALF_WAY * way:
            continue
        cut = Cut(
            float(below[-1] + above[0]) / 2,
            float(below[0]),
            float(below[-1]),
            float(above[0]),
            typical,
            majority,
        )
        if below[-1] < majority + NEAR * way or _share_mixed(score, cut) > MIXED:
            return cut
    return None


def _share_mixed(score: Floats, cut: Cut) -> float:
    """Of the runs below the cut, the share of recipes that learned with another seed.

    0 of a single run: it may be a long tail.
    """
    below = cut.below(score)
    if below.sum() < 2:
        return 0.0
    learned = (np.isfinite(score) & ~below).any(axis=1)
    return float(below[learned].sum() / below.sum())


@dataclass(frozen=True)
class Failures:
    """Which runs failed to learn, ``[recipes, seeds]`` each.

    Attributes:
        ended: Those that have an outcome: done or diverged.
        diverged: Of these, those whose loss or predictions were not finite.
        unlearned: Of these, those that are done but did not learn.
        cut: What tells the latter; None if a gap in the scores does not.
    """

    ended: Mask
    diverged: Mask
    unlearned: Mask
    cut: Cut | None = None

    @property
    def failed(self) -> Mask:
        both: Mask = self.diverged | self.unlearned
        return both

    def __bool__(self) -> bool:
        return bool(self.failed.any())


@dataclass(frozen=True)
class LevelShare:
    """How many runs fail at a level, and how many at the baseline's level in the recipes it is compared with.

    Attributes:
        comparison: The level and the baseline's.
        counts: How many; see `decide.Failing`.
        p: Fisher's exact test of the two shares, two-sided.
        adjusted: Holm's, over all levels.
    """

    comparison: Comparison
    counts: Failing
    p: float
    adjusted: float

    def is_worse(self, alpha: float) -> bool:
        """Whether it surely fails more often than the baseline's level."""
        counts = self.counts
        more = counts.failed * counts.baseline_runs > counts.baseline_failed * counts.runs
        return more and self.adjusted <= alpha


def compare_levels(
    contrasts: Sequence[Contrast], recipes: Sequence[Levels], failures: Failures
) -> tuple[LevelShare, ...]:
    """Every level against the baseline's, in the recipes that its main effect compares.

    Recipes are what they are, and seeds are drawn: the test is of the mean failure rate over these recipes.
    Runs of the two sides are taken as independent. Where recipes differ in their rates, or seeds make both
    sides fail alike, Fisher's test is conservative.

    Args:
        contrasts: Of the main effects.
        recipes: With their levels.
    """
    found = []
    for contrast in contrasts:
        one = contrast.comparisons[0]
        weights = np.ones(len(recipes)) if contrast.weights is None else contrast.weights
        used = np.abs(weights) > 1e-12
        here = used & np.array([recipe.get(one.factor) == one.level for recipe in recipes])
        there = used & np.array([_at_baseline(recipe, one) for recipe in recipes])
        found.append((one, _count_failing(recipes, failures, one, here, there)))
    p = np.array([_test(c.failed, c.runs, c.baseline_failed, c.baseline_runs) for _, c in found])
    each = zip(found, p, holm(p), strict=True)
    return tuple(LevelShare(one, counts, float(raw), float(adj)) for (one, counts), raw, adj in each)


def _at_baseline(recipe: Levels, one: Comparison) -> bool:
    """A factor that does not exist in a recipe is off there, as at the baseline's level."""
    return recipe.get(one.factor, one.baseline) == one.baseline


def _count_failing(
    recipes: Sequence[Levels], failures: Failures, one: Comparison, here: Mask, there: Mask
) -> Failing:
    failed, ended = failures.failed, failures.ended
    with_any = [recipe for recipe, any_ in zip(recipes, here & failed.any(axis=1), strict=True) if any_]
    return Failing(
        failed=int(failed[here].sum()),
        diverged=int(failures.diverged[here].sum()),
        runs=int(ended[here].sum()),
        baseline_failed=int(failed[there].sum()),
        baseline_runs=int(ended[there].sum()),
        given=_find_shared(one, with_any, [r for r, at in zip(recipes, here, strict=True) if at]),
    )


def _find_shared(
    one: Comparison, failing: Sequence[Levels], recipes: Sequence[Levels]
) -> tuple[str, Level] | None:
    """The one level of another factor that all failing recipes have and not all recipes; else None."""
    if len(failing) < 2:
        return None
    shared = [
        (factor, level)
        for factor, level in failing[0].items()
        if factor != one.factor
        and all(recipe.get(factor) == level for recipe in failing)
        and any(recipe.get(factor) != level for recipe in recipes)
    ]
    return shared[0] if len(shared) == 1 else None


def _test(failed: int, runs: int, others_failed: int, others: int) -> float:
    """Fisher's exact test, two-sided; 1 where a side has no runs, or nothing failed."""
    if not runs or not others or not failed + others_failed:
        return 1.0
    from scipy import stats  # takes half a second to import, and most studies have no failures

    table = [[failed, runs - failed], [others_failed, others - others_failed]]
    return float(stats.fisher_exact(table).pvalue)


@dataclass(frozen=True)
class FailingGroup:
    """Runs of a level, or of a cell of two factors, against all others.

    Attributes:
        levels: One or two.
        failed, runs: In the group.
        others_failed, others: Outside of it.
        p: Fisher's exact test, two-sided.
        adjusted: Holm's, over all groups looked at.
        looked_at: How many these were.
    """

    levels: tuple[tuple[str, Level], ...]
    failed: int
    runs: int
    others_failed: int
    others: int
    p: float
    adjusted: float
    looked_at: int

    @property
    def deviance(self) -> float:
        """Of one failure rate for all runs, against one for either side."""
        k, n = np.array([self.failed, self.others_failed]), np.array([self.runs, self.others])
        table, rate = np.array([k, n - k]), k.sum() / n.sum()
        expected = np.array([n * rate, n * (1 - rate)])
        return float(2 * special.xlogy(table, table / np.where(expected > 0, expected, 1.0)).sum())

    def holds(self, recipe: Levels) -> bool:
        return all(recipe.get(factor) == level for factor, level in self.levels)


def list_groups(recipes: Sequence[Levels]) -> Iterator[tuple[tuple[str, Level], ...]]:
    """Every level, then every cell of two factors, that some recipe is in."""
    for count in (1, 2):
        yield from dict.fromkeys(
            cell for recipe in recipes for cell in combinations(sorted(recipe.items(), key=_name), count)
        )


def _name(item: tuple[str, Level]) -> str:
    return item[0]


def compare_groups(recipes: Sequence[Levels], failed: Mask, ended: Mask) -> tuple[FailingGroup, ...]:
    """Every level and every cell of two factors against all other runs, the most telling first.

    Args:
        failed, ended: ``[recipes, seeds]``.
    """
    runs, bad = ended.sum(axis=1), failed.sum(axis=1)
    counted = []
    marks: dict[tuple[str, Level], Mask] = {}
    for levels in list_groups(recipes):
        for factor, level in levels:
            if (factor, level) not in marks:
                marks[factor, level] = np.array([recipe.get(factor) == level for recipe in recipes])
        inside = np.logical_and.reduce([marks[one] for one in levels])
        n, k = int(runs[inside].sum()), int(bad[inside].sum())
        if n and n < runs.sum():
            counted.append((levels, k, n, int(bad.sum()) - k, int(runs.sum()) - n))
    p = np.array([_test(*counts) for _, *counts in counted])
    groups = [
        FailingGroup(levels, k, n, others_failed, others, float(raw), float(adjusted), len(counted))
        for (levels, k, n, others_failed, others), raw, adjusted in zip(counted, p, holm(p), strict=True)
    ]
    # Of groups that tell as much, the one of fewer levels. (In large studies several p are too small for a
    # number: the deviance tells them apart.)
    return tuple(sorted(groups, key=lambda one: (one.p, -one.deviance, len(one.levels), -one.failed)))


def single_out(
    recipes: Sequence[Levels], failed: Mask, ended: Mask, alpha: float = 0.05
) -> tuple[FailingGroup, ...]:
    """The groups in which runs fail: the most telling one, then that of what is left without it, and so on.

    Args:
        failed, ended: ``[recipes, seeds]``.
        alpha: Of Holm's test over all groups.
    """
    found: list[FailingGroup] = []
    left = ended.copy()
    while (failed & left).any():
        groups = compare_groups(recipes, failed & left, left)
        worse = (one for one in groups if one.failed * one.others > one.others_failed * one.runs)
        group = next(worse, None)
        if group is None or group.adjusted > alpha:
            break
        found.append(group)
        left = left & ~np.array([group.holds(recipe) for recipe in recipes])[:, None]
    return tuple(found)


@dataclass(frozen=True)
class CellFailures:
    """How often a recipe fails, as far as its own runs and those of its kind tell.

    Attributes:
        failed, runs: Of the recipe itself.
        cell: The group that failures single out and that it is in; None if it is in none.
        suspect: Whether it is akin to recipes that fail where no group can be singled out yet.
    """

    failed: int
    runs: int
    cell: FailingGroup | None
    suspect: bool = False

    @property
    def chance_rare(self) -> float:
        """Posterior probability that a run fails in less than 5 %, the smaller of the two: by its own runs,
        if one failed, and by its cell. 1 where nothing has failed.

        Jeffreys' prior: with k failures in n runs the rate is Beta(k + 1/2, n - k + 1/2).
        """
        counts = [(self.failed, self.runs)] if self.failed else []
        if self.cell is not None:
            counts.append((self.cell.failed, self.cell.runs))
        return min((float(special.betainc(k + 0.5, n - k + 0.5, RARE)) for k, n in counts), default=1.0)

    @property
    def is_surely_rare(self) -> bool:
        """Whether that is at least 90 %, and it is not akin to what fails elsewhere."""
        return self.chance_rare >= SURE and not self.suspect


def find_cell_failures(recipes: Sequence[Levels], failures: Failures) -> tuple[CellFailures, ...]:
    """One per recipe."""
    groups = single_out(recipes, failures.failed, failures.ended)
    failed, runs = failures.failed.sum(axis=1), failures.ended.sum(axis=1)
    cells = [next((group for group in groups if group.holds(recipe)), None) for recipe in recipes]
    suspects = find_suspects(
        recipes, failed, runs, np.array([cell is not None for cell in cells], dtype=bool)
    )
    return tuple(
        CellFailures(int(k), int(n), cell, bool(suspect))
        for k, n, cell, suspect in zip(failed, runs, cells, suspects, strict=True)
    )


def find_suspects(
    recipes: Sequence[Levels], failed: NDArray[np.int64], runs: NDArray[np.int64], explained: Mask
) -> Mask:
    """``[recipes]``: that share two levels with all recipes that fail, where no group says which fail.

    With few failures no group of recipes stands out, and yet they come from one. None where failures are
    surely rare in all these recipes together, or those that fail have nothing in common.

    Args:
        failed, runs: ``[recipes]``, how many.
        explained: ``[recipes]``, those in a group that is singled out.
    """
    none = np.zeros(len(recipes), dtype=bool)
    failing = [recipe for recipe, k, told in zip(recipes, failed, explained, strict=True) if k and not told]
    k, n = int(failed[~explained].sum()), int(runs[~explained].sum())
    if not failing or special.betainc(k + 0.5, n - k + 0.5, RARE) >= SURE:
        return none
    common = set.intersection(*(set(recipe.items()) for recipe in failing))
    if not common:
        return none
    shared = [len(common & set(recipe.items())) for recipe in recipes]
    return ~explained & (np.array(shared) >= min(2, len(common)))


def find_risky(cells: Sequence[CellFailures]) -> Mask:
    """``[recipes]``: whose cell had failures, and whose failure rate is not surely small."""
    return np.array([not cell.is_surely_rare for cell in cells], dtype=bool)
