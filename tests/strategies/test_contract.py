"""Promises that every factor and every strategy keeps, once the factor is in `support.levels.ON`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from support.levels import ON, base, on
from support.rarity import rare
from support.strategies.adding import add_strategies_
from support.studies import put_strategies, recipe_of, same_tensors, train, weights
from torch import Tensor

from finegrid.audit.contract import find_moved_chance, find_off_problems
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Packed
from finegrid.optim.updater import ParamGroup, Updater, UpdateRule
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import DEFAULTS, FREE, Recipe
from finegrid.strategies.criterion import Criterion, Outputs
from finegrid.strategies.seams import REACH, Setting, Strategy
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

STRATEGIES = Recipe().strategies
MOVING = ("smart.", "fgm.", "pgd.", "freelb.")  # embedded words


@pytest.fixture(scope="module")
def loaded(taught: LoadedStudy) -> LoadedStudy:
    """Every factor does something in it."""
    return taught


def final(loaded: LoadedStudy, recipe: Recipe, seed: int = 0) -> dict[str, Tensor]:
    (run,) = train(loaded, recipe, seed=seed)
    assert run.progress.status == "done", run.progress.reason
    return weights(run) | {f"logits/{k}": torch.from_numpy(v) for k, v in run.logits.items()}


@cache
def final_once(loaded: LoadedStudy, recipe: Recipe) -> dict[str, Tensor]:
    """The same, trained when first asked for: many factors are compared with one baseline."""
    return final(loaded, recipe)


def test_every_factor_is_listed() -> None:
    assert ON.keys() == DEFAULTS.keys() - FREE
    assert all(ON[factor] != DEFAULTS[factor] for factor in ON)


def test_every_factor_is_in_one_listing_of_its_part() -> None:
    for field in fields(Recipe):
        part = getattr(Recipe(), field.name)
        listed = [name for listing in part.listings for name in listing.factors]
        assert sorted(listed) == sorted(own.name for own in fields(part)), field.name


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_every_strategy_has_a_listed_factor_and_a_default_that_is_off(strategy: Strategy) -> None:
    (part,) = (field.name for field in fields(Recipe) if getattr(Recipe(), field.name) is strategy)

    assert type(strategy)() == strategy
    assert any(factor.startswith(f"{part}.") for factor in ON)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_off_is_the_identity_object(strategy: Strategy, loaded: LoadedStudy) -> None:
    if strategy.always:
        return
    assert not strategy.acts and strategy not in Recipe().acting
    assert find_off_problems(strategy, loaded) == []


def test_a_strategy_that_shares_no_prefix_has_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a family could have runs that share it, and runs that do not."""
    add_strategies_(monkeypatch)
    alone = {
        factor: type(strategy).price(factor.partition(".")[2])
        for factor in DEFAULTS
        if isinstance(strategy := getattr(Recipe(), factor.partition(".")[0]), Strategy)
        and not strategy.shares_prefix
    }

    assert alone == {factor: "step" for factor in ON if factor.startswith(("rdrop.", *MOVING))}


def shortened(recipe: Recipe, factor: str) -> Recipe:
    """One epoch, of three steps, where the factor needs no more."""
    return recipe if factor.startswith("training.") else recipe.at({"training.epochs": 1})


@pytest.mark.parametrize("factor", ON)
def test_switched_on_it_changes_the_run(factor: str, loaded: LoadedStudy) -> None:
    recipes = [shortened(recipe, factor) for recipe in (base(loaded, factor), on(loaded, factor))]
    off, switched_on = (final_once(loaded, recipe) for recipe in recipes)
    assert not same_tensors(off, switched_on)


@pytest.mark.parametrize("factor", rare(ON, [*ON][::3]))
def test_same_seed_same_weights(factor: str, loaded: LoadedStudy) -> None:
    recipe = shortened(on(loaded, factor), factor)
    first = final_once(loaded, recipe)
    torch.manual_seed(12345)  # global generators are of no consequence
    np.random.seed(12345)  # noqa: NPY002

    assert same_tensors(first, final(loaded, recipe))


def test_another_seed_gives_other_weights(loaded: LoadedStudy) -> None:
    assert not same_tensors(final_once(loaded, base(loaded)), final(loaded, base(loaded), seed=1))


def seams_of(factor: str) -> set[str]:
    """The seams that the factor's strategy fills, and what the factor claims to change of a run."""
    part, name = factor.split(".")
    kind = type(getattr(Recipe(), part))
    filled = {seam for seam in REACH if issubclass(kind, Strategy) and seam in vars(kind)}
    return filled | {*kind.claim(name)}


def meet(pair: tuple[str, str]) -> bool:
    """Whether two strategies act at one place: there, and only there, can one be in the other's way."""
    first, second = pair
    return first.split(".")[0] != second.split(".")[0] and bool(seams_of(first) & seams_of(second))


PAIRS = list(combinations(ON, 2))


def name_parts(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0].split(".")[0], pair[1].split(".")[0]


# Of every two strategies that meet anywhere, the first factors that do.
MEETING = list({name_parts(pair): pair for pair in reversed(PAIRS) if meet(pair)}.values())


def check_pair(pair: tuple[str, str], loaded: LoadedStudy) -> None:
    recipe = on(loaded, *pair).at({"training.epochs": 1})
    problems = recipe.problems(loaded.study.checkpoint)
    if problems:
        parts = [f'"{part}' for part in name_parts(pair)]
        assert all(any(part in problem.where for part in parts) for problem in problems)
        return
    assert all(torch.isfinite(values).all() for values in final(loaded, recipe).values())


@pytest.mark.parametrize("pair", MEETING, ids="+".join)
def test_a_refused_pair_names_both(pair: tuple[str, str], loaded: LoadedStudy) -> None:
    problems = on(loaded, *pair).problems(loaded.study.checkpoint)
    assert all(f'"{part}' in problem.where for part in name_parts(pair) for problem in problems)


# A third of them trains in `make test`, the others in `make test-slow`.
@pytest.mark.parametrize(
    "pair",
    [pytest.param(pair, marks=pytest.mark.slow if n % 3 else ()) for n, pair in enumerate(MEETING)],
    ids="+".join,
)
def test_pairs_that_share_a_seam_train_or_are_refused_with_a_reason(
    pair: tuple[str, str], loaded: LoadedStudy
) -> None:
    check_pair(pair, loaded)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair not in MEETING], ids="+".join)
def test_all_other_pairs_train_or_are_refused_with_a_reason(
    pair: tuple[str, str], loaded: LoadedStudy
) -> None:
    check_pair(pair, loaded)


def test_pairs_of_strategies_that_act_at_one_place_are_found() -> None:
    assert meet(("reinit.layers", "freeze.layers"))  # both prepare the model
    assert meet(("optimizer.rate", "schedule.warmup_ratio"))  # both set rates
    assert not meet(("model.pooling", "optimizer.weight_decay"))
    assert not meet(("freeze.layers", "freeze.dropout"))  # factors of one strategy


# These change the head or the masks by rights: test_head.py and test_dropout_rates.py say how.
OTHER_HEADS_AND_MASKS = ("training.", "model.", "texts.", "pseudo.", "head.kind", "head.hidden", "dropout.")


@pytest.mark.parametrize("factor", [factor for factor in ON if not factor.startswith(OTHER_HEADS_AND_MASKS)])
def test_head_order_and_masks_are_those_of_the_seed(factor: str, loaded: LoadedStudy) -> None:
    part, name = factor.split(".")
    claimed = type(getattr(Recipe(), part)).claim(name).get("initial")  # a probe is there to change the head
    allowed = {"head"} if claimed == "head" else set()

    assert {*find_moved_chance(loaded, base(loaded), on(loaded, factor))} <= allowed


class Spy(Strategy):
    """Says when it was called."""

    acts = True

    def __init__(self, calls: list[str], name: str = "") -> None:
        self.calls, self.name = calls, name

    def say(self, what: str) -> None:
        self.calls.append(f"{what} {self.name}".strip())

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        self.say("prepare_model")

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        self.say("param_groups")
        return groups

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule | None:
        self.say("update_rule")
        return rule

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        self.say("criterion")

        def add_nothing(outputs: Outputs) -> Tensor:
            self.say("loss")
            return torch.zeros(len(outputs.labels))

        return replace(criterion, add=(*criterion.add, add_nothing))

    def averager(self, model: Classifier) -> SpyAverager:
        self.say("averager")
        return SpyAverager(self)

    def move_words(self, model: Classifier, batch: Packed, step: int) -> None:
        assert all(p.grad is None for p in model.parameters())
        self.say("move_words")

    def more_losses(
        self, model: Classifier, batch: Packed, outputs: Outputs, read: Callable[[], Tensor], step: int
    ) -> None:
        assert len(read()) == len(outputs.labels)
        self.say("more_losses")

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        assert any(p.grad is not None for p in model.parameters())
        self.say("more_gradients")

    def change_gradients_(self, gradients: list[Tensor]) -> None:
        assert gradients
        self.say("change_gradients_")


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


def spied(
    loaded: LoadedStudy, strategies: list[Strategy], monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> Run:
    recipe = recipe_of(loaded, training__batch_size=20)  # two steps an epoch
    always = [strategy for strategy in recipe.strategies if strategy.always]
    put_strategies(monkeypatch, lambda recipe: [*strategies, *always])
    updated, judged = Updater.update_, Run.judge

    def update_(self: Updater, *numbers: Any) -> None:
        calls.append("optimizer")
        updated(self, *numbers)

    def judge(self: Run, logits: dict[str, Any]) -> None:
        calls.append("judge")
        judged(self, logits)

    monkeypatch.setattr(Updater, "update_", update_)
    monkeypatch.setattr(Run, "judge", judge)
    (run,) = train(loaded, recipe)
    assert run.progress.status == "done", run.progress.reason
    return run


def test_seams_fire_in_this_order(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    spied(loaded, [Spy(calls)], monkeypatch, calls)

    step = ["move_words", "loss", "more_losses", "more_gradients", "change_gradients_", "optimizer", "update"]
    epoch = [*step, *step, "averaged", "judge", "not averaged"]
    start = ["prepare_model", "criterion", "update_rule", "param_groups", "averager"]
    assert calls == [*start, *epoch, *epoch]


def test_strategies_act_in_the_order_of_the_recipe(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    spied(loaded, [Spy(calls, "a"), Spy(calls, "b")], monkeypatch, calls)

    seams = ("prepare_model", "param_groups", "update_rule", "criterion", "averager", "update", "loss")
    for seam in (*seams, "move_words", "more_losses", "more_gradients", "change_gradients_"):
        assert [call for call in calls if call.startswith(f"{seam} ")][:2] == [f"{seam} a", f"{seam} b"]


def test_a_strategy_that_does_nothing_changes_nothing(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(loaded, training__batch_size=20)
    plain = final(loaded, recipe)
    run = spied(loaded, [*(s for s in STRATEGIES if not s.always), Strategy()], monkeypatch, [])

    assert same_tensors({k: v for k, v in plain.items() if k in weights(run)}, weights(run))


def test_best_weights_are_the_averaged_ones(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a strategy evaluates with is also what predicts the test texts."""

    class Zero(Strategy):
        acts = True

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

    run = spied(loaded, [Zero()], monkeypatch, [])

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
    levels: dict[str, Level], factor: str, loaded: LoadedStudy
) -> None:
    (problem,) = Recipe().at({"model.max_length": 32, **levels}).problems(loaded.study.checkpoint)

    assert factor in problem.where


@pytest.mark.parametrize("both", [(2, 2), (4, 0), (0, 4), (1, 3)])
def test_layers_may_be_frozen_below_those_drawn_afresh(both: tuple[int, int], loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, reinit__layers=both[0], freeze__layers=both[1])

    assert recipe.problems(loaded.study.checkpoint) == []
