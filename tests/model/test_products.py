"""Products on every path: equal to float64 up to rounding; bf16 in products only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.studies import classifier_of, pack_all, random_split
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.kernels import products

CPU = torch.device("cpu")


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(
    "onednn",
    [False, pytest.param(True, marks=pytest.mark.skipif(not products.ONEDNN, reason="torch without oneDNN"))],
)
def test_products_are_those_of_float64(monkeypatch: pytest.MonkeyPatch, onednn: bool) -> None:
    monkeypatch.setattr(products, "ONEDNN", onednn)
    x, weight, bias, grad = random(37, 48), random(20, 48), random(20), random(37, 20)

    def check(ours: Tensor, exact: Tensor) -> None:
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)

    check(products.linear(x, weight, bias), x.double() @ weight.double().t() + bias.double())
    check(products.grad_input(grad, weight), grad.double() @ weight.double())
    check(products.grad_weight(grad, x, grad.dtype), grad.double().t() @ x.double())


@pytest.mark.skipif(not products.ONEDNN_BF16, reason="no bf16 products here")
def test_a_bias_that_onednn_adds_is_added_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = (random(*shape).bfloat16() for shape in ((672, 192), (576, 192), (576,)))
    ours = products.linear(x, weight, bias)
    monkeypatch.setattr(products, "ONEDNN_BF16", False)

    assert torch.equal(ours, products.linear(x, weight, bias))


def test_only_float32_on_a_cpu_takes_the_private_way() -> None:
    assert not products.by_onednn(random(2, 2).double()) and not products.by_onednn(random(2, 2).bfloat16())
    assert products.by_onednn(random(2, 2)) == products.ONEDNN


def gradients(folder: Path, compute: torch.dtype | None) -> tuple[Tensor, dict[str, Tensor]]:
    model = classifier_of(folder).train()
    model.compute = compute
    batch = pack_all(random_split(folder, [(5,), (9,), (9,), (20,)]))
    logits = model(batch, 0)
    F.cross_entropy(logits, batch.labels).backward()
    return logits.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_bf16_is_in_products_only(bert: Path) -> None:
    """Logits and gradients come out in float32, close to those of float32, but not the same."""
    logits, grads = gradients(bert, torch.bfloat16)
    exact_logits, exact = gradients(bert, None)

    assert logits.dtype == torch.float32 and all(grad.dtype == torch.float32 for grad in grads.values())
    assert not torch.equal(logits, exact_logits)
    torch.testing.assert_close(logits, exact_logits, rtol=0, atol=0.05)
    ours, theirs = (torch.cat([g[name].flatten() for name in exact]) for g in (grads, exact))
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.999


def test_the_weights_that_are_trained_stay_in_float32(bert: Path) -> None:
    model = classifier_of(bert)
    model.compute = torch.bfloat16
    model(pack_all(random_split(bert, [(5,)])), 0)

    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("compute", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_evaluation_sees_the_weights_as_they_are(bert: Path, compute: torch.dtype | None) -> None:
    """Copies of weights are kept for the length of one evaluation, and not a step longer."""
    model, batch = classifier_of(bert), pack_all(random_split(bert, [(5,), (9,)]))
    model.compute = compute

    def predicted() -> Tensor:
        with torch.no_grad(), model.evaluating():
            assert not model.training
            out: Tensor = model(batch)
        return out

    before = predicted()
    assert torch.equal(before, predicted())
    with torch.no_grad():
        model.get_parameter("encoder.encoder.layer.1.output.dense.weight").mul_(1.5)
    assert not torch.equal(before, predicted()) and model.training
