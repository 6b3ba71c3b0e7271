"""How much is lost by what `finegrid verdict` recommends: simulated studies whose truth is known.

    python benchmarks/recommend.py --studies 1000                 # every world, 1, 3 and 5 seeds
    python benchmarks/recommend.py --studies 200 --world plateaus

A study is simulated at the level of predictions. The run of recipe r and seed s gets text t right if

    ease + recipe[r] + luck[r, s] + text[t] + text by factor[r, t] + text by run[r, s, t] > 0

on dev, which chooses, and on test, which gives the words. Luck is of the seed, of each factor in the seed,
and of the run alone; dev and test share it, since it is the run's. The truth is the expected accuracy over
seeds and texts, in closed form; in worlds where runs may fail to learn it holds their share at the majority's
score.
*Regret*: points that a recipe is truly below the best one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
from scipy import stats

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.effects import analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.failures import Failures, find_cell_failures, find_cut, find_risky
from finegrid.statistics.outcomes import Floats, Outcomes
from finegrid.statistics.posterior import find_posterior
from finegrid.statistics.recommend import recommend

EASE = 0.9  # latent units: 75 to 80 % right
TEXT, BY_RUN = 0.8, 0.35  # standard deviations, latent units
REST = 0.5
SPREAD = float(np.sqrt(TEXT**2 + BY_RUN**2 + REST**2))
SLOPE = 100 * stats.norm.pdf(EASE / SPREAD) / SPREAD  # points per latent unit
FLOOR = 25.0  # points: always the majority class
TESTED = 1000  # texts of test

Truth = Callable[[np.random.Generator, Sequence[Levels], Mapping[str, Sequence[Level]]], Floats]


@dataclass(frozen=True)
class World:
    """One kind of study.

    Attributes:
        truth: Draws the recipes' effects, points ``[recipes]``.
        factors: With their levels, the baseline's first.
        recipes: Which of the combinations are run.
        dev: Texts that choose.
        run, by_seed: Standard deviations of luck: of a run alone, and of each factor in a seed, points.
        by_factor: The same of what a factor does on single texts, latent units.
        noisy: Recipes (share, from the last) whose runs have three times the luck.
        fails: Share of runs that do not learn at the second levels of the first two factors.
    """

    truth: Truth
    factors: Mapping[str, Sequence[Level]]
    recipes: Sequence[Levels]
    dev: int = 500
    run: float = 1.1
    by_seed: float = 0.3
    by_factor: float = 0.12
    noisy: float = 0.0
    fails: float = 0.0


def two_levels(count: int) -> dict[str, list[Level]]:
    return {f"factor.{number}": [0, 1] for number in range(count)}


def full(factors: Mapping[str, Sequence[Level]]) -> list[Levels]:
    return [dict(zip(factors, row, strict=True)) for row in product(*factors.values())]


def half(factors: Mapping[str, Sequence[Level]]) -> list[Levels]:
    """The half fraction: an even number of factors off the baseline's level."""
    return [recipe for recipe in full(factors) if sum(map(int, map(bool, recipe.values()))) % 2 == 0]


def one_at_a_time(factors: Mapping[str, Sequence[Level]]) -> list[Levels]:
    first = {name: levels[0] for name, levels in factors.items()}
    return [first, *({**first, name: level} for name, levels in factors.items() for level in levels[1:])]


def signs(recipes: Sequence[Levels], factors: Mapping[str, Sequence[Level]]) -> Floats:
    """``[recipes, factors]``, -1/2 at the baseline's level, 1/2 elsewhere."""
    return np.array(
        [[0.5 - (recipe[name] == levels[0]) for name, levels in factors.items()] for recipe in recipes]
    )


def directions(recipes: Sequence[Levels], factors: Mapping[str, Sequence[Level]]) -> Floats:
    """``[recipes, directions]``: in which luck and texts differ between levels, by 1 between any two.

    Of two levels their sign; of more, each level has a direction of its own.
    """
    columns = []
    for name, levels in factors.items():
        if len(levels) == 2:
            columns.append([0.5 - (recipe[name] == levels[0]) for recipe in recipes])
        else:
            columns += [[(recipe[name] == level) / np.sqrt(2) for recipe in recipes] for level in levels]
    return np.array(columns).T


def fixed(
    mains: Sequence[float], pairs: Mapping[tuple[int, int], float] | None = None, sd: float = 0.0
) -> Truth:
    """Known effects; ``sd`` adds to each main effect by study. Pairs: half differences, points."""

    def draw(
        random: np.random.Generator, recipes: Sequence[Levels], factors: Mapping[str, Sequence[Level]]
    ) -> Floats:
        x = signs(recipes, factors)
        value = x @ (np.array(mains) + sd * random.standard_normal(len(mains)))
        for (a, b), half_difference in (pairs or {}).items():
            value = value + 2 * half_difference * x[:, a] * x[:, b]
        return np.asarray(value)

    return draw


def drawn(main: float, pair: float, three: float = 0.0) -> Truth:
    """Effects drawn by study: standard deviations of main effects, and of half differences; any levels."""

    def draw(
        random: np.random.Generator, recipes: Sequence[Levels], factors: Mapping[str, Sequence[Level]]
    ) -> Floats:
        value = np.zeros(len(recipes))
        for order, sd in ((1, main), (2, pair), (3, three)):
            for group in combinations(factors, order) if sd else ():
                cells = {
                    cell: random.normal(0, sd / np.sqrt(2) / (1 if order == 1 else np.sqrt(2)))
                    for cell in product(*(factors[name] for name in group))
                }
                value = value + np.array([cells[tuple(recipe[name] for name in group)] for recipe in recipes])
        return np.asarray(value)

    return draw


FIVE, SIX = two_levels(5), two_levels(6)
LADDER: dict[str, list[Level]] = {"rate": [1, 2, 3], "epochs": [1, 2, 3], "pooling": ["a", "b"]}
BUNDLES: dict[str, list[Level]] = {"bundle": ["none", *"abcdefg"]}
# Of the embedded demo, eight seeds on a GPU: bias correction, decay, re-initialisation, freezing, warmup.
DEMO = fixed((-1.9, 0.0, 1.4, -1.3, 0.2), {(0, 2): -1.8, (0, 3): 3.0, (0, 4): 0.5, (2, 3): -0.5}, sd=0.3)
WORLDS: dict[str, World] = {
    "A/A": World(fixed((0,) * 5), FIVE, full(FIVE)),
    "one costly factor": World(fixed((0, 0, 0, -0.9, 0)), FIVE, full(FIVE)),
    "demo": World(DEMO, FIVE, full(FIVE), by_factor=0.2),
    "strong interactions": World(drawn(1.0, 1.0, 0.5), FIVE, full(FIVE)),
    "generic": World(drawn(1.0, 0.5), FIVE, full(FIVE)),
    "strong": World(drawn(2.4, 1.0), FIVE, full(FIVE)),
    "weak": World(drawn(0.3, 0.15), FIVE, full(FIVE)),
    "three levels": World(drawn(1.0, 0.5), LADDER, full(LADDER)),
    "fraction": World(drawn(1.0, 0.4), SIX, half(SIX)),
    "one at a time": World(drawn(1.0, 0.0), SIX, one_at_a_time(SIX)),
    "bundles": World(drawn(1.0, 0.0), BUNDLES, full(BUNDLES)),
    "300 texts": World(drawn(1.0, 0.5), FIVE, full(FIVE), dev=300),
    "unequal noise": World(drawn(1.0, 0.5), FIVE, full(FIVE), noisy=0.25),
    "luck by factor": World(drawn(1.0, 0.5), FIVE, full(FIVE), by_seed=0.8),
    "plateaus": World(drawn(1.0, 0.5), FIVE, full(FIVE), fails=0.2),
}


@dataclass(frozen=True)
class Simulated:
    """A study.

    Attributes:
        truth: ``[recipes]``, points.
        dev, test: Ready for analysis.
        seconds: ``[recipes]``.
    """

    truth: Floats
    dev: Experiment
    test: Experiment
    seconds: Floats


def simulate(world: World, seeds: int, random: np.random.Generator, shell: Experiment) -> Simulated:
    """``shell``: any experiment of these recipes, whose contrasts are shared."""
    recipes, factors = world.recipes, world.factors
    count, x, ways = len(recipes), signs(recipes, factors), directions(recipes, factors)
    points = world.truth(random, recipes, factors)
    latent = EASE + (points - points.mean()) / SLOPE
    scale = np.where(np.arange(count) >= count * (1 - world.noisy), 3.0, 1.0) * world.run / SLOPE
    by_seed = world.by_seed / SLOPE
    luck = (
        0.03 * random.standard_normal(seeds)
        + ways @ (by_seed * random.standard_normal((ways.shape[1], seeds)))
        + scale[:, None] * random.standard_normal((count, seeds))
    )
    spread = SPREAD**2 + 0.03**2 + by_seed**2 * (ways**2).sum(axis=1) + scale**2
    spread = spread + world.by_factor**2 * (ways**2).sum(axis=1)
    truth = 100 * stats.norm.cdf(latent / np.sqrt(spread))
    cell = np.asarray((x[:, :2] > 0).all(axis=1))
    fails = np.asarray(cell[:, None] & (random.random((count, seeds)) < world.fails))
    if world.fails:
        truth = np.where(cell, (1 - world.fails) * truth + world.fails * FLOOR, truth)

    def judge(texts: int) -> Experiment:
        of_text = np.hypot(TEXT, REST) * random.standard_normal(texts).astype(np.float32)
        of_factor = ways.astype(np.float32) @ (
            world.by_factor * random.standard_normal((ways.shape[1], texts), dtype=np.float32)
        )
        value = BY_RUN * random.standard_normal((count, seeds, texts), dtype=np.float32)
        value += (latent[:, None] + luck)[:, :, None].astype(np.float32)
        value += (of_text + of_factor)[:, None, :]
        right = value > 0
        right[fails] = random.random((int(fails.sum()), texts)) < FLOOR / 100
        score = 100 * right.mean(axis=2)
        influence = 100 * right.astype(np.float32) - score[:, :, None].astype(np.float32)
        return shell.with_scores(score, influence)

    name, levels = list(factors.items())[-2:][0]
    quick = np.array([recipe[name] == levels[-1] for recipe in recipes])
    return Simulated(truth, judge(world.dev), judge(TESTED), np.where(quick, 15.0, 28.0))


@dataclass
class Tally:
    """What was seen in the studies of one world."""

    regret: list[float] = field(default_factory=list)
    of_best_mean: list[float] = field(default_factory=list)
    of_baseline: list[float] = field(default_factory=list)
    worse: list[bool] = field(default_factory=list)
    best_mean_worse: list[bool] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    against_words: list[bool] = field(default_factory=list)
    gained: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)


def run(world: World, seeds: int, studies: int, seed: int) -> Tally:
    random = np.random.default_rng([seed, seeds])
    shape = (len(world.recipes), seeds)
    shell = Experiment.of(Outcomes(world.factors, world.recipes, np.zeros(shape)))
    tally = Tally()
    for _ in range(studies):
        study = simulate(world, seeds, random, shell)
        truth, best = study.truth, float(study.truth.max())
        failures = find_failures(study)
        learned = study.dev
        if failures is not None:
            outcomes = learned.outcomes
            learned = learned.with_scores(
                np.where(failures.failed, np.nan, outcomes.score), outcomes.influence
            )
        posterior = find_posterior(learned)
        chosen = 0
        if posterior is not None:
            recipes = list(study.dev.outcomes.recipes)
            risky = None if failures is None else find_risky(find_cell_failures(recipes, failures))
            found = recommend(posterior, 0, study.seconds, risky=risky)
            assert found is not None
            chosen = found.recommended.recipe
            if chosen:
                gain, interval = truth[chosen] - truth[0], found.recommended.interval
                tally.held.append(interval.low <= gain <= interval.high)
                tally.gained.append(gain)
                tally.expected.append(found.recommended.gain)
        mean = int(study.dev.outcomes.score.mean(axis=1).argmax())
        tally.regret.append(best - truth[chosen])
        tally.of_best_mean.append(best - truth[mean])
        tally.of_baseline.append(best - truth[0])
        tally.worse.append(bool(truth[chosen] < truth[0] - 0.5))
        tally.best_mean_worse.append(bool(truth[mean] < truth[0] - 0.5))
        tally.kept.append(chosen == 0)
        tally.against_words.append(_disagrees(study, chosen))
    return tally


def find_failures(study: Simulated) -> Failures | None:
    """Runs that failed to learn, as a verdict finds them; None where there is no such run."""
    outcomes = study.dev.outcomes
    assert outcomes.influence is not None
    noise = float(np.median(outcomes.influence.std(axis=2)) / np.sqrt(outcomes.influence.shape[2]))
    cut = find_cut(outcomes.score, FLOOR, noise)
    if cut is None:
        return None
    ended = np.ones(outcomes.score.shape, dtype=bool)
    return Failures(ended, ~ended, cut.below(outcomes.score), cut)


def _disagrees(study: Simulated, chosen: int) -> bool:
    """Whether it has a level that the words on test tell not to use, or lacks one that they tell to use."""
    levels = study.test.outcomes.recipes[chosen]
    for effect in analyse_mains(study.test):
        kind, one = effect.decision.kind if effect.decision else "open", effect.comparison
        if (kind == "avoid" and levels[one.factor] == one.level) or (
            kind == "use" and levels[one.factor] == one.baseline
        ):
            return True
    return False


def lines(worlds: Mapping[str, World], counts: Sequence[int], studies: int, seed: int) -> Iterator[str]:
    yield (
        "| world | seeds | regret | of the best mean on dev | of the baseline | worse by over 0.5 "
        "| best mean worse | baseline kept | gain: expected, true | interval holds | against a word |"
    )
    yield "| --- |" + " --- |" * 10
    for name, world in worlds.items():
        for seeds in counts:
            t = run(world, seeds, studies, seed)

            def share(values: Sequence[bool]) -> str:
                return f"{100 * np.mean(values):.1f}%" if values else ""

            gain = f"{np.mean(t.expected):+.2f}, {np.mean(t.gained):+.2f}" if t.gained else ""
            yield (
                f"| {name} | {seeds} | {np.mean(t.regret):.2f} | {np.mean(t.of_best_mean):.2f} "
                f"| {np.mean(t.of_baseline):.2f} | {share(t.worse)} | {share(t.best_mean_worse)} "
                f"| {share(t.kept)} | {gain} | {share(t.held)} | {share(t.against_words)} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--world", default="", help="only worlds whose name holds this")
    asked = parser.parse_args()
    worlds = {name: world for name, world in WORLDS.items() if asked.world in name}
    started = time.monotonic()
    for line in lines(worlds, asked.seeds, asked.studies, asked.seed):
        print(line, flush=True)
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
