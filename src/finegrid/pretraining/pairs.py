"""The order of an epoch, and which examples become pairs: does the second part go on where the first ends?

Paper   Devlin et al. 2019, next sentence prediction. Here the two parts are halves of one stretch of text, so
        that single lines have something to tell, and half of the pairs get the second part of another
        stretch, drawn from the same file.
Exactly What becomes of an example depends on seed, epoch and its number alone, not on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid.pretraining.examples import Examples
from finegrid.pretraining.mixing import RandomWords, as_shares, draw_words
from finegrid.streams import Streams

SINGLE, FOLLOWS, STRANGE = -1, 0, 1  # as Hugging Face's next_sentence_label; -1 takes no part in the loss
PAIRED, SWAPPED, PARTNER = range(3)  # what an example's random words are for


@dataclass(frozen=True)
class PairedEpoch:
    """The sequences of one pass, in order."""

    keys: RandomWords  # [sequences], for masking
    first: NDArray[np.int64]  # [sequences, 2], begin and end of the first part among the tokens
    second: NDArray[np.int64]  # [sequences, 2], of the second; empty where there is none
    labels: NDArray[np.int64]  # [sequences], SINGLE, FOLLOWS or STRANGE
    bounds: NDArray[np.int64]  # [batches + 1], where each batch begins

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``[sequences]``, special tokens counted."""
        parts = np.diff(self.first)[:, 0] + np.diff(self.second)[:, 0]
        return np.asarray(parts + 2 + (self.labels != SINGLE), dtype=np.int64)

    @property
    def batches(self) -> int:
        return len(self.bounds) - 1

    def batch(self, index: int) -> slice:
        return slice(int(self.bounds[index]), int(self.bounds[index + 1]))


def draw_epoch(
    examples: Examples,
    streams: Streams,
    name: str,
    *,
    weights: Sequence[float],
    pair_share: float,
    max_length: int,
    batch_tokens: int,
) -> PairedEpoch:
    """Lay out one pass over the examples.

    Args:
        examples: at most ``max_length - 3`` tokens each.
        streams: of the seed.
        name: of the epoch; another one draws other masks and pairs.
        weights: how often an epoch shows each file; a broken part shows so many of its examples, drawn anew.
        pair_share: of the sequences.
        max_length: tokens of a sequence, special ones counted.
        batch_tokens: of a batch, give or take half a sequence.
    """
    row, copy = choose_rows(examples, streams, name, weights)
    order = streams.permutation(f"pretrain/order/{name}", len(row))
    row, copy = row[order], copy[order]
    keys = draw_words(streams.key(f"pretrain/example/{name}"), copy * len(examples) + row)
    drawn = as_shares(draw_words(keys, -2 - PAIRED)) < pair_share
    pair = drawn & (examples.ends[row] - examples.begins[row] >= 2)
    strange = pair & (as_shares(draw_words(keys, -2 - SWAPPED)) < 0.5)
    partner = draw_partners(examples, row, draw_words(keys, -2 - PARTNER))
    strange &= partner != row
    source_row = np.where(strange, partner, row)
    first = np.stack([examples.begins[row], np.where(pair, examples.splits[row], examples.ends[row])], 1)
    second = np.stack([examples.splits[source_row], examples.ends[source_row]], 1)
    room = max_length - 3 - np.diff(first)[:, 0]
    second[:, 1] = np.minimum(second[:, 1], second[:, 0] + room)
    second[~pair] = 0
    labels = np.where(pair, np.where(strange, STRANGE, FOLLOWS), SINGLE)
    epoch = PairedEpoch(keys, first, second, labels, np.empty(0, dtype=np.int64))
    batch = (np.cumsum(epoch.lengths) - 1) // batch_tokens
    bounds = np.append(np.unique(batch, return_index=True)[1], len(row)).astype(np.int64)
    return PairedEpoch(keys, first, second, labels, bounds)


def choose_rows(
    examples: Examples, streams: Streams, name: str, weights: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the examples an epoch shows, and the number of each row's copy."""
    rows: list[NDArray[np.int64]] = []
    copies: list[NDArray[np.int64]] = []
    for source, weight in enumerate(weights):
        file_rows = np.flatnonzero(examples.sources == source)
        for copy in range(int(weight)):
            rows.append(file_rows)
            copies.append(np.full(len(file_rows), copy))
        if rest := round((weight - int(weight)) * len(file_rows)):
            chosen = streams.permutation(f"pretrain/some/{name}/{source}", len(file_rows))[:rest]
            rows.append(np.sort(file_rows[chosen]))
            copies.append(np.full(rest, int(weight)))
    if not rows:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(rows), np.concatenate(copies)


def draw_partners(examples: Examples, row: NDArray[np.int64], random: RandomWords) -> NDArray[np.int64]:
    """For each row another one from the same file (or, by chance, itself)."""
    order = np.argsort(examples.sources, kind="stable")
    count = np.bincount(examples.sources)
    begin = np.cumsum(count) - count
    source = examples.sources[row]
    place = (random % count[source].astype(np.uint64)).astype(np.int64)
    return np.asarray(order[begin[source] + place])
