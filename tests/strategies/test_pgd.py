"""Projected gradient descent: several steps within a ball, and the gradients where they end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.moving import Gradients, Read, StillModel, check_by_hand, note_masks, still
from support.stacks import batches, gradients
from support.studies import LoadedOf, open_study, recipe_of, weights, write_study
from torch.nn import functional as F

from finegrid.model.shift import measure_lengths
from finegrid.strategies.pgd import Pgd
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LEVELS = {"pgd.steps": 3, "pgd.step_size": 0.3, "pgd.epsilon": 0.5}  # the second step reaches the edge


def by_hand(read: Read) -> Gradients:
    gradient, clean = read(0.0)
    moved, last = torch.zeros_like(gradient), clean
    for _ in range(3):
        moved = moved + 0.3 * gradient / gradient.norm()
        moved = moved * min(1.0, 0.5 / float(moved.norm()))
        gradient, last = read(moved)
    return {name: clean[name] + last[name] for name in clean}


def check(loaded: LoadedStudy, tolerance: float = 1e-5, **levels: object) -> None:
    check_by_hand(loaded, still(loaded, LEVELS, **levels), by_hand, tolerance)


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("portion", [0, 3])
def test_gradients_are_those_of_each_text_climbing_by_itself(
    loaded: LoadedStudy, frozen: int, portion: int
) -> None:
    check(loaded, freeze__layers=frozen, training__micro_batch=portion)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
def test_hosted_encoders_climb(hosted: LoadedOf, family: str) -> None:
    """Packed or padded, in portions, and where the table is narrower than the encoder."""
    check(hosted(family), tolerance=1e-4, training__micro_batch=3)


def test_text_pairs_climb(tmp_path: Path, loaded: LoadedStudy) -> None:
    check(open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True)))


@pytest.mark.parametrize(("step_size", "far"), [(0.1, 0.3), (0.3, 0.5), (2.0, 0.5)])
def test_of_a_linear_model_the_moved_loss_is_the_closed_form(
    loaded: LoadedStudy, step_size: float, far: float
) -> None:
    """All gradients of a text point one way: three steps go 3 step_size along it, or epsilon."""
    batch = batches(loaded, recipe_of(loaded))[0]
    model = StillModel(batch)
    losses = [model.losses().detach()]
    model.backward()
    Pgd(3, step_size, 0.5).more_gradients(model.as_classifier, batch, model.backward)
    losses.append(model.losses().detach())
    slopes = (
        model.w.detach().norm() / batch.counts.double().sqrt()
    )  # a mean over n tokens: |w| / n, n times squared

    torch.testing.assert_close(losses[1], F.softplus(losses[0].expm1().log() + far * slopes))
    torch.testing.assert_close(
        measure_lengths(model.shift.values, batch), torch.full((len(batch.rows),), far).double()
    )


def test_one_step_is_fgm_bit_by_bit(loaded: LoadedStudy) -> None:
    """With dropout: both draw the masks of a second pass. Of step and ball the shorter counts."""
    batch = batches(loaded, recipe_of(loaded))[0]
    fgm = Run(loaded, "run", recipe_of(loaded, fgm__epsilon=0.4), 0)
    fgm.backward(batch, 3)
    for step_size, epsilon in ((0.4, 0.4), (0.4, 3.0), (5.0, 0.4)):
        run = Run(loaded, "run", recipe_of(loaded).at(moves(1, step_size, epsilon)), 0)
        run.backward(batch, 3)
        assert all(torch.equal(gradients(fgm)[name], g) for name, g in gradients(run).items())


def moves(steps: int, step_size: float, epsilon: float) -> dict[str, int | float]:
    return {"pgd.steps": steps, "pgd.step_size": step_size, "pgd.epsilon": epsilon}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (moves(3, 0.3, 1.0), moves(3, 0.3, 50.0), True),  # neither edge is ever reached
        (moves(3, 0.3, 0.5), moves(3, 0.3, 1.0), False),
        (moves(1, 0.3, 1.0), moves(1, 0.8, 0.3), True),
        (moves(2, 0.8, 0.3), moves(2, 0.3, 0.3), False),
    ],
)
def test_levels_that_come_to_one_run_have_one_form(
    loaded: LoadedStudy, one: dict[str, float], other: dict[str, float], same: bool
) -> None:
    batch = batches(loaded, recipe_of(loaded))[0]
    runs = [Run(loaded, "run", recipe_of(loaded).at(levels), 0) for levels in (one, other)]
    forms = [run.recipe.pgd.form(loaded.setting(0)) for run in runs]
    for run in runs:
        run.backward(batch, 0)
    equal = [torch.equal(gradients(runs[1])[name], g) for name, g in gradients(runs[0]).items()]

    assert (forms[0] == forms[1]) == same and all(equal) == same


@pytest.mark.parametrize(("views", "moved"), [(1, ["/1"]), (2, ["/2", "/3"])])
def test_all_moved_passes_have_the_masks_of_the_first_of_them(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, views: int, moved: list[str]
) -> None:
    run = Run(loaded, "run", recipe_of(loaded, rdrop__alpha=views - 1.0).at(LEVELS), 0)
    drawn = note_masks(monkeypatch, "layer.1.output")
    run.backward(batches(loaded, run.recipe)[0], 3)

    assert drawn == ["", "/1"][:views] + moved * 3


def test_a_step_changes_gradients_and_nothing_else(loaded: LoadedStudy) -> None:
    plain, moved = (Run(loaded, "run", recipe_of(loaded).at(levels), 0) for levels in ({}, LEVELS))
    before = {name: p.clone() for name, p in weights(moved).items()}
    batch = batches(loaded, plain.recipe)[0]
    losses = [run.backward(batch, 0) for run in (plain, moved)]

    assert losses[0] == losses[1]
    assert all(torch.equal(before[name], p) for name, p in weights(moved).items())
    assert all(p.requires_grad for p in moved.model.parameters())
    assert moved.model.shift is None and not moved.table._forward_hooks


def test_weights_train_again_where_a_pass_between_fails(loaded: LoadedStudy) -> None:
    """It sees that they do not while it is made: so it costs less than a step."""
    run = Run(loaded, "run", recipe_of(loaded, freeze__layers=2).at(LEVELS), 0)
    trained = {name for name, p in run.model.named_parameters() if p.requires_grad}
    batch = batches(loaded, run.recipe)[0]

    def fail() -> None:
        assert not any(p.requires_grad for p in run.model.parameters())
        raise MemoryError

    with run.model.shifting(batch):
        run._add_gradients_(batch, 0)
        with pytest.raises(MemoryError):
            run.recipe.pgd.more_gradients(run.model, batch, fail)
    assert {name for name, p in run.model.named_parameters() if p.requires_grad} == trained
