"""Batches in portions: the gradient of the whole batch, with its masks, whatever the cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.levels import GIVEN, ON
from support.rarity import rare
from support.stacks import batches, runs_of
from support.studies import (
    LoadedOf,
    assert_same_run,
    open_study,
    put_strategies,
    recipe_of,
    same_tensors,
    save_checkpoint,
    train,
    weights,
    write_study,
)
from torch import Tensor

from finegrid.errors import InputError
from finegrid.model.classifier import Classifier
from finegrid.model.dropout import Notes
from finegrid.model.packing.batches import Packed
from finegrid.strategies.criterion import Criterion
from finegrid.strategies.seams import Setting, Strategy
from finegrid.training.captured import can_capture
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import Lockstep, share_prefix
from finegrid.training.run import Run
from finegrid.training.stack import Stack

CUTS = (1, 3, 5)  # of 8 texts: the last portion is smaller
# At large rates Adam magnifies what rounding leaves of gradients that are zero.
LOUD = {"dropout__hidden": 0.3, "dropout__attention": 0.3, "dropout__head": 0.3, "optimizer__rate": 5e-4}
LOSSES = ("loss.", "distil.", "contrast.", "mixup.", "rdrop.")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    return open_study(write_study(tmp_path_factory.mktemp("pairs"), bert, pairs=True))


def walk(loaded: LoadedStudy, micro_batch: int, **levels: Any) -> tuple[Run, list[float]]:
    """A run after all its steps, and its losses."""
    recipe = recipe_of(loaded, **{"training__micro_batch": micro_batch, **levels})
    run = Run(loaded, "run", recipe, 0)
    known = frozen_prefix(run)
    losses = []
    for step, batch in enumerate(batches(loaded, recipe)):
        losses.append(run.step(share_prefix([run], batch, step, known)[0], step))
    return run, losses


def gap(one: Run, other: Run) -> float:
    """The largest of all tensors, by their norm."""
    ours, theirs = weights(one), weights(other)
    # The gradient of key biases is zero but for rounding, which Adam magnifies.
    names = [name for name in ours if not name.endswith("key.bias")]
    return max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in names)


WALKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one layer read": {"model__pooling": "cls"},
    "a last batch of three": {"training__batch_size": 7},
    "frozen": {"freeze__layers": 2, "model__pooling": "first-last-mean"},
    "frozen without dropout": {
        "freeze__layers": 2,
        "freeze__dropout": False,
        "model__pooling": "first-last-mean",
    },
    "head samples": {"head__samples": 3},
    "clipped and focal": {"clip__norm": 0.1, "loss__focal_gamma": 2.0},
}


@cache
def walk_whole(loaded: LoadedStudy, name: str) -> tuple[Run, list[float]]:
    """Once for all cuts."""
    return walk(loaded, 0, **LOUD, **WALKS[name])


@pytest.mark.parametrize(
    ("name", "cut"),
    rare(
        product(WALKS, CUTS), [*((name, 3) for name in WALKS), *(("plain", cut) for cut in CUTS if cut != 3)]
    ),
)
def test_portions_give_what_whole_batches_give(loaded: LoadedStudy, name: str, cut: int) -> None:
    whole, losses = walk_whole(loaded, name)
    cut_up, theirs = walk(loaded, cut, **LOUD, **WALKS[name])

    assert theirs == pytest.approx(losses, rel=1e-6)
    assert 0 < gap(cut_up, whole) < 1e-6


@pytest.mark.parametrize("layers", [1, 2])
def test_fewer_layers_do_too(tmp_path: Path, layers: int) -> None:
    checkpoint = save_checkpoint(tmp_path / "model", "bert", num_hidden_layers=layers)
    loaded = open_study(write_study(tmp_path / "study", checkpoint))
    whole, losses = walk(loaded, 0, **LOUD)
    cut_up, theirs = walk(loaded, 3, **LOUD)

    assert theirs == pytest.approx(losses, rel=1e-6)
    assert 0 < gap(cut_up, whole) < 1e-6


def test_pairs_of_texts_do_too(pairs: LoadedStudy) -> None:
    whole, losses = walk(pairs, 0, **LOUD)
    for cut in (1, 3):
        cut_up, theirs = walk(pairs, cut, **LOUD)

        assert theirs == pytest.approx(losses, rel=1e-6)
        assert 0 < gap(cut_up, whole) < 1e-6


@pytest.mark.parametrize("cut", [8, 9, 100])
def test_a_portion_of_all_texts_is_no_portion(loaded: LoadedStudy, cut: int) -> None:
    assert_same_steps(walk(loaded, cut), walk(loaded, 0))


def test_the_same_cut_gives_the_same_bits(loaded: LoadedStudy) -> None:
    assert_same_steps(walk(loaded, 3), walk(loaded, 3))


def assert_same_steps(one: tuple[Run, list[float]], other: tuple[Run, list[float]]) -> None:
    assert same_tensors(weights(one[0]), weights(other[0]))
    assert one[1] == other[1]


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("cut", CUTS)
def test_every_text_has_the_masks_of_the_whole_batch(loaded: LoadedStudy, views: int, cut: int) -> None:
    """Of all sites and views, value by value: what the portions draw is, put together, what a batch draws."""
    (run,) = runs_of(loaded, [recipe_of(loaded, **LOUD)])
    batch = batches(loaded, run.recipe)[0]
    whole = drawn(run.model, [batch], views)
    portions = batch.portions(cut)
    parts = drawn(run.model, portions, views)

    assert parts.keys() == whole.keys() and len(whole) == views * len(run.model.dropouts)
    for site, keeps in parts.items():
        own = [
            keep[: portion.real_tokens * (len(keep) // len(portion.ids))] if tokens_of(site) else keep
            for keep, portion in zip(keeps, portions, strict=True)
        ]
        joined = torch.cat(own)
        assert torch.equal(joined, whole[site][0][: len(joined)]), site
        assert len(joined) > 0.9 * len(whole[site][0]) * (batch.real_tokens / len(batch.ids))


def tokens_of(site: str) -> bool:
    return not site.startswith("head") and "attention" not in site


def drawn(model: Classifier, portions: list[Any], views: int) -> dict[str, list[Tensor]]:
    """By site and view, the mask of every portion."""
    found: dict[str, list[Tensor]] = {}
    for portion in portions:
        notes = Notes()
        with notes.note_down(), torch.no_grad():
            for _ in range(views):
                model(portion, 0)
        for mask in notes.masks:
            assert mask is not None
            found.setdefault(mask.site, []).append(mask.draw().keep)
    for site in model.dropouts.values():
        site.forget_()
    return found


@pytest.mark.parametrize("frozen", [0, 2])
def test_a_family_in_portions_is_families_of_one(loaded: LoadedStudy, frozen: int) -> None:
    common: dict[str, Any] = {"training__micro_batch": 3, "freeze__layers": frozen, "training__epochs": 1}
    recipes = [
        recipe_of(loaded, **common),
        recipe_of(loaded, **common, reinit__layers=2),
        recipe_of(loaded, **common, optimizer__bias_correction=False),
    ]
    for run, recipe in zip(train(loaded, *recipes), recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


def test_a_stack_in_portions_is_a_stack_of_whole_batches(loaded: LoadedStudy) -> None:
    def stacked(micro_batch: int) -> tuple[list[Run], list[list[float]]]:
        common: dict[str, Any] = {"training__micro_batch": micro_batch, **LOUD}
        recipes = [recipe_of(loaded, **common), recipe_of(loaded, **common, clip__norm=0.1)]
        runs = runs_of(loaded, recipes)
        stack, losses = Stack(runs), []
        for step, batch in enumerate(batches(loaded, recipes[0])):
            losses.append(stack.backward(batch, step).tolist())
            for run in runs:
                run.update(step)
        return runs, losses

    whole, losses = stacked(0)
    cut_up, theirs = stacked(3)

    assert [x for step in theirs for x in step] == pytest.approx([x for step in losses for x in step])
    assert all(0 < gap(one, other) < 1e-6 for one, other in zip(cut_up, whole, strict=True))


def test_portions_are_not_captured(loaded: LoadedStudy) -> None:
    portions, whole = (Run(loaded, "run", recipe_of(loaded, training__micro_batch=m), 0) for m in (3, 8))

    assert can_capture([whole], 2)
    assert not can_capture([portions], 2)
    assert Lockstep(loaded, [portions]).path_of(portions) == "plain"


class Twice(Strategy):
    """Adds the same gradients once more, with masks of their own, in two views."""

    always = True

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return Criterion(views=2)

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        backward()


def test_second_passes_and_views_are_in_portions(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_strategies(monkeypatch, lambda recipe: [recipe.optimizer, recipe.schedule, Twice()])
    whole, losses = walk(loaded, 0, **LOUD)
    for cut in (1, 3):
        cut_up, theirs = walk(loaded, cut, **LOUD)

        assert theirs == pytest.approx(losses, rel=1e-6)
        assert 0 < gap(cut_up, whole) < 1e-6


HOSTED = [*product(["modernbert", "deberta-v2", "albert"], (1, 3))]


@pytest.mark.parametrize(
    ("family", "cut"), rare(HOSTED, [("modernbert", 1), ("deberta-v2", 3), ("albert", 3)])
)
def test_hosted_encoders_read_portions(hosted: LoadedOf, family: str, cut: int) -> None:
    loaded = hosted(family)
    whole, losses = walk(loaded, 0, **LOUD)
    cut_up, theirs = walk(loaded, cut, **LOUD)

    assert theirs == pytest.approx(losses, rel=1e-5)
    first = batches(loaded, whole.recipe)[0]
    assert gradient_gap(loaded, cut, first) < 2e-6
    assert cut_up.progress.status == "running"


def gradient_gap(loaded: LoadedStudy, cut: int, batch: Any) -> float:
    """Between the gradients of a first step, over all tensors."""
    flat = []
    for micro_batch in (0, cut):
        run = Run(loaded, "run", recipe_of(loaded, training__micro_batch=micro_batch, **LOUD), 0)
        run.backward(batch, 0)
        grads = [p.grad.flatten() for p in run.model.parameters() if p.grad is not None]
        flat.append(torch.cat(grads))
    return float((flat[1] - flat[0]).norm() / flat[0].norm())


@pytest.mark.parametrize("factor", [name for name in ON if name.startswith(LOSSES)])
def test_a_loss_is_a_mean_over_texts_or_refuses_portions(taught: LoadedStudy, factor: str) -> None:
    """A new loss that looks across the texts of a batch fails here until it refuses them."""
    levels = {**GIVEN.get(factor, {}), factor: ON[factor]}
    recipe = taught.study.baseline.at({**levels, "training.micro_batch": 3})
    whole = Run(taught, "whole", taught.study.baseline.at(levels), 0)
    batch = batches(taught, whole.recipe)[0]
    if recipe.problems(taught.study.checkpoint):
        assert factor.startswith(("contrast.", "mixup."))
        assert whole.recipe.contrast.acts or whole.recipe.mixup.acts
        return
    cut_up = Run(taught, "cut up", recipe, 0)

    assert cut_up.backward(batch, 0) == pytest.approx(whole.backward(batch, 0), rel=1e-6)


@pytest.mark.parametrize(
    ("factor", "why"),
    [
        ("contrast.weight", "compares all texts of a batch"),
        ("mixup.alpha", "mixed with any others of their batch"),
    ],
)
def test_a_loss_across_texts_refuses_portions_with_the_reason(
    loaded: LoadedStudy, factor: str, why: str
) -> None:
    asked = loaded.study.baseline.at({factor: 0.5})
    (problem,) = asked.at({"training.micro_batch": 3}).problems(loaded.study.checkpoint)

    assert problem.where == f'"{factor}" + "training.micro_batch"' and why in problem.what
    assert not asked.at({"training.micro_batch": 8}).problems(loaded.study.checkpoint)


def test_portions_must_be_a_number_of_texts(loaded: LoadedStudy) -> None:
    for level in (-1, "auto", 2.5):
        with pytest.raises(InputError, match=r"training\.micro_batch"):
            recipe_of(loaded, training__micro_batch=level)
