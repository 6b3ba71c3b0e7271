"""Sentencepiece's tables of characters and what they become: whether one does no more than Unicode's own.

A table is a trie over bytes (a double array, as darts-clone writes it) and then the texts that it points to,
each ended by a zero byte. What a stranger wrote may point anywhere, or make pages of one letter.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 40  # bytes; NFKC makes 33 of one character, an Arabic greeting
MOST_BYTES = 2_000_000  # sentencepiece's own have 240,000
IS_VALUE = np.uint32(1 << 31)


def is_tame(encoded: Any) -> bool:
    """Whether a ``precompiled_charsmap`` makes short texts alone, and leads to no place that it has not."""
    if not isinstance(encoded, str) or len(encoded) > MOST_BYTES:
        return False
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    size = int.from_bytes(content[:4], "little")
    if size % 4 or not 0 < size <= len(content) - 4:
        return False
    units = np.frombuffer(content[4 : 4 + size], dtype="<u4")
    texts = np.frombuffer(content[4 + size :], dtype=np.uint8)
    return are_short(texts) and lead_home(units, texts)


def are_short(texts: NDArray[np.uint8]) -> bool:
    """Whether each text ends, after a few bytes."""
    ends = np.flatnonzero(texts == 0)
    if not len(ends) or ends[-1] != len(texts) - 1:
        return False
    return int(np.diff(ends, prepend=-1).max()) <= LONGEST + 1


def lead_home(units: NDArray[np.uint32], texts: NDArray[np.uint8]) -> bool:
    """Whether every step from every unit ends inside the trie, and every value where a letter begins."""
    of_step = (units & IS_VALUE) == 0
    wide = np.where(units & np.uint32(1 << 9), np.uint32(8), np.uint32(0))
    base = np.arange(len(units), dtype=np.int64) ^ ((units >> np.uint32(10)) << wide).astype(np.int64)
    if (base[of_step] | 0xFF).max(initial=0) >= len(units):
        return False
    values = units[base[of_step & ((units & np.uint32(1 << 8)) != 0)]] & ~IS_VALUE
    if values.max(initial=0) >= len(texts):
        return False
    return not bool(((texts[values] & 0xC0) == 0x80).any())
