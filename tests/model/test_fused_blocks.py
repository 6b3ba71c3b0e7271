"""Triton's attention of texts of any length against the plain one: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from torch import Tensor

from finegrid.model import dropout
from finegrid.model.dropout import LEVELS, CapturedKeys, Clock, Dropout
from finegrid.model.kernels import attention, plain
from finegrid.model.kernels.layout import Dropped, Layout, cut, lay_out
from finegrid.model.kernels.sight import Sight
from finegrid.model.kernels.varlen import attend_varlen
from finegrid.streams import Streams

pytest.importorskip("triton")
fused = pytest.importorskip("finegrid.model.kernels.fused")
blocks = pytest.importorskip("finegrid.model.kernels.fused_blocks")

HERE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DROPPED = 20_000  # of 65,536
SIGHTS = {
    "all": Sight(),
    "causal": Sight(causal=True),
    "window": Sight(window=9),
    "causal window": Sight(causal=True, window=40),
    "only itself": Sight(window=1),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(HERE)


def layout_of(lengths: list[int], heads: int, runs: int = 1) -> Layout:
    about = cut(np.array(lengths), heads, 300), sum(lengths) + 21, heads, runs, sum(lengths)
    return lay_out(torch.tensor(lengths, device=HERE), *about)


def mask(layout: Layout, key: int | Tensor = 77) -> Dropped:
    """One that a kernel draws by itself, and that is there for the plain operations."""
    drawn = fused.draw_keep(key, DROPPED, layout.weights // layout.runs, HERE)
    return Dropped(drawn, LEVELS / (LEVELS - DROPPED), key, DROPPED - LEVELS // 2)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


GROUPED = [*product([4, 2, 1], SIGHTS, [True, False])]
OFTEN = [(2, "all", True), (4, "window", True), (1, "causal", True), (2, "causal window", False)]


@pytest.mark.parametrize(("key_heads", "sight", "masked"), rare(GROUPED, OFTEN))
def test_grouped_queries_windows_and_causal_masks(key_heads: int, sight: str, masked: bool) -> None:
    """With texts that end inside a block, at its end, and before; heads narrower than a block's columns."""
    lengths = [3, 32, 70]
    layout, how = layout_of(lengths, 4), SIGHTS[sight]
    dropped = mask(layout) if masked else None
    given = [
        random(layout.tokens, heads, 12, seed=heads).requires_grad_() for heads in (4, key_heads, key_heads)
    ]
    ours = fused.attend_varlen(*given, layout, dropped, Sight(0.3, how.causal, how.window))
    about: dict[str, Any] = {"scale": 0.3, "causal": how.causal, "window": how.window}
    q, k, v = (one.detach().double().cpu().requires_grad_() for one in given)
    there = None if dropped is None else Dropped(dropped.keep.cpu(), dropped.scale)
    theirs = attend_varlen(q, k, v, lay_out_on_cpu(layout), there, **about)
    grad = random(*ours.shape, seed=5)

    close(ours, theirs.float().to(HERE))
    assert (ours[sum(lengths) :] == 0).all()
    pairs = (
        torch.autograd.grad(ours, given, grad),
        torch.autograd.grad(theirs, (q, k, v), grad.double().cpu()),
    )
    for one, other in zip(*pairs, strict=True):
        close(one, other.float().to(HERE))
        assert (one[sum(lengths) :] == 0).all()


def lay_out_on_cpu(layout: Layout) -> Layout:
    cuts = tuple((layout.texts_of(group).stop, group.length) for group in layout.groups)
    about = cuts, layout.tokens, layout.heads, layout.runs, layout.real_tokens
    return lay_out(layout.lengths.cpu(), *about)


@pytest.mark.parametrize(("runs", "masked"), rare(product([1, 2], [False, True]), [(2, True), (1, False)]))
def test_a_layer_s_attention_with_texts_too_long_for_one_program(runs: int, masked: bool) -> None:
    """Of stacked runs, with a bias, packed queries, keys and values, against the plain operations."""
    lengths, heads, width = [5, 66, 70], 2, 16
    layout = layout_of(lengths, heads, runs)
    qkv, bias = random(runs, layout.tokens, 3 * heads * width), random(runs, 3 * heads * width, seed=1)
    dropped = mask(layout) if masked else None
    ours, attended = fused.attend(qkv, bias, layout, dropped)
    theirs, plainly = plain.attend(qkv + bias[:, None], None, layout, dropped)
    grad = random(*ours.shape, seed=2)
    grad[:, sum(lengths) :] = 0
    ours_grad, theirs_grad = fused.attend_backward(grad, attended), plain.attend_backward(grad, plainly)

    assert isinstance(attended, blocks.BlockAttended) and isinstance(plainly, attention.Attended)
    close(ours[:, : sum(lengths)], theirs[:, : sum(lengths)])
    close(ours_grad, theirs_grad)
    assert (ours[:, sum(lengths) :] == 0).all() and (ours_grad[:, sum(lengths) :] == 0).all()


def test_lengths_that_only_the_device_knows_and_keys_in_tensors() -> None:
    """As in captured steps: a group may be longer than its texts."""
    heads, width = 2, 16
    lengths = torch.tensor([4, 67], device=HERE)
    layout = lay_out(lengths, ((1, 40), (2, 136)), 96, heads)
    dropped = mask(layout, torch.tensor([5, 77], device=HERE)[1])
    qkv, bias = random(96, 3 * heads * width), random(3 * heads * width, seed=1)
    ours, attended = fused.attend(qkv, bias, layout, dropped)
    theirs, plainly = plain.attend(qkv + bias, None, layout, dropped)
    grad = random(*ours.shape, seed=2)

    close(ours[:71], theirs[:71])
    close(fused.attend_backward(grad, attended), plain.attend_backward(grad, plainly))


def test_what_is_kept_grows_with_tokens_alone() -> None:
    layout = layout_of([70, 90], 2)
    qkv, bias = random(layout.tokens, 96), random(96, seed=1)
    drawn: list[int] = []
    later = Dropped(lambda: drawn.append(1) or fused.draw_keep(7, DROPPED, 9, HERE), 1.5, 7, -9)  # type: ignore[func-returns-value]
    out, attended = fused.attend(qkv, bias, layout, later)
    fused.attend_backward(torch.ones_like(out), attended)

    assert attended.levels.shape == (layout.tokens, 2) and attended.parts.q.data_ptr() == qkv.data_ptr()
    assert not drawn


def test_a_mask_without_a_key_goes_to_the_plain_operations() -> None:
    layout = layout_of([70], 2)
    given = mask(layout)
    out, attended = fused.attend(
        random(layout.tokens, 96), random(96, seed=1), layout, Dropped(given.keep, given.scale)
    )
    assert isinstance(attended, attention.Attended) and torch.isfinite(out).all()


@pytest.mark.parametrize(
    ("kib", "width", "size", "fit"),
    [
        *((227, 64, 2, True), (64, 64, 2, True), (48, 64, 2, False), (99, 128, 2, True), (64, 128, 2, False)),
        *((64, 64, 4, True), (227, 300, 2, False)),
    ],
)
def test_blocks_need_room(kib: int, width: int, size: int, fit: bool) -> None:
    """227 KiB as an H200, 99 as most GPUs of desktops, 64 as a T4."""
    states = torch.empty(1, 1, width, dtype={2: torch.bfloat16, 4: torch.float32}[size])
    assert blocks.fits(blocks.Parts(states, states, states), None, kib * 1024) is fit


def site_with(monkeypatch: pytest.MonkeyPatch, step: int | CapturedKeys) -> Dropout:
    """A site whose masks a kernel can draw."""
    monkeypatch.setattr(dropout, "kernels", lambda device: fused)
    clock = Clock(Streams(3))
    clock.turn_to_(step)
    return Dropout("layer.0.attention", 0.3, clock).train()


@pytest.mark.parametrize("captured", [False, True])
def test_where_kernels_draw_masks_they_are_drawn_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, captured: bool
) -> None:
    """By the key that a kernel may use instead: in a captured step, the tensor that holds it."""
    key = torch.tensor(Streams(3).key("dropout/4/layer.0.attention"), device=HERE)
    step = CapturedKeys(4, {"layer.0.attention": key}) if captured else 4
    later = site_with(monkeypatch, step).draw(1001, HERE)

    assert later is not None and not isinstance(later.drawn, Tensor)
    assert later.key is key if captured else torch.equal(later.key_on(HERE), key)
    if captured or HERE.type == "cuda":  # a CPU draws by another generator where no keys are given
        expected = fused.draw_keep(key, later.lowest + LEVELS // 2, 1001, HERE)
        assert torch.equal(later.keep, expected)
    assert later.keep is later.keep


def test_on_a_cpu_masks_are_drawn_at_once() -> None:
    clock = Clock(Streams(3), step=0)
    drawn = Dropout("layer.0.attention", 0.3, clock).train().draw(9, torch.device("cpu"))
    assert drawn is not None and isinstance(drawn.drawn, Tensor) and drawn.key is None


def test_a_portion_of_a_batch_draws_the_batch_s_bits() -> None:
    """Its weights begin where those of the texts before it end."""
    heads, width = 2, 16
    whole = layout_of([70, 72, 80], heads)
    dropped = mask(whole)
    before = whole.groups[0].texts * heads * whole.groups[0].length ** 2
    cuts = ((1, whole.groups[1].length),) if whole.groups[0].texts == 2 else ()
    assert cuts  # two texts are in the first group, and the third is by itself
    part = lay_out(torch.tensor([80], device=HERE), cuts, 96, heads, 1, 80, before)
    keyed = Dropped(dropped.keep[before:], dropped.scale, dropped.key, dropped.lowest)
    given = [random(96, heads, width, seed=seed) for seed in range(3)]
    ours = fused.attend_varlen(*given, part, keyed, Sight(0.3))
    plainly = lay_out(torch.tensor([80]), cuts, 96, heads, 1, 80)
    q, k, v = (states.cpu() for states in given)
    theirs = attend_varlen(q, k, v, plainly, Dropped(keyed.keep.cpu(), keyed.scale), scale=0.3)

    close(ours, theirs.to(HERE))
