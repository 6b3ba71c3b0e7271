"""Prior decay: by its closed form, on what has an anchor and on nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.studies import open_study, recipe_of, same_tensors, weights, write_study
from torch import Tensor

from finegrid.audit.canonical import Canonicaliser
from finegrid.optim.prior_decay import PriorDecay
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run


def run_of(loaded: LoadedStudy, **levels: Any) -> Run:
    return Run(loaded, "run", recipe_of(loaded, **levels), 0)


def anchored(run: Run) -> set[str]:
    rule = run.optimizer.rule
    assert isinstance(rule, PriorDecay)
    return {name for name, p in run.model.named_parameters() if p in rule.anchor}


def decays_of(run: Run) -> dict[str, float]:
    names = {p: name for name, p in run.model.named_parameters()}
    return {names[p]: group["weight_decay"] for group in run.optimizer.groups for p in group["params"]}


def distances(run: Run) -> dict[str, Tensor]:
    anchor = run.loaded.setting(0).anchor
    return {name: (p.double() - anchor[name]).clone() for name, p in weights(run).items() if name in anchor}


def spend_nothing_(run: Run, steps: int) -> None:
    """Steps of the optimizer whose gradients are all 0."""
    for step in range(steps):
        for p in run.model.parameters():
            p.grad = torch.zeros_like(p)
        run.update(step)


def test_without_gradients_the_distance_shrinks_by_the_closed_form(loaded: LoadedStudy) -> None:
    levels = {"schedule__shape": "constant", "model__pooling": "pooler"}  # or nobody reads the pooler
    run = run_of(loaded, prior__decay=0.5, optimizer__rate=0.1, **levels)
    run.model.double()
    with torch.no_grad():
        for p in run.model.encoder.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    before, head = distances(run), run.model.get_parameter("head.linear.weight").detach().clone()
    spend_nothing_(run, 5)

    for name, distance in distances(run).items():
        torch.testing.assert_close(distance, (1 - 0.1 * 0.5) ** 5 * before[name], rtol=1e-7, atol=1e-12)
    ordinary = (1 - 0.1 * run.recipe.optimizer.weight_decay) ** 5 * head.double()
    torch.testing.assert_close(run.model.get_parameter("head.linear.weight").double(), ordinary)


def test_the_pull_follows_schedule_and_layers(loaded: LoadedStudy) -> None:
    run = run_of(loaded, prior__decay=0.5, optimizer__rate=0.1, rates__layer_decay=0.5)
    run.model.double()
    with torch.no_grad():
        for p in run.model.encoder.parameters():
            p.add_(1.0)
    before = distances(run)
    spend_nothing_(run, 3)
    after = distances(run)

    factors = [1.0, 5 / 6, 4 / 6]
    for depth, multiple in enumerate([0.5**5, 0.5**4, 0.5**3, 0.5**2, 0.5]):
        name = f"encoder.encoder.layer.{depth - 1}.output.dense.weight"
        name = name if depth else "encoder.embeddings.word_embeddings.weight"
        shrunk = 1.0
        for factor in factors:
            shrunk *= 1 - 0.1 * multiple * factor * 0.5
        torch.testing.assert_close(after[name], shrunk * before[name], rtol=1e-6, atol=1e-9)


def test_the_first_step_is_that_of_a_run_without_decay(loaded: LoadedStudy) -> None:
    """At the checkpoint's values nothing pulls, to the last bit; the head decays as ever."""
    batch = next(loaded.training_batches(recipe_of(loaded), 0, 0))
    pulled, plain = run_of(loaded, prior__decay=1.0), run_of(loaded, optimizer__weight_decay=0.0)
    decayed = run_of(loaded)
    for run in (pulled, plain, decayed):
        run.step(batch, 0)
    ours, theirs, head = weights(pulled), weights(plain), weights(decayed)

    assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.startswith("head."))
    assert all(torch.equal(ours[name], head[name]) for name in ours if name.startswith("head."))
    before = {name: p.clone() for name, p in weights(plain).items()}
    for run in (pulled, plain):
        run.step(batch, 1)
    assert not same_tensors(weights(pulled), weights(plain)) and not same_tensors(before, weights(plain))


@pytest.mark.parametrize("pooling", ["pooler", "first-last-mean"])
def test_what_has_an_anchor_is_pulled_and_has_no_other_decay(loaded: LoadedStudy, pooling: str) -> None:
    run = run_of(
        loaded,
        prior__decay=0.5,
        reinit__layers=1,
        reinit__pooler=True,
        freeze__layers=1,
        model__pooling=pooling,
    )
    names = {
        name
        for name in run.trained()
        if not name.startswith("head.") and "pooler" not in name and ".layer.3." not in name
    }

    assert anchored(run) == names and len(names) == 32  # two layers
    assert decays_of(run) == {name: 0.0 if name in names else 0.01 for name in run.trained()}


def test_a_pooler_that_the_checkpoint_lacks_has_no_anchor(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.checkpoint, "missing", ["pooler"])
    monkeypatch.setattr(loaded, "_anchors", {})

    assert not any("pooler" in name for name in anchored(run_of(loaded, prior__decay=0.5)))


def test_where_nothing_that_trains_has_an_anchor_it_is_inert(tmp_path: Any, bert: Any) -> None:
    loaded = open_study(write_study(tmp_path, bert))
    found = Canonicaliser(loaded, 0).reduce(
        recipe_of(loaded, prior__decay=0.5, freeze__layers=4, model__pooling="cls")
    )

    assert "prior.decay" in found.inert


def test_prior_decay_without_an_anchor_is_refused(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, prior__decay=0.5, pretrain__tokens=1000)
    (problem,) = recipe.problems(loaded.study.checkpoint)

    assert "prior decay without an anchor" in problem.what and "Leave" in problem.what
    assert problem.where == '"prior.decay" + "pretrain.tokens"'


def test_the_anchor_is_read_only_and_shared(loaded: LoadedStudy) -> None:
    before = {name: t.clone() for name, t in loaded.setting(0).anchor.items()}
    run = run_of(loaded, prior__decay=1.0, optimizer__rate=0.1)
    for step, batch in enumerate(loaded.training_batches(run.recipe, 0, 0)):
        run.step(batch, step)
    rule = run.optimizer.rule

    assert same_tensors(before, dict(loaded.setting(0).anchor))
    assert isinstance(rule, PriorDecay)
    assert {t.data_ptr() for t in rule.anchor.values()} <= {
        t.data_ptr() for t in loaded.setting(0).anchor.values()
    }
