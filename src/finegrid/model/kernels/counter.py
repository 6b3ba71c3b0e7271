"""Random bits from a counter, drawn where the tensors are: what dropout uses.

SplitMix64 (Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): word ``i`` is a
function of the key and ``i`` alone. Kernels draw the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The paper's constants, as torch's signed 64-bit integers; products wrap around.
GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
FIRST, SECOND = 0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64)


def counter_words(key: int | Tensor, count: int, device: torch.device, first: int = 0) -> Tensor:
    """``[count]`` words of 64 random bits, int64, from word ``first`` on.

    A graph reads the key anew if it is a tensor there.
    """
    z = torch.arange(first + 1, first + count + 1, device=device).mul_(GAMMA).add_(key)
    z = (z ^ shift_right(z, 30)).mul_(FIRST)
    z = (z ^ shift_right(z, 27)).mul_(SECOND)
    return z ^ shift_right(z, 31)


def shift_right(z: Tensor, bits: int) -> Tensor:
    """Zeros come in from the left; torch's own shift would copy the sign."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)
