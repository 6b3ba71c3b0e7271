"""How often the intervals of `finegrid verdict` hold the truth: simulated studies whose truth is known.

    python benchmarks/intervals.py --studies 10000            # every case; hours on one core
    python benchmarks/intervals.py --studies 500 --case missing

A study is simulated at the level of predictions. Text t, of class g, is classified rightly by the run of
recipe r and seed s if

    ease[g] + recipe[r] + seed[s] + run[r, s] + text[t] + text by factor[r, t] + text by run[r, s, t] > 0

and otherwise as a wrong class, always the same for the text. Macro-F1 and its influence values come from
these predictions as in a real study. The truth is the expected difference over the populations of seeds and
of texts: all terms are normal (or their distribution function is tabulated), so the expected confusion
table of a run is known in closed form, and the mean over seeds is taken by quadrature.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from finegrid import metrics
from finegrid.recipe.identity import Levels
from finegrid.statistics.decide import Decision, Kind
from finegrid.statistics.effects import Analysis, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats, Outcomes
from finegrid.statistics.power import detectable
from finegrid.statistics.variance import Components

CLASSES = 4
EASE = np.array([1.0, 1.3, 1.6, 0.8])  # latent units; the classes are about 80 to 95 % right
TEXT, BY_FACTOR, BY_RUN = 0.8, 0.08, 0.35  # standard deviations; TEXT leaves 1 for the rest in all


@dataclass(frozen=True)
class Case:
    """One kind of study: a full two-level design.

    Attributes:
        effects: ``[factors]``, latent units from level 0 to level 1.
        run: Standard deviation of a run on its own, latent units.
        by_seed: ``[factors]``, standard deviation of an effect between seeds, latent units.
        heavy: Runs on their own follow Student's t with 3 degrees of freedom instead of the normal.
        lost: Share of runs that are missing, at random.
    """

    name: str
    effects: tuple[float, ...] = (0.06, 0.0, -0.03, 0.0)
    seeds: int = 5
    texts: int = 1000
    run: float = 0.03
    by_seed: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    heavy: bool = False
    lost: float = 0.0

    @property
    def factors(self) -> dict[str, list[int]]:
        return {f"factor.{number}": [0, 1] for number in range(len(self.effects))}

    @property
    def recipes(self) -> list[Levels]:
        return [
            dict(zip(self.factors, row, strict=True)) for row in product((0, 1), repeat=len(self.effects))
        ]

    @property
    def signs(self) -> Floats:
        """``[recipes, factors]``, -1/2 or 1/2."""
        return np.array([list(recipe.values()) for recipe in self.recipes], dtype=float) - 0.5


UNEQUAL = (0.06, 0.0, 0.03, 0.0)
LUCK = 0.03 * np.sqrt(4 / 32)  # as much again as runs on their own do to an effect of 32 runs
CASES = [
    *(Case(f"equal noise, {seeds} seeds", seeds=seeds) for seeds in (3, 5, 8)),
    *(
        Case(f"effects differ by seed, {seeds} seeds", seeds=seeds, by_seed=(0.04,) * 4)
        for seeds in (3, 5, 8)
    ),
    *(
        Case(f"effects differ by seed unequally, {seeds} seeds", seeds=seeds, by_seed=UNEQUAL)
        for seeds in (3, 5, 8)
    ),
    *(Case(f"heavy tails, {seeds} seeds", seeds=seeds, heavy=True) for seeds in (3, 5)),
    *(Case(f"small test set, {seeds} seeds", seeds=seeds, texts=200) for seeds in (3, 5)),
    *(Case(f"missing runs, {seeds} seeds", seeds=seeds, lost=0.1) for seeds in (3, 5)),
    Case("missing runs, effects differ by seed, 5 seeds", lost=0.1, by_seed=(0.04,) * 4),
    Case("A/A, 3 seeds", effects=(0.0,) * 4, seeds=3),
    Case("A/A, 5 seeds", effects=(0.0,) * 4),
    Case("A/A, effects differ by seed, 5 seeds", effects=(0.0,) * 4, by_seed=UNEQUAL),
    Case("one seed", effects=(0.06, 0.0, -0.03, 0.0, 0.0), by_seed=(0.0,) * 5, seeds=1),
    Case("one seed, A/A", effects=(0.0,) * 5, by_seed=(0.0,) * 5, seeds=1),
    *(
        Case(f"one seed, {name}luck goes with effects", effects=effects, by_seed=(LUCK,) * 5, seeds=1)
        for name, effects in (("", (0.06, 0.0, -0.03, 0.0, 0.0)), ("A/A, ", (0.0,) * 5))
    ),
    Case("one seed, three factors (Lenth)", effects=(0.06, 0.0, 0.0), by_seed=(0.0,) * 3, seeds=1),
]


def draw(case: Case, random: np.random.Generator) -> Outcomes:
    """One study."""
    signs = case.signs
    recipes, seeds, texts = len(signs), case.seeds, case.texts
    effects = np.array(case.effects) + np.array(case.by_seed) * random.standard_normal(
        (seeds, len(case.effects))
    )
    own = random.standard_t(3, (recipes, seeds)) if case.heavy else random.standard_normal((recipes, seeds))
    level = signs @ effects.T + case.run * own + 0.05 * random.standard_normal(seeds)
    gold = random.integers(CLASSES, size=texts)
    other = (gold + random.integers(1, CLASSES, size=texts)) % CLASSES
    by_text = EASE[gold] + TEXT * random.standard_normal(texts)
    by_factor = signs @ (BY_FACTOR * random.standard_normal((len(case.effects), texts)))
    latent = (BY_RUN * random.standard_normal((recipes, seeds, texts), dtype=np.float32)).astype(float)
    latent += level[:, :, None] + (by_text + by_factor)[:, None, :]
    predicted = np.where(latent > 0, gold, other)
    score, values = measured(gold, predicted)
    if case.lost:
        score[random.random(score.shape) < case.lost] = np.nan
    return Outcomes(case.factors, case.recipes, score, values)


def measured(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[Floats, NDArray[np.float32]]:
    """Macro-F1 in points and its influence values."""
    runs = predicted.reshape(-1, len(gold))
    score = [100 * metrics.macro_f1(metrics.confusion(gold, run, CLASSES)) for run in runs]
    return np.array(score).reshape(predicted.shape[:2]), metrics.influence(
        gold, predicted, CLASSES, "macro-f1"
    )


def true_score(case: Case) -> Floats:
    """``[recipes]``, points: macro-F1 on the population of texts, mean over the population of seeds."""
    signs = case.signs
    spread = np.sqrt(TEXT**2 + BY_RUN**2 + (BY_FACTOR**2 * signs**2).sum(axis=1))
    level = signs @ np.array(case.effects)
    by_seed = np.sqrt(0.05**2 + (np.square(case.by_seed) * signs**2).sum(axis=1))
    inner = (np.arange(400) + 0.5) / 400
    own = stats.t.ppf(inner, 3) if case.heavy else stats.norm.ppf(inner)
    shared = stats.norm.ppf((np.arange(40) + 0.5) / 40)
    shift = level[:, None, None] + case.run * own[:, None] + by_seed[:, None, None] * shared
    right = stats.norm.cdf((EASE + shift[..., None]) / spread[:, None, None, None])  # [..., classes]
    wrong = (1 - right).sum(axis=-1, keepdims=True) - (1 - right)
    f1 = 2 * right / (1 + right + wrong / (CLASSES - 1))
    return np.asarray(100 * f1.mean(axis=(1, 2, 3)))


def true_effects(case: Case) -> Floats:
    """``[factors]``, points."""
    signs = case.signs
    return np.asarray(4 * signs.T @ true_score(case) / len(signs))


@dataclass(frozen=True)
class Report:
    """What came of a case; shares of effects, or of studies."""

    case: str
    studies: int
    covered: float  # share of plain intervals of main effects
    worst: float  # the same, of the factor with the lowest share
    width: float  # mean of plain intervals, points
    all_covered: float  # share of studies whose adjusted intervals all hold the truth
    wrong_sign: float  # share of studies with any "use" or "do not use" that is wrong
    wrong_none: float  # share of studies with any "no difference beyond m" that is wrong
    seconds: float

    def __str__(self) -> str:
        return (
            f"| {self.case} | {self.studies} | {self.covered:.1%} | {self.worst:.1%} | {self.width:.2f} | "
            f"{self.all_covered:.1%} | {self.wrong_sign:.1%} | {self.wrong_none:.1%} |"
        )


HEADER = (
    "| case | studies | covered | worst factor | width | all adjusted cover | wrong sign | wrong none |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def simulate(case: Case, studies: int, seed: int = 1) -> Iterator[Analysis]:
    random = np.random.default_rng([seed, *case.name.encode()])
    for _ in range(studies):
        yield analyse(Experiment.of(draw(case, random)))


def report(case: Case, studies: int, seed: int = 1) -> Report:
    started = time.monotonic()
    truth = true_effects(case)
    margin = 0.2
    covered, width, joint, sign, none = [], [], [], [], []
    for analysis in simulate(case, studies, seed):
        effects = analysis.effects
        plain, adjusted = [e.plain for e in effects], [e.adjusted for e in effects]
        kinds: list[Kind] = [e.decision.kind if e.decision else "open" for e in effects]
        covered.append([i.low <= x <= i.high for i, x in zip(plain, truth, strict=True)])
        width.append([i.high - i.low for i in plain])
        joint.append(all(i.low <= x <= i.high for i, x in zip(adjusted, truth, strict=True)))
        sign.append(any(wrong_sign(kind, x) for kind, x in zip(kinds, truth, strict=True)))
        none.append(any(kind == "same" and abs(x) > margin for kind, x in zip(kinds, truth, strict=True)))
    by_factor = np.mean(covered, axis=0)
    return Report(
        case.name,
        studies,
        float(by_factor.mean()),
        float(by_factor.min()),
        float(np.mean(width)),
        float(np.mean(joint)),
        float(np.mean(sign)),
        float(np.mean(none)),
        time.monotonic() - started,
    )


def wrong_sign(kind: Kind, truth: float) -> bool:
    return (kind == "use" and truth < 1e-9) or (kind == "avoid" and truth > -1e-9)


@dataclass(frozen=True)
class Power:
    """How often the right word comes at the effect that `detectable` names."""

    case: str
    studies: int
    effect: float  # points
    found: float  # share of studies
    seconds: float

    def __str__(self) -> str:
        return f"| {self.case} | {self.studies} | {self.effect:.2f} | {self.found:.1%} |"


POWER_HEADER = "| power | studies | detectable effect | *use* |\n| --- | --- | --- | --- |"
POWER_SEEDS = (2, 3, 5, 8)


def power_report(seeds: int, studies: int, pilots: int = 100) -> Power:
    """One factor has the effect that is called detectable, the others none.

    Components come from pilot studies of the same kind with many seeds, as a plan takes them from a ledger.
    """
    started = time.monotonic()
    nothing = Case(f"{seeds} seeds", effects=(0.0,) * 4, seeds=seeds)
    pilot = replace(nothing, name="pilot", seeds=8)
    ones = [effect.components for analysis in simulate(pilot, pilots) for effect in analysis.effects]
    one = Components(
        *(np.mean(part) for part in zip(*((e.seed, e.text, e.seed_text) for e in ones), strict=True))
    )
    effect = detectable(one, seeds, nothing.texts, len(nothing.effects))

    def off(latent: float) -> float:
        return float(true_effects(replace(nothing, effects=(latent, 0.0, 0.0, 0.0)))[0]) - effect

    real = replace(nothing, effects=(float(optimize.brentq(off, 0.0, 0.5, xtol=1e-4)), 0.0, 0.0, 0.0))
    found = [analysis.effects[0].decision == Decision("use") for analysis in simulate(real, studies)]
    return Power(nothing.name, studies, effect, float(np.mean(found)), time.monotonic() - started)


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
    if asked.case in "power":
        print(f"\n{POWER_HEADER}", flush=True)
        for seeds in POWER_SEEDS:
            print(power_report(seeds, asked.studies), flush=True)


if __name__ == "__main__":
    main()
