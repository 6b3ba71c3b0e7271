"""Loss and gradients against transformers' own model, padded, in float64."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from support.pretrain_samples import VOCABULARY, epoch_of, random_examples
from support.studies import CPU, HEADS, config_of

from finegrid.pretraining.batches import MaskedBatch, make_masked_batches
from finegrid.pretraining.heads import Pretrainer
from finegrid.pretraining.shards import Threads
from finegrid.streams import Streams


def shards_of(shard_tokens: int) -> list[MaskedBatch]:
    examples = random_examples()
    return make_masked_batches(
        examples.tokens,
        epoch_of(examples, batch_tokens=400),
        slice(0, 20),
        share=0.2,
        masking="words",
        vocabulary=VOCABULARY,
        heads=HEADS,
        device=CPU,
        shard_tokens=shard_tokens,
    )


def model_of() -> Any:
    from transformers import BertForPreTraining

    torch.manual_seed(1)
    return BertForPreTraining(config_of("bert")).double()


def padded(shards: list[MaskedBatch]) -> dict[str, torch.Tensor]:
    """The shards as transformers wants them: one row a sequence, padded to the longest."""
    lengths = np.concatenate([shard.batch.lengths for shard in shards])
    shape = (len(lengths), int(lengths.max()))
    found = {
        name: torch.zeros(shape, dtype=torch.long)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    found["labels"] = torch.full(shape, -100)
    pairs = []
    row = 0
    for shard in shards:
        labels = torch.full((len(shard.batch.ids),), -100)
        labels[shard.places[: shard.hidden]] = shard.targets[: shard.hidden]
        for start, length in zip(shard.batch.starts.tolist(), shard.batch.lengths.tolist(), strict=True):
            own = slice(start, start + length)
            found["input_ids"][row, :length] = shard.batch.ids[own]
            found["token_type_ids"][row, :length] = shard.batch.types[own]
            found["attention_mask"][row, :length] = 1
            found["labels"][row, :length] = labels[own]
            row += 1
        pairs.append(shard.batch.labels)
    pair = torch.cat(pairs)
    found["next_sentence_label"] = torch.where(pair < 0, -100, pair)
    return found


@pytest.mark.parametrize("shard_tokens", [10_000, 120])
def test_loss_and_gradients_are_those_of_transformers(shard_tokens: int) -> None:
    shards, theirs, ours = shards_of(shard_tokens), model_of().eval(), model_of()
    told = theirs(**padded(shards))
    told.loss.backward()

    model = Pretrainer(ours, Streams(0), torch.float64).train()
    with Threads(2) as threads:
        sums = threads.gradients_(model, shards, 0)

    assert len(shards) > 1 or shard_tokens == 10_000
    assert sums.nats / sums.hidden + sums.pair_nats / sums.pairs == pytest.approx(told.loss.item(), rel=1e-12)
    for (name, a), (_, b) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        assert torch.allclose(a.grad, b.grad, rtol=1e-9, atol=1e-12), name


def test_gradients_are_the_same_bits_on_any_number_of_threads() -> None:
    found = []
    for count in (1, 3):
        model = Pretrainer(model_of().float(), Streams(0), torch.bfloat16).train()
        with Threads(count) as threads:
            threads.gradients_(model, shards_of(120), 0)
        found.append([p.grad for p in model.parameters()])

    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True) if a is not None and b is not None)


def gradients_with_dropout(threads: int, second_first: bool) -> list[torch.Tensor | None]:
    """Of two shards and more, in order or with the first waiting for the second."""
    model = Pretrainer(model_of().float(), Streams(0), torch.float32, dropout=True).train()
    shards, second, forward = shards_of(200), threading.Event(), model.forward

    def call(shard: MaskedBatch, copies: Any, step: int) -> Any:
        if second_first and shard is shards[0]:
            assert second.wait(timeout=30)
        outcome = forward(shard, copies, step)
        if shard is shards[1]:
            second.set()
        return outcome

    model.forward = call  # type: ignore[method-assign, assignment]
    with Threads(threads) as pool:
        pool.gradients_(model, shards, 0)
    return [p.grad for p in model.parameters()]


def test_masks_of_a_shard_do_not_depend_on_which_thread_comes_first() -> None:
    both = gradients_with_dropout(1, False), gradients_with_dropout(2, True)

    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True) if a is not None and b is not None)


def test_dropout_is_off_unless_asked_for() -> None:
    off, on = (
        Pretrainer(model_of(), Streams(0), torch.float64, dropout).train() for dropout in (False, True)
    )

    assert not any(site.active for site in off.parts.anatomy.dropouts)
    assert all(site.active for site in on.parts.anatomy.dropouts)
