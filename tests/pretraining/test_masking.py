"""Which tokens are hidden: how many, in which units, and that a batch does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from support.pretrain_samples import VOCABULARY, epoch_of, random_examples
from support.studies import CPU, HEADS

from finegrid.pretraining.batches import MaskedBatch, make_masked_batches
from finegrid.pretraining.examples import Examples
from finegrid.pretraining.pairs import PairedEpoch
from finegrid.pretraining.settings import MASKINGS


def packed(
    examples: Examples, epoch: PairedEpoch, batch: int = 0, share: float = 0.15, masking: str = "pieces"
) -> list[MaskedBatch]:
    return make_masked_batches(
        examples.tokens,
        epoch,
        epoch.batch(batch),
        share=share,
        masking=masking,
        vocabulary=VOCABULARY,
        heads=HEADS,
        device=CPU,
        shard_tokens=150,
    )


def sequences(shards: list[MaskedBatch], epoch: PairedEpoch) -> dict[int, tuple[object, ...]]:
    """What is shown of each sequence, by its key."""
    found: dict[int, tuple[object, ...]] = {}
    for shard in shards:
        batch = shard.batch
        for row, start, length in zip(
            batch.rows.tolist(), batch.starts.tolist(), batch.lengths.tolist(), strict=True
        ):
            places = shard.places[: shard.hidden]
            own = (places >= start) & (places < start + length)
            ids = tuple(batch.ids[start : start + length].tolist())
            places_here, targets = places[own] - start, shard.targets[: shard.hidden][own]
            found[int(epoch.keys[row])] = (ids, tuple(places_here.tolist()), tuple(targets.tolist()))
    return found


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_promised_share_is_hidden(masking: str, share: float) -> None:
    examples = random_examples(documents=1000)
    epoch = epoch_of(examples, batch_tokens=2**40)
    shards = packed(examples, epoch, share=share, masking=masking)
    hidden = sum(shard.hidden for shard in shards)
    special = len(epoch.labels) * 2 + int((epoch.labels >= 0).sum())
    tokens = int(epoch.lengths.sum()) - special

    # Each sequence rounds by itself: less than one unit of some two tokens either way.
    assert hidden / tokens == pytest.approx(share, abs=4 * 1.5 * len(epoch.labels) ** 0.5 / tokens)


def test_eight_of_ten_are_hidden_behind_the_mask_and_one_keeps_its_face() -> None:
    examples = random_examples(documents=3000)
    shards = packed(examples, epoch_of(examples, batch_tokens=2**40))
    shown = np.concatenate([s.batch.ids[s.places[: s.hidden]].numpy() for s in shards])
    true = np.concatenate([s.targets[: s.hidden].numpy() for s in shards])

    assert (shown == VOCABULARY.mask).mean() == pytest.approx(0.8, abs=0.02)
    assert (shown == true).mean() == pytest.approx(0.1 + 0.1 / len(VOCABULARY.regular), abs=0.015)
    assert set(shown) <= {VOCABULARY.mask, *VOCABULARY.regular}


@pytest.mark.parametrize("masking", MASKINGS)
def test_what_is_shown_of_a_text_does_not_depend_on_its_batch(masking: str) -> None:
    examples = random_examples()
    small, large = (epoch_of(examples, batch_tokens) for batch_tokens in (100, 100_000))
    apart: dict[int, tuple[object, ...]] = {}
    for batch in range(small.batches):
        apart |= sequences(packed(examples, small, batch, masking=masking), small)

    assert small.batches > 5 and large.batches == 1
    assert apart == sequences(packed(examples, large, masking=masking), large)


def test_another_epoch_hides_other_tokens() -> None:
    examples = random_examples()
    first, second = (epoch_of(examples, 2**40, name=name) for name in "01")

    assert sequences(packed(examples, first), first) != sequences(packed(examples, second), second)


def test_words_are_hidden_whole() -> None:
    examples = random_examples(documents=300)
    shards = packed(examples, epoch_of(examples, 2**40, pair_share=0.0), share=0.3, masking="words")
    hidden_parts = 0
    for shard in shards:
        ids = shard.batch.ids.clone()
        ids[shard.places[: shard.hidden]] = shard.targets[: shard.hidden]
        hidden = set(shard.places[: shard.hidden].tolist())
        for place, number in enumerate(ids.tolist()[1:], start=1):
            special = ids[place - 1] in (VOCABULARY.cls, VOCABULARY.sep)
            if VOCABULARY.continues[number] and not special:
                assert (place in hidden) == (place - 1 in hidden)
                hidden_parts += place in hidden

    assert hidden_parts > 20


def test_spans_hide_neighbours_together() -> None:
    examples = random_examples(documents=500)
    neighbours = {}
    for masking in ("pieces", "spans"):
        shards = packed(examples, epoch_of(examples, 2**40), masking=masking)
        places = np.concatenate([shard.places[: shard.hidden].numpy() for shard in shards])
        neighbours[masking] = (np.diff(places) == 1).mean()

    assert neighbours["spans"] > neighbours["pieces"] + 0.25


def test_where_texts_lie_is_known_before_threads_ask() -> None:
    """In Python 3.11 they would wait for each other: it locks a cached property for all objects at once."""
    examples = random_examples(documents=30)
    shards = packed(examples, epoch_of(examples, 2**40))

    assert len(shards) > 1
    assert all({"indices", "masks"} <= vars(shard.batch.layout(HEADS)).keys() for shard in shards)
