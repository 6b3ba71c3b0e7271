"""Several runs of a family that step as one: their products are one batched product.

Where shapes are small a step's cost is the number of its operations, and a stack of eight runs has the
operations of one. A batched product is not bitwise the single one: results are equal to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from finegrid.model.anatomy import Layer
from finegrid.model.classifier import Classifier
from finegrid.model.dropout import CapturedKeys
from finegrid.model.encoder import copy_weights, forward_layer
from finegrid.model.engine import HandEngine
from finegrid.model.mixing import mix_stacked, with_weights
from finegrid.model.packing.batches import Batch, Packed
from finegrid.model.stacked import stack_layers_
from finegrid.training.run import Run


class Stack:
    """Runs of one family, stacked for good: who diverges stays in, so that the others compute the same."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.models = [run.model for run in runs]
        self.views = max(run.criterion.views for run in runs)
        self.head_passes = max(run.criterion.views * run.criterion.samples for run in runs)
        self.frozen_layers = self.models[0].frozen_layers
        above = zip(*(hand_layers(model)[self.frozen_layers :] for model in self.models), strict=True)
        pairs = [stack_layers_(same) for same in above]
        self.layers = [layer for layer, _ in pairs]
        self.stacked = [one for _, some in pairs for one in some]
        self.own_of: dict[Tensor, tuple[Tensor, ...]] = {one.whole: one.own for one in self.stacked}
        self.mixings = [model.engine.mixing for model in self.models]

    def features(self, batch: Packed, step: int | CapturedKeys) -> list[Tensor]:
        """One vector a text of every run, ``[texts, width]``. Embeddings and pooling go run by run."""
        for model in self.models:
            model.clock.turn_to_(step, batch.portion)
        prefixes = [batch.prefix or model.prefix(batch, step) for model in self.models]
        hidden, low = torch.stack([prefix.hidden for prefix in prefixes]), None
        below = [[*prefix.below] for prefix in prefixes]
        dtype, recompute = self.models[0].compute or hidden.dtype, self.models[0].engine.recompute
        for index, layer in enumerate(self.layers, start=self.frozen_layers):
            layout = batch.layout(layer.heads, len(self.runs))
            read = with_weights(layer, self._mix) if any(self.mixings) else layer
            hidden, low = forward_layer(read, hidden, layout, copy_weights(read, dtype), recompute, low)
            if index + 1 in self.models[0].head.pool.levels:
                for model, own, kept in zip(self.models, hidden, below, strict=True):
                    kept += model.read(index + 1, own, batch)
        return [
            model.pool(kept, own, batch) for model, kept, own in zip(self.models, below, hidden, strict=True)
        ]

    def _mix(self, whole: Tensor) -> Tensor:
        """A matrix of all runs, as this step reads it."""
        return mix_stacked(whole, self.own_of[whole], self.mixings)

    def losses(self, batch: Packed, step: int | CapturedKeys) -> Tensor:
        """The loss of every run, ``[runs]``, each by its own criterion."""
        by_view = [self.features(batch, step) for _ in range(self.views)]
        losses = []
        for run, features in zip(self.runs, zip(*by_view, strict=True), strict=True):
            own = features[: run.criterion.views]
            losses.append(run.loss(run.outputs_of(own, batch)))
        return torch.stack(losses)

    def backward(self, batch: Packed, step: int | CapturedKeys) -> Tensor:
        """Leave every run its gradients. Returns the losses ``[runs]``."""
        if isinstance(batch, Batch) and isinstance(step, int):  # of a captured step, it finds the pairs
            for run in self.runs:
                run.pair_(batch, step)
        with self._leaving_alone(step):
            total = self._add_gradients_(batch, step)
            for one in self.stacked:
                one.hand_out_gradients_()
        return total

    @contextmanager
    def _leaving_alone(self, step: int | CapturedKeys) -> Iterator[None]:
        """Compute no gradients, until the end, of what a step of all runs leaves alone."""
        with ExitStack() as left:
            if isinstance(step, int) and any(run.waits for run in self.runs):  # which are not captured
                for run in self.runs:
                    left.enter_context(run.leaving_alone(step))
                for one in self.stacked:
                    one.whole.requires_grad_(any(p.requires_grad for p in one.own))
            yield

    def _add_gradients_(self, batch: Packed, step: int | CapturedKeys) -> Tensor:
        portions = batch.portions(self.runs[0].micro_batch)
        total = None
        for portion in portions:
            losses = self.losses(portion, step)
            if len(portions) > 1:
                losses = losses * (len(portion.labels) / len(batch.labels))
            losses.sum().backward()
            total = losses.detach() if total is None else total + losses.detach()
        assert total is not None  # a batch has texts
        return total


def hand_layers(model: Classifier) -> list[Layer]:
    """The layers of a model whose passes are hand-written: only those are stacked."""
    assert isinstance(model.engine, HandEngine)  # see `can_stack`
    return model.engine.layers


def can_stack(run: Run) -> bool:
    """Whether passes are hand-written, and nothing that is switched on needs one of the run's own model."""
    alone = any(not one.stackable or one.reads_again() for one in run.acting)
    return isinstance(run.model.engine, HandEngine) and not alone
