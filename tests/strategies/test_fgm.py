"""Adversarial training: every text is moved along its own gradient, on the outputs of the table of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.hosted import save_hosted
from support.levels import on
from support.stacks import batches, gradients, kill_and_resume, runs_of
from support.studies import (
    LoadedOf,
    assert_same_run,
    open_study,
    recipe_of,
    studies_of,
    train,
    weights,
    write_study,
)
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.packing.batches import Batch, pack
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.fgm import directions
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

SILENT = {"dropout.hidden": 0.0, "dropout.attention": 0.0, "dropout.head": 0.0}
EPSILON = 0.5


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    return studies_of(tmp_path_factory, lambda family, model: save_hosted(model, family))


def still(loaded: LoadedStudy, **levels: object) -> Recipe:
    """Without dropout: a pass over a text alone is then the pass over it in company."""
    return recipe_of(loaded, **levels).at({**SILENT, "fgm.epsilon": EPSILON})


def of_single_texts(run: Run, batch: Batch) -> tuple[dict[str, Tensor], list[float]]:
    """The same gradients text by text, without what is tested; and the lengths of what moves the texts."""
    model, lengths = run.model, []
    table = model.parts.embedding_table
    split = run.loaded.training_texts(run.recipe)
    total: dict[str, Tensor] = {}
    for row in batch.rows:
        one = pack(split, np.array([row]), run.recipe.model.max_length, torch.device("cpu"))
        seen: list[Tensor] = []
        moved: list[Tensor] = []

        def look(module: object, args: object, out: Tensor, seen: list[Tensor] = seen) -> Tensor:
            own = out if out.requires_grad else out.detach().requires_grad_()
            own.retain_grad()
            seen.append(own)
            return own

        def move(module: object, args: object, out: Tensor, moved: list[Tensor] = moved) -> Tensor:
            return out + moved[0]

        for hook in (look, move):
            handle = table.register_forward_hook(hook)
            frozen, model.frozen_layers = model.frozen_layers, 0  # else no gradient comes that far
            loss = F.cross_entropy(model(one), one.labels) / len(batch.rows)
            model.frozen_layers = frozen
            handle.remove()
            loss.backward()
            if hook is look:
                gradient = seen[0].grad
                assert gradient is not None
                moved.append(EPSILON * gradient / gradient.norm())
                lengths.append(float(moved[0].norm()))
    for name, gradient in gradients(run).items():
        total[name] = gradient.clone()
    model.zero_grad()
    return total, lengths


def check_by_single_texts(loaded: LoadedStudy, recipe: Recipe, tolerance: float = 1e-9) -> None:
    dtype = torch.float64 if tolerance < 1e-6 else torch.float32
    run, by_hand = (runs_of(loaded, [recipe], dtype)[0] for _ in range(2))
    batch = batches(loaded, recipe)[0]
    expected, lengths = of_single_texts(by_hand, batch)
    run.backward(batch, 0)

    assert lengths == pytest.approx([EPSILON] * len(batch.rows), rel=1e-5)
    assert gradients(run).keys() == expected.keys()
    whole = torch.cat([g.flatten() for g in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (gradients(run)[name] - gradient).norm() <= tolerance * whole, name


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("portion", [0, 3])
def test_gradients_are_those_of_each_text_moved_by_itself(
    loaded: LoadedStudy, frozen: int, portion: int
) -> None:
    check_by_single_texts(
        loaded, still(loaded, freeze__layers=frozen, training__micro_batch=portion), tolerance=1e-6
    )


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
@pytest.mark.parametrize("portion", [0, 3])
def test_hosted_encoders_move_each_text_by_itself(hosted: LoadedOf, family: str, portion: int) -> None:
    """Packed or padded, and where the table is narrower than the encoder."""
    loaded = hosted(family)
    check_by_single_texts(loaded, still(loaded, training__micro_batch=portion), tolerance=2e-5)


def test_frozen_layers_of_a_hosted_encoder_are_passed_through(hosted: LoadedOf) -> None:
    loaded = hosted("deberta-v2")
    check_by_single_texts(loaded, still(loaded, freeze__layers=2), tolerance=2e-5)


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
    recipe = still(loaded)
    one, two = runs_of(loaded, [recipe, recipe], torch.float64)
    two.criterion = Run(loaded, "run", recipe_of(loaded, rdrop__alpha=1.0), 0).criterion
    for run in (one, two):
        run.backward(batches(loaded, recipe)[0], 0)
    for name, gradient in gradients(one).items():
        assert (gradients(two)[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-8, name


def test_layers_that_are_computed_twice_have_the_same_bits(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, fgm__epsilon=EPSILON)
    once, twice = (Run(loaded, "run", recipe, 0) for _ in range(2))
    twice.model.engine.recompute = True
    for run in (once, twice):
        run.backward(batches(loaded, recipe)[0], 0)

    assert all(torch.equal(gradients(twice)[name], g) for name, g in gradients(once).items())


@pytest.mark.parametrize("frozen", [0, 2])
def test_a_run_in_company_has_the_bits_that_it_has_alone(loaded: LoadedStudy, frozen: int) -> None:
    recipes = [
        recipe_of(loaded, fgm__epsilon=EPSILON, freeze__layers=frozen, clip__norm=norm) for norm in (0.0, 0.1)
    ]

    for recipe, run in zip(recipes, train(loaded, *recipes), strict=True):
        assert run.progress.status == "done" and run.progress.path == "plain"
        assert_same_run(run, train(loaded, recipe)[0])


def test_a_killed_run_resumes_to_the_same_bits(taught: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(taught, "fgm.epsilon")

    assert_same_run(kill_and_resume(taught, recipe, tmp_path), train(taught, recipe)[0])


def test_text_pairs_are_moved(tmp_path: Path, loaded: LoadedStudy) -> None:
    pairs = open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True))
    check_by_single_texts(pairs, still(pairs), tolerance=1e-6)
