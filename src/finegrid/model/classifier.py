"""An encoder with pooling and a classification head, over packed batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from finegrid.model.anatomy import anatomy
from finegrid.model.dropout import CapturedKeys, Clock, Dropout, MaskBook
from finegrid.model.encoder import Copies, copy_weights, forward_layer
from finegrid.model.packing.batches import Batch, Packed, Prefix
from finegrid.model.pooling import means
from finegrid.streams import Streams

if TYPE_CHECKING:
    from finegrid.encoders.poolings import Pooling


class Classifier(nn.Module):
    """Encoder, pooling, then LayerNorm, dropout and a linear layer."""

    def __init__(self, encoder: nn.Module, classes: int, pooling: Pooling, streams: Streams) -> None:
        """Put a fresh head on an encoder. The head comes from the streams ``head/<tensor>`` of the run.

        Args:
            encoder: a loaded Hugging Face encoder; it is changed in place and belongs to this model now.
            classes: number of classes.
            pooling: how token vectors become one vector.
            streams: the run's random numbers.
        """
        super().__init__()
        self.clock = Clock(streams)
        self.pooling = pooling
        self.classes = classes
        self.encoder = encoder
        self.parts = anatomy(encoder, self.clock)
        self.fresh: set[nn.Module] = set()  # what was drawn, and is not the checkpoint's: roots of modules
        self.frozen_layers = 0
        self.compute: torch.dtype | None = None  # of the encoder's products; None: that of its weights
        self._held: dict[int, Copies] = {}  # by layer, where weights stay as they are
        self.head = nn.Sequential(
            OrderedDict(
                norm=nn.LayerNorm(self.parts.width),
                dropout=Dropout("head", self.parts.head_dropout_rate, self.clock),
                linear=nn.utils.skip_init(nn.Linear, self.parts.width, classes),
            )
        )
        self.redraw_(self.head, "head")

    @property
    def dropouts(self) -> dict[str, Dropout]:
        """All dropout sites by name."""
        return {module.site: module for module in self.modules() if isinstance(module, Dropout)}

    @torch.no_grad()
    def redraw_(self, root: nn.Module, stream: str) -> None:
        """Draw a part afresh: weights from N(0, initializer_range), biases 0, LayerNorm 1 and 0.

        Each tensor has a stream of its own, ``<stream>/<tensor>``, so redrawing one moves no other.
        """
        self.fresh.add(root)
        # Not model._init_weights: since transformers 5 it skips every weight that from_pretrained loaded.
        inside = {id(module) for module in root.modules()}
        for name, module in self.named_modules():
            if id(module) not in inside:
                continue
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
            elif isinstance(module, nn.Linear):
                self._draw_(module.weight, f"{stream}/{name}.weight")
                module.bias.zero_()

    def _draw_(self, weight: Tensor, stream: str) -> None:
        normal = torch.from_numpy(self.clock.streams.normal(stream, tuple(weight.shape)))
        weight.copy_(normal.mul_(self.parts.initializer_range))

    @torch.no_grad()
    def load_encoder_(self, weights: Mapping[str, Tensor]) -> None:
        """Give the encoder other values.

        Args:
            weights: of every parameter of the encoder, by its name there.
        """
        for name, p in self.encoder.named_parameters():
            p.copy_(weights[name])
        self.fresh -= set(self.encoder.modules())

    def share_(self, other: Classifier) -> None:
        """Take from another run of the family what both have: dropout masks, and frozen weights."""
        other.clock.book = self.clock.book = other.clock.book or MaskBook()
        theirs = dict(other.named_modules())
        for name, module in self.named_modules():
            for key, p in module.named_parameters(recurse=False):
                twin = getattr(theirs[name], key)
                if not p.requires_grad and not twin.requires_grad and torch.equal(p, twin):
                    setattr(module, key, twin)

    def forward(self, batch: Packed, step: int | CapturedKeys | None = None) -> Tensor:
        """Logits ``[texts, classes]``, in the batch's own (packed) order.

        Args:
            batch: the texts, with what the frozen bottom makes of them if that is known.
            step: whose dropout masks are drawn, from 0; None where nothing is dropped.

        Raises:
            ValueError: a dropout site is active, and there is no step.
        """
        return self.head(self.features(batch, step))  # type: ignore[no-any-return]

    def features(self, batch: Packed, step: int | CapturedKeys | None = None) -> Tensor:
        """One vector a text, ``[texts, width]``: what the head reads. Arguments as of `forward`."""
        self.clock.turn_to_(step)
        prefix = batch.prefix or self.prefix(batch, step)
        hidden, first = prefix.hidden, prefix.first
        for index in range(self.frozen_layers, len(self.parts.layers)):
            hidden = self._layer(index, hidden, batch, self._held.get(index))
            if index == 0:
                first = means(hidden, batch)
        return self.pool(first, hidden, batch)

    def shared(self, batch: Batch, step: int | None = None) -> Batch:
        """The batch for all runs of this one's family: with the frozen bottom computed, if there is one."""
        return batch.with_prefix(self.prefix(batch, step)) if self.frozen_layers else batch

    def prefix(self, batch: Packed, step: int | CapturedKeys | None = None) -> Prefix:
        """Run the frozen bottom: nothing but embeddings where nothing is frozen."""
        self.clock.turn_to_(step)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen_layers == 0):
            hidden, first = self.parts.embed(batch.ids, batch.positions, batch.types), None
            for index in range(self.frozen_layers):
                if index not in self._held:
                    self._hold_(index)
                hidden = self._layer(index, hidden, batch, self._held[index])
                if index == 0:
                    first = means(hidden, batch)
        return Prefix(hidden, first)

    @property
    def prefix_is_constant(self) -> bool:
        """Whether the frozen bottom makes the same of a text in every step: nothing in it is dropped."""
        frozen = self.parts.layers[: self.frozen_layers]
        sites = [self.parts.embedding_dropout, *(site for layer in frozen for site in layer.dropouts)]
        return self.frozen_layers > 0 and not any(site.active for site in sites)

    def _layer(self, index: int, hidden: Tensor, batch: Packed, held: Copies | None) -> Tensor:
        layer = self.parts.layers[index]
        copies = held or copy_weights(layer, self._compute_type(index))
        return forward_layer(layer, hidden, batch.layout(layer.heads), copies)

    def _hold_(self, index: int) -> None:
        self._held[index] = copy_weights(self.parts.layers[index], self._compute_type(index))

    def _compute_type(self, index: int) -> torch.dtype:
        return self.compute or self.parts.layers[index].up.weight.dtype

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode, with the weights as they are on entering, and training mode again."""
        self.eval()
        for index in range(self.frozen_layers, len(self.parts.layers)):
            self._hold_(index)
        try:
            yield
        finally:
            for index in range(self.frozen_layers, len(self.parts.layers)):
                del self._held[index]
            self.train()

    def pool(self, first: Tensor | None, last: Tensor, batch: Packed) -> Tensor:
        """One vector a text, ``[texts, width]``. Means run over real tokens only.

        Args:
            first: ``[texts, width]``, means of the first layer's output.
            last: ``[tokens, width]``, the last layer's output.
            batch: where the texts lie.
        """
        if self.pooling == "cls":
            return last[batch.starts]
        if self.pooling == "pooler":
            assert self.parts.pooler is not None  # settings refuse pooling="pooler" without one
            pooled: Tensor = self.parts.pooler(last[batch.starts][:, None])
            return pooled
        if self.pooling == "last-mean":
            return means(last, batch)
        assert first is not None  # every encoder has a first layer
        # The mean of means equals the mean over tokens of (first + last) / 2, with half the additions.
        return (first + means(last, batch)) / 2
