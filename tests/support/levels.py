"""One level other than the default for every factor, and recipes that have it."""

from __future__ import annotations

from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy

# One level other than the default for every factor. test_every_factor_is_listed fails until a new one is.
# Free factors move no run: tests/training/test_free.py has theirs.
ON: Levels = {
    "model.pooling": "cls",
    "model.max_length": 5,
    "pretrain.tokens": 1500,
    "pretrain.rate": 1e-2,
    "pretrain.shared": True,
    "reinit.pooler": True,
    "reinit.layers": 2,
    "freeze.layers": 2,
    "freeze.dropout": False,
    "optimizer.rate": 1e-3,
    "optimizer.weight_decay": 0.5,
    "optimizer.decay_on": "matrices",
    "optimizer.bias_correction": False,
    "schedule.warmup_ratio": 0.3,
    "training.epochs": 1,
    "training.batch_size": 12,
}


# What a factor needs in order to do something.
GIVEN: dict[str, Levels] = {
    "pretrain.rate": {"pretrain.tokens": 1500},
    "pretrain.shared": {"pretrain.tokens": 1500},
    "reinit.pooler": {"model.pooling": "pooler"},
    "freeze.dropout": {"freeze.layers": 2},
    "optimizer.decay_on": {"optimizer.weight_decay": 0.5},
}


def base(loaded: LoadedStudy, factor: str = "") -> Recipe:
    return loaded.study.baseline.at(GIVEN.get(factor, {}))


def on(loaded: LoadedStudy, *factors: str) -> Recipe:
    recipe = loaded.study.baseline
    for factor in factors:
        recipe = recipe.at(GIVEN.get(factor, {}))
    return recipe.at({factor: ON[factor] for factor in factors})
