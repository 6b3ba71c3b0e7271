"""Small studies as arrays, with effects that are known."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.outcomes import Floats, Outcomes

Factors = Mapping[str, Sequence[Level]]


def full(factors: Factors) -> list[Levels]:
    return [dict(zip(factors, row, strict=True)) for row in product(*factors.values())]


def scored(
    recipes: Sequence[Levels], mean: Callable[[Levels], float], seeds: int, noise: float = 0.0, seed: int = 0
) -> Floats:
    """``[recipes, seeds]``: the mean, something that each seed adds to all recipes, and noise."""
    random = np.random.default_rng(seed)
    shared = random.normal(0, 2, seeds)
    means = np.array([mean(recipe) for recipe in recipes])
    return np.asarray(means[:, None] + shared + noise * random.standard_normal((len(recipes), seeds)))


PUBLISHED_FACTORS = ("bertadam", "weight_decay", "reinit_layers", "frozen_layers", "warmup_proportion")


def published(path: Path) -> Outcomes:
    """The published table: 32 distinct recipes, and the two rows of each as true repeats."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    repeats: dict[tuple[float, ...], list[float]] = {}
    for row in rows:
        key = tuple(float(row[name]) for name in PUBLISHED_FACTORS)
        repeats.setdefault(key, []).append(100 * float(row["result"]))
    recipes: list[Levels] = [dict(zip(PUBLISHED_FACTORS, key, strict=True)) for key in repeats]
    factors: Factors = {name: sorted({float(r[name]) for r in recipes}) for name in PUBLISHED_FACTORS}
    return Outcomes.of_repeats(factors, recipes, np.array(list(repeats.values())))
