"""A baseline that had not finished learning: what is shown may be speed and not quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.results.results import Distinct, Results
from finegrid.statistics.rising import Rise, measure_rise
from finegrid.study.toml import format_toml

EPOCHS, RATE = "training.epochs", "optimizer.rate"
FEWEST, MOST = 0.05, 0.95  # shares right between which the chance of a sample is told


@dataclass(frozen=True)
class Undertrained:
    """The baseline was still rising, or had one epoch, which cannot tell.

    Attributes:
        epochs: That it had.
        rise: None of one epoch.
        factors: Lines of ``[factors]`` that would show more, as study.toml has them.
    """

    epochs: int
    rise: Rise | None
    factors: tuple[str, ...]


def find_undertrained(results: Results, margin: float) -> Undertrained | None:
    """None where the baseline has levelled out, or nothing tells.

    Where the study varies the number of epochs, the baseline is looked at with the most of them.

    Args:
        results: of a study or an imported table.
        margin: points; a smaller rise is none.
    """
    if results.audit is None:
        return None
    recipe = longest_baseline(results)
    setting = results.blank.at(recipe.run)
    epochs = setting.training.epochs
    curves = curves_of(recipe, results)
    if not curves:
        return None
    factors = factors_to_add(setting, results)
    if epochs == 1:
        return Undertrained(1, None, factors)
    others = [curves_of(one, results) for one in results.recipes if one is not recipe]
    share = float(np.clip(curves[0][-1] / 100, FEWEST, MOST))
    sampling = 100 * float(np.sqrt(share * (1 - share) / max(1, results.audit.sizes["dev"])))
    rise = measure_rise(curves, others, sampling)
    return Undertrained(epochs, rise, factors) if rise and rise.counts(margin) else None


def longest_baseline(results: Results) -> Distinct:
    """The baseline; with the most epochs, where the study varies them and that recipe has run."""
    baseline = results.recipes[results.baseline]
    if EPOCHS not in results.factors:
        return baseline
    levels = {**baseline.levels, EPOCHS: max(results.factors[EPOCHS])}
    found = [one for one in results.recipes if one.levels == levels and one.records]
    return found[0] if found else baseline


def curves_of(recipe: Distinct, results: Results) -> list[Sequence[float]]:
    """Points on dev by epoch, of every finished run that has them of every epoch."""
    curves = [
        [float(100 * epoch.score("dev", results.score)) for epoch in record.epochs]
        for seed in results.seeds
        if (record := recipe.done(seed)) is not None and record.epochs
    ]
    return [curve for curve in curves if np.isfinite(curve).all()]


def factors_to_add(recipe: Recipe, results: Results) -> tuple[str, ...]:
    """What would tell speed from quality: more epochs, or a higher rate where that is no factor yet."""
    levels = recipe.levels()
    epochs, rate = int(levels[EPOCHS]), float(levels[RATE])
    wanted: dict[str, list[Level]] = {EPOCHS: [*results.factors.get(EPOCHS, [epochs]), 2 * epochs]}
    if RATE not in results.factors:
        wanted[RATE] = [rate, float(f"{4 * rate:.3g}")]
    return tuple(f'"{name}" = {format_toml(pair)}' for name, pair in wanted.items())
