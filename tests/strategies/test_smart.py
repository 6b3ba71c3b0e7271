"""SMART: the small move of a text's words that changes its prediction most should change it less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.moving import StillModel, assert_alike, note_masks, still, texts_of, words_moved
from support.stacks import batches, gradients, runs_of
from support.studies import LoadedOf, open_study, recipe_of, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.draws import draw_normal
from finegrid.model.packing.batches import Batch
from finegrid.model.shift import directions_by_maximum
from finegrid.strategies.criterion import Outputs
from finegrid.strategies.smart import Smart
from finegrid.streams import Streams
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LEVELS = {"smart.weight": 2.0, "smart.epsilon": 0.1, "smart.noise": 0.05}


def normals_of(batch: Batch, width: int, step: int) -> list[Tensor]:
    """Of each text by itself, by Box and Muller from the bits of the stream: all cosines, then all sines."""
    bits = Streams(0).bits(f"smart/{step}", len(batch.ids) * width // 2).view(np.int32).reshape(-1, width)
    far = np.sqrt(-2 * np.log((bits[:, ::2] + 2.0**31 + 1) / 2.0**32))
    angle = bits[:, 1::2] * np.pi / 2.0**31
    drawn = torch.from_numpy(np.concatenate([far * np.cos(angle), far * np.sin(angle)], -1)).float()
    ends = np.cumsum(batch.lengths)
    return [drawn[end - length : end] for end, length in zip(ends, batch.lengths, strict=True)]


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """KL of the first from the second, by torch's own."""
    return F.kl_div(other.log_softmax(-1), one.log_softmax(-1), log_target=True, reduction="batchmean")


def check(loaded: LoadedStudy, tolerance: float = 1e-4, **levels: object) -> None:
    """Whether a step's loss and gradients are the sums of those of each text by itself."""
    recipe = still(loaded, LEVELS, **levels)
    run, other = runs_of(loaded, [recipe])[0], runs_of(loaded, [recipe])[0]
    batch, model, total = batches(loaded, recipe)[0], other.model, 0.0
    starts = normals_of(batch, run.table.weight.shape[1], 0)
    for one, start in zip(texts_of(other, batch), starts, strict=True):
        r0, tokens = (0.05 * start).requires_grad_(), one.real_tokens
        clean = model(one)
        with words_moved(model, tokens, r0):
            (gradient,) = torch.autograd.grad(divergence(model(one), clean.detach()), r0)
        with words_moved(model, tokens, 0.1 * gradient / gradient.abs().max()):
            moved = model(one)
        both = divergence(moved, clean) + divergence(clean, moved)
        loss = (F.cross_entropy(clean, one.labels) + 2.0 * both) / len(batch.rows)
        loss.backward()
        total += float(loss.detach())

    assert run.backward(batch, 0) == pytest.approx(total, rel=1e-5)
    assert_alike(gradients(run), gradients(other), tolerance)


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("portion", [0, 3])
def test_losses_and_gradients_are_those_of_each_text_by_itself(
    loaded: LoadedStudy, frozen: int, portion: int
) -> None:
    check(loaded, freeze__layers=frozen, training__micro_batch=portion)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
def test_hosted_encoders_are_smoothed(hosted: LoadedOf, family: str) -> None:
    """Packed or padded, in portions, and where the table is narrower than the encoder."""
    check(hosted(family), tolerance=1e-3, training__micro_batch=3)


def test_text_pairs_are_smoothed(tmp_path: Path, loaded: LoadedStudy) -> None:
    check(open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True)))


def test_of_a_tiny_move_the_loss_is_the_closed_form(loaded: LoadedStudy) -> None:
    """Of a linear model KL = r'Fr / 2, whichever way, and its gradient is Fr; F = A'(diag(p) - pp')A."""
    batch = batches(loaded, recipe_of(loaded))[0]
    generator = torch.Generator().manual_seed(1)
    model: Any = StillModel(batch)
    matrix = torch.randn(3, 7, generator=generator).double()

    def read() -> Tensor:
        return batch.plain_means(model.moved()) @ matrix.T

    logits = read().detach()
    smart = Smart(weight=3.0, epsilon=1e-4, noise=1e-4)
    added = smart.more_losses(model, batch, Outputs((logits,), (logits,), batch.labels), read, 5)
    drawn = 1e-4 * draw_normal(Streams(0), "smart/5", batch, 7).double()
    ends = np.cumsum(batch.lengths)
    for text, (p, end, count) in enumerate(zip(logits.softmax(-1), ends, batch.lengths, strict=True)):
        a = matrix.repeat(1, int(count)) / count  # by all numbers of the text
        fisher = a.T @ (p.diag() - p[:, None] * p) @ a
        gradient = fisher @ drawn[end - count : end].flatten()
        r = 1e-4 * gradient / gradient.abs().max()
        assert added is not None
        assert float(added.detach()[text]) == pytest.approx(float(3.0 * r @ fisher @ r), rel=1e-3)


def test_the_largest_number_of_each_text_is_1_and_nothing_moves_what_has_no_gradient(
    loaded: LoadedStudy,
) -> None:
    batch = batches(loaded, recipe_of(loaded))[0]
    gradient = torch.randn(len(batch.ids), 4, generator=torch.Generator().manual_seed(0))
    first, second = int(batch.lengths[0]), int(batch.lengths[1])
    gradient[:first] = 0
    gradient[first : first + second] *= 1e-42  # whose inverse is not finite in float32
    directed = directions_by_maximum(gradient, batch, 4)
    largest = [float(d.abs().max()) for d in directed[: batch.real_tokens].split(batch.lengths.tolist())]

    assert largest == pytest.approx([0.0] + [1.0] * (len(batch.rows) - 1))
    assert not directed[batch.real_tokens :].any()


@pytest.mark.parametrize(
    "levels",
    [
        {},
        {"rdrop__alpha": 1.0},
        {"head__samples": 3},
        {"mixup__alpha": 5.0},
        {"loss__smoothing": 0.1, "model__pooling": "attention"},
    ],
    ids=str,
)
def test_what_hardly_moves_adds_nothing(loaded: LoadedStudy, levels: dict[str, Any]) -> None:
    """With dropout: so all passes have the masks of the first reading, and its partners."""
    plain, smart = (
        Run(loaded, "run", recipe_of(loaded, **levels).at(own), 0)
        for own in ({}, {"smart.weight": 1.0, "smart.epsilon": 1e-6})
    )
    batch = batches(loaded, plain.recipe)[0]

    assert smart.backward(batch, 3) == pytest.approx(plain.backward(batch, 3), rel=1e-6)
    assert_alike(gradients(smart), gradients(plain), 1e-4)


@pytest.mark.parametrize(("views", "first"), [(1, [""]), (2, ["", "/1"])])
def test_all_passes_have_the_masks_of_the_first(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, views: int, first: list[str]
) -> None:
    run = Run(loaded, "run", recipe_of(loaded, rdrop__alpha=views - 1.0).at(LEVELS), 0)
    drawn = note_masks(monkeypatch, "layer.1.output")
    run.backward(batches(loaded, run.recipe)[0], 3)

    assert drawn == [*first, "", ""]


def test_where_nothing_changes_a_prediction_the_step_is_the_baselines(loaded: LoadedStudy) -> None:
    """A head of zeros: no move can be found, and none is made. The bits of the loss."""
    plain, smart = (Run(loaded, "run", recipe_of(loaded).at(own), 0) for own in ({}, LEVELS))
    for run in (plain, smart):
        run.model.get_parameter("head.linear.weight").data.zero_()
    batch = batches(loaded, plain.recipe)[0]

    assert smart.backward(batch, 0) == plain.backward(batch, 0)
    assert all(torch.equal(gradients(smart)[name], g) for name, g in gradients(plain).items())


def test_a_step_leaves_weights_and_table_as_they_were(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded, freeze__layers=2).at(LEVELS), 0)
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    trained = {name for name, p in run.model.named_parameters() if p.requires_grad}
    run.backward(batches(loaded, run.recipe)[0], 0)

    assert all(torch.equal(before[name], p) for name, p in run.model.named_parameters())
    assert {name for name, p in run.model.named_parameters() if p.requires_grad} == trained
    assert gradients(run).keys() <= trained
    assert run.model.shift is None and not run.table._forward_hooks


def test_a_portion_draws_what_its_batch_draws_and_numbers_are_normal(loaded: LoadedStudy) -> None:
    batch = batches(loaded, recipe_of(loaded))[0]
    for width in (6, 7):
        whole = draw_normal(Streams(1), "smart/5", batch, width)
        parts = [
            draw_normal(Streams(1), "smart/5", part, width)[: part.real_tokens] for part in batch.portions(3)
        ]
        assert len(parts) > 1 and torch.equal(torch.cat(parts), whole[: batch.real_tokens])
    drawn = torch.cat([draw_normal(Streams(seed), "smart/0", batch, 7).flatten() for seed in range(60)])

    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    assert float((drawn.abs() < 1).float().mean()) == pytest.approx(0.6827, abs=0.01)  # of the normal
