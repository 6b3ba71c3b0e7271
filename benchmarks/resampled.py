"""What intervals of a study with `design.resample` hold: small learners on drawn data, with a known truth.

    python benchmarks/resampled.py --studies 1000             # every case; 25 minutes on one core
    python benchmarks/resampled.py --studies 300 --case gaussian

A study draws a pool of texts from a population, splits it anew for every seed, trains every recipe of a full
two-level design on each training part, and scores it on each test part. The truth is the expected difference
over *fresh training samples* of the same size and over all texts there could be: what the next person, with
data of their own, would see. Recipes are classifiers that numpy trains in milliseconds, not models of scores:
what a training sample does to a difference, and how splits of one pool depend on each other, is left to them.

Factors come in two kinds. Of *twins* both levels are alike by symmetry (each reads another block of features,
and the blocks are drawn from one distribution), so their effect is exactly 0 while every run differs: A/A.
The others change how a classifier learns (shrinkage, smoothing, priors); their truth is the mean over some
thousand fresh training samples.

Four ways to an interval are compared: the fixed split of a study without `resample`; and of a study with it,
S^2 / K as if splits were independent, S^2 (1/K + test/train) as it is used, and that moderated as seeds are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.recipe.identity import Levels
from finegrid.statistics.decide import adjusted_intervals, plain_interval
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.nested import Splits
from finegrid.statistics.outcomes import Floats, Outcomes
from finegrid.statistics.variance import moderate

CLASSES = 4
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One kind of study.

    Attributes:
        learner: ``gaussian``: nearest class mean on normal features; ``words``: naive Bayes on short texts.
        twins: How many factors have levels that are alike by symmetry.
        real: How many have levels that are not.
        sizes: Texts of train and test; dev chooses nothing here, and is left out.
        given_test: Whether the test texts have a file of their own, and stay the same in all splits.
        luck: How far a run's own luck moves the weight of each training text.
    """

    name: str
    learner: str = "gaussian"
    twins: int = 3
    real: int = 1
    sizes: tuple[int, int] = (700, 200)
    splits: int = 5
    given_test: bool = False
    spare: int = 100  # texts of the pool beyond train and test of a split: its dev
    luck: float = 0.5
    width: int = 4  # features of a block of normal ones

    @property
    def factors(self) -> dict[str, list[int]]:
        return {f"f{number}": [0, 1] for number in range(self.twins + self.real)}

    @property
    def recipes(self) -> list[tuple[int, ...]]:
        return list(product((0, 1), repeat=self.twins + self.real))


CASES = [
    replace(case, name=f"{case.name}, K = {splits}", splits=splits)
    for case in (
        Case("gaussian"),
        Case("gaussian, twins only", twins=4, real=0),
        Case("gaussian, little luck", luck=0.1),
        Case("gaussian, half of it test", sizes=(450, 450)),
        Case("gaussian, few texts", sizes=(140, 40), spare=20),
        Case("gaussian, one twin", twins=1, real=2),
        Case("gaussian, many features", twins=4, real=0, sizes=(300, 100), width=40),
        Case("gaussian, many features, half of it test", twins=4, real=0, sizes=(300, 300), width=40),
        Case("words", learner="words", twins=2, real=2),
        Case("words, twins only", learner="words", twins=4, real=0),
        Case("gaussian, test given", given_test=True),
        Case(
            "gaussian, many features, test given",
            twins=4,
            real=0,
            sizes=(300, 300),
            width=40,
            given_test=True,
        ),
        Case("words, test given", learner="words", twins=2, real=2, given_test=True),
    )
    for splits in (5, 10)
]

SPREAD = 1.1  # of the class means of a block, all its features together
WORDS, LENGTH = 60, 8  # words of a block, and of a text from each block


@lru_cache
def population(learner: str, width: int) -> Floats:
    """What classes are like, ``[classes, features of a block]``; the same in every block."""
    random = np.random.default_rng(7)
    if learner == "gaussian":
        return np.asarray(random.normal(size=(CLASSES, width)) * SPREAD / np.sqrt(width))
    common = 1 / np.arange(2, WORDS + 2)
    rates = common * np.exp(0.9 * random.normal(size=(CLASSES, WORDS)))
    return np.asarray(rates / rates.sum(axis=1, keepdims=True))


def draw(case: Case, texts: int, random: np.random.Generator) -> tuple[Floats, Ints]:
    """Features ``[texts, blocks, features]`` and classes; classes are unequal."""
    blocks = 2 * max(case.twins, 1)
    labels = random.choice(CLASSES, size=texts, p=[0.4, 0.3, 0.2, 0.1])
    classes = population(case.learner, case.width)
    if case.learner == "gaussian":
        features = classes[labels][:, None, :] + random.normal(size=(texts, blocks, case.width))
        return features, labels
    counts = random.multinomial(
        max(LENGTH // max(case.twins, 1), 2), classes[labels][:, None, :], (texts, blocks)
    )
    return counts.astype(float), labels


def train(case: Case, recipe: tuple[int, ...], x: Floats, y: Ints, weight: Floats) -> tuple[Floats, Floats]:
    """A linear classifier of what the recipe reads: ``[features, classes]`` and ``[classes]``."""
    twins, real = recipe[: case.twins], (*recipe[case.twins :], 0, 0)
    one_hot = np.eye(CLASSES)[y] * weight[:, None]
    mass = one_hot.sum(axis=0)
    sums = one_hot.T @ x  # [classes, features]
    priors = np.log(mass / mass.sum()) if not real[1] else np.zeros(CLASSES)
    if case.learner == "gaussian":
        means = sums / mass[:, None]
        if real[0]:  # towards the mean of all, by the fewer texts the more
            means = means + (30 / (mass[:, None] + 30)) * (means.mean(axis=0) - means)
        return means.T, priors - (means**2).sum(axis=1) / 2
    smooth = 3.0 if real[0] else 0.3
    rates = np.log(sums + smooth)
    for block in range(len(twins) or 1):
        part = slice(block * WORDS, (block + 1) * WORDS)
        rates[:, part] -= np.log((sums[:, part] + smooth).sum(axis=1))[:, None]
    return rates.T, priors


def columns(case: Case, recipe: tuple[int, ...]) -> Ints:
    """The blocks that a recipe reads: of every pair of twins one."""
    return np.array([2 * pair + level for pair, level in enumerate(recipe[: case.twins])] or [0])


def predict(case: Case, x: Floats, y: Ints, unseen: Floats, random: np.random.Generator) -> Ints:
    """``[recipes, texts]``: what every recipe, trained on x and y, says of unseen texts."""
    said = []
    shared = random.standard_exponential(len(y))  # runs of a seed share part of their luck
    for recipe in case.recipes:
        own = random.standard_exponential(len(y))
        weight = 1 + case.luck * ((shared + own) / 2 - 1)
        read = columns(case, recipe)
        w, b = train(case, recipe, x[:, read].reshape(len(y), -1), y, weight)
        said.append((unseen[:, read].reshape(len(unseen), -1) @ w + b).argmax(axis=1))
    return np.array(said)


def accuracy(said: Ints, labels: Ints) -> Floats:
    return np.asarray(100 * (said == labels).mean(axis=-1))


def weigh(case: Case) -> Floats:
    """``[factors, recipes]``: main effects of a full two-level design."""
    levels = np.array(case.recipes)
    return np.asarray((2 * levels - 1).T * 2 / len(levels), dtype=float)


@lru_cache
def find_truth(case: Case, samples: int) -> tuple[float, ...]:
    """Main effects over fresh training samples and a large test set; of twins exactly 0."""
    if not case.real:
        return (0.0,) * case.twins
    random = np.random.default_rng(11)
    total = np.zeros(len(case.recipes))
    for number in range(samples):
        x, y = draw(case, case.sizes[0], random)
        if number % 10 == 0:
            unseen, labels = draw(case, 4000, random)
        total += accuracy(predict(case, x, y, unseen, random), labels)
    effects = weigh(case) @ (total / samples)
    effects[: case.twins] = 0.0
    return tuple(effects)


@dataclass
class Study:
    """One study, run both ways.

    Attributes:
        score: ``[recipes, splits]`` on splits of their own.
        influence: Of it, ``[recipes, splits, texts]``, where the test texts are the same in all splits.
        fixed: ``[recipes, seeds]`` with one split.
        fixed_influence: Of it, ``[recipes, seeds, texts]``.
    """

    score: Floats
    influence: Floats | None
    fixed: Floats
    fixed_influence: Floats


def influence(said: Ints, labels: Ints) -> Floats:
    return np.asarray(metrics.influence(labels, said, CLASSES, "accuracy"))


def run(case: Case, random: np.random.Generator) -> Study:
    n_train, n_test = case.sizes
    size = n_train + case.spare + n_test
    x, y = draw(case, size, random)
    test = np.arange(size)[-n_test:]
    first = np.arange(size)[:n_train]
    told, fixed = [], []
    for _ in range(case.splits):
        if case.given_test:
            order, unseen = random.permutation(size - n_test), test
        else:
            order = random.permutation(size)
            unseen = order[-n_test:]
        mine = order[:n_train]
        told.append((predict(case, x[mine], y[mine], x[unseen], random), y[unseen]))
        fixed.append(predict(case, x[first], y[first], x[test], random))
    score = np.stack([accuracy(said, labels) for said, labels in told], axis=1)
    same = np.stack(fixed, axis=1)
    values = np.stack([influence(said, labels) for said, labels in told], axis=1)
    return Study(
        score, values if case.given_test else None, accuracy(same, y[test]), influence(same, y[test])
    )


WAYS = ("fixed split", "S^2/K", "S^2 (1/K + test/train)", "the same, moderated")


def judge(case: Case, study: Study) -> Iterator[tuple[str, Floats, Floats, Floats]]:
    """Way, and ``[factors]`` estimate, standard error, degrees of freedom."""
    yield WAYS[0], *analyse(case, study.fixed, study.fixed_influence, None)
    splits = tuple(range(case.splits))
    for way, overlap, moderated in (
        (WAYS[1], 0.0, False),
        (WAYS[2], case.sizes[1] / case.sizes[0], False),
        (WAYS[3], case.sizes[1] / case.sizes[0], True),
    ):
        yield way, *analyse(case, study.score, study.influence, Splits(splits, overlap), moderated)


def analyse(
    case: Case, score: Floats, influence: Floats | None, splits: Splits | None, moderated: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Estimates, standard errors and degrees of freedom of the main effects."""
    recipes: list[Levels] = [dict(zip(case.factors, levels, strict=True)) for levels in case.recipes]
    experiment = Experiment.of(Outcomes(case.factors, recipes, score, influence, splits=splits))
    noise, filled, mains = experiment.main_noise, experiment.filled, experiment.families.mains.estimators
    if moderated and splits is not None:
        seed, df = moderate(noise.seed, noise.df_seed)
        noise = replace(noise, seed=seed, df_seed=df)
    return mains.weights @ filled.score.mean(axis=1), np.sqrt(noise.variance), noise.df


@dataclass
class Tally:
    covered: list[Floats]
    width: list[float]
    wrong: list[bool]
    decided: list[float]


def measure(case: Case, studies: int, seed: int, samples: int) -> dict[str, Tally]:
    truth = np.array(find_truth(replace(case, name="", splits=0, given_test=False, spare=0), samples))
    found = {way: Tally([], [], [], []) for way in WAYS}
    for number in range(studies):
        study = run(case, np.random.default_rng([seed, number]))
        for way, estimate, se, df in judge(case, study):
            tally = found[way]
            plain = [plain_interval(*each) for each in zip(estimate, se, df, strict=True)]
            tally.covered.append(np.array([i.low <= t <= i.high for i, t in zip(plain, truth, strict=True)]))
            tally.width.append(float(np.mean([i.high - i.low for i in plain])))
            words = [
                np.sign(i.low) * (i.low * i.high > 0) for i in adjusted_intervals(estimate, se, df, 0.05)
            ]
            tally.wrong.append(any(w != 0 and w != np.sign(t) for w, t in zip(words, truth, strict=True)))
            tally.decided.append(
                float(np.mean([w != 0 for w, t in zip(words, truth, strict=True) if t] or [0]))
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000, help="fresh training samples for the truth")
    parser.add_argument("--case", default="", help="only cases with this in their name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| case | interval | covered | worst factor | width | real effects decided | wrong sign |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        if options.case not in case.name:
            continue
        begun = time.monotonic()
        for way, tally in measure(case, options.studies, options.seed, options.samples).items():
            covered = np.array(tally.covered)
            decided = f"{100 * np.mean(tally.decided):.0f}%" if case.real else ""
            print(
                f"| {case.name} | {way} | {100 * covered.mean():.1f}% | "
                f"{100 * covered.mean(axis=0).min():.1f}% | "
                f"{np.mean(tally.width):.2f} | {decided} | {100 * np.mean(tally.wrong):.1f}% |",
                flush=True,
            )
        print(f"{case.name}: {time.monotonic() - begun:.0f} s", flush=True, file=sys.stderr)


if __name__ == "__main__":
    main()
