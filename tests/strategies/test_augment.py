"""Augmentation of texts: which tokens are changed, and how, is a matter of a text, its epoch and the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.hosted import save_hosted
from support.levels import on
from support.stacks import (
    assert_runs_alike,
    batches,
    kill_and_resume,
    runs_of,
    step_captured,
    step_stacked,
)
from support.studies import assert_same_run, open_study, recipe_of, train, write_study

from finegrid.data import tokens
from finegrid.data.extra import take_rows
from finegrid.data.tokens import Template, TokenisedSplit
from finegrid.errors import InputError
from finegrid.model.packing.batches import Batch, pack
from finegrid.strategies.augment import Augment, Kind
from finegrid.streams import Streams
from finegrid.training.captured import CapturedSteps, can_capture
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import share_prefix
from finegrid.training.run import Run

CPU = torch.device("cpu")
KINDS: tuple[Kind, ...] = ("mask", "delete", "swap", "cutoff-token", "cutoff-span")
MASK = 4
SILENT = {"dropout__hidden": 0.0, "dropout__attention": 0.0, "dropout__head": 0.0}


def texts_of(*lengths: int, parts: int = 1) -> TokenisedSplit:
    """Texts whose tokens all differ: from 100 on."""
    bounds = np.cumsum([0, *lengths]).astype(np.int64)
    count = len(lengths) // parts
    tokens = np.arange(100, 100 + bounds[-1], dtype=np.int32)
    ids = np.arange(1, 1 + count)
    return TokenisedSplit(tokens, bounds, parts, np.zeros(count, np.int64), ids, Template((), MASK))


def rewritten(
    kind: Kind, rate: float, texts: TokenisedSplit, epoch: int = 0, seed: int = 0
) -> TokenisedSplit:
    return Augment(kind, rate).rewrite(texts, epoch, Streams(seed))


def split_parts(texts: TokenisedSplit) -> list[NDArray[np.int32]]:
    return np.split(texts.tokens, texts.bounds[1:-1])


MANY = texts_of(*[20] * 500)


def pairs_of(kind: Kind, rate: float) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    yield from zip(split_parts(MANY), split_parts(rewritten(kind, rate, MANY)), strict=True)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_masking_hides_each_token_with_its_probability(rate: float) -> None:
    changed = rewritten("mask", rate, MANY)
    hidden = changed.tokens == MASK

    assert np.array_equal(changed.bounds, MANY.bounds)
    assert np.array_equal(changed.tokens[~hidden], MANY.tokens[~hidden])
    assert abs(hidden.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / hidden.size)


@pytest.mark.parametrize("rate", [0.1, 0.9])
def test_deleting_keeps_the_order_and_at_least_one(rate: float) -> None:
    kept = 0
    for text, shorter in pairs_of("delete", rate):
        assert 1 <= len(shorter) <= len(text) and np.isin(shorter, text).all()
        assert (np.diff(shorter) > 0).all()
        kept += len(shorter)

    assert abs(kept / len(MANY.tokens) - (1 - rate)) < 0.02


def test_the_token_that_stays_is_any_of_them() -> None:
    short = texts_of(*[2] * 400)
    stayed = [int(part[0] % 2) for part in split_parts(rewritten("delete", 0.9, short)) if len(part) == 1]

    assert len(stayed) > 300 and 0.4 < np.mean(stayed) < 0.6


@pytest.mark.parametrize("rate", [0.1, 0.9])
def test_swapping_exchanges_pairs_so_many_times_on_average(rate: float) -> None:
    """The parity of a permutation is that of its exchanges; of one exchange, two tokens move."""
    moved = []
    for text, other in pairs_of("swap", rate):
        assert sorted(other) == sorted(text)
        moved.append(int((other != text).sum()))

    if rate == 0.1:  # two exchanges of twenty tokens: the second shares a token in 36 cases of 190, both in 1
        assert np.mean(moved) == pytest.approx((4 * 153 + 3 * 36) / 190, abs=0.08) and max(moved) == 4
    else:
        assert np.mean(moved) > 14


def test_a_tokens_word_is_cut_off_and_its_place_stays() -> None:
    changed = rewritten("cutoff-token", 0.3, MANY)
    cut = changed.tokens < 0

    assert np.array_equal(np.where(cut, ~changed.tokens, changed.tokens), MANY.tokens)
    assert abs(cut.mean() - 0.3) < 0.02
    assert np.array_equal(cut, rewritten("mask", 0.3, MANY).tokens == MASK)  # the very same are drawn


@pytest.mark.parametrize("rate", [0.12, 0.9])
def test_a_span_is_of_neighbours_anywhere_in_the_text(rate: float) -> None:
    lengths, begins = [], []
    for _, other in pairs_of("cutoff-span", rate):
        (places,) = np.nonzero(other < 0)
        assert (np.diff(places) == 1).all()
        lengths.append(len(places))
        begins.append(int(places[0]))

    assert abs(np.mean(lengths) - rate * 20) < 0.1 and max(lengths) - min(lengths) <= 1
    assert {*begins} == {*range(20 - min(lengths) + 1)}


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_those_of_the_text_whatever_else_is_in_the_batch(kind: Kind) -> None:
    whole = split_parts(rewritten(kind, 0.4, MANY))
    rows = np.array([3, 77, 120, 499])
    some = split_parts(rewritten(kind, 0.4, take_rows(MANY, rows)))

    for row, own in zip(rows, some, strict=True):
        assert np.array_equal(own, whole[row])


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_and_seeds_draw_anew(kind: Kind) -> None:
    each = [
        rewritten(kind, 0.4, MANY, epoch, seed).tokens.tobytes() for epoch, seed in ((0, 0), (1, 0), (0, 1))
    ]

    assert len({*each}) == 3 and each[0] == rewritten(kind, 0.4, MANY).tokens.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_rate_draws_the_same_and_more(kind: Kind) -> None:
    if kind in ("swap", "cutoff-span"):
        return
    few, many = (rewritten(kind, rate, MANY) for rate in (0.1, 0.4))
    if kind == "delete":
        assert np.isin(many.tokens, few.tokens).all()
    else:
        changed = few.tokens != MANY.tokens
        assert changed.any() and np.array_equal(many.tokens[changed], few.tokens[changed])


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_of_a_pair_is_changed_by_itself(kind: Kind) -> None:
    pairs = texts_of(*[6, 9] * 300, parts=2)
    changed = rewritten(kind, 0.5, pairs)
    before, after = split_parts(pairs), split_parts(changed)

    assert len(after) == 600 and changed.parts == 2 and len(changed) == 300
    differ = []
    for text, other in zip(before, after, strict=True):
        own = np.where(other < 0, ~other, other)
        assert np.isin(own[own != MASK], text).all()
        differ.append(not np.array_equal(text, other))
    assert min(np.mean(differ[::2]), np.mean(differ[1::2])) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_one_token_or_none_are_no_trouble(kind: Kind) -> None:
    short = texts_of(1, 0, 1, 2)
    for epoch in range(20):
        lengths = np.diff(rewritten(kind, 0.9, short, epoch).bounds)
        assert lengths[[0, 1, 2]].tolist() == [1, 0, 1] and lengths[3] in (1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_stay(loaded: LoadedStudy, kind: Kind) -> None:
    """Of what a model reads; and every batch has its texts, in the order of the baseline."""
    recipe = recipe_of(loaded)
    plain = batches(loaded, recipe)
    changed = batches(loaded, recipe.at({"augment.kind": kind, "augment.rate": 0.5}))
    read = 0
    for batch, other in zip(plain, changed, strict=True):
        assert sorted(other.rows) == sorted(batch.rows)
        for start, length in zip(other.starts.tolist(), other.lengths, strict=True):
            ids = other.ids[start : start + length].tolist()
            assert ids[0] == 2 and ids[-1] == 3 and not {0, 2, 3} & {*ids[1:-1]}
        if other.visible is not None:
            ends = torch.cat([other.starts, other.starts + other.counts - 1])
            assert other.visible[ends].all() and not other.visible[: other.real_tokens].all()
        read += int((other.ids == MASK).sum())
    assert (read > 0) == (kind == "mask")


def first_batch(loaded: LoadedStudy, kind: Kind) -> Batch:
    return batches(loaded, recipe_of(loaded, augment__kind=kind, augment__rate=0.4))[0]


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_a_word_that_is_cut_off_is_read_as_zeros(tmp_path: Path, bert: Path, family: str) -> None:
    """As a table of words would give them in which this word is 0: hand-written, padded and packed alike."""
    model = bert if family == "bert" else save_hosted(tmp_path / "model", family)
    loaded = open_study(write_study(tmp_path / "study", model))
    loaded.every_row = True
    run = Run(loaded, "run", recipe_of(loaded, **SILENT), 0)
    batch = first_batch(loaded, "cutoff-token")
    assert batch.visible is not None
    table = run.model.parts.embedding_table
    unused = next(number for number in range(len(table.weight)) if number not in batch.ids)
    with torch.no_grad():
        table.weight[unused] = 0.0
    ids = torch.where(batch.visible, batch.ids, unused)
    by_hand = replace(batch, ids=ids, visible=None)

    torch.testing.assert_close(run.model(batch, 0), run.model(by_hand, 0))
    assert not torch.allclose(run.model(batch, 0), run.model(replace(batch, visible=None), 0))


@pytest.mark.parametrize("kind", ["cutoff-token", "delete"])
def test_portions_stacks_and_captured_steps_read_the_same(loaded: LoadedStudy, kind: Kind) -> None:
    levels = {"augment__kind": kind, "augment__rate": 0.4}
    recipes = [recipe_of(loaded, **levels), recipe_of(loaded, **levels, schedule__warmup_ratio=0.3)]
    whole, cut_up = (
        Run(loaded, "run", recipes[0].at({"training.micro_batch": texts}), 0) for texts in (0, 3)
    )
    batch = batches(loaded, recipes[0])[0]

    assert cut_up.backward(batch, 0) == pytest.approx(whole.backward(batch, 0), rel=1e-6)
    assert_runs_alike(*step_stacked(loaded, recipes), 1e-5, 1e-9)
    assert can_capture(runs_of(loaded, recipes), 2)
    assert_runs_alike(*step_captured(loaded, recipes), 1e-3, 1e-9)


def test_planned_shapes_have_room_for_what_is_left_of_texts(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, augment__kind="delete", augment__rate=0.5)
    walk = CapturedSteps(loaded, runs_of(loaded, [recipe]))

    for epoch in range(recipe.training.epochs):
        for batch in walk.batches(epoch):
            assert walk.step_of(batch).shape.tokens >= batch.real_tokens


def test_what_frozen_layers_make_of_a_text_is_not_kept(loaded: LoadedStudy) -> None:
    """But a family that reads the same texts computes it once."""
    frozen = recipe_of(loaded, freeze__layers=2, freeze__dropout=False)
    recipe = frozen.at({"augment.rate": 0.4})
    run, again, plain = (Run(loaded, "run", one, 0) for one in (recipe, recipe, frozen))
    batch = batches(loaded, recipe)[0]
    shared, _ = share_prefix([run], batch, 0, frozen_prefix(run))

    assert frozen_prefix(plain) is not None and frozen_prefix(run) is None and shared.prefix is not None
    assert run.backward(shared, 0) == again.backward(batch, 0)


def test_a_family_reads_one_and_the_same_texts(loaded: LoadedStudy) -> None:
    """Runs whose texts are changed otherwise have batches of their own."""
    plain = recipe_of(loaded)
    each = [plain.at({"augment.kind": kind, "augment.rate": 0.1}) for kind in KINDS]

    assert (
        len({str(recipe.priced_levels()) for recipe in [plain, *each, each[0].at({"augment.rate": 0.2})]})
        == 7
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_resumes_to_the_same_bits(loaded: LoadedStudy, kind: Kind, tmp_path: Path) -> None:
    recipe = recipe_of(loaded, augment__kind=kind, augment__rate=0.3)

    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), train(loaded, recipe)[0])


def test_pairs_train(tmp_path: Path, bert: Path) -> None:
    pairs = open_study(write_study(tmp_path, bert, pairs=True))
    for kind in KINDS:
        recipe = pairs.study.baseline.at({"augment.kind": kind, "augment.rate": 0.4, "training.epochs": 1})
        (run,) = train(pairs, recipe)
        assert run.progress.status == "done", run.progress.reason


def test_a_tokenizer_without_a_mask_is_refused(
    loaded: LoadedStudy, tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not on(loaded, "augment.kind").augment.find_lacking(None)
    (problem,) = Augment("mask", 0.1).find_lacking(None)
    assert "no token that hides another one ([MASK] or <mask>)" in problem.what
    assert not Augment("mask", 0.1).find_lacking(MASK) and not Augment("mask").find_lacking(None)

    folder = write_study(tmp_path, bert, '[factors]\n"augment.rate" = [0.0, 0.1]')
    assert open_study(folder).tokens.train.template.mask == MASK
    monkeypatch.setattr(tokens, "MASKS", ("<gmask>",))
    with pytest.raises(InputError, match=r"augment\.kind.*Take another kind"):
        open_study(folder)


@pytest.mark.parametrize(("factor", "level"), [("rate", -0.1), ("rate", 0.95), ("kind", "insert")])
def test_bad_levels_are_refused(loaded: LoadedStudy, factor: str, level: float | str) -> None:
    with pytest.raises(InputError, match=rf"augment\.{factor}"):
        recipe_of(loaded, **{f"augment__{factor}": level})


def test_without_a_rate_the_very_texts_are_read(loaded: LoadedStudy) -> None:
    texts = loaded.tokens.train

    assert Augment("delete").rewrite(texts, 0, Streams(0)) is texts and not Augment("delete").acts
    recipe = recipe_of(loaded)
    rows = next(loaded.training_rows(recipe, 0, 0))
    packed = pack(texts, rows, recipe.model.max_length, CPU)
    assert (
        torch.equal(loaded.pack_training(rows, recipe, 0, 0, CPU).ids, packed.ids) and packed.visible is None
    )
