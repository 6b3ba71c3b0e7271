"""A run's model with all rows of its table of words, to be kept: those that no text needed, as training them
would have left them.

Without a gradient a number is only decayed, or pulled to the checkpoint's. That is the same for all of them,
so one that stands in for them tells what the run's own rule, rates and averages make of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from finegrid.model.rows import held_rows, hold_all_
from finegrid.optim.updater import Updater
from finegrid.strategies.scoring import EpochEnds, Scoring
from finegrid.training.averages import Weights, average_of, copy_of, follow_, mean_of
from finegrid.training.build import prepare_model_, rates_at
from finegrid.training.run import Run
from finegrid.training.scorer import Choice

STAND_IN = "stand-in"


@dataclass(frozen=True)
class Idle:
    """What training makes of a number w0 without a gradient: ``own * w0 + pulled * anchor``."""

    own: float = 1.0
    pulled: float = 0.0

    def apply_(self, values: Tensor, anchor: Tensor) -> Tensor:
        """``anchor``: the checkpoint's values. What lies there and is only pulled stays, to the last bit."""
        total = self.own + self.pulled
        if self.pulled:
            values.lerp_(anchor, self.pulled / total)
        return values.mul_(total)


@torch.no_grad()
def make_whole_(run: Run) -> None:
    """Give the model of a run that has ended, with the weights that it is kept with, all rows."""
    if (rows := held_rows(run.table)) is None:
        return
    values = idle_of(run).apply_(first_table(run), own_table(run))
    values[rows.ids.cpu()] = run.table.weight.detach().cpu()
    hold_all_(run.table, values)


def first_table(run: Run) -> Tensor:
    """``[words, width]``, what a run's table would have begun with: a tensor of one's own, on the CPU."""
    loaded, recipe = run.loaded, run.recipe
    if recipe.reads_table == "never":  # so it is the checkpoint's
        return own_table(run).clone()
    model = loaded.classifier(recipe, run.seed)
    prepare_model_(recipe, model, loaded.setting(run.seed, recipe))
    return model.parts.embedding_table.weight.detach().cpu()


def own_table(run: Run) -> Tensor:
    """``[words, width]``, the checkpoint's: read it only."""
    return run.loaded.checkpoint.table.get_parameter("weight").detach()


def idle_of(run: Run) -> Idle:
    """What training made of rows that no text needed, up to the weights that the run is kept with."""
    table = run.table.weight
    group = next((group for group in run.optimizer.groups if any(p is table for p in group["params"])), None)
    if group is None:  # it was frozen
        return Idle()
    stand_in = nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))  # of w0 and of the anchor: shares
    stand_in.grad = torch.zeros_like(stand_in)
    rule = run.optimizer.rule.for_stand_in(table, stand_in, torch.tensor([0.0, 1.0], dtype=torch.float64))
    updater = Updater([{**group, "params": [stand_in]}], rule)
    scoring, choice = chosen_of(run)
    weights: Weights = {STAND_IN: stand_in}
    average = average_of(scoring.averaging, weights, run.total_steps)
    steps = run.loaded.steps_per_epoch(run.recipe)
    ends = [copy_of(weights)]  # by epoch; the first is the start
    for step in range(steps * max(choice.best_epoch, *choice.members, 0)):
        updater.step(rates_at(run.acting, updater.groups, step, run.total_steps))
        if average is not None:
            follow_([average], step)
        if (step + 1) % steps == 0:
            ends.append(copy_of(weights))
    mean = None if average is None else average.mean()
    own, pulled = (mean or mean_of([ends[epoch] for epoch in epochs_of(scoring, choice)]))[STAND_IN].tolist()
    return Idle(own, pulled)


def chosen_of(run: Run) -> tuple[Scoring, Choice]:
    """How a run is scored, and what that has chosen: its own way, or that of its one free level."""
    if run.scorer is None:
        return Scoring(), Choice(run.progress.best_epoch)
    (key,) = run.scorer.keys
    return run.scorer.scorings[key], run.scorer.choices[key]


def epochs_of(scoring: Scoring, choice: Choice) -> list[int]:
    """Those whose ends are averaged, in the order in which they are."""
    if isinstance(scoring.averaging, EpochEnds):
        return [*range(max(1, choice.best_epoch - scoring.averaging.count + 1), choice.best_epoch + 1)]
    return choice.members if len(choice.members) > 1 and choice.weights is not None else [choice.best_epoch]
