"""Batches of fixed shape, for steps that are captured once and replayed: a graph cannot change its shapes.

Shapes are planned from the lengths of all batches of a run, which its seed decides. Tokens that fill a batch
up belong to no text; what depends on the lengths is computed from them where they are, unseen by the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finegrid.buckets import Cuts, group_ends, round_up
from finegrid.model.kernels.layout import LONGEST_BY_GROUP, Layout, Portion, cut, lay_out
from finegrid.model.packing.batches import Batch, Prefix

GRAIN = 64  # tokens of a batch are rounded up to so many
# What one more group of attention costs in a graph, in attention weights: without Triton's kernels some 20
# kernels of 2 us each, against about 60 bytes of traffic a weight at 3 TB/s. Calculated, not measured.
GROUP_COST = 2_000_000
# What one more shape costs, in steps: three that are calls, and the capture. Calculated, not measured.
SHAPE_COST = 8
SIZES = 128  # so many numbers of tokens are told apart, at most


@dataclass(frozen=True)
class Shape:
    """What all batches of so many texts are filled up to."""

    texts: int
    tokens: int
    cuts: Cuts  # of attention: groups in which every text of every batch has room


def plan_shapes(batches: Iterable[NDArray[np.int64]], heads: int) -> dict[int, Shape]:
    """The smallest shapes in which all batches have room, by their number of texts. Arguments as below."""
    return {texts: shapes[-1] for texts, shapes in plan_sizes(batches, heads).items()}


def plan_sizes(batches: Iterable[NDArray[np.int64]], heads: int) -> dict[int, list[Shape]]:
    """Shapes of batches by their number of texts, those of the fewest tokens first.

    All of so many texts have attention cut in the same way: a token's mask is the same in each. Where texts
    are short, one has room for all batches.

    Args:
        batches: ``[texts]`` each: lengths of the texts.
        heads: of the model.
    """
    longest: dict[int, NDArray[np.int64]] = {}  # of the shortest text of every batch, the next, and so on
    tokens: dict[int, list[int]] = {}
    for lengths in batches:
        texts, ordered = len(lengths), np.sort(lengths)
        longest[texts] = np.maximum(longest.get(texts, ordered), ordered)
        tokens.setdefault(texts, []).append(int(lengths.sum()))
    return {
        texts: [
            Shape(texts, size, cut(envelope, heads, GROUP_COST)) for size in sizes(tokens[texts], envelope)
        ]
        for texts, envelope in longest.items()
    }


def sizes(tokens: Sequence[int], longest: NDArray[np.int64]) -> list[int]:
    """What numbers of tokens are rounded up to, so that padding and further shapes together are cheapest.

    Sums of long texts differ much: with one shape, a fifth of a batch of 32 would be padding.
    """
    most = round_up(max(tokens), GRAIN)
    if longest.max() <= LONGEST_BY_GROUP:
        return [most]
    grain = round_up(most, SIZES * GRAIN) // SIZES
    ordered = sorted(round_up(count, grain) for count in tokens)
    ends = group_ends(ordered, int, SHAPE_COST * most)
    return [min(most, ordered[end - 1]) for end in ends]


@dataclass(frozen=True)
class FixedBatch:
    """A packed batch of fixed shape, all on the device. The model sees it as it sees a `Batch`."""

    shape: Shape
    ids: Tensor  # [tokens]
    types: Tensor  # [tokens]
    lengths: Tensor  # [texts], sorted
    labels: Tensor  # [texts]
    texts: Tensor  # [texts], which text of the split each is
    visible: Tensor | None = None  # [tokens], False where a token's word is not read; None: all are
    prefix: Prefix | None = None
    portion: Portion | None = None  # captured steps read whole batches

    @cached_property
    def starts(self) -> Tensor:
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def positions(self) -> Tensor:
        """``[tokens]``, 0 for those that belong to no text."""
        owner = self._owner.clamp(max=self.shape.texts - 1)
        return (self._count(self.shape.tokens) - self.starts[owner]) * (self._owner < self.shape.texts)

    def layout(self, heads: int, runs: int = 1) -> Layout:
        """Where the texts lie during attention."""
        if (heads, runs) not in self._layouts:
            about = self.shape.cuts, self.shape.tokens, heads, runs
            self._layouts[heads, runs] = lay_out(self.lengths, *about)
        return self._layouts[heads, runs]

    @property
    def counts(self) -> Tensor:
        """``[texts]``, tokens of each."""
        return self.lengths

    def plain_means(self, hidden: Tensor) -> Tensor:
        """Means over the tokens of each text, ``[tokens, width]`` to ``[texts, width]``, without a kernel."""
        return self._shares.to(hidden.dtype) @ hidden

    def portions(self, texts: int) -> list[FixedBatch]:
        """Itself: runs that read their batches in portions are not captured."""
        return [self]

    def with_prefix(self, prefix: Prefix) -> FixedBatch:
        return replace(self, prefix=prefix)

    @cached_property
    def _layouts(self) -> dict[tuple[int, int], Layout]:
        return {}

    @cached_property
    def _owner(self) -> Tensor:
        """``[tokens]``, which text each belongs to; the number of texts where to none."""
        return torch.searchsorted(self.lengths.cumsum(0), self._count(self.shape.tokens), right=True)

    @cached_property
    def _shares(self) -> Tensor:
        """``[texts, tokens]``, the weight of each token in the mean of each text."""
        # A product, not index_add: without atomic additions it is the same to the last bit every time.
        own = self._owner == self._count(self.shape.texts)[:, None]
        return own.double() / self.lengths[:, None]

    def _count(self, number: int) -> Tensor:
        return torch.arange(number, device=self.ids.device)


def integers_of(batch: Batch, shape: Shape) -> NDArray[np.int64]:
    """All of a packed batch on the CPU, filled up and side by side: what `batch_of` takes apart.

    A type of 2 or 3 stands for 0 or 1, and says that the word is not read.
    """
    real = batch.real_tokens
    tokens = np.zeros((2, shape.tokens), dtype=np.int64)
    tokens[0, :real], tokens[1, :real] = batch.ids.numpy()[:real], batch.types.numpy()[:real]
    if batch.visible is not None:
        tokens[1, :real] += 2 * ~batch.visible.numpy()[:real]
    return np.concatenate([tokens.reshape(-1), batch.lengths, batch.labels.numpy(), batch.rows])


def batch_of(integers: Tensor, shape: Shape, hiding: bool = False) -> FixedBatch:
    """The batch that lies in ``integers``; parts are views of it. ``hiding``: some words may not be read."""
    ids, types, lengths, labels, texts = integers.split([shape.tokens] * 2 + [shape.texts] * 3)
    if not hiding:
        return FixedBatch(shape, ids, types, lengths, labels, texts)
    return FixedBatch(shape, ids, types % 2, lengths, labels, texts, types < 2)
