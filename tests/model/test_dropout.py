"""Dropout masks: exact rates, named streams. Attention's hand-written backward against autograd's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import KINDS, LAYERS, classifier_of, pack_all, random_split
from torch import Tensor

from finegrid.model.attention import PackedAttention, group_by_length
from finegrid.model.dropout import Clock, Dropout
from finegrid.streams import Streams


def masks(site: Dropout, count: int = 1000) -> Tensor:
    """The factors a site multiplies by."""
    drawn: Tensor = site(torch.ones(count))
    return drawn


def site(name: str = "layer.0.output", seed: int = 0, step: int = 0, rate: float = 0.1) -> Dropout:
    return Dropout(name, rate, Clock(Streams(seed), step)).train()


@pytest.mark.parametrize("rate", [0.1, 0.15, 0.5])
def test_the_rate_is_exact(rate: float) -> None:
    clock = Clock(Streams(0))
    drawing = Dropout("head", rate, clock)
    dropped = total = 0
    for clock.step in range(40):
        mask = masks(drawing, 100_000)
        dropped, total = dropped + int((mask == 0).sum()), total + mask.numel()

    # Four standard deviations of 4 million draws are at most 0.001; 8 random bits would give 0.1016 for 0.1.
    assert dropped / total == pytest.approx(rate, abs=1e-3)


def test_the_mean_is_preserved() -> None:
    assert float(masks(site(), 2_000_000).mean()) == pytest.approx(1.0, abs=1e-3)


def test_masks_take_two_values_of_which_one_is_zero() -> None:
    assert masks(site()).unique().tolist() == pytest.approx([0.0, 1 / 0.9], rel=1e-4)


def test_same_seed_step_and_site_give_the_same_mask() -> None:
    assert torch.equal(masks(site()), masks(site()))


@pytest.mark.parametrize(
    "other", [site(seed=1), site(step=1), site("layer.0.hidden"), site("layer.1.output")]
)
def test_another_seed_step_or_site_gives_another_mask(other: Dropout) -> None:
    ours, theirs = masks(site(), 100_000) == 0, masks(other, 100_000) == 0

    # Independent: both dropped with 0.1 * 0.1.
    assert float((ours & theirs).float().mean()) == pytest.approx(0.01, abs=0.002)


def test_a_longer_batch_begins_with_the_same_mask() -> None:
    assert torch.equal(masks(site(), 1000)[:333], masks(site(), 333))


def test_a_second_pass_within_a_step_gets_a_mask_of_its_own() -> None:
    drawing = site()
    first, second = masks(drawing), masks(drawing)
    drawing.clock.step = 1
    masks(drawing)
    drawing.clock.step = 0

    assert not torch.equal(first, second)
    assert torch.equal(masks(drawing), first)


def test_adding_a_residual_uses_the_same_mask() -> None:
    x, residual = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0))

    # One rounding less.
    torch.testing.assert_close(site().add(x, residual), site()(x) + residual, rtol=1e-6, atol=1e-6)


def test_gradients_pass_where_values_pass() -> None:
    x = torch.ones(1000, requires_grad=True)
    site()(x).sum().backward()

    assert x.grad is not None and torch.equal(x.grad, masks(site()))


@pytest.mark.parametrize("how", ["eval", "silenced", "rate 0"])
def test_inactive_it_returns_what_it_got(how: str) -> None:
    drawing = site(rate=0.0 if how == "rate 0" else 0.1)
    drawing.silenced = how == "silenced"
    drawing.train(how != "eval")
    x = torch.ones(10)

    assert not drawing.active and drawing(x) is x


@pytest.mark.parametrize("kind", KINDS)
def test_every_dropout_of_the_encoder_is_one_of_ours(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    model = classifier_of(checkpoint_of(kind))
    names = {"embeddings", "head"}
    names |= {f"layer.{i}.{part}" for i in range(LAYERS) for part in ("attention", "hidden", "output")}
    active = {name for name, drawing in model.dropouts.items() if drawing.active}
    hidden = {f"layer.{i}.hidden" for i in range(LAYERS)}  # DistilBERT has none there

    assert active == (names - hidden if kind == "distilbert" else names)
    left = [m for m in model.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    assert not left


@pytest.mark.parametrize("kind", KINDS)
def test_every_site_drops_at_its_rate_and_reaches_the_logits(
    checkpoint_of: Callable[[str], Path], kind: str
) -> None:
    model = classifier_of(checkpoint_of(kind))
    batch = pack_all(random_split(checkpoint_of(kind), [(4,), (7,), (4,)]))
    everywhere = model(batch)
    for name, drawing in model.dropouts.items():
        assert drawing.dropped == round(0.1 * 65536) or not drawing.active or name == "head"
        fresh = classifier_of(checkpoint_of(kind))
        was_active = fresh.dropouts[name].active
        fresh.dropouts[name].silenced = True
        assert torch.equal(fresh(batch), everywhere) != was_active


def test_silencing_one_site_moves_no_other(bert: Path) -> None:
    batch = pack_all(random_split(bert, [(4,), (7,), (4,)]))

    def drawn(silenced: str) -> dict[str, Tensor]:
        model = classifier_of(bert)
        model.dropouts[silenced].silenced = True
        model(batch)  # sites have been passed, some of them
        model.clock.step = 3
        return {name: masks(drawing) for name, drawing in model.dropouts.items() if name != silenced}

    with_hidden_off, all_on = drawn("layer.1.hidden"), drawn("head")
    shared = with_hidden_off.keys() & all_on.keys()

    assert len(shared) == 2 + 3 * LAYERS - 2
    assert all(torch.equal(with_hidden_off[name], all_on[name]) for name in shared)


def test_dropout_leaves_torchs_generator_alone(bert: Path) -> None:
    before = torch.get_rng_state()
    classifier_of(bert)(pack_all(random_split(bert, [(4,), (7,)])))

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("lengths", [[3, 3, 5], [1, 2, 2, 4], [4]], ids=str)
def test_attentions_backward_is_the_derivative_of_its_forward(lengths: list[int], masked: bool) -> None:
    heads, width = 2, 6
    groups = group_by_length(np.array(lengths))
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * width, dtype=torch.float64, generator=generator, requires_grad=True)
    count = sum(group.weights(heads) for group in groups)
    mask = (torch.rand(count, generator=generator) > 0.3).double() / 0.7 if masked else None

    def attend(qkv: Tensor) -> Tensor:
        out: Tensor = PackedAttention.apply(qkv, heads, groups, mask)  # type: ignore[no-untyped-call]
        return out

    assert torch.autograd.gradcheck(attend, (qkv,))


def test_attention_equals_the_textbook_formula_with_dropped_weights() -> None:
    heads, width, lengths = 2, 6, [2, 3, 3]
    groups = group_by_length(np.array(lengths))
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * width, dtype=torch.float64, generator=generator)
    mask = torch.rand(sum(group.weights(heads) for group in groups), generator=generator).double()
    ours: Tensor = PackedAttention.apply(qkv, heads, groups, mask)  # type: ignore[no-untyped-call]

    start = used = 0
    for length in lengths:
        q, k, v = qkv[start : start + length].view(length, 3, heads, width // heads).permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / (width // heads) ** 0.5, -1)
        factors = mask[used : used + heads * length * length].view(heads, length, length)
        expected = (weights * factors @ v).permute(1, 0, 2).reshape(length, width)
        torch.testing.assert_close(ours[start : start + length], expected, rtol=1e-12, atol=1e-12)
        start, used = start + length, used + heads * length * length
