"""One step over several shards of a batch, on several threads; sums do not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.model.dropout import SHARD
from finegrid.model.encoder import Copies
from finegrid.pretraining.batches import MaskedBatch
from finegrid.pretraining.heads import Outcome, Pretrainer


@dataclass
class Sums:
    """What a model said of some batches."""

    told: float = 0.0
    right: float = 0.0
    hidden: int = 0
    pair: float = 0.0
    agreed: float = 0.0
    pairs: int = 0

    def add_(self, outcome: Outcome) -> None:
        self.told += float(outcome.told.detach())
        self.right += float(outcome.right)
        self.hidden += outcome.hidden
        self.pair += float(outcome.pair.detach())
        self.agreed += float(outcome.agreed)
        self.pairs += outcome.pairs

    @property
    def loss(self) -> float:
        """Nats per hidden token."""
        return self.told / max(1, self.hidden)

    @property
    def accuracy(self) -> float:
        """Share of hidden tokens that were guessed."""
        return self.right / max(1, self.hidden)

    @property
    def pair_accuracy(self) -> float:
        return self.agreed / max(1, self.pairs)


class Threads:
    """Threads that each run a shard on one core. Use as a context."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Threads:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._before)

    def gradients_(
        self,
        model: Pretrainer,
        shards: Sequence[MaskedBatch],
        step: int,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Sums:
        """Fill the gradients of all parameters with those of the mean loss over the shards together.

        Args:
            model: the model.
            shards: of one batch.
            step: counted from 0.
            meanwhile: called while the threads work.
        """
        params = [p for p in model.parameters() if p.requires_grad]
        copies = model.copies()
        hidden, pairs = sum(shard.hidden for shard in shards), sum(shard.pairs for shard in shards)

        def work(index: int, shard: MaskedBatch) -> tuple[Outcome, tuple[Tensor | None, ...]]:
            SHARD.set(index)
            outcome = model(shard, copies, step)
            loss = outcome.loss(hidden, pairs)
            return outcome, torch.autograd.grad(loss, params, allow_unused=True)

        jobs = [self._pool.submit(work, index, shard) for index, shard in enumerate(shards)]
        meanwhile()
        sums = Sums()
        for p in params:
            p.grad = None
        for job in jobs:  # in the order of the shards, whichever was ready first
            outcome, grads = job.result()
            sums.add_(outcome)
            own = [(p, grad) for p, grad in zip(params, grads, strict=True) if grad is not None]
            totals: list[Tensor] = []
            more: list[Tensor] = []
            for p, grad in own:
                if p.grad is None:
                    p.grad = grad
                else:
                    totals.append(p.grad)
                    more.append(grad)
            if more:
                torch._foreach_add_(totals, more)
        return sums

    @torch.no_grad()
    def judge(self, model: Pretrainer, shards: Sequence[MaskedBatch]) -> list[Outcome]:
        """What the model says of some shards, nothing learned."""
        copies: list[Copies] = model.copies()
        model.eval()
        try:
            return list(self._pool.map(torch.no_grad()(lambda shard: model(shard, copies)), shards))
        finally:
            model.train()
