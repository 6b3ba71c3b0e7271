"""Random words by number: what masking and pairing draw, the same for a text wherever it stands in a batch.

SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), as in `finegrid.model.kernels.counter`, over many keys at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RandomWords = NDArray[np.uint64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def draw_words(keys: RandomWords | int, counters: NDArray[np.integer] | int) -> RandomWords:
    """One random word for each key and counter; they broadcast."""
    key = np.asarray(keys if isinstance(keys, np.ndarray) else np.uint64(keys % 2**64))
    with np.errstate(over="ignore"):  # products wrap around, as they should
        z = key + (np.asarray(counters).astype(np.uint64) + np.uint64(1)) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * FIRST
        z = (z ^ (z >> np.uint64(27))) * SECOND
        return np.asarray(z ^ (z >> np.uint64(31)))


def as_shares(random: RandomWords) -> NDArray[np.float64]:
    """Words as numbers in [0, 1)."""
    return np.asarray((random >> np.uint64(11)).astype(np.float64) * 2.0**-53)
