"""Promises every factor and every trick keeps. A new field of Recipe is tested here, once it is in ``ON``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny import recipe_of, same_tensors, train, weights
from torch import Tensor

from finegrid.adamw import AdamW
from finegrid.data.batches import Batch
from finegrid.model.classifier import Classifier
from finegrid.recipe import DEFAULTS, Level, Levels, Recipe
from finegrid.run import Run, cross_entropy
from finegrid.tricks.base import ParamGroup, Trick
from finegrid.workbench import Workbench

if TYPE_CHECKING:
    from finegrid.tricks.base import LossFn

# One level other than the default for every factor. test_every_factor_is_listed fails until a new one is.
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
TRICKS = Recipe().tricks


def base(bench: Workbench, factor: str = "") -> Recipe:
    return bench.study.baseline.at(GIVEN.get(factor, {}))


def on(bench: Workbench, *factors: str) -> Recipe:
    recipe = bench.study.baseline
    for factor in factors:
        recipe = recipe.at(GIVEN.get(factor, {}))
    return recipe.at({factor: ON[factor] for factor in factors})


def final(bench: Workbench, recipe: Recipe, seed: int = 0) -> dict[str, Tensor]:
    (run,) = train(bench, recipe, seed=seed)
    assert run.progress.status == "done", run.progress.reason
    return weights(run) | {f"logits/{k}": torch.from_numpy(v) for k, v in run.logits.items()}


def prepared(bench: Workbench, recipe: Recipe, seed: int = 0) -> Run:
    return Run(bench, "run", recipe, seed)


def test_every_factor_is_listed() -> None:
    assert ON.keys() == DEFAULTS.keys()
    assert all(ON[factor] != DEFAULTS[factor] for factor in ON)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: type(trick).__name__)
def test_every_trick_has_a_listed_factor_and_a_default_that_is_off(trick: Trick) -> None:
    assert type(trick)() == trick
    assert any(factor.startswith(f"{type(trick).__name__.lower()}.") for factor in ON)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: type(trick).__name__)
def test_off_is_the_identity_object(trick: Trick, bench: Workbench) -> None:
    model = bench.classifier(Recipe(), seed=0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    sites = {name: site.active for name, site in model.dropouts.items()}
    groups = Recipe().optimizer.param_groups(model)
    batch = next(bench.training_batches(Recipe(), 0, 0))
    global_state = torch.get_rng_state()

    trick.prepare_model(model)

    assert trick.param_groups(groups, model) is groups
    assert trick.wrap_loss(cross_entropy) is cross_entropy
    assert trick.averager(model) is None
    assert same_tensors(before, {name: p.detach() for name, p in model.named_parameters()})
    assert all(p.requires_grad for p in model.parameters()) and model.frozen_layers == 0
    assert {name: site.active for name, site in model.dropouts.items()} == sites
    cross_entropy(model, batch).backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    trick.after_backward(model, batch, cross_entropy)
    assert same_tensors(grads, {n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert torch.equal(torch.get_rng_state(), global_state)


@pytest.mark.parametrize("factor", ON)
def test_switched_on_it_changes_the_run(factor: str, bench: Workbench) -> None:
    assert not same_tensors(final(bench, base(bench, factor)), final(bench, on(bench, factor)))


@pytest.mark.parametrize("factor", ON)
def test_same_seed_same_weights(factor: str, bench: Workbench) -> None:
    first = final(bench, on(bench, factor))
    torch.manual_seed(12345)  # global generators are of no consequence
    np.random.seed(12345)  # noqa: NPY002

    assert same_tensors(first, final(bench, on(bench, factor)))


def test_another_seed_gives_other_weights(bench: Workbench) -> None:
    assert not same_tensors(final(bench, base(bench)), final(bench, base(bench), seed=1))


@pytest.mark.parametrize("pair", list(combinations(ON, 2)), ids="+".join)
def test_pairs_train_or_are_refused_with_a_reason(pair: tuple[str, str], bench: Workbench) -> None:
    recipe = on(bench, *pair).at({"training.epochs": 1})
    problems = recipe.problems(bench.study.checkpoint)
    if problems:
        assert all(any(name in problem.where for name in pair) for problem in problems)
        return
    assert all(torch.isfinite(values).all() for values in final(bench, recipe).values())


# What a factor may change of a run that is ready to start. The rest must be equal to the last bit.
SNAPSHOT = Callable[[Workbench, Run], Any]
LOOKS: dict[str, SNAPSHOT] = {
    "weights": lambda bench, run: {n: p.detach().numpy().tobytes() for n, p in run.model.named_parameters()},
    "head": lambda bench, run: [p.detach().numpy().tobytes() for p in run.model.head.parameters()],
    "trainable": lambda bench, run: [n for n, p in run.model.named_parameters() if p.requires_grad],
    "decays": lambda bench, run: hypers(run, "weight_decay"),
    "rates": lambda bench, run: hypers(run, "lr"),
    "factors": lambda bench, run: [
        run.recipe.schedule.factor(step, run.total_steps) for step in range(run.total_steps)
    ],
    "bias correction": lambda bench, run: run.optimizer.bias_correction,
    "order": lambda bench, run: [b.rows.tolist() for b in bench.training_batches(run.recipe, run.seed, 1)],
    "masks": lambda bench, run: masks(run.model),
    "active sites": lambda bench, run: sorted(n for n, site in run.model.dropouts.items() if site.active),
    "lengths": lambda bench, run: max(b.real_tokens for b in bench.training_batches(run.recipe, run.seed, 0)),
    "pooling": lambda bench, run: run.model.pooling,
}
CHANGES: dict[str, set[str]] = {
    "model.pooling": {"pooling"},
    "model.max_length": {"lengths", "order"},  # within a batch, texts lie in the order of their length
    "pretrain.tokens": {"weights"},
    "pretrain.rate": {"weights"},
    "pretrain.shared": {"weights"},
    "reinit.pooler": {"weights"},
    "reinit.layers": {"weights"},
    "freeze.layers": {"trainable", "rates", "decays"},  # a frozen tensor has none
    "freeze.dropout": {"active sites", "masks"},
    "optimizer.rate": {"rates"},
    "optimizer.weight_decay": {"decays"},
    "optimizer.decay_on": {"decays"},
    "optimizer.bias_correction": {"bias correction"},
    "schedule.warmup_ratio": {"factors"},
    "training.epochs": {"factors"},
    "training.batch_size": {"factors", "order", "lengths"},
}


def hypers(run: Run, name: str) -> dict[str, float]:
    names = {p: n for n, p in run.model.named_parameters()}
    return {names[p]: group[name] for group in run.optimizer.groups for p in group["params"]}


def masks(model: Classifier) -> dict[str, bytes]:
    """What every site multiplies by at step 7."""
    model.clock.step = 7
    return {name: site(torch.ones(100)).numpy().tobytes() for name, site in model.dropouts.items()}


@pytest.mark.parametrize("factor", ON)
def test_on_changes_only_its_own_thing(factor: str, bench: Workbench) -> None:
    runs = [prepared(bench, recipe) for recipe in (base(bench, factor), on(bench, factor))]
    changed = {name for name, look in LOOKS.items() if look(bench, runs[0]) != look(bench, runs[1])}

    assert changed == CHANGES[factor]


@pytest.mark.parametrize(
    "factor", [factor for factor in ON if not factor.startswith(("training.", "model."))]
)
def test_head_order_and_masks_are_those_of_the_seed(factor: str, bench: Workbench) -> None:
    ours, plain = prepared(bench, on(bench, factor), seed=3), prepared(bench, base(bench), seed=3)
    assert LOOKS["head"](bench, ours) == LOOKS["head"](bench, plain)
    assert LOOKS["order"](bench, ours) == LOOKS["order"](bench, plain)
    silenced = {name for name, site in ours.model.dropouts.items() if site.silenced}
    mine, theirs = masks(ours.model), masks(plain.model)
    assert {name for name in mine if mine[name] != theirs[name]} == silenced


class Spy(Trick):
    """Says when it was called."""

    def __init__(self, calls: list[str], name: str = "") -> None:
        self.calls, self.name = calls, name

    def say(self, what: str) -> None:
        self.calls.append(f"{what} {self.name}".strip())

    def prepare_model(self, model: Classifier) -> None:
        self.say("prepare_model")

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        self.say("param_groups")
        return groups

    def wrap_loss(self, loss_fn: LossFn) -> LossFn:
        self.say("wrap_loss")

        def wrapped(model: Classifier, batch: Batch) -> Tensor:
            self.say("loss")
            return loss_fn(model, batch)

        return wrapped

    def after_backward(self, model: Classifier, batch: Batch, loss_fn: LossFn) -> None:
        assert any(p.grad is not None for p in model.parameters())
        self.say("after_backward")

    def averager(self, model: Classifier) -> SpyAverager:
        self.say("averager")
        return SpyAverager(self)


class SpyAverager:
    def __init__(self, spy: Spy) -> None:
        self.spy = spy

    def update(self) -> None:
        self.spy.say("update")

    @contextmanager
    def applied(self) -> Iterator[None]:
        self.spy.say("averaged")
        yield
        self.spy.say("not averaged")

    def tensors(self) -> dict[str, Tensor]:
        return {}


def spied(bench: Workbench, tricks: list[Trick], monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> Run:
    monkeypatch.setattr(Recipe, "tricks", tricks)
    stepped, judged = AdamW.step, Run.judge

    def step(self: AdamW, factor: float) -> None:
        calls.append("optimizer")
        stepped(self, factor)

    def judge(self: Run, logits: dict[str, Any]) -> None:
        calls.append("judge")
        judged(self, logits)

    monkeypatch.setattr(AdamW, "step", step)
    monkeypatch.setattr(Run, "judge", judge)
    (run,) = train(bench, recipe_of(bench, training__batch_size=20))  # two steps an epoch
    assert run.progress.status == "done", run.progress.reason
    return run


def test_seams_fire_in_this_order(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    spied(bench, [Spy(calls)], monkeypatch, calls)

    step = ["loss", "after_backward", "optimizer", "update"]
    epoch = [*step, *step, "averaged", "judge", "not averaged"]
    assert calls == ["prepare_model", "param_groups", "wrap_loss", "averager", *epoch, *epoch]


def test_tricks_act_in_the_order_of_the_recipe(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    spied(bench, [Spy(calls, "a"), Spy(calls, "b")], monkeypatch, calls)

    for seam in ("prepare_model", "param_groups", "wrap_loss", "after_backward", "averager", "update"):
        assert [call for call in calls if call.startswith(f"{seam} ")][:2] == [f"{seam} a", f"{seam} b"]
    assert calls.index("loss b") < calls.index("loss a")  # the last to wrap is the outermost


def test_a_trick_that_does_nothing_changes_nothing(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(bench, training__batch_size=20)
    plain = final(bench, recipe)
    run = spied(bench, [*TRICKS, Trick()], monkeypatch, [])

    assert same_tensors({k: v for k, v in plain.items() if k in weights(run)}, weights(run))


def test_best_weights_are_the_averaged_ones(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a strategy evaluates with is also what predicts the test texts."""

    class Zero(Trick):
        def averager(self, model: Classifier) -> ZeroAverager:
            return ZeroAverager(model)

    class ZeroAverager:
        def __init__(self, model: Classifier) -> None:
            self.bias = model.get_parameter("head.linear.bias")

        def update(self) -> None: ...

        @contextmanager
        def applied(self) -> Iterator[None]:
            last = self.bias.detach().clone()
            self.bias.data.fill_(7.0)
            yield
            self.bias.data.copy_(last)

        def tensors(self) -> dict[str, Tensor]:
            return {}

    run = spied(bench, [Zero()], monkeypatch, [])

    assert run.best_weights["head.linear.bias"].tolist() == [7.0, 7.0, 7.0]
    assert torch.equal(run.model.get_parameter("head.linear.bias"), run.best_weights["head.linear.bias"])


@pytest.mark.parametrize(
    ("levels", "factor"),
    [
        ({"reinit.layers": 5}, "reinit.layers"),
        ({"freeze.layers": 5}, "freeze.layers"),
        ({"reinit.layers": 2, "freeze.layers": 3}, "freeze.layers"),
        ({"model.max_length": 129}, "model.max_length"),
    ],
)
def test_what_the_checkpoint_cannot_do_is_named(
    levels: dict[str, Level], factor: str, bench: Workbench
) -> None:
    (problem,) = Recipe().at({"model.max_length": 32, **levels}).problems(bench.study.checkpoint)

    assert factor in problem.where


@pytest.mark.parametrize("both", [(2, 2), (4, 0), (0, 4), (1, 3)])
def test_layers_may_be_frozen_below_those_drawn_afresh(both: tuple[int, int], bench: Workbench) -> None:
    recipe = recipe_of(bench, reinit__layers=both[0], freeze__layers=both[1])

    assert recipe.problems(bench.study.checkpoint) == []
