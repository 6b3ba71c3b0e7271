"""Layers that are computed twice and not kept: the same bits, less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.hosted import save_hosted
from support.rarity import rare
from support.stacks import batches, runs_of, step_captured
from support.studies import open_study, put_strategies, recipe_of, same_tensors, train, weights, write_study

from finegrid.audit import costs
from finegrid.audit.costs import measure
from finegrid.model.encoder import AttentionHalf
from finegrid.planning.capacity import GIB, Hardware, needs_of, recomputes, room_of_a_run
from finegrid.recipe.recipe import Recipe
from finegrid.running.worker import last_digits
from finegrid.strategies.criterion import Criterion
from finegrid.strategies.seams import Setting, Strategy
from finegrid.study.audit_file import Audit
from finegrid.study.settings import RunSettings
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import share_prefix
from finegrid.training.run import Run
from finegrid.training.stack import Stack

STEPS = 9  # three epochs
HOSTED_KINDS = ["modernbert", "deberta-v2", "qwen3", "albert"]
LOUD = {"dropout__hidden": 0.3, "dropout__attention": 0.3, "training__epochs": 3}


def walk(loaded: LoadedStudy, recompute: bool, recipe: Recipe, views: int = 1) -> tuple[Run, list[float]]:
    run = Run(loaded, "run", recipe, 0)
    run.model.engine.recompute = recompute
    losses = []
    for step, batch in enumerate(batches(loaded, recipe)[:STEPS]):
        losses.append(run.step(share_prefix([run], batch, step)[0], step))
    assert len(losses) == STEPS
    return run, losses


def assert_same_bits(loaded: LoadedStudy, recipe: Recipe) -> None:
    kept, losses = walk(loaded, False, recipe)
    again, theirs = walk(loaded, True, recipe)

    assert theirs == losses
    assert same_tensors(weights(again), weights(kept))


@pytest.mark.parametrize("precision", rare(["fp32", "bf16"], ["bf16"]))
@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"model__pooling": "first-last-mean", "freeze__layers": 2},
        {"training__micro_batch": 3},
        {"train__only": "biases"},
    ],
    ids=lambda levels: "+".join(levels) or "plain",
)
def test_weights_are_the_same_to_the_bit(loaded: LoadedStudy, precision: str, levels: dict[str, Any]) -> None:
    half = open_study(loaded.study.folder, precision=precision)

    assert_same_bits(half, recipe_of(half, **LOUD, **levels))


class TwoViews(Strategy):
    always = True

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return Criterion(views=2)


@pytest.mark.parametrize("precision", rare(["fp32", "bf16"], ["bf16"]))
def test_two_views_of_a_batch_have_the_same_bits(
    loaded: LoadedStudy, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_strategies(monkeypatch, lambda recipe: [recipe.optimizer, recipe.schedule, TwoViews()])
    half = open_study(loaded.study.folder, precision=precision)

    assert_same_bits(half, recipe_of(half, training__epochs=3))


def test_a_family_has_the_same_bits(loaded: LoadedStudy) -> None:
    def ended(recompute: bool) -> list[Run]:
        opened = open_study(loaded.study.folder, recompute=recompute)
        recipes = [recipe_of(opened), recipe_of(opened, reinit__layers=2)]
        return train(opened, *recipes)

    for again, kept in zip(ended(True), ended(False), strict=True):
        assert same_tensors(weights(again), weights(kept))


def test_a_stack_has_the_same_bits(loaded: LoadedStudy) -> None:
    def stepped(recompute: bool) -> list[Run]:
        recipes = [recipe_of(loaded, **LOUD), recipe_of(loaded, **LOUD, optimizer__rate=1e-3)]
        runs = runs_of(loaded, recipes)
        runs[0].model.engine.recompute = recompute
        stack = Stack(runs)
        for step, batch in enumerate(batches(loaded, recipes[0])[:5]):
            stack.backward(batch, step)
            for run in runs:
                run.update(step)
        return runs

    for again, kept in zip(stepped(True), stepped(False), strict=True):
        assert same_tensors(weights(again), weights(kept))


def test_captured_steps_are_like_ordinary_ones(loaded: LoadedStudy) -> None:
    def captured(recompute: bool) -> list[Run]:
        opened = open_study(loaded.study.folder, recompute=recompute)
        return step_captured(opened, [recipe_of(opened), recipe_of(opened, optimizer__rate=1e-3)])[0]

    for again, kept in zip(captured(True), captured(False), strict=True):
        assert same_tensors(weights(again), weights(kept))


@pytest.mark.parametrize("family", rare(HOSTED_KINDS, ["modernbert"]))
def test_hosted_encoders_have_the_same_bits(tmp_path: Path, family: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))

    assert_same_bits(loaded, recipe_of(loaded, training__epochs=3, training__micro_batch=3))
    assert_same_bits(loaded, recipe_of(loaded, training__epochs=3))


def test_each_layer_is_computed_twice(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, forward = [], AttentionHalf.forward

    def count(ctx: Any, *args: Any) -> Any:
        calls.append(args[-3])
        return forward(ctx, *args)

    monkeypatch.setattr(AttentionHalf, "forward", staticmethod(count))
    recipe = recipe_of(loaded)
    run = Run(loaded, "run", recipe, 0)
    layers = len(run.model.parts.layers)
    for recompute in (False, True):
        calls.clear()
        run.model.engine.recompute = recompute
        run.backward(batches(loaded, recipe)[0], 0)
        run.optimizer.zero_grad()
        for site in run.model.dropouts.values():
            site.forget_()
        assert len(calls) == layers * (2 if recompute else 1)
    calls.clear()
    with run.model.evaluating(), torch.no_grad():
        run.model(batches(loaded, recipe)[0])
    assert len(calls) == layers  # nothing is kept where there is no backward pass


def test_nothing_but_inputs_of_layers_is_kept(loaded: LoadedStudy) -> None:
    """Counted by what a graph holds: bytes of tensors that are alive between forward and backward pass."""
    held = {}
    for recompute in (False, True):
        run = Run(loaded, "run", recipe_of(loaded), 0)
        run.model.engine.recompute = recompute
        batch = batches(loaded, run.recipe)[0]
        output = run.model.features(batch, 0)
        held[recompute] = held_by(output.grad_fn)

    assert held[True] < 0.2 * held[False]


def held_by(node: Any) -> int:
    """Bytes that the nodes of a graph hold beside parameters."""
    seen: set[int] = set()
    found: dict[int, int] = {}

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            if not isinstance(value, torch.nn.Parameter):
                found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        elif isinstance(value, list | tuple):
            for each in value:
                add(each)
        elif hasattr(value, "__dict__") and type(value).__name__ in ("Attended", "Dropped"):
            for each in vars(value).values():
                add(each)

    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        add(getattr(one, "saved_tensors", None))
        add(getattr(one, "rest", None))
        waiting += [following for following, _ in one.next_functions]
    return sum(found.values())


def test_it_is_no_part_of_what_decides_last_digits() -> None:
    asked = RunSettings(recompute=True)

    assert asked.alike == RunSettings().alike
    assert last_digits(asked) == last_digits(RunSettings())
    assert asked.priced_by != RunSettings().priced_by  # seconds and memory are others
    assert RunSettings(recompute="auto").priced_by != asked.priced_by


@pytest.mark.parametrize(("room", "expected"), [(1 << 50, False), (1, True)])
def test_auto_chooses_by_memory(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, room: int, expected: bool
) -> None:
    opened = open_study(loaded.study.folder, recompute="auto")
    monkeypatch.setattr(costs, "room_of_a_run", lambda *args: room)
    cost = measure(opened, opened.study.baseline)

    assert cost.recomputes is expected


def test_auto_recomputes_where_memory_ran_out(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_study(loaded.study.folder, recompute="auto")
    measure_as = costs.measure_as

    def short(loaded: LoadedStudy, recipe: Recipe, recompute: bool) -> Any:
        if not recompute:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return measure_as(loaded, recipe, recompute)

    monkeypatch.setattr(costs, "measure_as", short)

    assert measure(opened, opened.study.baseline).recomputes


def test_auto_keeps_to_the_audit(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "room_of_a_run", lambda *args: 1)
    opened = open_study(loaded.study.folder, recompute="auto")
    audit = costs.make_audit(opened)
    recipe = Recipe().at(audit.rows[0].run)

    assert audit.measured["recompute"] == '"auto"'
    assert recomputes(opened.settings, audit, recipe)
    assert not recomputes(RunSettings(), audit, recipe)
    assert recomputes(RunSettings(recompute=True), audit.model_copy(update={"costs": []}), recipe)
    unknown: Audit = audit.model_copy(update={"costs": []})
    assert not recomputes(opened.settings, unknown, recipe)
    assert needs_of(recipe, opened.settings, audit).less().startswith("training.micro_batch = 4 (now 8 ")


def test_room_is_what_leaves_every_core_a_worker() -> None:
    machine = Hardware(cores=4, memory=10 * GIB, gpus=2)

    assert room_of_a_run(RunSettings(), 0, machine) == int(1.5 * GIB)
    assert room_of_a_run(RunSettings(threads=2), 0, machine) == 3 * GIB
    assert room_of_a_run(RunSettings(threads=8, memory=2.0), 0, machine) == 2 * GIB
    assert room_of_a_run(RunSettings(device="cuda"), 10 * GIB, machine) == 8 * GIB
    assert room_of_a_run(RunSettings(device="cuda", memory=6.0), 10 * GIB, machine) == 3 * GIB
