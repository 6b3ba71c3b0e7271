"""Random bits for CUDA, tested where there is none: the arithmetic is the same."""

from __future__ import annotations

import numpy as np
import torch

from finegrid.model.kernels.counter import counter_words
from finegrid.streams import Streams

CPU = torch.device("cpu")


def test_words_are_those_of_splitmix64() -> None:
    """The first outputs of the published algorithm from state 0."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]

    assert [word % (1 << 64) for word in counter_words(0, 3, CPU).tolist()] == expected


def test_dropping_by_16_bits_keeps_the_rate() -> None:
    bits = counter_words(Streams(0).key("dropout/0/head"), 1_000_000, CPU).view(torch.int16)

    # Four standard deviations of 4 million draws are 0.0006.
    assert abs(float((bits < 6554 - 32768).float().mean()) - 0.1) < 6e-4


def test_streams_have_keys_of_their_own() -> None:
    a, b = (counter_words(Streams(0).key(name), 100_000, CPU).view(torch.int16) < -26214 for name in "ab")

    assert abs(float((a & b).float().mean()) - 0.01) < 1e-3
    assert Streams(0).key("a") != Streams(1).key("a")


def test_a_longer_draw_begins_with_the_same_words() -> None:
    assert torch.equal(counter_words(7, 1000, CPU)[:10], counter_words(7, 10, CPU))


def test_words_from_any_place_on_are_those_of_the_whole_draw() -> None:
    assert torch.equal(counter_words(7, 90, CPU, first=10), counter_words(7, 100, CPU)[10:])
    whole = Streams(0).bits("dropout/0/head", 100)
    for first in (0, 1, 3, 4, 7, 90):
        assert np.array_equal(Streams(0).bits("dropout/0/head", 100 - first, first), whole[first:])
