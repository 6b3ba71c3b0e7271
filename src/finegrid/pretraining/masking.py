"""Hides tokens: of those chosen, 80 % become ``[MASK]``, 10 % another piece, 10 % stay.

Paper   Devlin et al. 2019; whole words: their code of May 2019; spans: SpanBERT, 2020 (1907.10529).
Exactly Of an example's n tokens (special ones not counted) share * n are hidden on average, whichever unit is
        hidden as a whole. Units come in random order until there are enough; the last one, of which only a
        part would fit, is taken with the probability that keeps the average.
Spans   Each token begins a new span with probability 1/2, so spans have two tokens on average, about a
        Chinese word. Pieces of a word stay together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid.pretraining.examples import Vocabulary
from finegrid.pretraining.mixing import RandomWords, as_shares, draw_words

HIDDEN, REPLACED = 0.8, 0.1  # the rest keeps its face (Devlin et al. 2019, section 3.1)
# Counters of an example's random words: each purpose has a range of its own.
UNIT, BEGIN, KIND, PIECE, LAST = (purpose << 20 for purpose in range(5))


@dataclass(frozen=True)
class Mask:
    """What is hidden in a batch."""

    ids: NDArray[np.int64]  # [tokens], as the model sees them
    places: NDArray[np.int64]  # [hidden], rising
    targets: NDArray[np.int64]  # [hidden], the true pieces


def draw_mask(
    ids: NDArray[np.int64],
    owner: NDArray[np.int64],
    place: NDArray[np.int64],
    real: NDArray[np.bool_],
    keys: RandomWords,
    share: float,
    masking: str,
    vocabulary: Vocabulary,
) -> Mask:
    """Hide some tokens of a packed batch.

    Args:
        ids: ``[tokens]``.
        owner: ``[tokens]``, which example of the batch each belongs to, rising.
        place: ``[tokens]``, counted from 0 in each example.
        real: ``[tokens]``, those that may be hidden: no special tokens.
        keys: ``[examples]``, of the random words of each.
        share: of an example's tokens.
        masking: what is hidden as a whole.
        vocabulary: of the model.
    """
    hideable = np.flatnonzero(real)
    owners, where, key = owner[hideable], place[hideable], keys[owner[hideable]]
    first = find_unit_starts(ids[hideable], hideable, key, where, masking, vocabulary)
    unit = np.cumsum(first) - 1
    size, unit_owner = np.bincount(unit), owners[first]
    order = np.lexsort((draw_words(key[first], UNIT + where[first]), unit_owner))
    size, unit_owner = size[order], unit_owner[order]
    total = np.bincount(owners, minlength=len(keys))
    ends = np.cumsum(size)
    ends -= (np.cumsum(total) - total)[unit_owner]  # counted within each example
    room = (share * total)[unit_owner] - (ends - size)
    taken = np.zeros(len(size), dtype=bool)
    taken[order] = as_shares(draw_words(keys[unit_owner], LAST)) * size < room
    chosen = taken[unit]
    places = hideable[chosen]
    kind = as_shares(draw_words(key[chosen], KIND + where[chosen]))
    random_piece = draw_words(key[chosen], PIECE + where[chosen]) % np.uint64(len(vocabulary.regular))
    inputs = np.where(kind < HIDDEN, vocabulary.mask, vocabulary.regular[random_piece.astype(np.int64)])
    inputs = np.where(kind < HIDDEN + REPLACED, inputs, ids[places])
    masked = ids.copy()
    masked[places] = inputs
    return Mask(masked, places, ids[places])


def find_unit_starts(
    ids: NDArray[np.int64],
    at: NDArray[np.int64],
    key: RandomWords,
    where: NDArray[np.int64],
    masking: str,
    vocabulary: Vocabulary,
) -> NDArray[np.bool_]:
    """Which tokens begin a unit. A special token in between ends one."""
    if masking == "pieces":
        return np.ones(len(ids), dtype=bool)
    gap = np.diff(at, prepend=-2) > 1
    if masking == "words":
        return gap | ~vocabulary.continues[ids]
    return gap | (~vocabulary.continues[ids] & (as_shares(draw_words(key, BEGIN + where)) < 0.5))
