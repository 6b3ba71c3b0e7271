"""An encoder with BERT's two pre-training heads over packed batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from finegrid.model.anatomy import take_apart
from finegrid.model.dropout import Clock
from finegrid.model.encoder import Copies, copy_weights, forward_layer
from finegrid.model.kernels.products import grad_input, grad_weight, linear
from finegrid.pretraining.batches import MaskedBatch
from finegrid.streams import Streams


class Pretrainer(nn.Module):
    """A ``BertForPreTraining`` whose encoder runs over packed texts and whose logits are made where asked."""

    def __init__(self, model: Any, streams: Streams, compute: torch.dtype, dropout: bool = False) -> None:
        """Take a model over.

        Args:
            model: a ``transformers.BertForPreTraining``; it belongs to this one now.
            streams: of the seed, for dropout.
            compute: the type of products.
            dropout: whether the rates of the config apply while training.
        """
        super().__init__()
        self.model = model
        self.compute = compute
        self.clock = Clock(streams)
        self.parts = take_apart(self.encoder, self.clock)
        for site in self.parts.anatomy.dropouts:
            site.silenced = not dropout

    @property
    def encoder(self) -> nn.Module:
        encoder: nn.Module = self.model.bert
        return encoder

    def copies(self) -> list[Copies]:
        """The layers' weights as they are now, in the compute type: made once for all shards of a step."""
        return [copy_weights(layer, self.compute) for layer in self.parts.layers]

    def forward(self, masked: MaskedBatch, weights: Sequence[Copies], step: int | None = None) -> Outcome:
        """What the model says of a shard.

        Args:
            masked: the shard.
            weights: of every layer, in the compute type.
            step: whose dropout masks are drawn, from 0; None where nothing is dropped.
        """
        self.clock.turn_to_(step)
        batch, parts, head = masked.batch, self.parts, self.model.cls
        hidden, low = parts.embed(batch.ids, batch.positions, batch.types), None
        for layer, copies in zip(parts.layers, weights, strict=True):
            hidden, low = forward_layer(layer, hidden, batch.layout(layer.heads), copies, low=low)
        h = head.predictions.transform(hidden.index_select(0, masked.places))
        nats, correct = TiedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            h, self.table, head.predictions.bias, masked.targets, masked.counts, self.compute
        )
        pooler = parts.anatomy.pooler
        assert pooler is not None  # a BertForPreTraining has one
        scores = head.seq_relationship(pooler(hidden[batch.starts][:, None]))
        paired = batch.labels >= 0
        pair_nats = F.cross_entropy(scores, batch.labels, ignore_index=-1, reduction="sum")
        correct_pairs = (scores.argmax(1) == batch.labels)[paired].sum()
        return Outcome(nats, correct, masked.hidden, pair_nats, correct_pairs, masked.pairs)

    @property
    def table(self) -> nn.Parameter:
        """Word embeddings, which are also the weights of the logits."""
        table: nn.Parameter = self.model.get_input_embeddings().weight
        return table


@dataclass(frozen=True)
class Outcome:
    """Sums over one shard."""

    nats: Tensor  # nats over hidden tokens
    correct: Tensor  # hidden tokens that were guessed
    hidden: int
    pair_nats: Tensor  # nats over pairs
    correct_pairs: Tensor  # pairs that were told apart
    pairs: int

    def loss(self, hidden: int, pairs: int) -> Tensor:
        """This shard's part of the mean over hidden tokens plus the mean over pairs, as in BERT."""
        return self.nats / max(1, hidden) + self.pair_nats / max(1, pairs)


class TiedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``h @ table.T + bias``, summed; products in the compute type, the rest as ``h`` is."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, table: Tensor, bias: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        targets, counts, compute = rest
        counts = counts.to(h.dtype)  # a number would not widen it
        low, words = h.to(compute), table.to(compute)
        logits = linear(low, words, None).to(h.dtype).add_(bias)
        correct = ((logits.argmax(1) == targets) * counts).sum()
        logits = torch.log_softmax(logits, 1)
        loss = -(logits.gather(1, targets[:, None])[:, 0] * counts).sum()
        ctx.save_for_backward(low, words, logits, targets, counts)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        low, words, logits, targets, counts = ctx.saved_tensors
        scale = counts * grad
        wrong = logits.exp_().mul_(scale[:, None])
        wrong.scatter_add_(1, targets[:, None], -scale[:, None])
        dtype, bias = wrong.dtype, wrong.sum(0)
        wrong = wrong.to(low.dtype)
        return (
            grad_input(wrong, words).to(dtype),
            grad_weight(wrong, low, dtype),
            bias,
            None,
            None,
            None,
        )
