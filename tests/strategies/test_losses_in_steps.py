"""Losses in stacks, in captured steps and after a crash: what each run computes alone."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from support.levels import on
from support.rarity import rare
from support.stacks import (
    assert_runs_alike,
    batches,
    kill_and_resume,
    runs_of,
    step_captured,
)
from support.studies import assert_same_run, train

from finegrid.model.packing.fixed import plan_shapes
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import CapturedStep, can_capture
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.graphs import Graphs
from finegrid.training.loaded import LoadedStudy
from finegrid.training.stack import Stack

CPU = torch.device("cpu")
HEADS = 2
EACH = [
    ("loss.weights",),
    ("loss.prior_tau",),
    ("loss.smoothing",),
    ("loss.focal_gamma",),
    ("distil.weight",),
    ("contrast.weight",),
    ("mixup.alpha",),
    ("rdrop.alpha",),
    ("loss.weights", "loss.smoothing", "loss.focal_gamma", "distil.weight", "contrast.weight", "mixup.alpha"),
]


def recipes_of(loaded: LoadedStudy, factors: tuple[str, ...], frozen: int = 0) -> list[Recipe]:
    """With some losses, and the company that a family gives them: the plain one."""
    return [recipe.at({"freeze.layers": frozen}) for recipe in (on(loaded, *factors), loaded.study.baseline)]


@pytest.mark.parametrize("factors", EACH, ids="+".join)
def test_every_fast_path_stays_open(taught: LoadedStudy, factors: tuple[str, ...]) -> None:
    """But for two views of a batch: frozen layers make two things of it, and a step costs more."""
    recipes = [r.at({"freeze.layers": 2, "freeze.dropout": False}) for r in recipes_of(taught, factors)]
    runs = runs_of(taught, recipes)

    one_view = factors != ("rdrop.alpha",)
    assert can_capture(runs, 2) and (frozen_prefix(runs[0]) is not None) == one_view
    assert (recipes[0].priced_levels() == recipes[1].priced_levels()) == one_view


@pytest.mark.parametrize(
    ("factors", "frozen"),
    rare(product(EACH, [0, 2]), [(factors, 2 * (place % 2)) for place, factors in enumerate(EACH)]),
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_stack_computes_each_runs_own_loss(
    taught: LoadedStudy, factors: tuple[str, ...], frozen: int
) -> None:
    recipes = recipes_of(taught, factors, frozen)
    stacked, alone = (runs_of(taught, recipes, torch.float64) for _ in range(2))
    stack = Stack(stacked)
    for step, batch in enumerate(batches(taught, recipes[0])[:4]):
        losses = stack.backward(batch, step).tolist()
        expected = [run.step(batch, step) for run in alone]
        for run in stacked:
            run.update(step)
        assert losses == pytest.approx(expected, rel=1e-6) and losses[0] != losses[1]
    assert_runs_alike(stacked, alone, 1e-5, 1e-9)


@pytest.mark.parametrize("factors", EACH, ids="+".join)
def test_a_captured_step_computes_each_runs_own_loss(taught: LoadedStudy, factors: tuple[str, ...]) -> None:
    captured, ordinary = step_captured(taught, recipes_of(taught, factors))
    assert_runs_alike(captured, ordinary, 1e-3, 1e-9)


def test_a_killed_run_resumes_to_the_same_bits(taught: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(taught, *EACH[-1])
    resumed = kill_and_resume(taught, recipe, tmp_path)

    assert_same_run(resumed, train(taught, recipe)[0])


def test_a_batch_of_fixed_shape_says_which_texts_it_holds(taught: LoadedStudy) -> None:
    (run,) = runs_of(taught, [taught.study.baseline])
    batch = batches(taught, run.recipe)[0]
    (shape,) = plan_shapes([batch.lengths], HEADS).values()
    step = CapturedStep(Stack([run]), shape, CPU, Graphs(CPU))
    step.fill_(batch, 0)
    fixed = step._batch(step.integers[: -len(step.sites)], None)  # type: ignore[arg-type]

    assert fixed.texts.tolist() == batch.texts.tolist() == batch.rows.tolist()
