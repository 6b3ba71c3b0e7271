"""Stacked runs against the same runs alone: equal to rounding, and recorded as what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.stacks import batches, runs_of, varied
from support.studies import open_study, put_strategies, train, weights, without_seconds, write_study

from finegrid.model.kernels.layout import Dropped, cut, lay_out
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import Criterion
from finegrid.strategies.seams import Setting, Strategy
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import stack_up
from finegrid.training.run import Run
from finegrid.training.stack import Stack, can_stack, hand_layers
from finegrid.training.state import StateFile
from finegrid.training.train import train_family

STEPS = 50


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "frozen"), [("first-last-mean", 2), ("pooler", 0)])
def test_fifty_stacked_steps_equal_fifty_steps_alone(loaded: LoadedStudy, frozen: int, pooling: str) -> None:
    """1e-4 relative in float32, in losses and in every tensor, with dropout on."""
    levels = {"freeze__layers": frozen, "model__pooling": pooling, "training__epochs": 17}
    recipes = varied(loaded, **levels)
    stacked, alone = runs_of(loaded, recipes), runs_of(loaded, recipes)
    stack = Stack(stacked)
    for step, batch in enumerate(batches(loaded, recipes[0])[:STEPS]):
        losses = stack.backward(stacked[0].model.shared(batch, step), step).tolist()
        expected = [run.step(run.model.shared(batch, step), step) for run in alone]
        for run in stacked:
            run.update(step)
        assert losses == pytest.approx(expected, rel=1e-4)

    assert step + 1 == STEPS
    for one, other in zip(stacked, alone, strict=True):
        for name, p in weights(other).items():
            # The gradient of the keys' bias is zero but for rounding, which Adam magnifies.
            if not name.endswith("key.bias"):
                assert (weights(one)[name] - p).norm() <= 1e-4 * p.norm(), name


@pytest.mark.parametrize("frozen", [0, 2])
def test_gradients_of_a_stack_are_those_of_running_alone(loaded: LoadedStudy, frozen: int) -> None:
    """In float64, where nothing but rounding could hide."""
    recipes = varied(loaded, freeze__layers=frozen)
    stacked, alone = runs_of(loaded, recipes, torch.float64), runs_of(loaded, recipes, torch.float64)
    batch = batches(loaded, recipes[0])[0]
    Stack(stacked).backward(stacked[0].model.shared(batch, 0), 0)
    for run in alone:
        run.backward(run.model.shared(batch, 0), 0)

    for one, other in zip(stacked, alone, strict=True):
        theirs = dict(other.model.named_parameters())
        for name, p in one.model.named_parameters():
            assert (p.grad is None) == (theirs[name].grad is None), name
            if p.grad is not None:
                torch.testing.assert_close(p.grad, theirs[name].grad, rtol=1e-9, atol=1e-12, msg=name)


def test_the_weights_of_stacked_runs_stay_their_own(loaded: LoadedStudy) -> None:
    recipes = varied(loaded)
    runs = runs_of(loaded, recipes)
    before = [{name: p.clone() for name, p in weights(run).items()} for run in runs]
    stack = Stack(runs)
    with torch.no_grad():
        stack.stacked[0].whole[1].fill_(7.0)

    for index, (run, was) in enumerate(zip(runs, before, strict=True)):
        changed = {name for name, p in weights(run).items() if not torch.equal(p, was[name])}
        assert changed == ({"encoder.encoder.layer.0.attention.self.query.weight"} if index == 1 else set())


def trained(loaded: LoadedStudy, recipes: list[Recipe], on_step: Any = lambda done: None) -> list[Run]:
    """A family, as a worker trains it."""
    return train_family(
        loaded, runs_of(loaded, recipes), StateFile(loaded.study.folder / "nowhere", 1e9), on_step
    )


@pytest.fixture(scope="module")
def pairwise(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    """A study whose runs are stacked in twos."""
    return open_study(write_study(tmp_path_factory.mktemp("stacked"), bert), stack=2)


def test_a_stacked_family_trains_to_what_its_runs_do_alone(
    loaded: LoadedStudy, pairwise: LoadedStudy
) -> None:
    for run, recipe in zip(trained(pairwise, varied(loaded)), varied(loaded), strict=True):
        (alone,) = train(loaded, recipe)
        assert run.progress.status == "done"
        for mine, theirs in zip(run.progress.epochs, alone.progress.epochs, strict=True):
            assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        for split, logits in run.logits.items():
            torch.testing.assert_close(
                torch.from_numpy(logits), torch.from_numpy(alone.logits[split]), rtol=1e-3, atol=1e-4
            )


def test_equal_stacks_train_to_equal_bits(pairwise: LoadedStudy) -> None:
    first, second = (trained(pairwise, varied(pairwise)) for _ in range(2))

    for one, other in zip(first, second, strict=True):
        assert without_seconds(one.progress.epochs) == without_seconds(other.progress.epochs)
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


def test_a_diverged_run_leaves_the_others_of_its_stack_alone(pairwise: LoadedStudy) -> None:
    runs: list[Run] = []

    def on_step(done: int) -> None:
        if done == 2:
            with torch.no_grad():
                runs[0].model.get_parameter("head.linear.bias").fill_(float("nan"))

    runs += runs_of(pairwise, varied(pairwise))
    train_family(pairwise, runs, StateFile(pairwise.study.folder / "nowhere", 1e9), on_step)
    well = trained(pairwise, varied(pairwise))

    assert [run.progress.status for run in runs] == ["diverged", "done", "done", "done"]
    assert runs[0].progress.reason == "the loss was nan at step 3 of 6"
    for one, other in list(zip(runs, well, strict=True))[1:]:
        assert without_seconds(one.progress.epochs) == without_seconds(other.progress.epochs)


def test_a_stacked_family_resumes_to_the_same_bits(pairwise: LoadedStudy, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int) -> None:
        if done == 4:
            raise Killed

    path = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        train_family(pairwise, runs_of(pairwise, varied(pairwise)), StateFile(path, 0.0), kill)
    assert path.exists()
    resumed = train_family(pairwise, runs_of(pairwise, varied(pairwise)), StateFile(path, 0.0))

    for one, other in zip(resumed, trained(pairwise, varied(pairwise)), strict=True):
        assert without_seconds(one.progress.epochs) == without_seconds(other.progress.epochs)
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


def test_stacks_are_as_even_as_can_be(loaded: LoadedStudy) -> None:
    runs = runs_of(loaded, varied(loaded))

    def sizes(size: int) -> list[int]:
        stacks, single = stack_up(runs, size)
        return [len(stack.runs) for stack in stacks] + [1] * len(single)

    assert [sizes(size) for size in (1, 2, 3, 8)] == [[1, 1, 1, 1], [2, 2], [2, 2], [4]]


class OwnLoss(Strategy):
    acts = True

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return replace(criterion, weigh=(lambda losses, labels: losses * (1.0 + labels),))


class SecondPass(Strategy):
    acts = True

    def more_gradients(self, model: Any, batch: Any, backward: Any) -> None:
        return


@pytest.mark.parametrize(("strategy", "stacks"), [(OwnLoss(), True), (SecondPass(), False)])
def test_only_a_run_with_a_second_pass_of_its_own_is_not_stacked(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, strategy: Strategy, stacks: bool
) -> None:
    assert can_stack(runs_of(loaded, varied(loaded))[0])
    every: Any = Recipe.strategies
    put_strategies(monkeypatch, lambda recipe: [*every.fget(recipe), strategy])
    runs = runs_of(loaded, varied(loaded))

    assert can_stack(runs[0]) == stacks
    assert len(stack_up(runs, 4)[0]) == stacks


@pytest.mark.parametrize("ill", [0, 1])
def test_a_run_that_diverges_leaves_the_gradients_of_its_stack_finite(loaded: LoadedStudy, ill: int) -> None:
    """Its numbers reach no other run by way of the tokens that belong to no text."""
    runs = runs_of(loaded, varied(loaded)[:2])
    stack, batch = Stack(runs), batches(loaded, runs[0].recipe)[1]
    with torch.no_grad():
        hand_layers(runs[ill].model)[1].value.weight[0, 0] = torch.inf
    losses = stack.backward(batch, 0)

    assert len(batch.ids) > batch.real_tokens
    assert torch.isfinite(losses).tolist() == [ill == 1, ill == 0]
    grads = [p.grad for p in runs[1 - ill].model.parameters() if p.grad is not None]
    assert grads and all(torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("lengths", [[3, 4, 4, 9, 17, 17, 30], [2], [8, 8, 8]], ids=str)
def test_a_layout_of_three_runs_is_three_layouts(lengths: list[int]) -> None:
    heads, tokens, runs = 2, 128, 3
    cuts = cut(np.array(lengths), heads, 500)
    one = lay_out(torch.tensor(lengths), cuts, tokens, heads, 1, sum(lengths))
    all_ = lay_out(torch.tensor(lengths), cuts, tokens, heads, runs, sum(lengths))
    real = (one.indices.real[:, 0], all_.indices.real.view(runs, tokens))
    assert all(torch.equal(real[0], mine) for mine in real[1])
    dropped = Dropped((torch.arange(one.weights) % 251).to(torch.uint8), 1.1)
    spread = all_.for_all_runs(dropped)
    assert spread is not None and one.for_all_runs(dropped) is dropped
    for mine, theirs in zip(one.groups, all_.groups, strict=True):
        keep = spread.keep[theirs.weights].view(runs, -1)
        assert all(torch.equal(each, dropped.keep[mine.weights]) for each in keep)
        own = one.indices.rows[mine.places]
        for run, rows in enumerate(all_.indices.rows[theirs.places].view(runs, -1)):
            assert torch.equal(rows, own + run * tokens * heads)
    back = all_.indices.rows_back.view(runs, tokens, heads)
    for run in range(runs):
        where = all_.indices.rows[back[run][real[0]]]  # the inverse, on real tokens
        there = (torch.arange(tokens)[:, None] + run * tokens) * heads + torch.arange(heads)
        assert torch.equal(where, there[real[0]])
