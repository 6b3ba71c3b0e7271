"""Poolings as a factor: what is refused, what the audit sees, and what comes of a run that is cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.stacks import kill_and_resume
from support.studies import PLAIN, assert_same_run, open_study, recipe_of, train, write_study
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.proof import Prover
from finegrid.encoders.poolings import OF_FIRST_TOKENS, POOLINGS, TOP_LAYERS, Pooling, levels_below
from finegrid.model.pooling import maxima, owners, weighted_means
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

WITH_PARAMETERS: tuple[Pooling, ...] = ("weighted", "attention")


def test_what_begins_with_cls_reads_first_tokens() -> None:
    assert {"pooler", *(name for name in POOLINGS if name.startswith("cls"))} == OF_FIRST_TOKENS


@pytest.mark.parametrize(
    ("pooling", "levels"),
    [
        ("cls", ()),
        ("max", ()),
        ("first-last-mean", (1,)),
        ("mean-of-last-4", (9, 10, 11)),
        ("cls-max-3", (10, 11)),
        ("weighted", tuple(range(12))),
    ],
)
def test_a_pooling_keeps_only_levels_that_it_reads(pooling: Pooling, levels: tuple[int, ...]) -> None:
    assert levels_below(pooling, 12) == levels


@pytest.mark.parametrize("pooling", TOP_LAYERS)
def test_an_encoder_of_too_few_layers_is_refused_by_name(loaded: LoadedStudy, pooling: Pooling) -> None:
    recipe, needed = recipe_of(loaded, model__pooling=pooling), TOP_LAYERS[pooling]
    shallow = replace(loaded.study.checkpoint, layers=needed - 1)
    (problem,) = recipe.problems(shallow)

    assert problem.where == '"model.pooling"'
    assert problem.what.startswith(f'"{pooling}" reads {needed} layers, but the encoder has {needed - 1} ')
    assert not recipe.problems(replace(shallow, layers=needed))


def test_the_audit_proves_every_pooling(tmp_path: Path, bert: Path) -> None:
    levels = ", ".join(f'"{pooling}"' for pooling in POOLINGS)
    loaded = open_study(write_study(tmp_path, bert, settings=f'[factors]\n"model.pooling" = [{levels}]'))
    canonicaliser = Canonicaliser(loaded, 0)
    for proof in Prover(loaded, canonicaliser).proofs():
        assert proof.changes and not proof.warning, proof.describe()
        assert "pooling" in {change.aspect for change in proof.changes}
    forms = {canonicaliser.form(recipe_of(loaded, model__pooling=pooling)) for pooling in POOLINGS}
    assert len(forms) == len(POOLINGS)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_audit_proves_hugging_faces_head(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("checkpoint_of")(kind)
    settings = '[factors]\n"head.kind" = ["finegrid", "huggingface"]'
    loaded = open_study(write_study(tmp_path, folder, settings=settings))
    (proof,) = Prover(loaded, Canonicaliser(loaded, 0)).proofs()

    assert {change.where for change in proof.changes} <= {"", "head"} and not proof.warning, proof.describe()


def test_parameters_belong_to_the_head_and_are_drawn_as_it_is(loaded: LoadedStudy) -> None:
    found = {
        pooling: loaded.classifier(recipe_of(loaded, model__pooling=pooling), 0).head for pooling in POOLINGS
    }
    for pooling, head in found.items():
        assert bool(list(head.pool.parameters())) == (pooling in WITH_PARAMETERS)
    weighted = found["weighted"].get_parameter("pool.scores").softmax(0)
    assert torch.equal(weighted, torch.full((5,), 0.2))
    width = found["cls"].get_parameter("norm.weight").numel()
    sizes = [p.numel() for p in found["attention"].pool.parameters()]
    assert sizes == [width**2, width]
    assert float(found["attention"].get_parameter("pool.dense.weight").detach().std()) == pytest.approx(
        0.2, rel=0.2
    )
    assert found["concat-last-4"].get_parameter("norm.weight").numel() == 4 * width
    assert torch.equal(
        found["attention"].get_parameter("linear.weight"), found["cls"].get_parameter("linear.weight")
    )


@pytest.mark.parametrize("pooling", WITH_PARAMETERS)
def test_killed_and_resumed_their_parameters_are_the_same(
    loaded: LoadedStudy, tmp_path: Path, pooling: str
) -> None:
    recipe = recipe_of(loaded, model__pooling=pooling)
    resumed = kill_and_resume(loaded, recipe, tmp_path)

    assert_same_run(resumed, train(loaded, recipe)[0])


@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name not in PLAIN])
def test_a_frozen_bottom_is_looked_up_with_what_the_pooling_keeps_of_it(
    loaded: LoadedStudy, pooling: str
) -> None:
    recipe = recipe_of(loaded, model__pooling=pooling, freeze__layers=3, freeze__dropout=False)
    run = Run(loaded, "run", recipe, 0)
    known, model = frozen_prefix(run), run.model.eval()
    assert known is not None
    batch = next(loaded.evaluation_batches(loaded.tokens.train, recipe))
    looked_up, computed = known.of(batch).prefix, model.prefix(batch)

    assert looked_up is not None and len(looked_up.below) == len(computed.below)
    assert all(torch.equal(one, other) for one, other in zip(looked_up.below, computed.below, strict=True))
    torch.testing.assert_close(model(known.of(batch)), model(batch), rtol=1e-5, atol=1e-6)


def test_maxima_and_weighted_means_are_those_of_each_text(loaded: LoadedStudy) -> None:
    """Values and gradients, with ties, against a loop over texts."""
    batch = next(loaded.evaluation_batches(loaded.tokens.train, recipe_of(loaded)))
    layout = batch.layout(2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(batch.ids), 5, generator=generator, dtype=torch.float64).round(decimals=1)
    scores = (80 * torch.randn(len(batch.ids), generator=generator, dtype=torch.float64)).requires_grad_()
    x[batch.real_tokens :] = 1e6
    x.requires_grad_()
    parts = list(zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True))
    ours = maxima(x, layout), weighted_means(x, scores, batch, layout)
    theirs = (
        torch.stack([x[start : start + length].amax(0) for start, length in parts]),
        torch.stack([F.softmax(scores[s : s + n], 0) @ x[s : s + n] for s, n in parts]),
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    pull = torch.randn(len(parts), 5, generator=generator, dtype=torch.float64)
    found = torch.autograd.grad((ours[1] * pull).sum(), (x, scores), retain_graph=True)
    expected = torch.autograd.grad((theirs[1] * pull).sum(), (x, scores), retain_graph=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    (of_maxima,) = torch.autograd.grad((ours[0] * pull).sum(), x)
    owner = owners(layout)
    assert not of_maxima[owner == len(parts)].any()
    for text in range(len(parts)):  # whole to one token, whichever of those that tie
        torch.testing.assert_close(of_maxima[owner == text].sum(0), pull[text])
        assert ((of_maxima[owner == text] != 0).sum(0) <= 1).all()
