"""How often the intervals of free factors hold the truth: simulated studies whose truth is known.

    python benchmarks/free_levels.py --studies 2000

Every run is scored at a first level and at others. Text t is classified rightly by the run of recipe r and
seed s at level l if

    ease + run[r, s] + text[t] + by run[r, s, t]                     the run's own, for all levels
         + shift[l] + by seed[l, s] + level[l, r, s] + level by text[l, t] + by all[l, r, s, t] > 0

All terms are normal, so the truth is known in closed form. Where a level is often the same as the first one,
as the last epoch and the best one are, a run takes over all of the first level's terms and its shift.
Outcomes are made of it as the verdict makes them: means over recipes by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.effects import Analysis, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats, Outcomes

EASE, TEXT, RUN, BY_RUN = 1.3, 0.8, 0.03, 0.35  # of the run itself; standard deviations
BY_TEXT, BY_ALL = 0.08, 0.15  # of a level


@dataclass(frozen=True)
class Case:
    """One kind of study.

    Attributes:
        shifts: latent units, of every level but the first; each is a factor of its own.
        by_seed: standard deviation of each of these levels between seeds, which all recipes share.
        level: the same, of a run on its own.
        same: chance that a run takes the first level over, of each of these levels.
    """

    name: str
    shifts: tuple[float, ...] = (0.05, 0.0, -0.03, 0.0)
    seeds: int = 5
    recipes: int = 4
    texts: int = 500
    by_seed: tuple[float, ...] = (0.0,) * 4
    level: tuple[float, ...] = (0.02,) * 4
    same: tuple[float, ...] = (0.0,) * 4

    @property
    def factors(self) -> dict[str, list[Level]]:
        return {f"free.{number}": [0, 1] for number in range(len(self.shifts))}

    @property
    def levels(self) -> list[Levels]:
        first: Levels = dict.fromkeys(self.factors, 0)
        return [first, *({**first, name: 1} for name in self.factors)]


CASES = [
    Case("3 seeds", seeds=3),
    Case("5 seeds"),
    Case("8 seeds", seeds=8),
    Case("one recipe, 5 seeds", recipes=1),
    Case("levels differ by seed, 3 seeds", seeds=3, by_seed=(0.05,) * 4),
    Case("levels differ by seed, 5 seeds", by_seed=(0.05,) * 4),
    Case("levels differ by seed unequally, 5 seeds", by_seed=(0.1, 0.05, 0.02, 0.0)),
    Case("often the first level, 3 seeds", seeds=3, same=(0.7, 0.7, 0.0, 0.0)),
    Case("often the first level, 5 seeds", same=(0.7, 0.7, 0.0, 0.0)),
    Case("often the first level, one recipe, 5 seeds", recipes=1, same=(0.7, 0.7, 0.0, 0.0)),
    Case("A/A, 3 seeds", shifts=(0.0,) * 4, seeds=3),
    Case("A/A, 5 seeds", shifts=(0.0,) * 4),
    Case("A/A, often the first level, 5 seeds", shifts=(0.0,) * 4, same=(0.7, 0.7, 0.7, 0.0)),
]


def true_effects(case: Case) -> Floats:
    """``[factors]``, points."""
    common = TEXT**2 + RUN**2 + BY_RUN**2 + BY_TEXT**2 + BY_ALL**2

    def right(shift: float, by_seed: float, level: float) -> float:
        return float(100 * stats.norm.cdf((EASE + shift) / np.sqrt(common + by_seed**2 + level**2)))

    each = zip(case.shifts, case.by_seed, case.level, case.same, strict=True)
    first = right(0.0, 0.0, 0.0)
    return np.array([(1 - same) * (right(*own) - first) for *own, same in each])


def draw(case: Case, random: np.random.Generator) -> Outcomes:
    """A study as the verdict sees it."""
    levels, shape = len(case.shifts) + 1, (case.recipes, case.seeds)
    own = EASE + RUN * random.standard_normal(shape)[..., None] + TEXT * random.standard_normal(case.texts)
    own = own + BY_RUN * random.standard_normal((*shape, case.texts))
    by_text = BY_TEXT * random.standard_normal((levels, case.texts))
    score, influence = np.zeros((levels, case.seeds)), np.zeros((levels, case.seeds, case.texts))
    first: Floats = np.zeros(())
    for number in range(levels):
        latent = own + by_text[number] + BY_ALL * random.standard_normal((*shape, case.texts))
        if number == 0:
            first = latent
        else:
            place = number - 1
            by_seed = case.by_seed[place] * random.standard_normal(case.seeds)
            runs = case.level[place] * random.standard_normal(shape)
            latent = latent + (case.shifts[place] + by_seed + runs)[..., None]
            takes_over = random.random(shape) < case.same[place]
            latent = np.where(takes_over[..., None], first, latent)
        right = 100.0 * (latent > 0)
        score[number] = right.mean(axis=(0, 2))
        influence[number] = (right - right.mean(axis=2, keepdims=True)).mean(axis=0)
    grain = 100 / case.texts
    return Outcomes(
        case.factors, case.levels, score, influence, grain=grain, measured=False, may_stand_in=False
    )


def simulate(case: Case, studies: int, seed: int = 1) -> Iterator[Analysis]:
    random = np.random.default_rng(seed)
    for _ in range(studies):
        yield analyse(Experiment.of(draw(case, random)), margin=0.2)


@dataclass(frozen=True)
class Report:
    """What came of the studies of a case.

    Attributes:
        covered: share of plain intervals that hold their effect, of those that are known.
        worst: the same of the level with the lowest share.
        unknown: share of intervals that are not known, since a level never differed.
        width: mean, points.
        wrong_sign, wrong_same: studies with any wrong *use* or *do not use*, or *no difference*.
    """

    case: str
    studies: int
    covered: float
    worst: float
    unknown: float
    width: float
    wrong_sign: float
    wrong_same: float

    def __str__(self) -> str:
        shares = f"{self.covered:.1%} | {self.worst:.1%} | {self.unknown:.1%} | {self.width:.2f}"
        return f"| {self.case} | {self.studies} | {shares} | {self.wrong_sign:.1%} | {self.wrong_same:.1%} |"


HEADER = (
    "| case | studies | covered | worst level | unknown | width | wrong sign | wrong *no difference* |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def report(case: Case, studies: int, seed: int = 1) -> Report:
    truth = true_effects(case)
    known, held, widths = np.zeros(len(truth)), np.zeros(len(truth)), []
    signs, sames = 0, 0
    for analysis in simulate(case, studies, seed):
        wrong_sign = wrong_same = False
        for place, (effect, true) in enumerate(zip(analysis.effects, truth, strict=True)):
            assert effect.decision is not None
            kind = effect.decision.kind
            wrong_sign |= (kind == "use" and true <= 0) or (kind == "avoid" and true >= 0)
            wrong_same |= kind == "same" and abs(true) > 0.2
            if effect.plain.is_known:
                known[place] += 1
                held[place] += effect.plain.low <= true <= effect.plain.high
                widths.append(effect.plain.high - effect.plain.low)
        signs, sames = signs + wrong_sign, sames + wrong_same
    return Report(
        case.name,
        studies,
        float(held.sum() / known.sum()),
        float((held / known).min()),
        float(1 - known.sum() / (studies * len(truth))),
        float(np.mean(widths)),
        signs / studies,
        sames / studies,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--seed", type=int, default=1, help="of the draws; the docs' table has 1")
    asked = parser.parse_args()
    print(HEADER, flush=True)
    for case in CASES:
        if asked.case in case.name:
            print(report(case, asked.studies, asked.seed), flush=True)


if __name__ == "__main__":
    main()
