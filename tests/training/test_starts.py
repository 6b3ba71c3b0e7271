"""Runs with another start, other texts, or less that trains, on every path: stacked, captured, resumed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rarity import rare
from support.stacks import assert_runs_alike, batches, draw_by_counter_, gradients, kill_and_resume, runs_of
from support.studies import assert_same_run, open_study, recipe_of, train, write_study

from finegrid.model.packing.fixed import batch_of, integers_of
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import CapturedSteps, can_capture
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack

LEVELS: dict[str, dict[str, Any]] = {
    "tail": {"model__max_length": 5, "model__keep": "tail"},
    "head+tail": {"model__max_length": 5, "model__keep": "head+tail"},
    "share": {"texts__share": 0.7},
    "extra": {"texts__extra": "extra.tsv"},
    "noise": {"noise__strength": 0.3},
    "probe": {"probe__epochs": 2},
    "biases": {"train__only": "biases", "train__rate": 1e-2},
    "biases+norms": {"train__only": "biases+norms", "train__rate": 1e-2},
    "head": {"train__only": "head", "train__rate": 1e-2},
    "biases over frozen": {"train__only": "biases", "freeze__layers": 2},
}


OFTEN = ["head+tail", "extra", "noise", "probe", "biases over frozen"]


def pair(loaded: LoadedStudy, name: str) -> list[Recipe]:
    """Two recipes that one family may have."""
    levels = LEVELS[name]
    return [recipe_of(loaded, **levels), recipe_of(loaded, **levels, schedule__warmup_ratio=0.3)]


@cache
def plain(loaded: LoadedStudy, name: str) -> Run:
    return train(loaded, pair(loaded, name)[0])[0]


@pytest.mark.parametrize("name", rare(LEVELS, OFTEN))
def test_a_stack_computes_what_each_run_computes_alone(loaded: LoadedStudy, name: str) -> None:
    recipes = pair(loaded, name)
    stacked, alone = (runs_of(loaded, recipes, torch.float64) for _ in range(2))
    stack = Stack(stacked)
    for step, batch in enumerate(batches(loaded, recipes[0])[:4]):
        losses = stack.backward(batch, step).tolist()
        assert all(gradients(run).keys() <= run.trained().keys() for run in stacked)
        assert losses == pytest.approx([run.step(batch, step) for run in alone], rel=1e-9)
        for run in stacked:
            run.update(step)
    assert_runs_alike(stacked, alone, rtol=1e-6)


@pytest.mark.parametrize("name", rare(LEVELS, OFTEN))
def test_captured_steps_walk_through_an_epoch_as_ordinary_ones(loaded: LoadedStudy, name: str) -> None:
    recipes = pair(loaded, name)
    ordinary, captured = runs_of(loaded, recipes), runs_of(loaded, recipes)
    draw_by_counter_(ordinary)
    walk = CapturedSteps(loaded, captured)
    walked = list(walk.batches(0))
    for step, (ours, theirs) in enumerate(zip(walked, batches(loaded, recipes[0]), strict=False)):
        walk.step(ours, step)
        assert ours.ids.tolist() == theirs.ids.tolist()
        shape = walk.step_of(ours).shape  # masks of attention follow its filled-up size
        same: Any = batch_of(torch.from_numpy(integers_of(ours, shape)), shape)
        expected = [run.step(same, step) for run in ordinary]
        assert walk.losses[-1][1].tolist() == pytest.approx(expected, rel=1e-4)

    assert can_capture(captured, 4)
    assert len(walked) == loaded.steps_per_epoch(recipes[0])
    assert_runs_alike(captured, ordinary, rtol=1e-3)


@pytest.mark.parametrize("name", rare(LEVELS, OFTEN))
def test_a_family_of_two_has_the_bits_of_each_run_alone(loaded: LoadedStudy, name: str) -> None:
    assert_same_run(train(loaded, *pair(loaded, name))[0], plain(loaded, name))


@pytest.mark.parametrize("name", rare(LEVELS, OFTEN))
def test_who_is_killed_goes_on_to_the_same_bits(loaded: LoadedStudy, name: str, tmp_path: Path) -> None:
    recipe = pair(loaded, name)[0]
    resumed = kill_and_resume(loaded, recipe, tmp_path, loaded.steps_per_epoch(recipe) + 1)

    assert_same_run(resumed, plain(loaded, name))


@pytest.mark.parametrize("level", ["tail", "head+tail"])
def test_what_is_kept_is_what_frozen_layers_without_dropout_have_computed(
    tmp_path: Path, bert: Path, level: str
) -> None:
    """Arrays of each way to keep lie beside each other, and each run looks up its own."""
    loaded = open_study(write_study(tmp_path / "study", bert))
    silent: dict[str, Any] = {"freeze__layers": 2, "freeze__dropout": False, "model__max_length": 5}
    for keep in ("head", level):
        recipe = recipe_of(loaded, **silent, model__keep=keep)
        run = Run(loaded, "run", recipe, 0)
        walk = CapturedSteps(loaded, [run])
        assert walk.known is not None
        batch = next(walk.batches(0))
        looked_up, computed = walk.known.of(batch).prefix, run.model.prefix(batch, 0)
        assert looked_up is not None
        torch.testing.assert_close(
            looked_up.hidden[: batch.real_tokens], computed.hidden[: batch.real_tokens]
        )
    assert len(list((loaded.study.folder / "cache").glob("frozen-*-hidden.npy"))) == 2


@pytest.mark.parametrize("levels", [{"texts__share": 0.7}, {"texts__extra": "extra.tsv"}])
def test_frozen_layers_without_dropout_have_computed_the_runs_own_texts(
    tmp_path: Path, bert: Path, levels: dict[str, Any]
) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    silent: dict[str, Any] = {"freeze__layers": 2, "freeze__dropout": False}
    for own in ({}, levels):
        run = Run(loaded, "run", recipe_of(loaded, **silent, **own), 0)
        walk = CapturedSteps(loaded, [run])
        assert walk.known is not None
        for batch in walk.batches(0):
            looked_up, computed = walk.known.of(batch).prefix, run.model.prefix(batch, 0)
            assert looked_up is not None
            torch.testing.assert_close(
                looked_up.hidden[: batch.real_tokens], computed.hidden[: batch.real_tokens]
            )
