"""Runs of a family, and their batches, for tests of stacks and captured steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from finegrid.model.dropout import Clock
from finegrid.model.packing.batches import Batch
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.train import gather
from support.studies import recipe_of


def varied(loaded: LoadedStudy, **levels: Any) -> list[Recipe]:
    """Recipes that differ in all that members of a family may differ in."""
    return [
        recipe_of(loaded, **levels),
        recipe_of(loaded, **levels, reinit__layers=2, schedule__warmup_ratio=0.1),
        recipe_of(loaded, **levels, optimizer__bias_correction=False),
        recipe_of(
            loaded, **levels, optimizer__decay_on="matrices", optimizer__rate=1e-3, reinit__pooler=True
        ),
    ]


def runs_of(loaded: LoadedStudy, recipes: list[Recipe], dtype: torch.dtype = torch.float32) -> list[Run]:
    runs = [Run(loaded, f"run-{index}", recipe, 0) for index, recipe in enumerate(recipes)]
    for run in runs:
        run.model.to(dtype)
    return gather(runs)


def batches(loaded: LoadedStudy, recipe: Recipe) -> list[Batch]:
    epochs = range(recipe.training.epochs)
    return [batch for epoch in epochs for batch in loaded.training_batches(recipe, 0, epoch)]


def gradients(run: Run) -> dict[str, Tensor]:
    return {name: p.grad for name, p in run.model.named_parameters() if p.grad is not None}


def draw_by_counter_(runs: list[Run]) -> None:
    """Ordinary steps with the masks that a GPU would draw."""

    def keep(clock: Clock, site: str, dropped: int, count: int, device: torch.device) -> Tensor:
        key = clock.streams.key(f"dropout/{clock.step}/{site}")
        twin = Clock(clock.streams, clock.step, keys={site: torch.tensor(key)})
        return Clock.keep(twin, site, dropped, count, device)

    for run in runs:
        run.model.clock.keep = keep.__get__(run.model.clock)  # type: ignore[method-assign]
