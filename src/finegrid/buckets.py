"""Cuts texts of a batch into groups of like length, so that padding and calls together are cheapest.

Torch-free: ``plan`` tells what padding costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

# Groups are padded to multiples of so many tokens. Fewer shapes: oneDNN compiles a kernel for each, in
# milliseconds, and keeps about a thousand; and full vectors.
GRAIN = 8
# What one more bucket of a padded encoder costs, in tokens. A pass over a bucket makes some 1,000 calls,
# whatever is in it.
BUCKET_COST = 128
# Of groups: the texts before its end, and the tokens it is padded to.
Cuts = tuple[tuple[int, int], ...]


def round_up(number: int, grain: int) -> int:
    return -(-number // grain) * grain


def group_ends(lengths: Sequence[int], cost_of: Callable[[int], int], group_cost: int) -> list[int]:
    """Cut sorted lengths into groups so that padding and calls together are cheapest.

    Args:
        lengths: of the texts.
        cost_of: what a text costs that is padded to so many tokens.
        group_cost: what one more group costs.

    Returns:
        Where each group ends, as numbers of texts from the beginning.
    """
    values, counts = np.unique([round_up(length, GRAIN) for length in lengths], return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])
    # best[k]: the cheapest cost of the k shortest lengths, and where the last group begins.
    best: list[tuple[float, int]] = [(0.0, 0)]
    for k, longest in enumerate(values, start=1):
        cost = cost_of(int(longest))
        best.append(min((best[i][0] + group_cost + cost * (ends[k] - ends[i]), i) for i in range(k)))
    cuts, k = [], len(values)
    while k > 0:
        cuts.append(int(ends[k]))
        k = best[k][1]
    return cuts[::-1]


def cut_buckets(lengths: NDArray[np.int64]) -> Cuts:
    """The buckets of a batch for an encoder that pads, of sorted lengths."""
    ends = group_ends(lengths.tolist(), int, BUCKET_COST)
    return tuple((end, round_up(int(lengths[end - 1]), GRAIN)) for end in ends)


def padded_share(lengths: NDArray[np.int64], batch_size: int, batches: int = 50) -> float:
    """Tokens of buckets over tokens of texts, for batches drawn from these lengths; 1 is no padding."""
    drawn = np.random.default_rng(0).permutation(lengths)[: batches * batch_size]
    padded = 0
    for start in range(0, len(drawn), batch_size):
        first = 0
        for end, length in cut_buckets(np.sort(drawn[start : start + batch_size])):
            padded, first = padded + (end - first) * length, end
    return padded / max(1, int(drawn.sum()))
