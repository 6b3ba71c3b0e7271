"""Finds texts that are nearly equal: whose sets of pieces have a Jaccard similarity of 0.8 or more.

An exact join with a prefix filter instead of MinHash, which misses a part of the pairs at random: two sets
that are so alike share one of their rarest pieces. Bayardo, Ma & Srikant, Scaling up all pairs similarity
search, WWW 2007; Chaudhuri, Ganti & Kaushik, A primitive operator for similarity joins, ICDE 2006.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finegrid.data.pieces import (
    BITS,
    LOW,
    WORDS,
    Ints,
    Words,
    cut_blocks,
    draw_sketches,
    expand,
    list_pieces,
    mix,
    sort_distinct,
)

LEAST = 0.8  # of the similarity; docs/decisions.md says why
MOST_BITS = 22  # of the table of how often pieces occur
ROW = np.uint64(BITS + 5)  # bits of a piece and its frequency, below those of its row
CANDIDATES, CANDIDATE_PIECES = 20, 20_000  # of each text: so many texts, or as many as have so many pieces
ASKED, PAIRS, COMPARED_PAIRS = 100_000, 1_000_000, 20_000  # at once
SAMPLE = 10_000  # texts by which the time is estimated
GROWTH = 1.3  # the power by which it grows with the texts, from 10,000 to 2,000,000: docs/results.md


@dataclass(frozen=True, eq=False)
class Near:
    """For some texts one that is nearly equal.

    Attributes:
        of: ``[asked]``, its number; -1 where there is none.
        similarity: ``[asked]``, 0 where there is none.
    """

    of: Ints
    similarity: NDArray[np.float64]


def find_near(texts: Sequence[str], asked: Ints, among: Ints, earlier: bool = False) -> Near:
    """Look for each text that is asked for among others.

    Where very many texts share their rarest pieces, as generated ones may, each is compared with those of
    ``CANDIDATE_PIECES`` pieces in all that share the rarest, and not with all.

    Args:
        texts: different ones, folded.
        asked: numbers of texts.
        among: numbers of texts.
        earlier: whether only texts with a smaller number count; else all but the text itself.
    """
    index = _Index(texts, np.union1d(asked, among))
    of, similarity = np.full(len(texts), -1, dtype=np.int64), np.zeros(len(texts))
    for one, other in _list_candidates(index, asked, among):
        fit = other < one if earlier else other != one
        one, other = index.sift(one[fit], other[fit])
        for first, second, share in zip(one, other, _compare(texts, one, other), strict=True):
            if share >= LEAST and share > similarity[first]:
                of[first], similarity[first] = second, share
    return Near(of[asked], similarity[asked])


def _list_candidates(index: _Index, asked: Ints, among: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Pairs that share one of their rarest pieces, some at a time; a pair may come several times."""
    pieces, owners = index.list_prefixes(among)
    order = np.argsort(pieces, kind="stable")
    pieces, owners = pieces[order], owners[order]
    for begin in range(0, len(asked), ASKED):
        wanted, seeking = index.list_prefixes(asked[begin : begin + ASKED])
        begins, ends = (np.searchsorted(pieces, wanted, side) for side in ("left", "right"))
        most = np.maximum(CANDIDATES, CANDIDATE_PIECES // index.sizes[seeking])
        counts = _limit(seeking, np.asarray(ends - begins, dtype=np.int64), most)
        for some in _cut_by_sum(counts, PAIRS):
            yield np.repeat(seeking[some], counts[some]), owners[expand(begins[some], counts[some])]


def estimate_seconds(texts: Sequence[str]) -> float:
    """How long `find_near` takes for all texts, by a sample of them."""
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    begin = time.perf_counter()
    find_near(sample, np.arange(len(sample)), np.arange(len(sample)), earlier=True)
    growth: float = (len(texts) / max(1, len(sample))) ** GROWTH
    return (time.perf_counter() - begin) * growth


class _Index:
    """The rarest pieces of some texts, and of each text its size and a sketch."""

    def __init__(self, texts: Sequence[str], chosen: Ints) -> None:
        self.sizes = np.ones(len(texts), dtype=np.int64)  # different pieces
        self.sketches = np.zeros((len(texts), WORDS), dtype=np.uint64)
        mine = [texts[number] for number in chosen]
        bits = min(MOST_BITS, max(1, sum(map(len, mine)).bit_length()))
        rarity = _count_pieces(mine, bits)
        prefixes = [(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))]
        for block in cut_blocks(mine):
            rows, numbers = list_pieces(mine[block])
            rank = rarity[mix(numbers, bits).astype(np.int64)] << np.uint64(BITS)
            keys = sort_distinct(rows.astype(np.uint64) << ROW | rank | numbers)
            prefixes.append(self._take_prefixes(keys, chosen[block]))
        self.pieces, self.owners = (np.concatenate(column) for column in zip(*prefixes, strict=True))

    def _take_prefixes(self, keys: Words, numbers: Ints) -> tuple[Words, Ints]:
        """Rarest pieces, and whose they are: one more than those by which two near texts may differ."""
        rows, pieces = (keys >> ROW).astype(np.int64), keys & np.uint64((1 << int(ROW)) - 1)
        sizes = np.bincount(rows, minlength=len(numbers))
        self.sizes[numbers] = sizes
        self.sketches[numbers] = draw_sketches(rows, pieces & LOW, len(numbers))
        lengths = sizes - np.ceil(LEAST * sizes - 1e-9).astype(np.int64) + 1
        kept = expand(np.cumsum(sizes) - sizes, lengths)
        return pieces[kept], numbers[rows[kept]]

    def list_prefixes(self, chosen: Ints) -> tuple[Words, Ints]:
        """Pieces and their texts, those of a text side by side and the rarest first."""
        kept = np.zeros(len(self.sizes), dtype=bool)
        kept[chosen] = True
        mine = kept[self.owners]
        return self.pieces[mine], self.owners[mine]

    def sift(self, one: Ints, other: Ints) -> tuple[Ints, Ints]:
        """The pairs, each once, that may be near by their sizes and sketches."""
        sizes = self.sizes[one] + self.sizes[other]
        differ = np.bitwise_count(self.sketches[one] ^ self.sketches[other]).sum(axis=1, dtype=np.int64)
        fit = (sizes - differ) // 2 >= LEAST / (1 + LEAST) * sizes - 1e-9
        pairs = sort_distinct(one[fit].astype(np.uint64) << np.uint64(32) | other[fit].astype(np.uint64))
        return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(2**32 - 1)).astype(np.int64)


def _count_pieces(texts: Sequence[str], bits: int) -> Words:
    """[2 ** bits], by mixed number: the binary logarithm of how often pieces occur, at most 31."""
    counts = np.zeros(1 << bits, dtype=np.int64)
    for block in cut_blocks(texts):
        _, numbers = list_pieces(texts[block])
        counts += np.bincount(mix(numbers, bits).astype(np.int64), minlength=len(counts))
    return np.minimum(np.log2(np.maximum(counts, 1)), 31).astype(np.uint64)


def _limit(owners: Ints, counts: Ints, most: Ints) -> Ints:
    """The counts, cut so that those of one owner, which stand together, sum to no more than its most."""
    before = np.cumsum(counts) - counts
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    before -= np.repeat(before[first], np.diff(first, append=len(owners)))
    return np.clip(most - before, 0, counts)


def _cut_by_sum(counts: Ints, most: int) -> list[slice]:
    """Slices of all, whose counts sum to about so many."""
    total = np.cumsum(counts)
    ends = [0, *np.searchsorted(total, np.arange(most, counts.sum(), most)), len(counts)]
    return [slice(begin, end) for begin, end in pairwise(ends) if begin < end]


def _compare(texts: Sequence[str], one: Ints, other: Ints) -> NDArray[np.float64]:
    """[pairs], Jaccard similarities."""
    some = range(0, len(one), COMPARED_PAIRS)
    cuts = [slice(begin, begin + COMPARED_PAIRS) for begin in some]
    return np.concatenate([np.zeros(0), *(_compare_some(texts, one[cut], other[cut]) for cut in cuts)])


def _compare_some(texts: Sequence[str], one: Ints, other: Ints) -> NDArray[np.float64]:
    needed, local = np.unique(np.concatenate([one, other]), return_inverse=True)
    rows, numbers = list_pieces([texts[number] for number in needed])
    keys = sort_distinct(rows.astype(np.uint64) << np.uint64(BITS) | numbers)
    sizes = np.bincount((keys >> np.uint64(BITS)).astype(np.int64), minlength=len(needed))
    counts, begins = sizes[local], (np.cumsum(sizes) - sizes)[local]
    pair = np.repeat(np.tile(np.arange(len(one)), 2), counts).astype(np.uint64)
    both = np.sort(pair << np.uint64(BITS) | keys[expand(begins, counts)] & LOW)
    shared = (both[1:][both[1:] == both[:-1]] >> np.uint64(BITS)).astype(np.int64)
    common = np.bincount(shared, minlength=len(one))
    return np.asarray(common / (counts[: len(one)] + counts[len(one) :] - common), dtype=np.float64)
