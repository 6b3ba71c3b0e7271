"""How often "did not learn" is said of runs that learned, and found where runs did not: simulated scores.

    python benchmarks/failures.py --studies 1000

A score is the typical one + effects of two-level factors + products of two factors + luck of the seed + luck
of the run (normal, or Student's t with 3 degrees of freedom), in points. In failing worlds the runs of a cell
fail with a probability of their own, and end near the majority class's score.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product

import numpy as np

from finegrid.recipe.identity import Levels
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.failures import (
    Failures,
    compare_levels,
    find_cell_failures,
    find_cut,
    find_risky,
    single_out,
)
from finegrid.statistics.outcomes import Floats

TEXTS = 1000  # of dev
CELL = (("a", 1), ("b", 1))


@dataclass(frozen=True)
class World:
    """Attributes:
    typical, majority: Points.
    mains: Of the factors, points from level 0 to level 1; drawn anew for each study if a standard deviation.
    pairs: Standard deviation of the products, points.
    run: Standard deviation of a run's luck, points.
    heavy: With Student's t of 3 degrees of freedom, of this scale.
    fails: Probability that a run of the cell a = 1, b = 1 does not learn; of all runs if ``anywhere``.
    """

    name: str
    typical: float = 80.0
    majority: float = 10.0
    mains: tuple[float, ...] = (0.0,) * 5
    sd: float = 0.0
    pairs: float = 0.0
    run: float = 1.0
    heavy: bool = False
    fails: float = 0.0
    anywhere: bool = False


TEN = (-10.0, 0.0, 0.0, 0.0, 0.0)
CLEAN = (
    World("A/A"),
    World("A/A, heavy tails", heavy=True),
    World("A/A, heavy tails, noisy", run=4.0, heavy=True),
    World("one family 10 points worse", mains=TEN),
    World("one family 10 points worse, heavy tails", mains=TEN, heavy=True),
    World("one family 30 points worse", mains=(-30.0, 0.0, 0.0, 0.0, 0.0)),
    World("one family 45 points worse", mains=(-45.0, 0.0, 0.0, 0.0, 0.0)),
    World("one family 45 points worse, heavy tails", mains=(-45.0, 0.0, 0.0, 0.0, 0.0), heavy=True),
    World("strong effects", sd=5.0, pairs=2.5),
    World("very strong effects", sd=12.0, pairs=6.0),
    World("binary, 60 where 50 is nothing", typical=60.0, majority=50.0),
    World("the same, heavy tails", typical=60.0, majority=50.0, heavy=True),
    World("the same, a family 8 points worse", typical=60.0, majority=50.0, mains=(-8.0, 0, 0, 0, 0)),
    World("imbalanced, 92 where 85 is nothing", typical=92.0, majority=85.0),
    World("the same, heavy tails, noisy", typical=92.0, majority=85.0, run=2.0, heavy=True),
    World("nothing learns", typical=50.0, majority=50.0),
    World("nothing learns, heavy tails", typical=10.0, majority=10.0, heavy=True),
    World("four recipes, heavy tails", mains=(0.0, 0.0), heavy=True),
    World("four recipes, heavy tails, noisy", mains=(0.0, 0.0), run=4.0, heavy=True),
    World("four recipes, strong effects", mains=(0.0, 0.0), sd=5.0, pairs=2.5),
    World("four recipes, very strong effects", mains=(0.0, 0.0), sd=12.0, pairs=6.0),
    World("majority not known", majority=0.0, sd=5.0, pairs=2.5, heavy=True),
)
FAILING = (
    World("a quarter of the runs of a cell", fails=0.25),
    World("half of the runs of a cell", fails=0.5),
    World("a quarter of the runs of a cell, strong effects", sd=3.0, pairs=1.0, fails=0.25),
    World("3 % of all runs", fails=0.03, anywhere=True),
    World("30 % of all runs", fails=0.3, anywhere=True),
    World("binary, 90 where 50 is nothing, a quarter of a cell", typical=90.0, majority=50.0, fails=0.25),
)


@dataclass(frozen=True)
class Study:
    recipes: tuple[Levels, ...]
    score: Floats  # [recipes, seeds], points
    failed: np.ndarray  # [recipes, seeds], the truth


def draw(world: World, seeds: int, random: np.random.Generator) -> Study:
    names = "abcde"[: len(world.mains)]
    at = np.array(list(product((0, 1), repeat=len(names))))
    recipes: tuple[Levels, ...] = tuple({n: int(v) for n, v in zip(names, row, strict=True)} for row in at)
    mains = np.array(world.mains) + world.sd * random.normal(size=len(names))
    mean = at @ mains
    for i in range(len(names)):
        for j in range(i):
            mean = mean + world.pairs * random.normal() * at[:, i] * at[:, j]
    luck = random.standard_t(3, (len(at), seeds)) if world.heavy else random.normal(size=(len(at), seeds))
    score = world.typical + mean[:, None] + world.run * (random.normal(size=seeds) + luck)
    cell = np.ones(len(at), bool) if world.anywhere else (at[:, 0] == 1) & (at[:, 1] == 1)
    failed = (random.random(score.shape) < world.fails) & cell[:, None]
    low = world.majority + random.uniform(0, 0.2 * (world.typical - world.majority), score.shape)
    return Study(recipes, np.clip(np.where(failed, low, score), 0.0, 100.0), failed)


def simulate(world: World, seeds: int, studies: int, random: np.random.Generator) -> str:
    said = right = named = guarded = wrong = with_any = 0
    for _ in range(studies):
        study = draw(world, seeds, random)
        share = np.clip(np.median(study.score) / 100, 0.01, 0.99)
        noise = 100 * float(np.sqrt(share * (1 - share) / TEXTS))
        cut = find_cut(study.score, world.majority, noise)
        below = cut.below(study.score) if cut else np.zeros(study.score.shape, bool)
        said += bool((below & ~study.failed).any())
        if not study.failed.any():
            continue
        with_any += 1
        right += np.array_equal(below, study.failed)
        ended = np.ones(study.score.shape, bool)
        groups = single_out(study.recipes, below, ended)
        named += bool(groups) and groups[0].levels == CELL
        failures = Failures(ended, ~ended, below, cut)
        mains = Contrasts(dict.fromkeys(study.recipes[0], (0, 1)), study.recipes, ended[:, 0]).mains
        shares = compare_levels(mains, study.recipes, failures)
        guilty = () if world.anywhere else ("a", "b")
        wrong += any(one.is_worse(0.05) for one in shares if one.comparison.factor not in guilty)
        risky = find_risky(find_cell_failures(study.recipes, failures))
        in_cell = [tuple(recipe[f] for f, _ in CELL) == (1, 1) for recipe in study.recipes]
        guarded += bool(risky[in_cell].all()) and not risky[~np.array(in_cell)].any()
    cells = [f"{100 * said / studies:.1f} %"]
    if with_any:
        cells += [f"{100 * count / with_any:.0f} %" for count in (right, named, guarded, wrong)]
    return " | ".join([world.name, str(seeds), *cells])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| clean studies | seeds | some run said not to have learned |")
    print("| --- | --- | --- |")
    for world in CLEAN:
        for seeds in (1, 3, 5):
            random = np.random.default_rng([asked.seed, seeds])
            print(f"| {simulate(world, seeds, asked.studies, random)} |", flush=True)
    print()
    heads = ("failing", "seeds", "a run that learned is called so", "all found, and no other")
    more = ("the cell is named", "guarded are its recipes, and no others", "a level is wrongly told")
    print(f"| {' | '.join([*heads, *more])} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for world in FAILING:
        for seeds in (1, 3, 5):
            random = np.random.default_rng([asked.seed, seeds])
            print(f"| {simulate(world, seeds, max(1, asked.studies // 10), random)} |", flush=True)


if __name__ == "__main__":
    main()
