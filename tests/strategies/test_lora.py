"""LoRA: what is added to matrices trains, and comes to what a naive oracle makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hosted import HOSTED, hosted_classifier, save_hosted
from support.kept import keep_run, logits_of, texts_of, tokens_of
from support.stacks import (
    assert_runs_alike,
    batches,
    gradients,
    kill_and_resume,
    runs_of,
    step_captured,
    step_stacked,
)
from support.studies import (
    LoadedOf,
    assert_same_run,
    open_study,
    recipe_of,
    start_of,
    studies_of,
    train,
    weights,
    write_study,
)
from torch import Tensor
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import member_memory
from finegrid.encoders.families import inspect
from finegrid.errors import InputError
from finegrid.model import low_rank
from finegrid.model.kernels.products import grad_weight
from finegrid.model.low_rank import LowRank, factors_of, low_rank_of, merge_, weight_of
from finegrid.model.outline import name_linears
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.lora import Lora
from finegrid.study.audit_file import COPIES
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack

LAYERS, WIDTH, INNER = 4, 16, 32  # of the tiny BERT
TARGETS = ["qv", "qkvo", "all-linear"]
SIZES = {  # numbers of a layer for each unit of rank
    "qv": 2 * (WIDTH + WIDTH),
    "qkvo": 4 * (WIDTH + WIDTH),
    "all-linear": 4 * (WIDTH + WIDTH) + 2 * (WIDTH + INNER),
}
SILENT: dict[str, Any] = {"dropout__hidden": 0.0, "dropout__attention": 0.0, "dropout__head": 0.0}
FAMILIES = ["modernbert", "deberta-v2", "qwen3", "albert"]
TOLD = [*FAMILIES, "modernbert-decoder", "phi3", "mpnet", "gpt2"]  # which spell their layers in other ways


@pytest.fixture(scope="module")
def hosted_of(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    return studies_of(tmp_path_factory, lambda family, model: save_hosted(model, family))


def run_of(loaded: LoadedStudy, targets: str = "all-linear", **levels: Any) -> Run:
    return Run(loaded, "run", recipe_of(loaded, lora__rank=3, lora__targets=targets, **levels), 0)


def added_of(run: Run) -> dict[str, LowRank]:
    """By the names of the linear layers that have it."""
    found = {name: low_rank_of(module) for name, module in run.model.named_modules()}
    return {name: added for name, added in found.items() if added is not None}


@torch.no_grad()
def fill_(run: Run, size: float = 0.3) -> Run:
    """Add something: B is 0 at first."""
    generator = torch.Generator().manual_seed(1)
    for added in added_of(run).values():
        added.b.copy_(torch.randn(added.b.shape, generator=generator) * size)
    return run


@pytest.mark.parametrize("targets", TARGETS)
def test_the_first_step_sees_the_checkpoint_to_the_last_bit(loaded: LoadedStudy, targets: str) -> None:
    ours, plain = run_of(loaded, targets), Run(loaded, "run", recipe_of(loaded), 0)
    batch = batches(loaded, plain.recipe)[0]

    assert torch.equal(ours.model(batch, 3), plain.model(batch, 3))
    assert ours.backward(batch, 3) == plain.backward(batch, 3)
    assert not torch.equal(fill_(ours).model(batch, 3), plain.model(batch, 3))


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("frozen", [0, 1])
def test_as_many_numbers_train_as_the_formula_says(loaded: LoadedStudy, targets: str, frozen: int) -> None:
    run = run_of(loaded, targets, freeze__layers=frozen)
    head = sum(p.numel() for p in run.model.head.parameters())

    count = 3 * (LAYERS - frozen) * SIZES[targets] + head
    assert sum(p.numel() for p in run.trained().values()) == count
    assert member_memory(run) == COPIES * 4 * count  # what `plan` and `verdict` tell is measured with it
    assert len(run.trained()) == len([*run.model.head.parameters()]) + 2 * len(added_of(run))
    below = [layer.module for layer in run.model.parts.layers[:frozen]]
    assert not any(low_rank_of(module) for layer in below for module in layer.modules())


def test_nothing_else_of_the_encoder_moves(loaded: LoadedStudy) -> None:
    start = start_of(loaded)
    (run,) = train(loaded, recipe_of(loaded, lora__rank=2, lora__rate=1e-2))
    after = weights(run)
    moved = {name for name, p in start.items() if not torch.equal(p, after[name])}

    assert moved == {name for name in start if name.startswith("head.")}
    assert after.keys() - start.keys() == {name for name in run.trained() if "low_rank" in name}
    assert all(float(added.b.detach().norm()) > 0 for added in added_of(run).values())


def transformers_loss(run: Run, folder: Path) -> tuple[dict[str, Tensor], Tensor]:
    """What plain transformers makes of the first batch, text by text, with weights W + scale * B A."""
    from transformers import AutoModel

    plain = AutoModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    leaves = {name: p.detach().clone().requires_grad_() for name, p in run.trained().items()}
    changed = {
        f"{name.removeprefix('encoder.')}.weight": plain.get_parameter(
            f"{name.removeprefix('encoder.')}.weight"
        )
        + added.scale * leaves[f"{name}.low_rank.b"] @ leaves[f"{name}.low_rank.a"]
        for name, added in added_of(run).items()
    }
    batch = batches(run.loaded, run.recipe)[0]
    losses = []
    for start, length, label in zip(
        batch.starts.tolist(), batch.lengths.tolist(), batch.labels, strict=False
    ):
        ids = batch.ids[start : start + length][None]
        vector = torch.func.functional_call(plain, changed, (ids,))[0][:, 0]
        vector = F.layer_norm(vector, (WIDTH,), leaves["head.norm.weight"], leaves["head.norm.bias"])
        logits = F.linear(vector, leaves["head.linear.weight"], leaves["head.linear.bias"])
        losses.append(F.cross_entropy(logits, label[None]))
    return leaves, torch.stack(losses).mean()


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_those_of_a_naive_oracle(loaded: LoadedStudy, targets: str, recompute: bool) -> None:
    levels = {**SILENT, "model__pooling": "cls", "lora__scale": 1.7}
    run = fill_(run_of(loaded, targets, **levels))
    run.model.double()
    run.model.engine.recompute = recompute
    leaves, loss = transformers_loss(run, loaded.study.checkpoint.folder)
    loss.backward()

    assert run.backward(batches(loaded, run.recipe)[0], 0) == pytest.approx(float(loss.detach()), rel=1e-6)
    assert gradients(run).keys() == leaves.keys()
    for name, gradient in gradients(run).items():
        expected = leaves[name].grad
        assert expected is not None  # logits are float32
        assert (gradient - expected).norm() <= 1e-6 * expected.norm() + 1e-9, name


def test_one_step_of_sgd_on_b_is_the_gradient_of_the_matrix_seen_through_a(loaded: LoadedStudy) -> None:
    """W + scale * B A moves by -rate * scale^2 * G A'A, where G is the gradient of W."""
    ours = run_of(loaded, lora__scale=1.5, **SILENT)
    full = Run(loaded, "run", recipe_of(loaded, **SILENT), 0)
    batch, rate = batches(loaded, full.recipe)[0], 0.1
    for run in (ours, full):
        run.model.double()
        run.backward(batch, 0)
    checked = 0
    for name, added in added_of(ours).items():
        layer: Any = ours.model.get_submodule(name)
        assert added.b.grad is not None
        added.b.data -= rate * added.b.grad
        of_matrix = full.model.get_parameter(f"{name}.weight").grad
        assert of_matrix is not None
        expected = layer.weight - rate * 1.5**2 * of_matrix @ added.a.mT @ added.a
        torch.testing.assert_close(weight_of(layer), expected.detach(), rtol=1e-9, atol=1e-12)
        checked += 1
    assert checked == 6 * LAYERS


def test_no_gradient_of_a_whole_matrix_is_computed(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, narrow = list[int](), list[int]()

    def count(*arguments: Any) -> Tensor:
        narrow.append(min(grad_weight(*arguments).shape[-2:]))
        return grad_weight(*arguments)

    monkeypatch.setattr("finegrid.model.encoder.grad_weight", lambda *_: whole.append(1))
    monkeypatch.setattr(low_rank, "grad_weight", count)
    runs = runs_of(loaded, [recipe_of(loaded, lora__rank=3, lora__scale=scale) for scale in (1.0, 2.0)])
    batch = batches(loaded, runs[0].recipe)[0]
    runs[0].backward(batch, 0)
    runs[0].optimizer.zero_grad()
    Stack(runs).backward(batch, 0)

    assert whole == [] and narrow == [3] * (2 * 2 * 2 * LAYERS)
    assert all(gradients(run).keys() == run.trained().keys() for run in runs)


@pytest.mark.parametrize("targets", TARGETS)
def test_the_sum_of_both_matrices_is_both_products(loaded: LoadedStudy, targets: str) -> None:
    """Passes of ours, which multiply by W + scale * B A, and those of transformers, which add a product."""
    run = fill_(run_of(loaded, targets, lora__scale=2.0))
    model = run.model.eval()
    batch = batches(loaded, run.recipe)[0]
    with torch.no_grad():
        ours = model.engine.run(batch, (), lambda level, hidden: None)
        for start, length in zip(batch.starts.tolist(), batch.lengths.tolist(), strict=False):
            here = slice(start, start + length)
            theirs = model.encoder(batch.ids[here][None])[0][0]
            torch.testing.assert_close(ours[here], theirs, rtol=1e-6, atol=3e-6)


def test_stacked_and_captured_steps_are_those_of_runs_by_themselves(loaded: LoadedStudy) -> None:
    levels = [{"lora.scale": 1.0}, {"lora.scale": 4.0}, {"lora.rate": 1e-3}, {"rates.layer_decay": 0.5}]
    recipes = [recipe_of(loaded, lora__rank=3, lora__targets="qkvo").at(own) for own in levels]

    assert_runs_alike(*step_stacked(loaded, recipes), rtol=1e-9)
    assert_runs_alike(*step_captured(loaded, recipes), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("beside", [{"freeze.layers": 1}, {"optimizer.kind": "muon"}])
def test_a_killed_run_resumes_to_the_same_bits(
    loaded: LoadedStudy, tmp_path: Path, beside: dict[str, Any]
) -> None:
    recipe = recipe_of(loaded, lora__rank=2, lora__rate=1e-2).at(beside)

    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), train(loaded, recipe)[0])


def test_a_kept_model_is_a_plain_one_with_the_same_logits(loaded: LoadedStudy, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForSequenceClassification

    levels = {"lora__rank": 3, "lora__targets": "all-linear", "lora__rate": 2e-2, "lora__scale": 2.0}
    whole = keep_run(loaded, tmp_path / "whole", head__kind="huggingface", **levels)
    plain: Any = AutoModelForSequenceClassification.from_pretrained(whole).eval()
    with torch.no_grad():
        said = plain(**tokens_of(whole, texts_of(loaded))).logits

    np.testing.assert_allclose(said.numpy(), logits_of(whole, loaded.study.folder / "dev.tsv"), atol=1e-5)
    (run,) = train(loaded, recipe_of(loaded, training__epochs=1, head__kind="huggingface", **levels))
    assert np.array_equal(run.logits["dev"], logits_of(whole, loaded.study.folder / "dev.tsv"))
    start = AutoModel.from_pretrained(loaded.study.checkpoint.folder).state_dict()
    kept = AutoModel.from_pretrained(whole).state_dict()
    assert kept.keys() == start.keys()
    moved = {name for name in kept if not torch.equal(kept[name], start[name])}
    assert len(moved) == 6 * LAYERS and all(name.endswith(".weight") for name in moved)


def test_keeping_a_model_leaves_those_of_its_family_alone(loaded: LoadedStudy) -> None:
    """What does not train is one tensor for all of them."""
    one, other = map(fill_, runs_of(loaded, [recipe_of(loaded, lora__rank=2)] * 2))
    name = next(iter(added_of(one)))
    shared = one.model.get_parameter(f"{name}.weight")
    assert other.model.get_parameter(f"{name}.weight") is shared
    before = shared.detach().clone()
    expected = weight_of(one.model.get_submodule(name)).detach()  # type: ignore[arg-type]
    merge_(one.model)

    assert torch.equal(one.model.get_parameter(f"{name}.weight"), expected) and not added_of(one)
    assert torch.equal(other.model.get_parameter(f"{name}.weight"), before)


def test_a_begins_with_kaimings_values_from_a_stream_of_its_own(loaded: LoadedStudy) -> None:
    one, again, other = (
        added_of(Run(loaded, "run", recipe_of(loaded, lora__rank=16, lora__targets="all-linear"), seed))
        for seed in (0, 0, 1)
    )
    values = torch.cat([added.a.detach().flatten() * added.a.shape[1] ** 0.5 for added in one.values()])

    assert all(torch.equal(added.a, again[name].a) for name, added in one.items())
    assert not any(torch.equal(added.a, other[name].a) for name, added in one.items())
    assert len({added.a.detach().numpy().tobytes() for added in one.values()}) == 6 * LAYERS
    assert 0.99 < float(values.abs().max()) <= 1 and float(values.std()) == pytest.approx(3**-0.5, rel=0.02)
    assert all(not added.b.any() for added in one.values())


def test_a_pooler_that_is_drawn_afresh_trains_in_full(loaded: LoadedStudy) -> None:
    def poolers(**levels: Any) -> set[str]:
        return {name for name in run_of(loaded, **levels).trained() if "pooler" in name}

    assert poolers(model__pooling="pooler") == set()
    assert poolers(reinit__pooler=True) == set()
    assert len(poolers(model__pooling="pooler", reinit__pooler=True)) == 2


def test_rates_are_its_own_and_fall_by_layers(loaded: LoadedStudy) -> None:
    run = run_of(loaded, lora__rate=0.01, rates__layer_decay=0.5, rates__head=3.0)
    rates: dict[Any, float] = {p: group["lr"] for group in run.optimizer.groups for p in group["params"]}
    by_layer = [
        {rates[p] for one in layer.linears.values() for p in factors_of(one) if p is not None}
        for layer in run.model.parts.layers
    ]

    assert by_layer == [{0.01 * 0.5**depth} for depth in (4, 3, 2, 1)]
    assert {rates[p] for p in run.model.head.parameters()} == {0.03}


def test_what_tells_two_recipes_apart_is_not_called_inert(loaded: LoadedStudy) -> None:
    canonicaliser = Canonicaliser(loaded, 0)
    tuned = {"lora.scale", "lora.targets", "lora.rate"}

    def inert(**levels: Any) -> set[str]:
        recipe = recipe_of(loaded, lora__scale=2.0, lora__targets="qkvo", lora__rate=1e-3, **levels)
        return (tuned | {"lora.rank", "optimizer.rate"}) & canonicaliser.reduce(recipe).inert.keys()

    assert inert(lora__rank=2) == {"optimizer.rate"}
    assert inert() == tuned


def test_what_it_cannot_do_is_refused_by_name(loaded: LoadedStudy) -> None:
    info = loaded.study.checkpoint

    def refused(**levels: Any) -> list[str]:
        return [problem.where for problem in recipe_of(loaded, lora__rank=2, **levels).problems(info)]

    assert refused() == refused(freeze__layers=LAYERS - 1) == refused(reinit__pooler=True) == []
    assert refused(train__only="biases") == ['"lora.rank" + "train.only"']
    assert refused(freeze__layers=LAYERS) == ['"lora.rank" + "freeze.layers"']
    assert refused(reinit__layers=1) == ['"lora.rank" + "reinit.layers"']
    assert refused(prior__decay=0.1) == ['"lora.rank" + "prior.decay"']
    for factor, level in {"train.only": "biases", "freeze.layers": 4, "reinit.layers": 1}.items():
        assert recipe_of(loaded, lora__scale=2.0).at({factor: level}).problems(info) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_hosted_layers_do_the_same(hosted_of: LoadedOf, family: str) -> None:
    loaded = hosted_of(family)
    targets = "all-linear" if family == "modernbert" else "qkvo"
    run, plain = run_of(loaded, targets, **SILENT), Run(loaded, "run", recipe_of(loaded, **SILENT), 0)
    batch = batches(loaded, run.recipe)[0]

    assert torch.equal(run.model(batch, 0), plain.model(batch, 0))
    fill_(run).backward(batch, 0)
    assert gradients(run).keys() == run.trained().keys()
    unmerged = run.model(batch, 0).detach()
    merge_(run.model)
    assert not torch.equal(unmerged, plain.model(batch, 0))
    torch.testing.assert_close(run.model(batch, 0).detach(), unmerged, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["deberta-v2", "albert"])
def test_hosted_runs_train_resume_and_are_kept(hosted_of: LoadedOf, tmp_path: Path, family: str) -> None:
    loaded = hosted_of(family)
    levels: dict[str, Any] = {"lora__rank": 2, "lora__rate": 1e-2}
    recipe = recipe_of(loaded, **levels)
    (run,) = train(loaded, recipe)
    kept = keep_run(loaded, tmp_path / "kept", training__epochs=2, **levels)
    said = logits_of(kept, loaded.study.folder / "dev.tsv")

    assert run.progress.status == "done", run.progress.reason
    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), run)
    np.testing.assert_allclose(said, run.logits["dev"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name in TOLD else pytest.mark.slow) for name in HOSTED],
)
def test_every_family_adds_to_what_was_asked_for_or_refuses_it(tmp_path: Path, family: str) -> None:
    model = hosted_classifier(save_hosted(tmp_path, family))
    info, first = inspect(tmp_path), model.parts.layers[0]
    recipes = {
        targets: Recipe().at({"model.max_length": 32, "lora.rank": 2, "lora.targets": targets})
        for targets in TARGETS
    }
    refused = {targets for targets, recipe in recipes.items() if recipe.problems(info)}
    fused = family in ("modernbert", "phi3", "gpt2")

    assert refused == ({*TARGETS} if family == "gpt2" else {"qv", "qkvo"} if fused else set())
    assert {"query", "key", "value"}.isdisjoint(first.linears) == fused
    assert fused or first.linears.keys() >= {"query", "key", "value", "attention_out"}
    assert len(first.linears) >= (0 if family == "gpt2" else 4 if fused else 6)


def test_an_unknown_family_with_one_matrix_of_attention_is_refused_when_it_is_built(tmp_path: Path) -> None:
    model = hosted_classifier(save_hosted(tmp_path, "phi3"))

    with pytest.raises(InputError, match='"qv", but in phi3 the matrices'):
        Lora(rank=2).prepare_model(model, None)  # type: ignore[arg-type]


def test_two_layers_of_one_name_are_not_told_apart() -> None:
    paths = ["self_attn.q_proj", "cross_attn.q_proj", "self_attn.v_proj", "mlp.o_proj", "query"]

    assert name_linears(paths) == {
        **{path: path for path in paths if path != "self_attn.v_proj"},
        "value": "self_attn.v_proj",
    }


def test_pairs_of_texts_and_portions_of_a_batch_train(tmp_path: Path, loaded: LoadedStudy) -> None:
    pairs = open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True))
    whole, portions = (
        train(pairs, recipe_of(pairs, lora__rank=2, training__micro_batch=texts))[0] for texts in (0, 3)
    )

    assert whole.progress.status == portions.progress.status == "done"
    assert_runs_alike([portions], [whole], rtol=1e-3, atol=1e-6)
