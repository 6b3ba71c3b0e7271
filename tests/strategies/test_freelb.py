"""FreeLB: a random start in the ball, and the mean of the gradients of all steps of the climb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.moving import Gradients, Read, StillModel, check_by_hand, note_masks, still
from support.stacks import batches, gradients
from support.studies import LoadedOf, open_study, recipe_of, weights, write_study
from torch import Tensor

from finegrid.model.draws import draw_uniform
from finegrid.model.packing.batches import Batch
from finegrid.model.shift import measure_lengths
from finegrid.strategies.freelb import FreeLb
from finegrid.streams import Streams
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LEVELS = {"freelb.steps": 3, "freelb.step_size": 0.3, "freelb.epsilon": 0.5}  # the climb reaches the edge


def starts_of(batch: Batch, width: int, epsilon: float, step: int) -> list[Tensor]:
    """Of each text by itself, from the bits of the stream."""
    bits = Streams(0).bits(f"freelb/{step}", len(batch.ids) * width // 2).view(np.int32)
    drawn = torch.from_numpy(bits / 2.0**31).view(-1, width)
    ends = np.cumsum(batch.lengths)
    texts = [drawn[end - length : end] for end, length in zip(ends, batch.lengths, strict=True)]
    return [epsilon / own.numel() ** 0.5 * own for own in texts]


def by_hand(start: Tensor) -> Callable[[Read], Gradients]:
    def of_text(read: Read) -> Gradients:
        moved, every = start.float(), []
        for _ in range(3):
            gradient, of_weights = read(moved)
            every.append(of_weights)
            moved = moved + 0.3 * gradient / gradient.norm()
            moved = moved * min(1.0, 0.5 / float(moved.norm()))
        return {name: sum((one[name] for one in every), torch.zeros(())) / 3 for name in every[0]}

    return of_text


def check(loaded: LoadedStudy, tolerance: float = 1e-5, **levels: object) -> None:
    recipe = still(loaded, LEVELS, **levels)
    width = Run(loaded, "run", recipe, 0).table.weight.shape[1]
    starts = starts_of(batches(loaded, recipe)[0], width, 0.5, 0)
    check_by_hand(loaded, recipe, [by_hand(start) for start in starts], tolerance)


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("portion", [0, 3])
def test_gradients_are_the_means_of_each_text_climbing_by_itself(
    loaded: LoadedStudy, frozen: int, portion: int
) -> None:
    check(loaded, freeze__layers=frozen, training__micro_batch=portion)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
def test_hosted_encoders_climb(hosted: LoadedOf, family: str) -> None:
    """Packed or padded, in portions, and where the table is narrower than the encoder."""
    check(hosted(family), tolerance=1e-4, training__micro_batch=3)


def test_text_pairs_climb(tmp_path: Path, loaded: LoadedStudy) -> None:
    check(open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True)))


def test_starts_lie_evenly_in_a_cube_within_the_ball(loaded: LoadedStudy) -> None:
    """Of many numbers: as long as epsilon at most, and epsilon / sqrt(3) in the mean of squares."""
    recipe = recipe_of(loaded)
    squares = []
    for step, batch in enumerate(batches(loaded, recipe)):
        model = StillModel(batch)
        FreeLb(2, 0.1, 0.7).move_words(model.as_classifier, batch, step)
        lengths = measure_lengths(model.shift.values.detach(), batch)
        assert float(lengths.max()) <= 0.7
        assert not model.shift.values[batch.real_tokens :].any()
        squares += (lengths**2).tolist()
    drawn = torch.cat(
        [draw_uniform(Streams(step), "freelb/0", batches(loaded, recipe)[0], 7) for step in range(40)]
    )

    assert len(set(squares)) == len(squares)  # another start for every text and step
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.7 / 3**0.5, rel=0.1)
    assert (
        drawn.abs().max() <= 1
        and torch.histc(drawn, 10, -1, 1).div(drawn.numel()).sub(0.1).abs().max() < 0.01
    )


def test_a_portion_draws_what_its_batch_draws(loaded: LoadedStudy) -> None:
    batch = batches(loaded, recipe_of(loaded))[0]
    for width in (6, 7):
        whole = draw_uniform(Streams(1), "freelb/5", batch, width)
        parts = [
            draw_uniform(Streams(1), "freelb/5", part, width)[: part.real_tokens]
            for part in batch.portions(3)
        ]
        assert len(parts) > 1 and torch.equal(torch.cat(parts), whole[: batch.real_tokens])


def test_of_a_linear_model_the_gradient_is_the_mean_of_those_on_a_straight_way(loaded: LoadedStudy) -> None:
    """All gradients of a text by its words point one way, so that r is its start and steps along it."""
    batch = batches(loaded, recipe_of(loaded))[0]
    model = StillModel(batch)
    freelb = FreeLb(3, 0.2, 50.0)
    freelb.move_words(model.as_classifier, batch, 0)
    start = model.shift.values.detach().clone()
    model.backward()
    freelb.more_gradients(model.as_classifier, batch, model.backward)
    (ours,) = (p.grad for p in model.parameters())
    signs, w = model.signs.repeat_interleave(batch.counts)[:, None], model.w.detach()
    unit = -signs * w / (w.norm() * batch.counts.double().sqrt()).repeat_interleave(batch.counts)[:, None]
    expected = torch.zeros_like(w)
    for far in (0.0, 0.2, 0.4):
        moved = start.clone()
        moved[: batch.real_tokens] += far * unit
        model.shift.move_(moved)
        expected += torch.autograd.grad(model.losses().mean(), model.w)[0] / 3

    assert ours is not None
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(("views", "passes"), [(1, [""]), (2, ["", "/1"])])
def test_all_passes_have_the_masks_of_the_baseline(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, views: int, passes: list[str]
) -> None:
    run = Run(loaded, "run", recipe_of(loaded, rdrop__alpha=views - 1.0).at(LEVELS), 0)
    drawn = note_masks(monkeypatch, "layer.1.output")
    run.backward(batches(loaded, run.recipe)[0], 3)

    assert drawn == passes * 3


def test_one_step_is_one_noisy_pass(loaded: LoadedStudy) -> None:
    """At any step_size: nothing climbs. The loss is that of the words at the start."""
    batch = batches(loaded, recipe_of(loaded))[0]
    runs = [
        Run(loaded, "run", recipe_of(loaded, freelb__steps=1, freelb__step_size=size), 0)
        for size in (0.1, 5.0)
    ]
    losses = [run.backward(batch, 3) for run in runs]
    forms = [run.recipe.freelb.form(loaded.setting(0)) for run in runs]

    assert losses[0] == losses[1] != Run(loaded, "run", recipe_of(loaded), 0).backward(batch, 3)
    assert all(torch.equal(gradients(runs[1])[name], g) for name, g in gradients(runs[0]).items())
    assert forms[0] == forms[1]
    assert len({FreeLb(2, size).form(loaded.setting(0)) for size in (0.1, 5.0)}) == 2


def test_a_step_leaves_weights_and_table_as_they_were(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded).at(LEVELS), 0)
    before = {name: p.clone() for name, p in weights(run).items()}
    run.backward(batches(loaded, run.recipe)[0], 0)

    assert all(torch.equal(before[name], p) for name, p in weights(run).items())
    assert run.model.shift is None and not run.table._forward_hooks
