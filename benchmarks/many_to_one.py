"""How often the simultaneous intervals of `statistics.many_to_one` hold every difference at once.

    python benchmarks/many_to_one.py --studies 300            # every case; four minutes on one core
    python benchmarks/many_to_one.py --studies 300 --scores   # without predictions: three minutes

Studies of predictions are those of `intervals.py`, whose truth is known. Studies of scores are normal: every
run is its recipe's mean + its seed's luck + its own, whose standard deviation may differ by recipe.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from intervals import Case, draw, true_score

from finegrid.recipe.identity import Levels
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.many_to_one import ManyToOne, compare_with
from finegrid.statistics.outcomes import Floats, Outcomes

FIVE = (0.06, 0.0, -0.03, 0.0, 0.0)
NONE = (0.0,) * 5
CASES = [
    Case("A/A, 3 seeds", effects=NONE, by_seed=NONE, seeds=3),
    Case("effects, 3 seeds", effects=FIVE, by_seed=NONE, seeds=3),
    Case("effects that differ by seed, 3 seeds", effects=FIVE, by_seed=(0.04,) * 5, seeds=3),
    Case("effects, one run in ten missing, 3 seeds", effects=FIVE, by_seed=NONE, seeds=3, lost=0.1),
    Case("A/A, one seed", effects=NONE, by_seed=NONE, seeds=1),
    Case("effects, one seed", effects=FIVE, by_seed=NONE, seeds=1),
]


@dataclass(frozen=True)
class Scores:
    """Studies without predictions, A/A: ``[recipes]`` standard deviations of runs, the baseline's first."""

    name: str
    sd: Floats
    seeds: int

    def draw(self, random: np.random.Generator) -> Outcomes:
        factors = int(np.log2(len(self.sd)))
        levels = {f"factor.{number}": [0, 1] for number in range(factors)}
        recipes: list[Levels] = [
            dict(zip(levels, row, strict=True)) for row in product((0, 1), repeat=factors)
        ]
        own = self.sd[:, None] * random.standard_normal((len(recipes), self.seeds))
        return Outcomes(levels, recipes, 80 + random.standard_normal(self.seeds) + own)


def list_scores() -> Iterator[Scores]:
    for recipes in (8, 32):
        for seeds in (2, 3, 5, 20):
            one = np.ones(recipes)
            calm, wild, half, single = one.copy(), one.copy(), one.copy(), one.copy()
            calm[0], wild[0], half[1::2], single[1] = 0.25, 4.0, 4.0, 6.0
            kinds = {
                "alike": one,
                "the baseline's a quarter": calm,
                "the baseline's fourfold": wild,
                "every second recipe's fourfold": half,
                "one recipe's sixfold": single,
            }
            for name, sd in kinds.items():
                yield Scores(f"{recipes} recipes, {seeds} seeds, noise {name}", sd, seeds)


HEADER = "| case | studies | all held | held | width | its own |\n| --- | --- | --- | --- | --- | --- |"


def describe(name: str, found: list[tuple[ManyToOne, Floats]]) -> str:
    """``found``: of every study, and what is true of it, ``[recipes]``."""
    together, alone, width, plain = [], [], [], []
    for against, truth in found:
        known = [(one, true) for one, true in zip(against.differences, truth, strict=True) if one is not None]
        held = [one.simultaneous.low <= true <= one.simultaneous.high for one, true in known]
        together.append(all(held))
        alone += [one.plain.low <= true <= one.plain.high for one, true in known]
        width += [one.simultaneous.high - one.simultaneous.low for one, _ in known]
        plain += [one.plain.high - one.plain.low for one, _ in known]
    return (
        f"| {name} | {len(found)} | {np.mean(together):.1%} | {np.mean(alone):.1%} | "
        f"{np.median(width):.2f} | {np.median(plain):.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--scores", action="store_true", help="studies without predictions")
    asked = parser.parse_args()
    print(HEADER, flush=True)
    if asked.scores:
        for one in list_scores():
            if asked.case in one.name:
                random = np.random.default_rng([1, *one.name.encode()])
                studies = (one.draw(random) for _ in range(asked.studies))
                found = [(compare_with(Experiment.of(study), 0), np.zeros(len(one.sd))) for study in studies]
                print(describe(one.name, found), flush=True)
        return
    for case in CASES:
        if asked.case in case.name:
            random, score = np.random.default_rng([1, *case.name.encode()]), true_score(case)
            drawn = (draw(case, random) for _ in range(asked.studies))
            found = [(compare_with(Experiment.of(study), 0), score - score[0]) for study in drawn]
            print(describe(case.name, found), flush=True)


if __name__ == "__main__":
    main()
