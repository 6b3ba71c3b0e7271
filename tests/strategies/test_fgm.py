"""Adversarial training: every text is moved along its own gradient, on the outputs of the table of words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.moving import Gradients, Read, check_by_hand, still
from support.stacks import batches, gradients, runs_of
from support.studies import (
    LoadedOf,
    open_study,
    recipe_of,
    weights,
    write_study,
)
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.shift import directions
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

EPSILON = 0.5


def by_hand(read: Read) -> Gradients:
    gradient, clean = read(0.0)
    _, moved = read(EPSILON * gradient / gradient.norm())
    return {name: clean[name] + moved[name] for name in clean}


def check(loaded: LoadedStudy, tolerance: float = 1e-6, **levels: object) -> None:
    check_by_hand(loaded, still(loaded, {"fgm.epsilon": EPSILON}, **levels), by_hand, tolerance)


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("portion", [0, 3])
def test_gradients_are_those_of_each_text_moved_by_itself(
    loaded: LoadedStudy, frozen: int, portion: int
) -> None:
    check(loaded, freeze__layers=frozen, training__micro_batch=portion)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
@pytest.mark.parametrize("portion", [0, 3])
def test_hosted_encoders_move_each_text_by_itself(hosted: LoadedOf, family: str, portion: int) -> None:
    """Packed or padded, and where the table is narrower than the encoder."""
    check(hosted(family), tolerance=2e-5, training__micro_batch=portion)


def test_frozen_layers_of_a_hosted_encoder_are_passed_through(hosted: LoadedOf) -> None:
    check(hosted("deberta-v2"), tolerance=2e-5, freeze__layers=2)


def test_of_a_linear_model_the_moved_loss_is_the_closed_form(loaded: LoadedStudy) -> None:
    """loss(x + r) = softplus(-m + epsilon |w'|), where w' is the gradient of the margin m by a whole text."""
    batch = batches(loaded, recipe_of(loaded))[0]
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(len(batch.ids), 7, generator=generator).double().requires_grad_()
    w = torch.randn(7, generator=generator).double()
    signs = torch.where(batch.labels > 0, 1.0, -1.0).double()

    def margins(x: Tensor) -> Tensor:
        return signs * (batch.plain_means(x) @ w)

    (gradient,) = torch.autograd.grad(F.softplus(-margins(words)).mean(), words)
    moved = words + EPSILON * directions(gradient, batch)
    far = EPSILON * w.norm() / batch.counts.double().sqrt()  # a mean over n tokens: |w| / n, n times squared

    torch.testing.assert_close(F.softplus(-margins(moved)), F.softplus(-margins(words) + far))


def test_lengths_are_per_text_and_nothing_moves_what_has_no_gradient(loaded: LoadedStudy) -> None:
    batch = batches(loaded, recipe_of(loaded))[0]
    gradient = torch.full((len(batch.ids), 4), 1e-30)  # whose squares are 0 in float32
    first, second = int(batch.lengths[0]), int(batch.lengths[1])
    gradient[:first] = 0
    gradient[first : first + second] = 7.0
    directed = directions(gradient, batch)
    squares = batch.plain_means(directed.square().sum(-1, keepdim=True))[:, 0] * batch.counts

    torch.testing.assert_close(
        squares, torch.ones(len(batch.rows)) * torch.arange(len(batch.rows)).clamp(max=1)
    )
    assert torch.equal(directed[batch.real_tokens :], torch.zeros_like(directed[batch.real_tokens :]))


def test_a_second_pass_changes_gradients_and_nothing_else(loaded: LoadedStudy) -> None:
    plain, moved = (Run(loaded, "run", recipe_of(loaded, fgm__epsilon=e), 0) for e in (0.0, EPSILON))
    before = {name: p.clone() for name, p in weights(moved).items()}
    batch = batches(loaded, plain.recipe)[0]
    losses = [run.backward(batch, 0) for run in (plain, moved)]

    assert losses[0] == losses[1]
    assert all(torch.equal(before[name], p) for name, p in weights(moved).items())
    assert moved.model.shift is None and not moved.table._forward_hooks
    more = gradients(moved)["head.linear.weight"] - gradients(plain)["head.linear.weight"]
    assert more.norm() > 0.1 * gradients(plain)["head.linear.weight"].norm()


def test_both_views_of_r_drop_are_moved_alike(loaded: LoadedStudy) -> None:
    """Without dropout the views are one: gradients are those without R-Drop."""
    recipe = still(loaded, {"fgm.epsilon": EPSILON})
    one, two = runs_of(loaded, [recipe, recipe], torch.float64)
    two.criterion = Run(loaded, "run", recipe_of(loaded, rdrop__alpha=1.0), 0).criterion
    for run in (one, two):
        run.backward(batches(loaded, recipe)[0], 0)
    for name, gradient in gradients(one).items():
        assert (gradients(two)[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-8, name


def test_text_pairs_are_moved(tmp_path: Path, loaded: LoadedStudy) -> None:
    pairs = open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True))
    check(pairs)
