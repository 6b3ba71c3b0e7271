"""LP-FT: the head is trained first, on what the encoder makes of the texts; the encoder stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.levels import ON
from support.studies import open_study, recipe_of, same_tensors, weights, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import measure
from finegrid.audit.proof import Pair, Prover
from finegrid.model.classifier import Classifier
from finegrid.recipe.recipe import Recipe
from finegrid.streams import Streams
from finegrid.training import features as made
from finegrid.training.evaluate import predict
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run


def run_of(loaded: LoadedStudy, seed: int = 0, **levels: Any) -> Run:
    return Run(loaded, "run", recipe_of(loaded, **levels), seed)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Texts of every pass over the encoder that makes features."""
    asked: list[int] = []
    make = made.TextFeatures._make

    def count(self: made.TextFeatures, model: Classifier, path: Path) -> None:
        asked.append(self.texts)
        make(self, model, path)

    monkeypatch.setattr(made.TextFeatures, "_make", count)
    return asked


def vectors(model: Classifier, loaded: LoadedStudy, recipe: Recipe) -> Tensor:
    """In the order of the texts, one text at a time."""
    from finegrid.model.packing.batches import pack

    texts = loaded.training_texts(recipe)
    with torch.no_grad(), model.evaluating():
        rows = [pack(texts, torch.tensor([row]).numpy(), 32, loaded.device) for row in range(len(texts))]
        return torch.cat([model.features(batch) for batch in rows])


def test_the_encoder_is_bitwise_what_it_was_and_the_head_is_not(loaded: LoadedStudy) -> None:
    before, after = weights(run_of(loaded)), weights(run_of(loaded, probe__epochs=3))

    unlike = {name for name in before if not torch.equal(before[name], after[name])}
    assert unlike == {name for name in before if name.startswith("head.")}
    assert run_of(loaded, probe__epochs=3).optimizer.state == {}


def test_the_head_is_that_of_plain_adamw_over_the_texts_features(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twin in float64: texts one by one through the encoder, LayerNorm and linear layer by hand."""
    monkeypatch.setattr("finegrid.strategies.probe.BATCH", 10)
    epochs, rate = 2, 1e-2
    run = run_of(loaded, seed=3, probe__epochs=epochs, probe__rate=rate)
    fresh = run_of(loaded, seed=3).model
    features = vectors(fresh, loaded, run.recipe).double()
    labels = torch.tensor(loaded.tokens.train.labels)
    params = [p.detach().double().requires_grad_() for p in fresh.head.parameters()]
    adam = torch.optim.AdamW(params, rate, weight_decay=0.0)
    for epoch in range(epochs):
        order = torch.from_numpy(Streams(3).permutation(f"probe/order/{epoch}", len(labels)))
        for rows in order.split(10):
            adam.zero_grad()
            normal = F.layer_norm(features[rows], (16,), params[0], params[1], 1e-5)
            F.cross_entropy(normal @ params[2].T + params[3], labels[rows]).backward()
            adam.step()

    for ours, theirs in zip(run.model.head.parameters(), params, strict=True):
        torch.testing.assert_close(ours.detach().double(), theirs.detach(), rtol=1e-4, atol=1e-5)


def test_a_long_probe_ends_where_the_heads_gradient_is_small(loaded: LoadedStudy) -> None:
    def gradient(**levels: Any) -> float:
        model = run_of(loaded, **levels).model
        features = vectors(model, loaded, Recipe().at({"model.max_length": 32}))
        model.head.eval()
        loss = F.cross_entropy(model.head(features), torch.tensor(loaded.tokens.train.labels))
        return float(
            torch.stack([g.norm() for g in torch.autograd.grad(loss, [*model.head.parameters()])]).norm()
        )

    assert gradient(probe__epochs=400, probe__rate=1e-2) < 0.05 * gradient()


def test_features_are_computed_once_for_all_runs_of_equal_encoders(
    tmp_path: Path, bert: Path, passes: list[int]
) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    for seed in (0, 1):
        for epochs in (1, 2):
            run_of(loaded, seed, probe__epochs=epochs)
        run_of(loaded, seed, probe__epochs=1, probe__rate=0.1)
    assert passes == [24]
    again = open_study(loaded.study.folder)
    first = weights(run_of(again, probe__epochs=1))
    assert passes == [24]

    others: list[dict[str, Any]] = [
        {"model__pooling": "cls"},
        {"model__max_length": 5},
        {"model__max_length": 5, "model__keep": "tail"},
        {"texts__share": 0.5},
        {"texts__extra": "extra.tsv"},
        {"noise__strength": 0.1},
    ]
    for levels in others:
        before = len(passes)
        run_of(loaded, probe__epochs=1, **levels)
        assert len(passes) == before + 1, levels
    assert same_tensors(first, weights(run_of(loaded, probe__epochs=1)))


def test_a_damaged_cache_is_made_anew(tmp_path: Path, bert: Path, passes: list[int]) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    first = weights(run_of(loaded, probe__epochs=1))
    (path,) = (loaded.study.folder / "cache").glob("features-*.safetensors")
    path.write_bytes(path.read_bytes()[:200])

    assert same_tensors(first, weights(run_of(loaded, probe__epochs=1))) and passes == [24, 24]


def test_features_are_those_of_evaluation(loaded: LoadedStudy) -> None:
    """The head over them says what `predict` says."""
    run = run_of(loaded)
    features = loaded.setting(0, run.recipe).features.of(run.model)
    batches = loaded.evaluation_batches(loaded.tokens.train, run.recipe)
    (logits,) = predict([run.model], batches, len(loaded.tokens.train))

    run.model.head.eval()
    ours = run.model.head(features).detach()
    run.model.head.train()
    torch.testing.assert_close(ours, torch.from_numpy(logits), rtol=1e-5, atol=1e-6)


def test_layers_drawn_afresh_are_refused_with_the_reason(loaded: LoadedStudy) -> None:
    info = loaded.study.checkpoint
    (problem,) = recipe_of(loaded, probe__epochs=1, reinit__layers=2).problems(info)
    assert problem.where == '"probe.epochs" + "reinit.layers"' and "noise" in problem.what
    (problem,) = recipe_of(loaded, probe__epochs=1, reinit__pooler=True, model__pooling="pooler").problems(
        info
    )
    assert problem.where == '"probe.epochs" + "reinit.pooler"'
    assert recipe_of(loaded, probe__epochs=1, reinit__pooler=True).problems(info) == []


def test_a_pooling_with_parameters_has_features_of_its_own_for_every_seed(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, model__pooling="attention", probe__epochs=1)
    models = [loaded.classifier(recipe, seed) for seed in (0, 1)]
    features = [loaded.setting(seed, recipe).features.of(model) for seed, model in enumerate(models)]

    for model, vectors in zip(models, features, strict=True):
        with model.evaluating(), torch.no_grad():
            for batch in loaded.evaluation_batches(loaded.tokens.train, recipe):
                expected = vectors[torch.from_numpy(batch.rows)]
                torch.testing.assert_close(model.features(batch), expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(*features)


def test_a_pooler_drawn_afresh_is_refused_by_whatever_reads_it(loaded: LoadedStudy) -> None:
    checkpoint = loaded.study.checkpoint
    for levels in ({"probe.epochs": 5}, {"train.only": "biases"}):
        fresh = Recipe().at({**levels, "reinit.pooler": True})

        assert not fresh.problems(checkpoint)
        assert fresh.at({"model.pooling": "pooler"}).problems(checkpoint)
        assert fresh.at({"head.kind": "huggingface"}).problems(checkpoint)


def test_a_rate_without_epochs_is_inert(loaded: LoadedStudy) -> None:
    inert = Canonicaliser(loaded, 0).reduce(recipe_of(loaded, probe__rate=0.1)).inert

    assert "probe.rate" in inert


def test_what_it_took_is_part_of_the_costs(loaded: LoadedStudy) -> None:
    assert measure(loaded, recipe_of(loaded, probe__epochs=1)).pretrain_seconds > 0
    assert measure(loaded, recipe_of(loaded)).pretrain_seconds == 0


@pytest.mark.parametrize("factor", ["model.pooling", "model.max_length", "texts.share", "noise.strength"])
def test_a_head_that_starts_elsewhere_is_what_other_factors_may_cause(
    loaded: LoadedStudy, factor: str
) -> None:
    """With a probe, all that changes what the encoder makes of the texts changes where the head starts."""
    first = recipe_of(loaded, probe__epochs=1)
    prover = Prover(loaded, Canonicaliser(loaded, 0))
    proof = prover.prove_pair(factor, ON[factor], Pair(first, first.at({factor: ON[factor]}), {}), "")

    assert any(change.aspect == "initial" for change in proof.changes)
    assert not proof.beyond and not proof.warning
