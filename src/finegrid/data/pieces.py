"""The pieces of texts, as numbers: five bytes of UTF-8 each, so five letters or one to two ideographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

PIECE = 5  # bytes; eight bits each, 40 in all
BITS = 8 * PIECE
MOST_BYTES = 1000  # of a text that are looked at; what a model reads first
AT_ONCE, SHORT = 1_000_000, 8  # characters; what a shorter text counts, so that texts are few too
WORDS = 4  # of 64 bits in a sketch
LOW = np.uint64((1 << BITS) - 1)  # the bits of a piece
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing, Knuth, TAOCP 3, 6.4


def list_pieces(texts: Sequence[str]) -> tuple[Ints, Words]:
    """``[pieces]``: the row of each, ascending, and its number; repeated ones too. At least one a text."""
    raw = [text.encode()[:MOST_BYTES].ljust(PIECE, b"\0") for text in texts]
    sizes = np.array([len(one) for one in raw], dtype=np.int64)
    flat = np.frombuffer(b"".join(raw), dtype=np.uint8).astype(np.uint64)
    count = len(flat) - PIECE + 1
    numbers = np.zeros(count, dtype=np.uint64)
    for place in range(PIECE):
        numbers = numbers << np.uint64(8) | flat[place : place + count]
    whole = np.ones(len(flat), dtype=bool)
    for short in range(1, PIECE):  # the last bytes of a text begin no piece
        whole[np.cumsum(sizes) - short] = False
    rows = np.repeat(np.arange(len(raw)), sizes - PIECE + 1)
    return rows, numbers[whole[:count]]


def cut_blocks(texts: Sequence[str]) -> Iterator[slice]:
    """The texts in their order, so many at a time that their pieces are few, at most 125,000."""
    begin, size = 0, 0
    for index, text in enumerate(texts):
        size += min(max(len(text), SHORT), MOST_BYTES)
        if size > AT_ONCE:
            yield slice(begin, index + 1)
            begin, size = index + 1, 0
    if begin < len(texts):
        yield slice(begin, len(texts))


def sort_distinct(keys: Words) -> Words:
    """Each key once, ascending. ``np.unique`` hashes before it sorts, which is five times slower here."""
    keys = np.sort(keys)
    first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return keys[first]


def expand(begins: Ints, counts: Ints) -> Ints:
    """The numbers from each begin on, as many as counted, end to end."""
    return np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def mix(numbers: Words, bits: int) -> Words:
    """Numbers below ``2 ** bits`` that look random."""
    return (numbers * MIX) >> np.uint64(64 - bits)


def draw_sketches(rows: Ints, numbers: Words, count: int) -> Words:
    """``[count, WORDS]``: a bit for every piece of a row, by which two rows are told apart quickly.

    Two sets share at most half of what their sizes exceed the bits in which the sketches differ: Sandes,
    Teodoro & Melo, Bitmap filter: speeding up exact set similarity joins, Information Systems 88, 2020.
    """
    place = mix(numbers, 8)  # of WORDS * 64 bits
    bit = np.uint64(1) << (place & np.uint64(63))
    word = place >> np.uint64(6)
    begins = np.searchsorted(rows, np.arange(count))
    sketches = [np.bitwise_or.reduceat(np.where(word == at, bit, 0), begins) for at in range(WORDS)]
    return np.stack(sketches, axis=1).astype(np.uint64)
