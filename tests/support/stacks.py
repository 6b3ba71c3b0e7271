"""Runs of a family, and their batches, for tests of stacks, captured steps and crashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from finegrid.model.packing.batches import Batch
from finegrid.model.packing.fixed import plan_shapes
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import CapturedStep
from finegrid.training.graphs import Graphs
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack
from finegrid.training.state import StateFile
from finegrid.training.train import gather, train_family
from support.studies import recipe_of, weights


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


def assert_runs_alike(runs: list[Run], others: list[Run], rtol: float, atol: float = 1e-12) -> None:
    """Weights of one and the other, by the norm of each tensor."""
    for one, other in zip(runs, others, strict=True):
        for name, p in weights(other).items():
            if not name.endswith("key.bias"):  # its gradient is zero but for rounding, which Adam magnifies
                assert (weights(one)[name] - p).norm() <= rtol * p.norm() + atol, name


def step_captured(loaded: LoadedStudy, recipes: list[Recipe], steps: int = 4) -> tuple[list[Run], list[Run]]:
    """Runs after captured steps, on the CPU, and the same after ordinary ones, whose losses are equal."""
    ordinary, captured = runs_of(loaded, recipes), runs_of(loaded, recipes)
    rows = [batch for batch in batches(loaded, recipes[0]) if len(batch.rows) == 8][:steps]
    heads = captured[0].model.parts.layers[0].heads
    (shape,) = plan_shapes((batch.lengths for batch in rows), heads).values()
    cpu = torch.device("cpu")
    whole = CapturedStep(Stack(captured), shape, cpu, Graphs(cpu))
    for step, batch in enumerate(rows):
        whole.fill_(batch, step)
        whole()
        expected = [run.step(run.model.shared(batch, step), step) for run in ordinary]
        assert whole.losses.tolist() == pytest.approx(expected, rel=1e-4)
    return captured, ordinary


def step_stacked(loaded: LoadedStudy, recipes: list[Recipe], steps: int = 4) -> tuple[list[Run], list[Run]]:
    """Runs after steps as a stack, in float64, and the same after steps of their own."""
    stacked, alone = (runs_of(loaded, recipes, torch.float64) for _ in range(2))
    stack = Stack(stacked)
    for step, batch in enumerate(batches(loaded, recipes[0])[:steps]):
        stack.backward(batch, step)
        for run in stacked:
            run.update(step)
        for run in alone:
            run.step(batch, step)
    return stacked, alone


def kill_and_resume(loaded: LoadedStudy, recipe: Recipe, folder: Path, after: int = 5) -> Run:
    """A run that was killed after so many steps, and trained to its end from what was saved."""
    (resumed,) = kill_and_resume_all(loaded, [recipe], folder, after)
    return resumed


def kill_and_resume_all(
    loaded: LoadedStudy, recipes: Sequence[Recipe], folder: Path, after: int = 5
) -> list[Run]:
    """The same of the runs of a family."""
    state, killed = StateFile(folder / "state", 0.0), RuntimeError("killed")

    def on_step(done: int) -> None:
        if done == after:
            raise killed

    def start() -> list[Run]:
        return [Run(loaded, f"run-{place}", recipe, 0) for place, recipe in enumerate(recipes)]

    with pytest.raises(RuntimeError):
        train_family(loaded, start(), state, on_step)
    resumed = [*train_family(loaded, start(), state)]
    assert state.taken
    return resumed


def go_plainly_(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's own operations compute everything: calls of a library are none that torch can record."""
    for module in ("model.kernels.operations", "model.kernels.varlen", "model.dropout"):
        monkeypatch.setattr(f"finegrid.{module}.kernels", lambda device: None)
