"""Strategies at every seam: off, they cost nothing; on, each does its own thing on every path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from support.stacks import (
    assert_runs_alike,
    batches,
    kill_and_resume,
    runs_of,
    step_captured,
    varied,
)
from support.strategies.adding import CAPTURED, EVERY, STACKED, add_strategies_, factor_of
from support.studies import open_study, recipe_of, train, weights, write_study
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.proof import Prover
from finegrid.model.packing.batches import Batch
from finegrid.planning.families import plan_families
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.recipe import DEFAULTS, Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Criterion, Outputs
from finegrid.training.build import build_criterion, build_rule
from finegrid.training.captured import can_capture
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import stack_up
from finegrid.training.run import Run
from finegrid.training.stack import Stack, can_stack
from finegrid.training.state import StateFile
from finegrid.training.train import gather, train_family

CPU = torch.device("cpu")
HEADS = 2


@pytest.fixture(autouse=True)
def _longer_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    add_strategies_(monkeypatch)


def on(loaded: LoadedStudy, name: str, **levels: Any) -> Recipe:
    """The baseline with one strategy switched on."""
    return recipe_of(loaded, **levels).at({factor_of(name): EVERY[name][2]})


def run_of(loaded: LoadedStudy, recipe: Recipe) -> Run:
    return Run(loaded, "run", recipe, 0)


def outcome_of(run: Run) -> list[bytes]:
    return [run.logits[split].tobytes() for split in ("dev", "test")]


@cache
def outcome_once(loaded: LoadedStudy, recipe: Recipe) -> list[bytes]:
    """Of a run that is trained when it is first asked for."""
    return outcome_of(train(loaded, recipe)[0])


# Off


def test_strategies_that_are_off_leave_every_fast_path_open(loaded: LoadedStudy) -> None:
    runs = runs_of(loaded, varied(loaded, freeze__layers=2, freeze__dropout=False))

    assert all(factor in DEFAULTS for factor in map(factor_of, EVERY))
    assert not {type(strategy) for run in runs for strategy in run.recipe.acting} & {
        type(strategy) for strategy, _, _ in EVERY.values()
    }
    assert can_capture(runs, 4) and len(stack_up(runs, 4)[0]) == 1
    assert all(frozen_prefix(run) is not None for run in runs)
    assert all(run.criterion is CROSS_ENTROPY for run in runs)


def test_strategies_that_are_off_leave_families_as_they_were(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes() -> list[int]:
        planned = [PlannedRun(str(i), r.moved(), 0, ()) for i, r in enumerate(varied(loaded))]
        return [len(family.runs) for family in plan_families(planned, lambda run: 8)]

    assert sizes() == [4]


@pytest.mark.parametrize("name", EVERY)
def test_each_says_of_itself_which_paths_it_takes(loaded: LoadedStudy, name: str) -> None:
    run = run_of(loaded, on(loaded, name))

    assert can_stack(run) == (name in STACKED)
    assert can_capture([run], 4) == (name in CAPTURED)
    frozen = run_of(loaded, on(loaded, name, freeze__layers=2, freeze__dropout=False))
    assert (frozen_prefix(frozen) is None) == (name in ("rdrop", "smart", "fgm", "pgd", "freelb"))


# On


@pytest.mark.parametrize("name", EVERY)
def test_each_trains_to_other_weights_and_twice_to_the_same(loaded: LoadedStudy, name: str) -> None:
    recipe, plain = on(loaded, name, training__epochs=1), recipe_of(loaded, training__epochs=1)
    (run,) = train(loaded, recipe)

    assert run.progress.status == "done", run.progress.reason
    assert outcome_of(run) == outcome_once(loaded, recipe) != outcome_once(loaded, plain)


@pytest.mark.parametrize(
    ("name", "frozen"),
    rare(product(STACKED, [0, 2]), [(name, 2 * (place % 2)) for place, name in enumerate(STACKED)]),
)
def test_a_stack_computes_each_strategys_own_step(loaded: LoadedStudy, name: str, frozen: int) -> None:
    """In float64 (averages are made in float32); the company has another loss and update, or none."""
    recipes = [on(loaded, name, freeze__layers=frozen), recipe_of(loaded, freeze__layers=frozen)]
    dtype, rel = (torch.float32, 1e-4) if name == "ema" else (torch.float64, 1e-9)
    stacked, alone = (runs_of(loaded, recipes, dtype) for _ in range(2))
    stack = Stack(stacked)
    for step, batch in enumerate(batches(loaded, recipes[0])[:4]):
        losses = stack.backward(batch, step).tolist()
        expected = [run.step(batch, step) for run in alone]
        for run in stacked:
            run.update(step)
        assert losses == pytest.approx(expected, rel=rel)
    assert_runs_alike(stacked, alone, rtol=1e3 * rel if name != "ema" else rel)


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_step_computes_each_strategys_own_step(loaded: LoadedStudy, name: str) -> None:
    captured, ordinary = step_captured(loaded, [on(loaded, name), recipe_of(loaded)])
    assert_runs_alike(captured, ordinary, rtol=1e-3)
    for one, other in zip(captured, ordinary, strict=True):
        for ours, theirs in zip(one.averagers, other.averagers, strict=True):
            for key, mean in theirs.tensors().items():
                assert (ours.tensors()[key] - mean).norm() <= 1e-3 * mean.norm() + 1e-6, key


@pytest.mark.parametrize("name", rare(EVERY, [*EVERY][::2]))
def test_each_resumes_to_the_same_bits(loaded: LoadedStudy, name: str, tmp_path: Any) -> None:
    recipe = on(loaded, name)
    resumed = kill_and_resume(loaded, recipe, tmp_path)

    assert outcome_of(resumed) == outcome_once(loaded, recipe)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, bert: Any) -> Iterator[dict[str, LoadedStudy]]:
    """One study for each strategy, in which it is the only factor."""
    with pytest.MonkeyPatch.context() as patch:
        add_strategies_(patch)
        made = {}
        for name, (strategy, field, level) in EVERY.items():
            levels = f"[{str(getattr(strategy, field)).lower()}, {str(level).lower()}]"
            text = f'[factors]\n"{factor_of(name)}" = {levels}'
            made[name] = open_study(write_study(tmp_path_factory.mktemp(name), bert, settings=text))
        yield made


@pytest.mark.parametrize("name", EVERY)
def test_the_audit_proves_that_each_does_what_it_says_and_nothing_else(
    studies: dict[str, LoadedStudy], name: str
) -> None:
    loaded = studies[name]
    canonicaliser = Canonicaliser(loaded, 0)
    (proof,) = Prover(loaded, canonicaliser).proofs()

    assert proof.changes and not proof.beyond and not proof.warning, proof.describe()
    assert factor_of(name) not in canonicaliser.reduce(on(loaded, name)).inert


def test_the_proof_looks_where_a_strategy_acts(studies: dict[str, LoadedStudy]) -> None:
    """In the middle of a run, layers that wait for a fifth of it have long begun."""
    prover = Prover(studies["unfreeze"], Canonicaliser(studies["unfreeze"], 0))
    factor = factor_of("unfreeze")
    (pair, *_) = prover.pairs(factor, 0.2)

    assert prover.step(pair, [factor]) == (1, 1)
    assert prover.step(pair, ["optimizer.rate"]) == (3, 1)  # the middle of six steps


# The criterion


def outputs(runs: tuple[int, ...] = (), views: int = 1) -> Outputs:
    generator = torch.Generator().manual_seed(0)
    logits = tuple(torch.randn(*runs, 6, 3, generator=generator).double() for _ in range(views))
    features = tuple(torch.randn(*runs, 6, 5, generator=generator).double() for _ in range(views))
    return Outputs(logits, features, torch.tensor([0, 1, 2, 2, 1, 0]))


def test_without_parts_a_criterion_is_cross_entropy() -> None:
    one = outputs()

    torch.testing.assert_close(
        CROSS_ENTROPY.losses(one), F.cross_entropy(one.logits[0], one.labels, reduction="none")
    )


def test_stacked_runs_have_the_losses_of_each_alone(loaded: LoadedStudy) -> None:
    criterion = build_criterion(on(loaded, "rdrop"), loaded.setting(0))
    both = outputs((2,), criterion.views)
    alone = [
        criterion.losses(
            Outputs(tuple(z[run] for z in both.logits), tuple(f[run] for f in both.features), both.labels)
        )
        for run in range(2)
    ]

    torch.testing.assert_close(criterion.losses(both), torch.stack(alone))


def test_parts_act_in_the_order_of_their_kinds_not_in_that_of_strategies() -> None:
    one = outputs()
    prior = torch.tensor([0.5, 0.3, 0.2]).double().log()
    criterion = Criterion(
        adjust=(lambda z: z + prior,),
        soften=(lambda q: 0.9 * q + 0.1 / 3,),
        modulate=(lambda losses, p: (1 - p) ** 2 * losses,),
        weigh=(lambda losses, labels: losses * torch.tensor([1.0, 2.0, 3.0]).double()[labels],),
    )
    log_p = (one.logits[0] + prior).log_softmax(-1)
    q = 0.9 * F.one_hot(one.labels, 3) + 0.1 / 3
    p_label = log_p.gather(-1, one.labels[:, None])[:, 0].exp()
    by_hand = (1 - p_label) ** 2 * -(q * log_p).sum(-1) * (one.labels + 1.0)

    torch.testing.assert_close(criterion.losses(one), by_hand)


def test_two_equal_views_disagree_by_nothing(loaded: LoadedStudy) -> None:
    criterion = build_criterion(on(loaded, "rdrop"), loaded.setting(0))
    one = outputs()
    twice = Outputs(one.logits * 2, one.features * 2, one.labels)

    torch.testing.assert_close(criterion.losses(twice), CROSS_ENTROPY.losses(one))


# Gradients, updates, averages


def first_batch(loaded: LoadedStudy) -> Batch:
    return next(loaded.training_batches(recipe_of(loaded), 0, 0))


def test_a_group_that_waits_keeps_its_values_until_its_step(loaded: LoadedStudy) -> None:
    run = run_of(loaded, on(loaded, "unfreeze"))
    before = {name: p.detach().clone() for name, p in weights(run).items()}
    for step, batch in enumerate(batches(loaded, run.recipe)[:3]):
        run.step(batch, step)
        changed = {name for name, p in weights(run).items() if not torch.equal(p, before[name])}
        waits = step < 0.2 * run.total_steps
        assert all(name.startswith("head.") for name in changed) == waits


def test_the_update_rule_is_that_of_the_strategy_on(loaded: LoadedStudy) -> None:
    run = run_of(loaded, on(loaded, "lion"))
    rule = build_rule(run.recipe, run.model, loaded.setting(0))
    run.step(first_batch(loaded), 2)

    assert rule.key == "lion"
    assert all(state.keys() == {"mean"} for state in run.optimizer.state.values())


def test_best_weights_are_those_of_the_moving_average(loaded: LoadedStudy) -> None:
    (run,) = train(loaded, on(loaded, "ema", training__epochs=1))
    (average,) = run.averagers

    assert all(torch.equal(run.best_weights[name], mean) for name, mean in average.tensors().items())


def test_a_part_says_what_planning_must_know(loaded: LoadedStudy) -> None:
    def planned(index: int, recipe: Recipe) -> PlannedRun:
        return PlannedRun(str(index), recipe.moved(), 0, ())

    cheap, dear = recipe_of(loaded, rates__layer_decay=0.5), on(loaded, "rdrop")
    runs = [planned(index, recipe) for index, recipe in enumerate([recipe_of(loaded), cheap, dear])]

    assert [len(family.runs) for family in plan_families(runs, lambda run: 8)] == [2, 1]
    assert on(loaded, "ema").copies == 1 and on(loaded, "lion").copies == -1
    assert not on(loaded, "fgm").shares_prefix and recipe_of(loaded).shares_prefix


def test_runs_of_unlike_losses_walk_in_one_family(loaded: LoadedStudy) -> None:
    """Also where their prefix is not shared: each has the bits that it has alone."""
    recipes = [
        on(loaded, "rdrop", freeze__layers=2),
        on(loaded, "rdrop", freeze__layers=2).at({"clip.norm": 0.1}),
    ]
    family = gather(Run(loaded, str(i), recipe, 0) for i, recipe in enumerate(recipes))
    train_family(loaded, family, StateFile(loaded.study.folder / "nowhere", 1e9))
    alone = [train(loaded, recipe)[0] for recipe in recipes]

    for one, other in zip(family, alone, strict=True):
        assert np.array_equal(one.logits["test"], other.logits["test"])
