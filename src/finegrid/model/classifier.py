"""An encoder with pooling and a classification head, over packed batches."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from finegrid.data.batches import Batch, Prefix
from finegrid.model.anatomy import anatomy
from finegrid.model.dropout import Clock, Dropout
from finegrid.model.encoder import forward_layer
from finegrid.streams import Streams

if TYPE_CHECKING:
    from finegrid.model.settings import Pooling


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
        self.frozen_layers = 0
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

    def forward(self, batch: Batch) -> Tensor:
        """Logits ``[texts, classes]``, in the batch's own (packed) order."""
        prefix = batch.prefix or self.prefix(batch)
        hidden, first = prefix.hidden, prefix.first
        for index in range(self.frozen_layers, len(self.parts.layers)):
            hidden = forward_layer(self.parts.layers[index], hidden, batch.groups)
            if index == 0:
                first = hidden
        logits: Tensor = self.head(self.pool(first, hidden, batch))
        return logits

    def prefix(self, batch: Batch) -> Prefix:
        """Run the frozen bottom: nothing but embeddings where nothing is frozen."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen_layers == 0):
            hidden = first = self.parts.embed(batch.ids, batch.positions, batch.types)
            for index in range(self.frozen_layers):
                hidden = forward_layer(self.parts.layers[index], hidden, batch.groups)
                if index == 0:
                    first = hidden
        return Prefix(hidden, first)

    def pool(self, first: Tensor, last: Tensor, batch: Batch) -> Tensor:
        """``[tokens, width]`` to ``[texts, width]``. Means run over real tokens only."""
        if self.pooling == "cls":
            return last[batch.starts]
        if self.pooling == "pooler":
            assert self.parts.pooler is not None  # settings refuse pooling="pooler" without one
            pooled: Tensor = self.parts.pooler(last[batch.starts][:, None])
            return pooled
        if self.pooling == "last-mean":
            return mean_over_tokens(last, batch)
        # The mean of means equals the mean over tokens of (first + last) / 2, with half the additions.
        return (mean_over_tokens(first, batch) + mean_over_tokens(last, batch)) / 2


def mean_over_tokens(hidden: Tensor, batch: Batch) -> Tensor:
    """``[tokens, width]`` to ``[texts, width]``."""
    sums = hidden.new_zeros(len(batch.labels), hidden.shape[1])
    lengths = torch.diff(batch.starts, append=batch.starts.new_tensor([len(batch.ids)]))
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    return sums.index_add(0, owner, hidden) / lengths[:, None]
