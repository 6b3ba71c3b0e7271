"""How a classifier runs its encoder over packed batches: one protocol, whoever computes the layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from finegrid.encoders.tiers import Tier
from finegrid.model.anatomy import Anatomy, Layer, take_apart
from finegrid.model.dropout import Clock, Dropout, skipped_layers
from finegrid.model.encoder import Copies, copy_weights, forward_layer
from finegrid.model.hosted_engine import HostedEngine
from finegrid.model.initial import Initial
from finegrid.model.mixing import Mixing
from finegrid.model.packing.batches import Packed

Visit = Callable[[int, Tensor], None]  # is given levels, ``[tokens, width]``; 0 is the embeddings' output


class Engine(Protocol):
    """An encoder that runs over packed batches. It owns no parameters: those belong to the encoder."""

    recompute: bool  # whether layers keep nothing but their input for the backward pass
    skips: list[Dropout]  # sites of whole layers, bottom up; none where every step has all layers
    mixing: Mixing | None  # matrices that a step puts back partly, if there are any

    @property
    def parts(self) -> Anatomy: ...

    @property
    def initials(self) -> Mapping[str, Initial]:
        """How the family draws tensors of the encoder, by their names there; of others ours holds."""
        ...

    def run(
        self,
        batch: Packed,
        wanted: Collection[int],
        visit: Visit,
        start: int = 0,
        end: int | None = None,
        hidden: Tensor | None = None,
        compute: torch.dtype | None = None,
    ) -> Tensor:
        """Compute levels of a batch, ``[tokens, width]`` each.

        Args:
            batch: the texts.
            wanted: levels to give to ``visit``, of those between ``start`` and the one that is returned.
            visit: is called with each of them, bottom up, as soon as it is there.
            start: the level that is known; 0 where none is.
            end: the level to return; None: the last, after whatever the encoder does on top of its layers.
            hidden: the level ``start``, if it is known.
            compute: the type of products; None: that of the weights.
        """
        ...

    def hold_(self, layers: range, compute: torch.dtype | None) -> None:
        """Take it that these layers' weights stay as they are, until `release_`."""
        ...

    def release_(self, layers: range) -> None: ...


def make_engine(encoder: nn.Module, tier: Tier, clock: Clock) -> Engine:
    """An engine for an encoder, which it changes in place: its dropout sites become ours."""
    return HandEngine(encoder, clock) if tier == "hand" else HostedEngine(encoder, tier, clock)


class HandEngine:
    """Layers with hand-written passes, straight over the packed layout: see `finegrid.model.encoder`."""

    def __init__(self, encoder: nn.Module, clock: Clock) -> None:
        own = take_apart(encoder, clock)
        self.parts, self.embed, self.layers = own.anatomy, own.embed, own.layers
        self.initials: Mapping[str, Initial] = {}
        self.recompute = False
        self.skips: list[Dropout] = []
        self.mixing: Mixing | None = None
        self._held: dict[int, Copies] = {}  # by layer, where weights stay as they are

    def run(
        self,
        batch: Packed,
        wanted: Collection[int],
        visit: Visit,
        start: int = 0,
        end: int | None = None,
        hidden: Tensor | None = None,
        compute: torch.dtype | None = None,
    ) -> Tensor:
        if hidden is None:
            hidden = self.embed(batch.ids, batch.positions, batch.types)
            if 0 in wanted and end != 0:
                visit(0, hidden)
        layers = range(start, len(self.layers) if end is None else end)
        skipped = skipped_layers(self.skips, layers)
        low: Tensor | None = None
        for index in layers:
            if index not in skipped:
                layer, copies = self._read(index, compute)
                layout = batch.layout(layer.heads)
                hidden, low = forward_layer(layer, hidden, layout, copies, self.recompute, low)
            if index + 1 in wanted and index + 1 != end:
                visit(index + 1, hidden)
        return hidden

    def hold_(self, layers: range, compute: torch.dtype | None) -> None:
        for index in layers:
            if index not in self._held:
                self._held[index] = self._copy(index, compute)

    def release_(self, layers: range) -> None:
        for index in layers:
            self._held.pop(index, None)

    def _read(self, index: int, compute: torch.dtype | None) -> tuple[Layer, Copies]:
        """A layer as a pass reads it, and its weights in the type of products."""
        layer = self.layers[index]
        mixed = layer if self.mixing is None else self.mixing.of_layer(layer)
        if mixed is not layer:
            return mixed, copy_weights(mixed, compute or layer.up.weight.dtype)
        return layer, self._held.get(index) or self._copy(index, compute)

    def _copy(self, index: int, compute: torch.dtype | None) -> Copies:
        layer = self.layers[index]
        return copy_weights(layer, compute or layer.up.weight.dtype)


@contextmanager
def holding(engine: Engine, layers: range, compute: torch.dtype | None) -> Iterator[None]:
    """These layers' weights stay as they are."""
    engine.hold_(layers, compute)
    try:
        yield
    finally:
        engine.release_(layers)
