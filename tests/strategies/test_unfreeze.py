"""Gradual unfreezing: every layer begins at its own step, as if it had not been there before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.hosted import save_hosted
from support.stacks import batches, gradients
from support.studies import open_study, recipe_of, train, weights, write_study
from torch import Tensor

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import list_timed_steps
from finegrid.audit.proof import Prover
from finegrid.encoders.families import inspect
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.unfreeze import Unfreeze, Wait
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

EVERY, LAYERS = 0.15, 4


def run_of(loaded: LoadedStudy, **levels: object) -> Run:
    """Of twelve steps: layers begin at steps 2, 4, 6 and 8, embeddings at step 9."""
    recipe = recipe_of(loaded, training__batch_size=8, training__epochs=4, **levels)
    run = Run(loaded, "run", recipe.at({"unfreeze.every": EVERY}), 0)
    assert run.total_steps == 12
    return run


def first_step(name: str) -> int:
    if name.startswith("encoder.embeddings"):
        return 9
    if ".layer." not in name:
        return 0
    return [8, 6, 4, 2][int(name.split(".layer.")[1].split(".")[0])]


@pytest.mark.parametrize(
    ("share", "total", "first"), [(0.0, 7, 0), (0.3, 10, 3), (0.1 * 3, 10, 3), (0.15, 12, 2)]
)
def test_a_group_begins_after_its_share_of_the_steps(share: float, total: int, first: int) -> None:
    wait = Wait(share)

    assert wait.first(total) == first
    assert [wait(step, total) for step in range(total)] == [float(step >= first) for step in range(total)]


def test_tensors_are_the_checkpoints_to_the_last_bit_until_their_step(loaded: LoadedStudy) -> None:
    """With weight decay, which would move what has no gradient; and from then on they move."""
    run = run_of(loaded, optimizer__weight_decay=0.5, schedule__shape="constant")
    before = {name: p.detach().clone() for name, p in weights(run).items() if "pooler" not in name}
    assert {first_step(name) for name in before} == {0, 2, 4, 6, 8, 9}
    for step, batch in enumerate(batches(loaded, run.recipe)):
        run.step(batch, step)
        moved = {name for name, start in before.items() if not torch.equal(weights(run)[name], start)}

        assert moved == {name for name in before if first_step(name) <= step}, step


def test_moments_and_their_correction_begin_with_the_own_first_step(loaded: LoadedStudy) -> None:
    run = run_of(loaded)
    names: dict[Tensor, str] = {p: name for name, p in run.model.named_parameters()}
    begins = [first_step(names[group["params"][0]]) for group in run.optimizer.groups]
    for step, batch in enumerate(batches(loaded, run.recipe)):
        run.backward(batch, step)
        own = {name: g.clone() for name, g in gradients(run).items()}
        run.update(step)

        assert run.optimizer.updates == [max(0, step + 1 - first) for first in begins]
        assert {names[p] for p in run.optimizer.state} == {*own}
        assert all(first_step(name) <= step for name in own)
        for p, state in run.optimizer.state.items():
            if first_step(names[p]) == step:
                torch.testing.assert_close(state["first"], 0.1 * own[names[p]])
                torch.testing.assert_close(state["second"], 0.001 * own[names[p]] ** 2)


def test_the_first_own_update_is_adams_first(loaded: LoadedStudy) -> None:
    """With the bias corrected it moves by the rate, whatever the gradient."""
    run = run_of(loaded, optimizer__weight_decay=0.0, schedule__shape="constant", optimizer__rate=1e-3)
    name = "encoder.encoder.layer.2.output.dense.weight"
    for step, batch in enumerate(batches(loaded, run.recipe)[:5]):
        before = weights(run)[name].detach().clone()
        run.backward(batch, step)
        gradient = gradients(run).get(name)
        own = None if gradient is None else gradient.clone()
        run.update(step)
        assert (own is None) == (step < 4)
    assert own is not None

    torch.testing.assert_close(
        weights(run)[name].detach(), before - 1e-3 * own / (own.abs() + 1e-8), rtol=0, atol=1e-7
    )


def test_what_trains_has_the_gradients_of_the_baseline_and_the_rest_has_none(loaded: LoadedStudy) -> None:
    run = run_of(loaded)
    plain = Run(loaded, "run", run.recipe.at({"unfreeze.every": 0.0}), 0)
    for step, layers in ((0, ()), (5, (2, 3))):
        batch = batches(loaded, run.recipe)[step]
        assert run.backward(batch, step) == plain.backward(batch, step)
        expected = {n: g for n, g in gradients(plain).items() if first_step(n) <= step}

        assert gradients(run).keys() == expected.keys()
        assert all(torch.equal(gradients(run)[name], g) for name, g in expected.items())
        assert {int(n.split(".layer.")[1][0]) for n in expected if ".layer." in n} == {*layers}
        for one in (run, plain):
            one.optimizer.zero_grad()
    assert all(p.requires_grad for p in run.model.parameters())


def test_clipping_looks_at_what_trains(loaded: LoadedStudy) -> None:
    run = run_of(loaded, clip__norm=1e-3)
    run.backward(batches(loaded, run.recipe)[0], 0)
    run.change_gradients_()

    of_head = torch.cat([g.flatten() for g in gradients(run).values()])
    assert {name.split(".")[0] for name in gradients(run)} == {"head"}
    assert float(of_head.norm()) == pytest.approx(1e-3, rel=1e-2)


def test_rates_and_decays_stay_those_of_the_layer(loaded: LoadedStudy) -> None:
    def hypers(run: Run) -> dict[str, tuple[float, float]]:
        names = {p: name for name, p in run.model.named_parameters()}
        return {
            names[p]: (group["lr"], group["weight_decay"])
            for group in run.optimizer.groups
            for p in group["params"]
        }

    levels = {"rates__layer_decay": 0.5, "optimizer__decay_on": "matrices", "prior__decay": 0.1}
    run = run_of(loaded, **levels)

    assert hypers(run) == hypers(Run(loaded, "run", run.recipe.at({"unfreeze.every": 0.0}), 0))


def test_frozen_layers_never_begin(loaded: LoadedStudy) -> None:
    run = run_of(loaded, freeze__layers=2)

    assert {first_step(name) for name in run.trained() if "pooler" not in name} == {0, 2, 4}
    assert {group["factor"].first(12) for group in run.optimizer.groups if "factor" in group} == {2, 4}  # type: ignore[attr-defined]


def test_plan_prints_the_steps_and_what_never_trains(loaded: LoadedStudy) -> None:
    info = loaded.study.checkpoint

    assert Unfreeze(EVERY).explain_level("every", info, 12) == (
        "of 12 steps, layers 4 to 1 begin at 3 5 7 9, embeddings at 10"
    )
    assert Unfreeze(0.3).explain_level("every", info, 10, "zh") == (
        "共 10 步，第 4 至 1 层从第 4 7 10 （从不） 步开始训练，嵌入层从第 （从不） 步开始"
    )
    assert Unfreeze().explain_level("every", info, 10) == "" == Unfreeze(0.3).explain_level("every", None, 10)


def test_shared_layers_are_refused(loaded: LoadedStudy) -> None:
    albert = replace(loaded.study.checkpoint, family="albert", shares_layers=True)
    (problem,) = Recipe().at({"unfreeze.every": 0.1}).problems(albert)

    assert "albert share one set of weights" in problem.what
    assert Recipe().problems(albert) == []


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert"])
def test_hosted_encoders_unfreeze(tmp_path: Path, family: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    assert inspect(loaded.study.checkpoint.folder).tier != "hand"
    recipe = recipe_of(loaded).at({"unfreeze.every": 0.2})
    run = Run(loaded, "run", recipe, 0)
    before = {name: p.detach().clone() for name, p in weights(run).items()}
    run.step(batches(loaded, recipe)[0], 0)
    (whole,) = train(loaded, recipe)

    moved = {name for name, p in weights(run).items() if not torch.equal(p, before[name])}
    assert moved and not any(".layer" in name or "embeddings" in name for name in moved)
    assert whole.progress.status == "done", whole.progress.reason


@pytest.mark.parametrize("total", [1, 2, 6, 100])
def test_the_audit_times_steps_over_the_whole_run(total: int) -> None:
    """First its last, which has all moments: an early one would take less time and memory."""
    first, *timed = list_timed_steps(total)

    assert first == total - 1 and len(timed) == 3
    assert timed == [total // 6, total // 2, 5 * total // 6]


def test_the_proof_holds_where_gradients_are_clipped(tmp_path: Path, bert: Path) -> None:
    """The norm is then that of what trains: the head's gradients are not those of the baseline."""
    settings = '[clip]\nnorm = 1e-3\n[factors]\n"unfreeze.every" = [0.0, 0.2]'
    loaded = open_study(write_study(tmp_path, bert, settings=settings))
    (proof,) = Prover(loaded, Canonicaliser(loaded, 0)).proofs()

    assert proof.changes and not proof.beyond, proof.describe()
