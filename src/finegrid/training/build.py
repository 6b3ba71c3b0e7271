"""The strategies of a recipe at the seams that make up a run: those that act, in the recipe's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from finegrid.model.classifier import Classifier
from finegrid.model.rows import held_rows, hold_rows_
from finegrid.optim.updater import ParamGroup, UpdateRule
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Criterion
from finegrid.strategies.seams import Setting, Strategy
from finegrid.training.loaded import LoadedStudy


def build_model(loaded: LoadedStudy, recipe: Recipe, seed: int) -> Classifier:
    """What a recipe trains, prepared: with the rows of the table of words that it trains."""
    rows = loaded.rows_in_steps(recipe)
    model = loaded.classifier(recipe, seed, rows if recipe.reads_table == "never" else None)
    prepare_model_(recipe, model, loaded.setting(seed, recipe))
    table = model.parts.embedding_table
    if rows is not None and held_rows(table) is None:
        hold_rows_(table, rows)
    return model


def prepare_model_(recipe: Recipe, model: Classifier, setting: Setting) -> None:
    """Make of a fresh model what the recipe trains."""
    for strategy in recipe.acting:
        strategy.prepare_model(model, setting)


def build_groups(recipe: Recipe, model: Classifier) -> list[ParamGroup]:
    """Everything that trains, with its rates and decays."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups: list[ParamGroup] = [{"params": list(trainable), "lr": 0.0, "weight_decay": 0.0}]
    for strategy in recipe.acting:
        groups = strategy.param_groups(groups, model)
    return groups


def build_rule(recipe: Recipe, model: Classifier, setting: Setting) -> UpdateRule:
    """What turns gradients into new values."""
    rule: UpdateRule | None = None
    for strategy in recipe.acting:
        rule = strategy.update_rule(rule, model, setting)
    assert rule is not None  # the optimizer always acts
    return rule


def build_criterion(recipe: Recipe, setting: Setting) -> Criterion:
    """What a step minimises; `CROSS_ENTROPY` itself where no strategy changes it."""
    criterion = CROSS_ENTROPY
    for strategy in recipe.acting:
        criterion = strategy.criterion(criterion, setting)
    return criterion


def rate_factor(acting: Iterable[Strategy], step: int, total: int) -> float:
    """What all rates are multiplied by at ``step`` (from 0) of ``total`` steps."""
    return prod((strategy.rate_factor(step, total) for strategy in acting), start=1.0)


def rates_at(
    acting: Iterable[Strategy], groups: Sequence[ParamGroup], step: int, total: int
) -> list[float | None]:
    """The rate of every group at a step; None where a group is left alone."""
    common = rate_factor(acting, step, total)
    rates: list[float | None] = []
    for group in groups:
        own = group["factor"](step, total) if "factor" in group else None
        rate = group["lr"] * common
        rates.append(rate if own is None else None if own == 0 else rate * own)
    return rates
