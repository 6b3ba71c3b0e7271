"""Dropout masks: exact rates, named streams. Attention's hand-written backward against autograd's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from support.studies import CPU, HEADS, KINDS, LAYERS, classifier_of, pack_all, random_split, save_checkpoint
from torch import Tensor

from finegrid.buckets import group_ends
from finegrid.model.dropout import Clock, Dropout, MaskBook
from finegrid.model.kernels.attention import attend, attend_backward
from finegrid.model.kernels.layout import Dropped, cut, lay_out
from finegrid.model.kernels.plain import add_residual, through_dropout
from finegrid.model.packing.batches import Batch
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
    dropped = site().draw(x.numel(), x.device)

    # One rounding less.
    torch.testing.assert_close(add_residual(residual, x, dropped), site()(x) + residual, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(through_dropout(x, dropped), site()(x), rtol=1e-6, atol=1e-6)


def test_a_family_draws_a_mask_once_and_gets_the_masks_of_running_alone() -> None:
    book = MaskBook()
    runs = [site(), site()]
    for run in runs:
        run.clock.book = book

    first, second = (run.draw(1000, torch.device("cpu")) for run in runs)
    alone = site().draw(1000, torch.device("cpu"))
    assert first is not None and second is not None and alone is not None
    assert first.keep is second.keep and torch.equal(first.keep, alone.keep)

    for run in runs:
        run.clock.step = 1
    assert torch.equal(masks(runs[0]), masks(site(step=1)))
    assert len(book.masks) == 1  # those of step 0 are gone


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


OFTEN = ["bert", "roberta", "electra-narrow", "ernie-tasks", "distilbert"]  # unlike in their modules


@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_every_site_reaches_the_logits(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    model = classifier_of(checkpoint_of(kind))
    batch = pack_all(random_split(checkpoint_of(kind), [(4,), (7,), (4,)]))
    everywhere = model(batch, 0)
    for name in model.dropouts:
        fresh = classifier_of(checkpoint_of(kind))
        was_active = fresh.dropouts[name].active
        fresh.dropouts[name].silenced = True
        assert torch.equal(fresh(batch, 0), everywhere) != was_active


# By the last word of a site's name: where all rates are equal, as they are by default, any may be another's.
RATES = {"embeddings": 0.1, "attention": 0.3, "hidden": 0.1, "output": 0.1, "head": 0.4}


def save_with_rates(folder: Path, kind: str) -> Path:
    """A checkpoint whose config has `RATES`."""
    bert = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    distilbert = ("dropout", "attention_dropout", "seq_classif_dropout")
    names = distilbert if kind == "distilbert" else bert
    rates = (RATES["hidden"], RATES["attention"], RATES["head"])
    changed: dict[str, Any] = dict(zip(names, rates, strict=True))
    return save_checkpoint(folder, kind, **changed)


@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_every_site_drops_at_its_own_rate(tmp_path: Path, kind: str) -> None:
    model = classifier_of(save_with_rates(tmp_path, kind))
    model.clock.turn_to_(0)
    for name, drawing in model.dropouts.items():
        part = name.split(".")[-1]
        rate = 0.0 if (kind, part) == ("distilbert", "hidden") else RATES[part]  # it has none there
        dropped = drawing.draw(2_000_000, CPU)
        share = 0.0 if dropped is None else float((dropped.keep == 0).double().mean())

        assert share == pytest.approx(rate, abs=1e-3), name


def real_elements(site: str, keep: Tensor, batch: Batch) -> Tensor:
    """Of a site's mask, what falls on tokens that belong to a text, and on weights between two of them."""
    if not site.endswith("attention"):
        return keep.view(len(batch.ids), -1)[: batch.real_tokens]
    layout = batch.layout(HEADS)
    real = [(own * (padding == 0)).repeat(1, HEADS, 1, 1).view(-1) for padding, own in layout.masks]
    return keep[torch.cat(real) > 0]


def shares_dropped(folder: Path, batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Of real attention weights and of real tokens' values, over passes through the whole model."""
    kept: dict[str, list[Tensor]] = {"attention": [], "tokens": []}
    draw = Dropout.draw

    def recorded(
        self: Dropout, count: int, device: torch.device, before: int | None = None
    ) -> Dropped | None:
        dropped = draw(self, count, device, before)
        if dropped is not None and self.site != "head":
            part = "attention" if self.site.endswith("attention") else "tokens"
            kept[part].append(real_elements(self.site, dropped.keep, batch).flatten())
        return dropped

    monkeypatch.setattr(Dropout, "draw", recorded)
    model = classifier_of(folder)
    for step, batch in enumerate(batches):
        model(batch, step)
    monkeypatch.setattr(Dropout, "draw", draw)
    return {part: float((torch.cat(all_) == 0).double().mean()) for part, all_ in kept.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_real_weights_and_tokens_drop_alike_however_batches_are_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Batches of a short and a long text, where half of attention is padding, and of texts of one length."""
    folder = save_with_rates(tmp_path, kind)
    lengths = np.tile([4, 60], 128)  # and two special tokens
    split = random_split(folder, [(int(length),) for length in lengths])
    rows = np.arange(len(split)).reshape(-1, 2), np.argsort(lengths, kind="stable").reshape(-1, 32)
    unlike, alike = ([pack_all(split, own) for own in layout] for layout in rows)
    assert padding_of(unlike) > 0.5 and padding_of(alike) < 0.1
    shares = [shares_dropped(folder, 2 * batches, monkeypatch) for batches in (unlike, alike)]

    for share in shares:
        assert share == pytest.approx({"attention": 0.3, "tokens": 0.1}, abs=1e-3)
    assert shares[0] == pytest.approx(shares[1], abs=1e-3)


def padding_of(batches: list[Batch]) -> float:
    """The share of attention weights that are not between two real tokens."""
    real = sum(HEADS * int((batch.lengths**2).sum()) for batch in batches)
    return 1 - real / sum(batch.layout(HEADS).weights for batch in batches)


def test_silencing_one_site_moves_no_other(bert: Path) -> None:
    batch = pack_all(random_split(bert, [(4,), (7,), (4,)]))

    def drawn(silenced: str) -> dict[str, Tensor]:
        model = classifier_of(bert)
        model.dropouts[silenced].silenced = True
        model(batch, 0)  # sites have been passed, some of them
        model.clock.turn_to_(3)
        return {name: masks(drawing) for name, drawing in model.dropouts.items() if name != silenced}

    with_hidden_off, all_on = drawn("layer.1.hidden"), drawn("head")
    shared = with_hidden_off.keys() & all_on.keys()

    assert len(shared) == 2 + 3 * LAYERS - 2
    assert all(torch.equal(with_hidden_off[name], all_on[name]) for name in shared)


def test_dropout_leaves_torchs_generator_alone(bert: Path) -> None:
    before = torch.get_rng_state()
    classifier_of(bert)(pack_all(random_split(bert, [(4,), (7,)])), 0)

    assert torch.equal(torch.get_rng_state(), before)


LENGTHS = [[3, 3, 5], [1, 2, 2, 4], [4], [2, 9, 17], [7, 8, 8, 30]]


def random_qkv(tokens: int, width: int) -> Tensor:
    return torch.randn(
        tokens, 3 * width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()


def textbook(qkv: Tensor, lengths: list[int], heads: int, factors: Callable[[int], Tensor]) -> Tensor:
    """Attention text by text; ``factors(text)`` multiplies its ``[heads, length, length]`` weights."""
    out, start = [], 0
    for text, length in enumerate(lengths):
        q, k, v = qkv[start : start + length].view(length, 3, heads, -1).permute(1, 2, 0, 3)
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)
        out.append((weights * factors(text) @ v).permute(1, 0, 2).reshape(length, -1))
        start += length
    return torch.cat(out)


@pytest.mark.parametrize("known", [True, False], ids=["", "real tokens known to the device alone"])
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_and_its_gradient_equal_the_textbook_formula(
    lengths: list[int], masked: bool, known: bool
) -> None:
    """With texts padded inside groups, and tokens at the end that belong to no text."""
    heads, width, tokens = 2, 6, 64
    cuts = cut(np.array(lengths), heads)
    layout = lay_out(torch.tensor(lengths), cuts, tokens, heads, real_tokens=sum(lengths) if known else None)
    qkv = random_qkv(tokens, width)
    keep = (torch.rand(layout.weights, generator=torch.Generator().manual_seed(1)) > 0.3).to(torch.uint8)
    dropped = Dropped(keep, 1 / 0.7) if masked else None

    def factors(text: int) -> Tensor:
        first = 0
        for group in layout.groups:
            if text < first + group.texts:
                own = keep[group.weights].view(group.texts, heads, group.length, group.length)[text - first]
                return own[:, : lengths[text], : lengths[text]].double() / 0.7 if masked else torch.ones(1)
            first += group.texts
        raise AssertionError("no group has this text")

    expected = textbook(qkv, lengths, heads, factors)
    grad = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (expected_grad,) = torch.autograd.grad(expected, qkv, grad)
    ours, attended = attend(qkv.detach(), layout, dropped)
    filled = torch.zeros_like(ours)
    filled[: len(grad)] = grad
    ours_grad = attend_backward(filled, attended)

    real = sum(lengths)
    torch.testing.assert_close(ours[:real], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours_grad[:real], expected_grad[:real], rtol=1e-11, atol=1e-12)
    assert torch.isfinite(ours).all() and (ours_grad[real:] == 0).all()


@pytest.mark.parametrize("group_cost", [0, 500, 10**9])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_groups_are_the_cheapest_of_all_ways_to_cut(lengths: list[int], group_cost: int) -> None:
    from itertools import combinations

    def cost(ends: tuple[int, ...]) -> int:
        pieces = zip((0, *ends[:-1]), ends, strict=True)
        return sum(group_cost + 2 * (b - a) * (-(-lengths[b - 1] // 8) * 8) ** 2 for a, b in pieces)

    inner = range(1, len(lengths))
    ways = [(*cuts, len(lengths)) for n in range(len(lengths)) for cuts in combinations(inner, n)]

    assert cost(tuple(group_ends(lengths, lambda n: 2 * n**2, group_cost))) == min(map(cost, ways))
