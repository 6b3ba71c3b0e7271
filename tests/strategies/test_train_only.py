"""What trains where little does: the head, and of the encoder what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.stacks import batches, gradients
from support.studies import (
    KINDS,
    any_setting,
    classifier_of,
    open_study,
    recipe_of,
    same_tensors,
    save_checkpoint,
    start_of,
    train,
    weights,
    write_study,
)

from finegrid.audit.canonical import Canonicaliser
from finegrid.model.kernels.products import grad_weight
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.train_only import Train
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack
from finegrid.training.train import gather

LAYERS, IN_A_LAYER = 4, 8  # of the tiny BERT; biases: six of linear layers, two of norms


def run_of(loaded: LoadedStudy, **levels: Any) -> Run:
    return Run(loaded, "run", recipe_of(loaded, **levels), 0)


def chosen(loaded: LoadedStudy, only: str) -> set[str]:
    names = [name for name, _ in loaded.classifier(Recipe(), 0).named_parameters()]
    head = {name for name in names if name.startswith("head.")}
    biases = {name for name in names if name.endswith(".bias")}
    norms = {name for name in names if "LayerNorm" in name}
    return head | {"head": set(), "biases": biases, "biases+norms": biases | norms}[only]


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ("head", 4),
        ("biases", 4 + LAYERS * IN_A_LAYER + 1 + 1),  # the norm of the embeddings, and the pooler
        ("biases+norms", 4 + LAYERS * (IN_A_LAYER + 2) + 2 + 1),
    ],
)
def test_what_was_asked_for_trains_and_all_else_stays_to_the_last_bit(
    loaded: LoadedStudy, only: str, count: int
) -> None:
    start = start_of(loaded)
    (run,) = train(loaded, recipe_of(loaded, train__only=only, train__rate=1e-2))
    moved = {name for name, p in weights(run).items() if not torch.equal(p, start[name])}
    unread = {name for name in start if "pooler" in name}

    assert {*run.trained()} == chosen(loaded, only) and len(run.trained()) == count
    assert moved == chosen(loaded, only) - unread


@pytest.mark.parametrize("kind", KINDS)
def test_biases_are_found_in_every_family(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    model = classifier_of(checkpoint_of(kind))
    Train(only="biases").prepare_model(model, any_setting())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}

    assert trained == {n for n, _ in model.named_parameters() if n.endswith(".bias") or n.startswith("head.")}
    assert sum(name.endswith(".bias") for name in trained) >= LAYERS * IN_A_LAYER + 3


def test_a_rate_of_its_own_is_the_peak_of_all_that_trains(loaded: LoadedStudy) -> None:
    def rates(**levels: Any) -> set[float]:
        return {group["lr"] for group in run_of(loaded, **levels).optimizer.groups}

    assert rates(train__only="biases", train__rate=0.01) == {0.01}
    assert rates(train__only="biases") == {2e-3}  # the study's
    assert rates(train__rate=0.01) == {2e-3}  # where everything trains


def test_gradients_of_matrices_are_not_computed(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def count(*arguments: Any) -> Any:
        asked.append(1)
        return grad_weight(*arguments)

    monkeypatch.setattr("finegrid.model.encoder.grad_weight", count)
    runs = gather([run_of(loaded, train__only="biases", train__rate=rate) for rate in (1e-2, 1e-3)])
    batch = batches(loaded, runs[0].recipe)[0]
    runs[0].backward(batch, 0)
    runs[0].optimizer.zero_grad()
    Stack(runs).backward(batch, 0)

    assert asked == []
    assert all(gradients(run).keys() <= run.trained().keys() for run in runs)
    run_of(loaded).backward(batch, 0)
    assert len(asked) == 4 * LAYERS


def test_runs_that_train_the_head_share_all_that_the_encoder_makes(loaded: LoadedStudy) -> None:
    run = run_of(loaded, train__only="head")
    batch = run.model.shared(batches(loaded, run.recipe)[0], 0)

    assert run.recipe.frozen_layers > 0 and run.model.frozen_layers == LAYERS
    assert batch.prefix is not None and not batch.prefix.hidden.requires_grad
    run.backward(batch, 0)
    assert {*gradients(run)} == {*run.trained()}


def test_the_head_alone_is_what_freezing_all_layers_trains(loaded: LoadedStudy) -> None:
    (ours,), (theirs,) = (
        train(loaded, recipe_of(loaded, **levels))
        for levels in ({"train__only": "head"}, {"freeze__layers": LAYERS})
    )

    assert same_tensors(weights(ours), weights(theirs))


def test_a_pooler_that_the_checkpoint_lacks_trains_with_the_head(tmp_path: Path, bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_checkpoint(tmp_path / "bert", "bert")
    path = folder / "model.safetensors"
    tensors = {name: t for name, t in load_file(path).items() if "pooler" not in name}
    save_file(tensors, path, {"format": "pt"})
    lacking, having = (
        open_study(write_study(tmp_path / f"study{place}", checkpoint))
        for place, checkpoint in enumerate((folder, bert))
    )
    levels = {"train__only": "head", "model__pooling": "pooler"}

    assert {name for name in run_of(lacking, **levels).trained() if "pooler" in name}
    assert not {name for name in run_of(having, **levels).trained() if "pooler" in name}


def test_what_it_cannot_do_is_refused_by_name(loaded: LoadedStudy) -> None:
    info = loaded.study.checkpoint

    def refused(**levels: Any) -> list[str]:
        return [problem.where for problem in recipe_of(loaded, **levels).problems(info)]

    without = replace(info, has_biases=False)
    (problem,) = recipe_of(loaded, train__only="biases").problems(without)
    assert problem.where == '"train.only"' and "no biases" in problem.what
    assert recipe_of(loaded, train__only="head").problems(without) == []
    assert refused(train__only="biases", freeze__layers=LAYERS) == ['"train.only" + "freeze.layers"']
    assert refused(train__only="biases", freeze__layers=LAYERS - 1) == []
    assert refused(train__only="head", reinit__layers=1) == ['"train.only" + "reinit.layers"']
    assert refused(train__only="head", reinit__pooler=True) == []
    both = refused(train__only="head", reinit__pooler=True, model__pooling="pooler")
    assert both == ['"train.only" + "reinit.pooler"']
    assert refused(reinit__layers=1, freeze__layers=3) == []


def test_a_rate_is_inert_where_everything_trains(loaded: LoadedStudy) -> None:
    canonicaliser = Canonicaliser(loaded, 0)

    assert "train.rate" in canonicaliser.reduce(recipe_of(loaded, train__rate=0.01)).inert
    only = recipe_of(loaded, train__rate=0.01, train__only="biases")
    assert not {"train.rate", "train.only"} & canonicaliser.reduce(only).inert.keys()
