"""Proves on a real checkpoint and real texts that a tier computes what transformers does, text by text."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from finegrid.encoders.tiers import Tier
from finegrid.model.dropout import Clock
from finegrid.model.engine import Engine, make_engine
from finegrid.model.load import Checkpoint
from finegrid.model.packing.batches import Batch
from finegrid.streams import Streams

# Lengths of vectors: by how much of its own length a token's may be off. Float32 rounds to some 1e-6 of it
# in twelve layers; a text that sees its neighbour, or its padding, is off by 1e-3 and more.
NEAR = 1e-4
NOT_FINITE = 1e9  # the gap to a vector that has no length


@dataclass(frozen=True)
class TierProof:
    """What was found, on how many texts. Gaps are the largest over tokens, as shares of a vector's length.

    A gap is None where transformers' own vectors are no finite numbers: runs will diverge, and say so.

    Attributes:
        tier: that was proved.
        texts: that it was proved on.
        against_padded: gap between the tier's vectors and transformers' own, texts padded to one length.
        alone: gap between a text alone and the same text in company, as the tier computes both.
        alone_padded: the same as transformers computes both.
        attentions: calls of finegrid's attention in a pass; None of layers that finegrid computes itself.
        layers: how often layers are called in a pass.
        draws_nothing: whether two passes in training mode are equal once all dropout sites are silenced.
        sees_ahead: whether a text's first token sees its last one: not in a decoder.
    """

    tier: Tier
    texts: int
    against_padded: float | None
    alone: float | None
    alone_padded: float | None
    attentions: int | None
    layers: int
    draws_nothing: bool
    sees_ahead: bool

    def problem(self, family: str) -> str:
        """Why this tier cannot be used; empty if it can."""
        if (by := self.alone_padded or 0.0) > NEAR:
            return (
                f"the vectors of a text depend on the texts beside it in a batch (by {by:.0e} "
                f"of their length): {family} does not leave out padding. finegrid does not train such "
                "encoders, since no prediction would be a text's own. Take a checkpoint of another family."
            )
        if (gap := max(self.against_padded or 0.0, self.alone or 0.0)) > NEAR:
            return f"its vectors are off by {gap:.0e} of their length from those of transformers."
        if self.tier == "interface" and self.attentions != self.layers:
            return f"attention was called {self.attentions} times in a pass over {self.layers} layers."
        if not self.draws_nothing:
            return (
                f"{family} draws random numbers in training where finegrid cannot see it: a run could not be "
                "repeated. Take a checkpoint of another family."
            )
        return ""


@torch.no_grad()
def prove_tier(checkpoint: Checkpoint, tier: Tier, batch: Batch) -> TierProof:
    """Compare a tier with transformers' padded pass in float32, on these texts.

    Args:
        checkpoint: whose encoder is copied, and stays as it is.
        tier: to prove.
        batch: packed texts, on the device that is to compute.
    """
    encoder: Any = checkpoint.copy().to(batch.ids.device).eval()
    set_plain_attention_(encoder)
    places = [*zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)]
    texts = [Text(batch.ids[start : start + n], batch.types[start : start + n]) for start, n in places]
    company = pad_and_run(encoder, texts)
    alone_padded = [pad_and_run(encoder, [text])[0] for text in texts]

    engine = make_engine(encoder, tier, Clock(Streams(0)))
    encoder.eval()  # its new dropout sites, too
    vectors = run(engine, batch)
    ours = [vectors[start : start + n] for start, n in places]
    singles = [batch.of_texts(row, row + 1) for row in range(len(texts))]
    alone = [run(engine, single)[:n] for single, (_, n) in zip(singles, places, strict=True)]
    attended = getattr(engine, "attended", None)
    moved = run(engine, with_other_end(singles[-1]))
    encoder.train()
    for site in engine.parts.dropouts:
        site.silenced = True
    return TierProof(
        tier=tier,
        texts=len(texts),
        against_padded=largest_gap(ours, company),
        alone=largest_gap(alone, ours),
        alone_padded=largest_gap(alone_padded, company),
        attentions=attended,
        layers=len(engine.parts.layers),
        draws_nothing=are_alike(run(engine, batch), run(engine, batch)),
        sees_ahead=not torch.equal(moved[0], alone[-1][0]),
    )


@dataclass(frozen=True)
class Text:
    """The tokens of a text, and which text of a pair each belongs to."""

    ids: Tensor
    types: Tensor


def set_plain_attention_(encoder: Any) -> None:
    """Attention as transformers computes it where nobody asks for another."""
    try:
        encoder.set_attn_implementation("sdpa")
    except ValueError:  # the family has none by that name
        encoder.set_attn_implementation("eager")


def pad_and_run(encoder: Any, texts: Sequence[Text]) -> list[Tensor]:
    """transformers' own vectors of texts that are padded to the longest, ``[tokens, width]`` each."""
    known = inspect.signature(encoder.forward).parameters
    padding = int(getattr(encoder.config, "pad_token_id", None) or 0)
    lengths = [len(text.ids) for text in texts]
    inputs = {
        "input_ids": pad_sequence([text.ids for text in texts], True, padding),
        "attention_mask": pad_sequence([torch.ones_like(text.ids) for text in texts], True),
    }
    if "token_type_ids" in known and getattr(encoder.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = pad_sequence([text.types for text in texts], True)
    last: Tensor = encoder(**inputs)[0]
    return [row[:length] for row, length in zip(last, lengths, strict=True)]


def run(engine: Engine, batch: Batch) -> Tensor:
    """The last level of a batch."""
    return engine.run(batch, (), lambda level, hidden: None)


def with_other_end(batch: Batch) -> Batch:
    """A batch of one text with another last token."""
    ids = batch.ids.clone()
    last = batch.real_tokens - 1
    ids[last] = ids[0] if ids[last] != ids[0] else ids[0] + 1
    return replace(batch, ids=ids, _layouts={})


def are_alike(some: Tensor, others: Tensor) -> bool:
    """Whether all numbers are equal, those that are none among them."""
    return torch.equal(some.nan_to_num(), others.nan_to_num())


def largest_gap(some: Sequence[Tensor], others: Sequence[Tensor]) -> float | None:
    """The largest difference between two vectors of a token, as a share of the other's length.

    Returns:
        None where the others are no finite numbers.
    """
    if not all(bool(b.isfinite().all()) for b in others):
        return None
    gaps = [
        ((a - b).norm(dim=1) / b.norm(dim=1).clamp(min=1e-12)).max()
        for a, b in zip(some, others, strict=True)
    ]
    found = float(torch.stack(gaps).max())
    return found if math.isfinite(found) else NOT_FINITE
