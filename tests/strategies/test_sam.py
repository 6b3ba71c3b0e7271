"""Sharpness-aware minimisation: the gradient uphill, spent where the weights are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.stacks import batches, gradients
from support.studies import LoadedOf, open_study, recipe_of, weights, write_study
from torch import Tensor, nn

from finegrid.strategies.sam import Sam
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

RHO = 0.1


class Quadratic(nn.Module):
    """loss = w'Aw / 2 - b'w, over two tensors."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(5, 5, generator=generator).double()
        self.a, self.b = root @ root.T, torch.randn(5, generator=generator).double()
        self.first = nn.Parameter(torch.randn(2, generator=generator).double())
        self.second = nn.Parameter(torch.randn(3, generator=generator).double())
        self.parts = SimpleNamespace(embedding_table=nn.Embedding(2, 2))

    def draw_again_(self) -> None:
        """Nothing is dropped."""

    def backward(self) -> None:
        w = torch.cat([self.first, self.second])
        (w @ self.a @ w / 2 - self.b @ w).backward()

    def gradient(self) -> Tensor:
        return torch.cat([p.grad for p in (self.first, self.second) if p.grad is not None])


def test_of_a_quadratic_loss_the_gradient_is_the_closed_form() -> None:
    model: Any = Quadratic()
    w = torch.cat([model.first, model.second]).detach().clone()
    model.backward()
    g = model.gradient()
    torch.testing.assert_close(g, model.a @ w - model.b)
    Sam(RHO).more_gradients(model, None, model.backward)  # type: ignore[arg-type]

    torch.testing.assert_close(model.gradient(), model.a @ (w + RHO * g / g.norm()) - model.b)
    assert torch.equal(torch.cat([model.first, model.second]), w)


def test_where_the_gradient_is_0_nothing_moves() -> None:
    model: Any = Quadratic()
    model.a, model.b = model.a * 0, model.b * 0
    model.backward()
    Sam(RHO).more_gradients(model, None, model.backward)  # type: ignore[arg-type]

    assert model.gradient().tolist() == [0.0] * 5


def test_weights_are_put_back_also_where_the_second_pass_fails() -> None:
    model: Any = Quadratic()
    w = torch.cat([model.first, model.second]).detach().clone()
    model.backward()

    def fail() -> None:
        assert not torch.equal(torch.cat([model.first, model.second]), w)
        raise MemoryError

    with pytest.raises(MemoryError):
        Sam(RHO).more_gradients(model, None, fail)  # type: ignore[arg-type]
    assert torch.equal(torch.cat([model.first, model.second]), w)


def check_by_hand(loaded: LoadedStudy, **levels: Any) -> None:
    """To rounding: the gradient of a plain run whose weights were moved by hand, with this step's masks."""
    batch = batches(loaded, recipe_of(loaded, **levels))[0]
    ours = Run(loaded, "run", recipe_of(loaded, sam__rho=RHO, **levels), 0)
    plain, moved = (Run(loaded, "run", recipe_of(loaded, **levels), 0) for _ in range(2))
    before = {name: p.clone() for name, p in weights(ours).items()}
    losses = [run.backward(batch, 3) for run in (ours, plain)]
    flat = torch.cat([g.flatten().double() for g in gradients(plain).values()])
    with torch.no_grad():
        for name, gradient in gradients(plain).items():
            moved.model.get_parameter(name).add_(gradient * (RHO / flat.norm()).float())
    moved.backward(batch, 3)

    assert losses[0] == losses[1]
    assert all(torch.equal(before[name], p) for name, p in weights(ours).items())
    assert gradients(ours).keys() == gradients(moved).keys()
    assert any(not torch.equal(g, gradients(plain)[name]) for name, g in gradients(ours).items())
    whole = torch.cat([g.flatten() for g in gradients(moved).values()]).norm()
    for name, gradient in gradients(moved).items():
        assert (gradients(ours)[name] - gradient).norm() <= 1e-5 * whole, name


@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"freeze__layers": 2},
        {"train__only": "biases"},
        {"training__micro_batch": 3},
        {"rdrop__alpha": 1.0},
        {"contrast__weight": 0.5, "head__samples": 2},
    ],
    ids=str,
)
def test_gradients_are_those_at_weights_moved_by_hand(loaded: LoadedStudy, levels: dict[str, Any]) -> None:
    check_by_hand(loaded, **levels)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
def test_hosted_encoders_climb(hosted: LoadedOf, family: str) -> None:
    check_by_hand(hosted(family), dropout__hidden=0.1, dropout__head=0.1)


def test_text_pairs_climb(tmp_path: Path, loaded: LoadedStudy) -> None:
    check_by_hand(open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True)))


def test_the_shared_work_of_frozen_layers_is_that_of_both_passes(loaded: LoadedStudy) -> None:
    """Bit by bit: whether a run computes its frozen bottom itself, or is given it."""
    recipe = recipe_of(loaded, sam__rho=RHO, freeze__layers=2)
    alone, given = (Run(loaded, "run", recipe, 0) for _ in range(2))
    batch = batches(loaded, recipe)[0]
    alone.backward(batch, 3)
    given.backward(given.model.shared(batch, 3), 3)

    assert recipe.shares_prefix
    assert all(torch.equal(gradients(given)[name], g) for name, g in gradients(alone).items())


def test_it_keeps_a_copy_of_the_weights() -> None:
    assert Sam(0.05).copies == 1 and Sam().copies == 0
