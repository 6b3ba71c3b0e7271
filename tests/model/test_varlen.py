"""Attention over packed texts of any length, against plain softmax text by text, in float64."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from torch import Tensor

from finegrid.model.kernels import attention, blocks
from finegrid.model.kernels import layout as layouts
from finegrid.model.kernels.layout import Dropped, Layout, cut, lay_out
from finegrid.model.kernels.sight import Sight
from finegrid.model.kernels.varlen import attend_varlen

WIDTH = 8
Three = tuple[Tensor, Tensor, Tensor]
LENGTHS = {
    "short": [1, 2, 7, 16, 33],
    "long": [129, 150, 257],
    "mixed": [1, 5, 40, 128, 129, 200, 520, 700],
    "one token": [1],
}
SIGHTS = {
    "all": Sight(),
    "causal": Sight(causal=True),
    "window": Sight(window=5),
    "wide window": Sight(window=130),
    "causal window": Sight(causal=True, window=70),
    "only itself": Sight(window=1),
}


@pytest.fixture(autouse=True)
def few_weights_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than 128 tokens attends block by block, also of these few heads."""
    monkeypatch.setattr(layouts, "WEIGHTS_BY_GROUP", 0)


def layout_of(lengths: list[int], heads: int, known: bool = True, runs: int = 1) -> Layout:
    tokens = sum(lengths) + 13
    cuts = cut(np.array(lengths), heads)
    return lay_out(torch.tensor(lengths), cuts, tokens, heads, runs, sum(lengths) if known else None)


def mask(layout: Layout, rate: float = 0.3) -> Dropped:
    generator = torch.Generator().manual_seed(9)
    keep = torch.rand(layout.weights // layout.runs, generator=generator) > rate
    return Dropped(keep.to(torch.uint8), 1 / (1 - rate))


def inputs(tokens: int, heads: int, key_heads: int, dtype: torch.dtype = torch.float64) -> Three:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(tokens, count, WIDTH, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for count in (heads, key_heads, key_heads)
    )
    return q, k, v


def by_text(q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight) -> Tensor:
    """The same, a text after the other."""
    repeats = q.shape[1] // k.shape[1]
    k, v = (states.repeat_interleave(repeats, 1) for states in (k, v))
    out = torch.zeros_like(q)
    for group in layout.groups:
        here = layout.texts_of(group)
        keep = None
        if dropped is not None:
            square = (here.stop - here.start, layout.heads, group.length, group.length)
            keep = dropped.keep[group.weights].view(square)
        for index, (start, length) in enumerate(
            zip(layout.starts[here].tolist(), layout.lengths[here].tolist(), strict=True)
        ):
            own = slice(start, start + length)
            scores = torch.einsum("ihd,jhd->hij", q[own], k[own]) * sight.scale_for(WIDTH)
            away = torch.arange(length)[:, None] - torch.arange(length)
            if sight.causal:
                scores = scores.masked_fill(away < 0, -torch.inf)
            if sight.window is not None:
                scores = scores.masked_fill(away.abs() >= sight.window, -torch.inf)
            weights = scores.softmax(-1)
            if keep is not None and dropped is not None:
                weights = weights * keep[index, :, :length, :length] * dropped.scale
            out = out.index_put(
                (torch.arange(start, start + length),), torch.einsum("hij,jhd->ihd", weights, v[own])
            )
    return out


CASES = [*product(LENGTHS, SIGHTS, [False, True], [False, True])]


@pytest.mark.parametrize(
    ("lengths", "sight", "masked", "known"),
    rare(CASES, [case for case in CASES if case[2] == case[3]]),
)
def test_it_is_softmax_of_each_text_with_its_gradients(
    lengths: str, sight: str, masked: bool, known: bool
) -> None:
    layout = layout_of(LENGTHS[lengths], 4, known)
    dropped, how = mask(layout) if masked else None, SIGHTS[sight]
    given = inputs(layout.tokens, 4, 2)
    ours = attend_varlen(
        *given, layout, dropped, scale=how.scale_for(WIDTH), causal=how.causal, window=how.window
    )
    theirs = by_text(*given, layout, dropped, how)
    grad = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3), dtype=ours.dtype)

    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    assert (ours[sum(LENGTHS[lengths]) :] == 0).all()
    for one, other in zip(
        torch.autograd.grad(ours, given, grad), torch.autograd.grad(theirs, given, grad), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
        assert (one[sum(LENGTHS[lengths]) :] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sight", ["all", "causal window"])
def test_in_low_precision_it_is_the_same_to_rounding(sight: str, dtype: torch.dtype) -> None:
    layout = layout_of(LENGTHS["mixed"], 4)
    dropped, how = mask(layout), SIGHTS[sight]
    given, exact = inputs(layout.tokens, 4, 4, dtype), inputs(layout.tokens, 4, 4)
    about: dict[str, Any] = {"scale": 0.3, "causal": how.causal, "window": how.window}
    ours = attend_varlen(*given, layout, dropped, **about)
    theirs = attend_varlen(*exact, layout, dropped, **about)
    bound = 1e-5 if dtype == torch.float32 else 2e-2
    grads = torch.autograd.grad(ours.sum(), given), torch.autograd.grad(theirs.sum(), exact)
    for one, other in zip((ours, *grads[0]), (theirs, *grads[1]), strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() <= bound * other.norm()


def test_under_autocast_it_computes_in_the_type_that_is_asked_for() -> None:
    layout = layout_of([3, 150], 2)
    given = inputs(layout.tokens, 2, 2, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = attend_varlen(*given, layout, None, scale=0.3)
    low_given: Three = tuple(one.bfloat16() for one in given)  # type: ignore[assignment]
    low = attend_varlen(*low_given, layout, None, scale=0.3)

    assert ours.dtype == torch.bfloat16 and torch.equal(ours, low)


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of([300, 700], 4)
    dropped, given = mask(layout), inputs(layout.tokens, 4, 4)
    found = []
    for at_once, rows, window_rows in ((1 << 30, 4096, 4096), (1, 96, 32)):
        monkeypatch.setattr(blocks, "AT_ONCE", at_once)
        monkeypatch.setattr(blocks, "ROWS", rows)
        monkeypatch.setattr(blocks, "WINDOW_ROWS", window_rows)
        for window in (None, 40):
            ours = attend_varlen(*given, layout, dropped, scale=0.3, window=window)
            found.append([ours, *torch.autograd.grad(ours.sum(), given)])
    for one, other in zip(found[:2], found[2:], strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
def test_stacked_runs_attend_as_each_alone(masked: bool) -> None:
    lengths, heads, runs = [3, 90, 140, 301], 2, 3
    alone, stacked = layout_of(lengths, heads), layout_of(lengths, heads, runs=runs)
    dropped = mask(alone) if masked else None
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(runs, alone.tokens, 3 * heads * WIDTH, generator=generator, dtype=torch.float64)
    grad = torch.randn(runs, alone.tokens, heads * WIDTH, generator=generator, dtype=torch.float64)
    ours, attended = attention.attend(qkv.flatten(0, 1), stacked, dropped)
    back = attention.attend_backward(grad.flatten(0, 1), attended).view(qkv.shape)
    real = sum(lengths)
    for run in range(runs):
        theirs, of_one = attention.attend(qkv[run], alone, dropped)
        own = ours.view(runs, alone.tokens, -1)[run]
        torch.testing.assert_close(own[:real], theirs[:real], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(
            back[run], attention.attend_backward(grad[run], of_one), rtol=1e-12, atol=1e-14
        )


def test_what_is_kept_of_long_texts_grows_with_their_tokens() -> None:
    """What went in, and nothing of the size of attention weights."""
    layout = layout_of([600], 4)
    qkv = torch.randn(layout.tokens, 3 * 4 * WIDTH)
    _, attended = attention.attend(qkv, layout, None)
    assert attended.by_group is None and attended.long is not None
    assert attended.long[0] is qkv and attended.long[1] is None


def test_texts_up_to_the_longest_by_group_attend_as_if_there_were_no_longer_ones() -> None:
    """To the bit: those of their runs stand in ledgers."""
    heads, lengths = 4, torch.tensor([3, 128, 129])
    short = lay_out(lengths[:2], ((1, 8), (2, 128)), 160, heads, 1, 131)
    both = lay_out(lengths, ((1, 8), (2, 128), (3, 136)), 288, heads, 1, 260)
    dropped, qkv = mask(both), torch.randn(288, 3 * heads * WIDTH)
    alone, of_short = attention.attend(
        qkv[:160], short, Dropped(dropped.keep[: short.weights], dropped.scale)
    )
    beside, of_both = attention.attend(qkv, both, dropped)

    assert of_short.long is None and of_both.long is not None
    assert torch.equal(alone[:131], beside[:131])
    grads = (attention.attend_backward(one, of) for one, of in ((alone, of_short), (beside, of_both)))
    assert torch.equal(*(grad[:131] for grad in grads))


@pytest.mark.parametrize(("heads", "length", "long"), [(12, 208, False), (12, 216, True), (3, 416, False)])
def test_texts_of_few_weights_attend_by_groups(
    monkeypatch: pytest.MonkeyPatch, heads: int, length: int, long: bool
) -> None:
    monkeypatch.undo()
    layout = lay_out(torch.tensor([length]), ((1, length),), length, heads, 1, length)
    assert layout.is_long(layout.groups[0]) is long and (layout.by_group is not None) is long
