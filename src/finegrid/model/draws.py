"""Numbers from named streams, drawn where the tensors are: by numpy on a CPU, by a counter elsewhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from finegrid.model.kernels.counter import counter_words
from finegrid.model.packing.batches import Packed
from finegrid.streams import Streams

HALF = 2.0**31  # of what 32 bits can tell apart


def draw_uniform(streams: Streams, name: str, batch: Packed, width: int) -> Tensor:
    """``[tokens, width]`` in float32, each number from -1 to 1. A portion has those of its batch."""
    return _halves(streams, name, batch, width)[:, :width] / HALF


def _halves(streams: Streams, name: str, batch: Packed, width: int) -> Tensor:
    """``[tokens, width or one more]`` in float32: 32 random bits each, as whole numbers around 0."""
    words, device = -(-width // 2), batch.ids.device  # of 64 bits, for each token
    first = words * (0 if batch.portion is None else batch.portion.first_token)
    count = words * len(batch.ids)
    if device.type == "cpu":
        bits = torch.from_numpy(streams.bits(name, count, first).view("int64"))
    else:
        bits = counter_words(streams.key(name), count, device, first)
    return bits.view(torch.int32).view(-1, 2 * words).float()


def draw_normal(streams: Streams, name: str, batch: Packed, width: int) -> Tensor:
    """``[tokens, width]`` in float32, standard normal numbers. A portion has those of its batch.

    By Box & Muller (A Note on the Generation of Random Normal Deviates, 1958): two from two.
    """
    halves = _halves(streams, name, batch, width)
    first, second = halves[:, ::2], halves[:, 1::2]
    far = (first + (HALF + 1)).div_(2 * HALF).clamp_(max=1.0).log_().mul_(-2).sqrt_()  # never of 0
    angle = second * (math.pi / HALF)
    return torch.cat([far * angle.cos(), far * angle.sin()], -1)[:, :width]
