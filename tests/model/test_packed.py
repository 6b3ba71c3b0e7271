"""The packed forward and backward pass against Hugging Face's own model, padded and with ``eager`` attention.

The oracle is ``eager`` because transformers leaves the mask out for attention names it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from support.studies import (
    CPU,
    KINDS,
    LAYERS,
    LEGAL,
    any_setting,
    classifier_of,
    pack_all,
    random_split,
)
from torch import Tensor
from torch.nn import functional as F

from finegrid.data.tokens import TokenisedSplit
from finegrid.encoders.families import inspect
from finegrid.encoders.poolings import POOLINGS, Pooling
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Batch, evaluation_batches, pack
from finegrid.strategies.freeze import Freeze
from finegrid.training.evaluate import predict

CheckpointOf = Callable[[str], Path]

TEXTS = [(5,), (1,), (9,), (5,), (20,), (1,), (5,)]  # 1: three tokens with [CLS] and [SEP], the shortest
PAIRS = [(3, 4), (1, 1), (9, 2), (2, 9), (3, 4), (12, 7)]
LAYOUTS: dict[str, Sequence[tuple[int, ...]]] = {
    "texts": TEXTS,
    "pairs": PAIRS,
    "equal lengths": [(4,)] * 5,
    "one text": [(6,)],
}


def oracle_loss(folder: Path, ours: Classifier, split: TokenisedSplit) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and gradients of the same computation by transformers, in the order of the split."""
    from transformers import AutoModel

    texts = [split.texts([row], 64) for row in range(len(split))]
    longest = max(len(ids) for ids, _ in texts)
    family = inspect(folder).family
    encoder: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    encoder = encoder.to(next(ours.parameters()).dtype).eval()
    ids = torch.full((len(texts), longest), encoder.config.pad_token_id)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (tokens, kinds) in enumerate(texts):
        ids[row, : len(tokens)], types[row, : len(tokens)] = torch.tensor(tokens), torch.tensor(kinds)
        mask[row, : len(tokens)] = 1
    known_types = {} if family == "distilbert" else {"token_type_ids": types}
    out = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True, **known_types)
    all_: tuple[Tensor, ...] = out.hidden_states
    last: Tensor = out.last_hidden_state
    real = mask[:, :, None].to(last.dtype)
    own = dict(ours.head.pool.named_parameters())

    def mean(hidden: Tensor) -> Tensor:
        shares: Tensor = real / real.sum(1, keepdim=True)
        return torch.sum(hidden * shares, 1)

    def attended() -> Tensor:
        scores = torch.tanh(last @ own["dense.weight"].T) @ own["score.weight"][0]
        shares = scores.masked_fill(mask == 0, -torch.inf).softmax(1)
        return (shares[:, :, None] * last).sum(1)

    by_pooling: dict[str, Callable[[], Tensor]] = {
        "cls": lambda: last[:, 0],
        "pooler": lambda: out.pooler_output,
        "last-mean": lambda: mean(last),
        "first-last-mean": lambda: mean((all_[1] + last) / 2),
        "max": lambda: last.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(1),
        "mean-of-last-4": lambda: mean(torch.stack(all_[-4:]).mean(0)),
        "concat-last-4": lambda: mean(torch.cat(all_[-4:], -1)),
        "cls-last-4": lambda: torch.stack([hidden[:, 0] for hidden in all_[-4:]]).mean(0),
        "cls-max-3": lambda: torch.stack([hidden[:, 0] for hidden in all_[-3:]]).amax(0),
        "weighted": lambda: mean(
            sum(w * hidden for w, hidden in zip(own["scores"].softmax(0), all_, strict=True))
        ),
        "attention": attended,
        "last-token": lambda: last[torch.arange(len(last)), mask.sum(1) - 1],
    }
    pooled = by_pooling[ours.pooling]()
    norm, linear = ours.get_submodule("head.norm"), ours.get_submodule("head.linear")
    ours.zero_grad(set_to_none=True)
    logits = linear(norm(pooled))
    F.cross_entropy(logits, torch.tensor(split.labels)).backward()
    grads = {f"encoder.{name}": p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    grads |= {f"head.{name}": p.grad for name, p in ours.head.named_parameters()}
    return logits.detach(), grads


def packed_loss(model: Classifier, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits in the order of the split, and gradients."""
    model.zero_grad(set_to_none=True)
    logits = model(batch, step)
    F.cross_entropy(logits, batch.labels).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach()[torch.from_numpy(np.argsort(batch.rows))], grads


def error(ours: Tensor, theirs: Tensor, scale: float) -> float:
    """Largest difference, relative to the tensor's own size (or a thousandth of ``scale`` if it is tiny)."""
    return float((ours - theirs).abs().max()) / max(float(theirs.abs().max()), scale / 1000)


def worst_error(folder: Path, pooling: Pooling, split: TokenisedSplit, dtype: torch.dtype) -> float:
    model = classifier_of(folder, pooling).to(dtype).eval()
    if pooling == "weighted":  # equal weights would hide whose is whose
        with torch.no_grad():
            model.get_parameter("head.pool.scores").copy_(torch.linspace(-1, 1, LAYERS + 1))
    logits, grads = packed_loss(model, pack_all(split))
    expected_logits, expected = oracle_loss(folder, model, split)
    assert grads.keys() == expected.keys()
    scale = max(float(grad.abs().max()) for grad in expected.values())
    assert scale > 0
    by_tensor = [error(grads[name], expected[name], scale) for name in expected]
    return max(error(logits, expected_logits, 0.0), *by_tensor)


@pytest.mark.parametrize(
    ("kind", "pooling", "layout"),
    rare(
        [(*case, layout) for case in LEGAL for layout in ("texts", "pairs")],
        [*((*case, "texts") for case in LEGAL), *((*case, "pairs") for case in LEGAL[::4])],
    ),
)
def test_logits_and_all_gradients_equal_the_padded_eager_model(
    checkpoint_of: CheckpointOf, kind: str, pooling: Pooling, layout: str
) -> None:
    folder = checkpoint_of(kind)
    split = random_split(folder, LAYOUTS[layout])

    assert worst_error(folder, pooling, split, torch.float64) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_in_float32_they_agree_to_rounding(checkpoint_of: CheckpointOf, kind: str) -> None:
    folder = checkpoint_of(kind)
    split = random_split(folder, TEXTS)

    # Measured: 3e-6 to 2e-5; four layers of products in another order, relative to small gradients too.
    assert worst_error(folder, "first-last-mean", split, torch.float32) < 2e-4


@pytest.mark.parametrize("layout", ["equal lengths", "one text"])
def test_batches_of_one_length_and_of_one_text_agree_too(bert: Path, layout: str) -> None:
    split = random_split(bert, LAYOUTS[layout])

    assert worst_error(bert, "first-last-mean", split, torch.float64) < 1e-9


def test_types_of_a_pair_reach_the_logits(bert: Path) -> None:
    split = random_split(bert, PAIRS)
    model = classifier_of(bert).eval()
    batch = pack_all(split)
    assert set(batch.types.tolist()) == {0, 1}

    assert not torch.equal(model(batch), model(replace(batch, types=torch.zeros_like(batch.types))))


def test_texts_of_a_batch_do_not_attend_to_each_other(bert: Path) -> None:
    split = random_split(bert, [(5,), (5,), (8,)])
    model = classifier_of(bert).double().eval()
    together = model(pack_all(split))
    changed = split.tokens.copy()
    changed[:5] = 30  # another first text

    after = model(pack_all(replace(split, tokens=changed)))

    assert torch.equal(together[1:], after[1:])
    assert not torch.equal(together[0], after[0])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_predictions_do_not_depend_on_the_company_a_text_keeps(bert: Path, pooling: Pooling) -> None:
    split = random_split(bert, [(length % 11 + 1,) for length in range(23)])
    model = classifier_of(bert, pooling).eval()

    def predicted(tokens: int) -> Any:
        batches = (pack(split, rows, 64, CPU) for rows in evaluation_batches(split.lengths, tokens))
        (logits,) = predict([model], batches, len(split))
        return logits

    alone = np.concatenate([model(pack_all(split, np.array([row]))).detach() for row in range(len(split))])
    for tokens in (1, 40, 4096):
        np.testing.assert_allclose(predicted(tokens), alone, rtol=0, atol=1e-5)


def test_every_text_is_evaluated_once_whatever_the_batch_size() -> None:
    lengths = np.random.default_rng(0).integers(2, 60, size=101)
    for tokens in (1, 30, 500, 10**6):
        rows = np.concatenate(list(evaluation_batches(lengths, tokens)))
        assert sorted(rows) == list(range(101))


PREFIXES = [*product([0, 1, 2, 4], POOLINGS, ["train", "eval"])]


@pytest.mark.parametrize(
    ("frozen", "pooling", "mode"),
    rare(PREFIXES, [case for case in PREFIXES if (case[0] in (0, 2)) == (case[2] == "train")]),
)
def test_a_shared_prefix_gives_the_same_bits(bert: Path, pooling: Pooling, frozen: int, mode: str) -> None:
    batch = pack_all(random_split(bert, TEXTS))

    def result(shared: bool) -> tuple[Tensor, dict[str, Tensor]]:
        model = classifier_of(bert, pooling)
        Freeze(layers=frozen).prepare_model(model, any_setting())
        model.train(mode == "train")
        return packed_loss(model, batch.with_prefix(model.prefix(batch, 5)) if shared else batch, 5)

    (logits, grads), (shared_logits, shared_grads) = result(False), result(True)

    assert torch.equal(logits, shared_logits)
    assert grads.keys() == shared_grads.keys()
    assert all(torch.equal(grads[name], shared_grads[name]) for name in grads)


def test_no_gradient_reaches_a_frozen_prefix(bert: Path) -> None:
    model = classifier_of(bert)
    Freeze(layers=2).prepare_model(model, any_setting())
    prefix = model.prefix(pack_all(random_split(bert, TEXTS)), 0)
    (first,) = prefix.below

    assert not prefix.hidden.requires_grad and not first.requires_grad
