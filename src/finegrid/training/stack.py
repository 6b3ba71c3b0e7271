"""Several runs of a family that step as one: their products are one batched product.

Where shapes are small a step's cost is the number of its operations, and a stack of eight runs has the
operations of one. A batched product is not bitwise the single one: results are equal to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.encoder import copy_weights, forward_layer
from finegrid.model.packing.batches import Packed
from finegrid.model.pooling import means
from finegrid.model.stacked import stack_layers_
from finegrid.strategies.seams import Strategy
from finegrid.training.run import Run, cross_entropy


class Stack:
    """Runs of one family, stacked for good: who diverges stays in, so that the others compute the same."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.models = [run.model for run in runs]
        self.frozen_layers = self.models[0].frozen_layers
        above = zip(*(model.parts.layers[self.frozen_layers :] for model in self.models), strict=True)
        pairs = [stack_layers_(same) for same in above]
        self.layers = [layer for layer, _ in pairs]
        self.stacked = [one for _, some in pairs for one in some]

    def forward(self, batch: Packed) -> Tensor:
        """Cross-entropy of every run, ``[runs]``. Embeddings, pooling and head are computed run by run."""
        prefixes = [batch.prefix or model.prefix(batch) for model in self.models]
        hidden = torch.stack([prefix.hidden for prefix in prefixes])
        firsts = [prefix.first for prefix in prefixes]
        dtype = self.models[0].compute or hidden.dtype
        for index, layer in enumerate(self.layers, start=self.frozen_layers):
            layout = batch.layout(layer.heads, len(self.runs))
            hidden = forward_layer(layer, hidden, layout, copy_weights(layer, dtype))
            if index == 0:
                firsts = [means(own, batch) for own in hidden]
        logits = [
            model.head(model.pool(first, own, batch))
            for model, first, own in zip(self.models, firsts, hidden, strict=True)
        ]
        return torch.stack([F.cross_entropy(one.float(), batch.labels) for one in logits])

    def backward(self, batch: Packed, step: int) -> Tensor:
        """Leave every run its gradients. Returns the losses ``[runs]``."""
        for model in self.models:
            model.clock.step = step
        losses = self.forward(batch)
        losses.sum().backward()
        for one in self.stacked:
            one.hand_out_gradients_()
        return losses.detach()


def can_stack(run: Run) -> bool:
    """Whether nothing in a run's step needs a model of its own: no loss but cross-entropy, no second pass."""
    own = any(
        type(strategy).after_backward is not Strategy.after_backward for strategy in run.recipe.strategies
    )
    return run.loss_fn is cross_entropy and not own
