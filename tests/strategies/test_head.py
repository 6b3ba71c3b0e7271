"""Heads: transformers' own against ours of that kind, a deeper one, and several samples of one vector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.stacks import assert_runs_alike, batches, runs_of, step_captured
from support.strategies.adding import add_strategies_
from support.studies import (
    LIKE_ROBERTA,
    WIDTH,
    any_setting,
    classifier_of,
    pack_all,
    random_split,
    recipe_of,
    train,
)
from torch import Tensor
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.encoders.families import DropoutRates
from finegrid.model.classifier import Classifier
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Criterion, Outputs
from finegrid.strategies.head import HeadSettings
from finegrid.training.captured import can_capture
from finegrid.training.loaded import LoadedStudy
from finegrid.training.stack import Stack

FAMILIES = ("bert", "electra", "ernie", "distilbert", *LIKE_ROBERTA)
HEADS = 2
# Where transformers keeps what we call dense and linear.
THEIRS = {
    "bert": ("", "classifier"),
    "ernie": ("", "classifier"),
    **dict.fromkeys(("electra", *LIKE_ROBERTA), ("classifier.dense", "classifier.out_proj")),
    "distilbert": ("pre_classifier", "classifier"),
}


def with_head(folder: Path, **settings: Any) -> Classifier:
    model = classifier_of(folder)
    HeadSettings(**settings).prepare_model(model, any_setting())
    return model


@pytest.mark.parametrize("kind", FAMILIES)
def test_it_is_the_head_of_hugging_faces_classifier(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = checkpoint_of(kind)
    theirs: Any = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=3, attn_implementation="eager", dtype=torch.float32
    )
    ours = with_head(folder, kind="huggingface").eval()
    for name, theirs_name in zip(("dense", "linear"), THEIRS[kind], strict=True):
        if theirs_name:
            layer = theirs.get_submodule(theirs_name)
            layer.load_state_dict(ours.head.get_submodule(name).state_dict())
            torch.nn.init.normal_(layer.bias)  # biases of 0 would hide a bias that is left out
            ours.head.get_submodule(name).load_state_dict(layer.state_dict())
    split = random_split(folder, [(5,), (1,), (9,), (5,)])
    batch = pack_all(split)
    logits = ours(batch).detach()
    for place, row in enumerate(batch.rows):
        ids, _ = split.texts([int(row)], 64)
        with torch.no_grad():
            expected = theirs.eval()(input_ids=torch.from_numpy(ids)[None]).logits[0]
        torch.testing.assert_close(logits[place], expected, rtol=0, atol=1e-5)

    assert len(list(ours.head.parameters())) == sum(2 for name in THEIRS[kind] if name)
    sites = {"head"} | ({"head-input"} if kind in ("electra", *LIKE_ROBERTA) else set())
    assert {site.site for site in ours.head.dropouts} == sites


@pytest.mark.parametrize("kind", FAMILIES)
def test_it_is_drawn_as_transformers_draws_it(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    """The checkpoint's range is 0.2."""
    head = with_head(checkpoint_of(kind), kind="huggingface").head
    for name, p in head.named_parameters():
        if name.endswith("bias"):
            assert not p.any()
        elif name == "dense.weight":
            assert float(p.detach().std()) == pytest.approx(0.2, rel=0.2)


def test_a_deeper_head_is_a_layer_with_tanh_between(bert: Path) -> None:
    model, batch = with_head(bert, hidden=8).eval(), pack_all(random_split(bert, [(5,), (3,)]))
    vectors = model.features(batch)
    own = dict(model.head.named_parameters())
    normed = F.layer_norm(vectors, (WIDTH,))
    middle = torch.tanh(normed @ own["dense.weight"].T)

    assert own["dense.weight"].shape == (8, WIDTH) and own["linear.weight"].shape == (3, 8)
    torch.testing.assert_close(model(batch), middle @ own["linear.weight"].T)


def test_each_tensor_of_a_head_has_a_stream_of_its_own(bert: Path) -> None:
    """What two heads have in common starts from the same values."""
    plain, other = classifier_of(bert), with_head(bert, kind="huggingface")

    assert torch.equal(plain.get_parameter("head.linear.weight"), other.get_parameter("head.linear.weight"))


def test_ours_without_depth_is_the_head_that_was_there(bert: Path) -> None:
    model = classifier_of(bert)
    before = model.head
    HeadSettings(samples=4).prepare_model(model, any_setting())

    assert model.head is before


def test_hugging_faces_head_decides_the_pooling_and_the_audit_says_so(loaded: LoadedStudy) -> None:
    canonicaliser = Canonicaliser(loaded, 0)
    both = recipe_of(loaded, head__kind="huggingface", model__pooling="attention")
    reduction = canonicaliser.reduce(both)

    reason = 'the head pools by "pooler", whatever model.pooling says'
    assert reduction.inert["model.pooling"] == reason and reduction.levels["head.kind"] == "huggingface"
    pooler = recipe_of(loaded, head__kind="huggingface", reinit__pooler=True)
    assert "reinit.pooler" not in canonicaliser.reduce(pooler).inert


def test_depth_of_hugging_faces_head_is_refused(loaded: LoadedStudy) -> None:
    (problem,) = recipe_of(loaded, head__kind="huggingface", head__hidden=8).problems(loaded.study.checkpoint)

    assert problem.where == '"head.kind" + "head.hidden"' and "Take one" in problem.what


@pytest.mark.parametrize("silent", ["level", "checkpoint"])
def test_samples_that_would_all_be_the_same_are_refused(loaded: LoadedStudy, silent: str) -> None:
    checkpoint = loaded.study.checkpoint
    if silent == "level":
        recipe = recipe_of(loaded, head__samples=4, dropout__head=0.0)
    else:
        recipe = recipe_of(loaded, head__samples=4)
        checkpoint = replace(checkpoint, dropout=DropoutRates(head=0.0))
    (problem,) = recipe.problems(checkpoint)

    assert problem.where == '"head.samples" + "dropout.head"' and "drops nothing" in problem.what
    assert not recipe_of(loaded, head__samples=4, dropout__head=0.1).problems(checkpoint)


# Samples


def test_the_loss_is_the_mean_of_the_losses_and_not_the_loss_of_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(6, 3, generator=generator).double() for _ in range(3)]
    labels, features = torch.tensor([0, 1, 2, 2, 1, 0]), (torch.zeros(6, 5),)
    sampled = Outputs((logits[0],), features, labels, more_logits=(tuple(logits[1:]),))
    mean = torch.stack([F.cross_entropy(z, labels, reduction="none") for z in logits]).mean(0)

    torch.testing.assert_close(Criterion(samples=3).losses(sampled), mean)
    of_mean = F.cross_entropy(torch.stack(logits).mean(0), labels, reduction="none")
    assert not torch.allclose(mean, of_mean)


def test_without_dropout_samples_have_the_loss_of_one(loaded: LoadedStudy) -> None:
    found = []
    for samples in (1, 4):
        (run,) = runs_of(loaded, [recipe_of(loaded, head__samples=samples)])
        for site in run.model.head.dropouts:
            site.silenced = True
        found.append(run.backward(batches(loaded, run.recipe)[0], 0))

    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_first_sample_is_what_a_run_without_samples_sees(loaded: LoadedStudy) -> None:
    one, four = runs_of(loaded, [recipe_of(loaded), recipe_of(loaded, head__samples=4)])
    batch = batches(loaded, one.recipe)[0]
    single, several = one.outputs(batch, 0), four.outputs(batch, 0)
    (more,) = several.more_logits

    assert one.criterion is CROSS_ENTROPY and single.more_logits == ((),)
    assert torch.equal(single.logits[0], several.logits[0])
    seen = [several.logits[0], *more]
    assert len(seen) == 4 and all(not torch.equal(seen[0], other) for other in seen[1:])


SAMPLED: list[dict[str, Any]] = [
    {"head__samples": 3},
    {"head__samples": 2, "dropout__head": 0.5},
    {},
]
EQUAL: list[dict[str, Any]] = [
    {"head__kind": "huggingface"},
    {"head__hidden": 8},
    {"dropout__hidden": 0.3, "dropout__attention": 0.0},
    {"model__pooling": "attention"},
    {"model__pooling": "weighted", "freeze__layers": 2},
    {"model__pooling": "cls-max-3", "freeze__layers": 2},
    {"model__pooling": "concat-last-4"},
    {"model__pooling": "max"},
]
# Runs that may share a family, and so a stack: unlike samples, and equal heads.
STACKS = [SAMPLED, *([one, {**one, "optimizer__rate": 1e-3}] for one in EQUAL)]


@pytest.mark.parametrize("levels", STACKS, ids=lambda levels: "+".join(levels[0]))
def test_a_stack_computes_the_steps_of_its_runs(loaded: LoadedStudy, levels: list[dict[str, Any]]) -> None:
    recipes = [recipe_of(loaded, **own) for own in levels]
    stacked, alone = (runs_of(loaded, recipes, torch.float64) for _ in range(2))
    stack = Stack(stacked)
    for step, batch in enumerate(batches(loaded, recipes[0])[:3]):
        losses = stack.backward(batch, step).tolist()
        assert losses == pytest.approx([run.step(batch, step) for run in alone], rel=1e-9)
        for run in stacked:
            run.update(step)
    assert_runs_alike(stacked, alone, 1e-6)


@pytest.mark.parametrize("levels", STACKS, ids=lambda levels: "+".join(levels[0]))
def test_a_captured_step_computes_the_steps_of_its_runs(
    loaded: LoadedStudy, levels: list[dict[str, Any]]
) -> None:
    assert_captured_alike(loaded, [recipe_of(loaded, **own) for own in levels])


def assert_captured_alike(loaded: LoadedStudy, recipes: list[Recipe]) -> None:
    captured, ordinary = step_captured(loaded, recipes, 3)
    assert can_capture(captured, 4)
    assert_runs_alike(captured, ordinary, 1e-3)


def test_parameters_of_a_pooling_train(loaded: LoadedStudy) -> None:
    for pooling in ("weighted", "attention"):
        recipe = recipe_of(loaded, model__pooling=pooling)
        fresh: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in loaded.classifier(recipe, 0).head.pool.named_parameters()
        }
        (run,) = train(loaded, recipe)

        assert fresh and all(
            not torch.equal(p, fresh[name]) for name, p in run.model.head.pool.named_parameters()
        )
        assert run.progress.status == "done" and np.isfinite(run.logits["test"]).all()


def test_samples_are_of_each_view() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(6, 3, generator=generator).double() for _ in range(4)]
    labels, features = torch.tensor([0, 1, 2, 2, 1, 0]), (torch.zeros(6, 5),) * 2
    outputs = Outputs((logits[0], logits[2]), features, labels, more_logits=((logits[1],), (logits[3],)))
    mean = torch.stack([F.cross_entropy(z, labels, reduction="none") for z in logits]).mean(0)

    torch.testing.assert_close(Criterion(views=2, samples=2).losses(outputs), mean)


def test_samples_of_two_views_compute_the_same_when_captured(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_strategies_(monkeypatch)
    both = recipe_of(loaded, head__samples=2).at({"rdrop.alpha": 1.0})
    assert_captured_alike(loaded, [both, recipe_of(loaded, head__samples=3).at({"rdrop.alpha": 1.0})])
