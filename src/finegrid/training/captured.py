"""A stack's whole step, forward to optimizer, as a function of fixed tensors: what a CUDA graph can hold.

Batch, rates, Adam's step numbers and the keys of the dropout masks lie in tensors that are filled anew before
each step; nothing is read back before the epoch is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from finegrid.model.dropout import CapturedKeys, name_pass
from finegrid.model.packing.batches import Batch, Prefix
from finegrid.model.packing.fixed import FixedBatch, Shape, batch_of, integers_of, plan_sizes
from finegrid.strategies.criterion import Blend
from finegrid.study.record import EnginePath
from finegrid.training.frozen_prefix import FrozenPrefix, frozen_prefix
from finegrid.training.graphs import Graphs, Replayed
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run, guarded, running
from finegrid.training.stack import Stack, can_stack

CPU = torch.device("cpu")


class CapturedStep:
    """One step at one shape. Reads its buffers, changes weights and moments, leaves the losses."""

    def __init__(self, stack: Stack, shape: Shape, device: torch.device, graphs: Graphs) -> None:
        self.stack, self.shape, self.device = stack, shape, device
        model = stack.models[0]
        of_head = {site.site for site in model.head.dropouts}
        sites = dict.fromkeys(site for one in stack.models for site in one.dropouts)
        passes = {site: stack.head_passes if site in of_head else stack.views for site in sites}
        self.sites = [name_pass(site, number) for site, count in passes.items() for number in range(count)]
        self.sites += dict.fromkeys(name for one in stack.models for name in one.draws)
        groups = max(len(run.optimizer.groups) for run in stack.runs)
        integers = 2 * shape.tokens + 3 * shape.texts
        self.integers = torch.zeros(integers + len(self.sites), dtype=torch.int64, device=device)
        self.numbers = torch.zeros(len(stack.runs), 2, groups, device=device)  # rates, numbers of the update
        self.losses = torch.zeros(len(stack.runs), device=device)
        self.pairing = {index: run for index, run in enumerate(stack.runs) if run.criterion.pair is not None}
        self.partners = torch.zeros(len(stack.runs), shape.texts, dtype=torch.int64, device=device)
        self.shares = torch.zeros(len(stack.runs), device=device)  # of each text itself
        self.prefix: Prefix | None = None  # where it is looked up
        self.step = 0
        self.replayed = Replayed(graphs)

    def fill_(self, batch: Batch, step: int) -> None:
        """Put everything in place that this step has of its own.

        Args:
            batch: on the CPU, with its prefix if that is looked up.
            step: counted from 0.
        """
        self.step, streams = step, self.stack.models[0].clock.streams
        keys = [streams.key(f"dropout/{step}/{site}") for site in self.sites]
        send_(self.integers, torch.from_numpy(np.append(integers_of(batch, self.shape), keys)))
        numbers = torch.zeros(self.numbers.shape)
        for own, run in zip(numbers, self.stack.runs, strict=True):
            rates = run.rates(step)
            run.optimizer.count_(rates)
            both = [rates, run.optimizer.numbers_for_graphs()]
            own[:, : len(rates)] = torch.tensor(both, dtype=torch.float64)
        send_(self.numbers, numbers)
        if self.pairing:
            self._fill_pairs_(batch, step)
        if batch.prefix is not None:
            self._fill_prefix_(batch.prefix)

    def _fill_pairs_(self, batch: Batch, step: int) -> None:
        partners, shares = torch.zeros_like(self.partners, device=CPU), torch.zeros(len(self.shares))
        for index, run in self.pairing.items():
            own, share = run.draw_pairs(batch, step)
            partners[index], shares[index] = torch.from_numpy(own), share
        send_(self.partners, partners)
        send_(self.shares, shares)

    def _fill_prefix_(self, prefix: Prefix) -> None:
        if self.prefix is None:
            hidden = torch.zeros(self.shape.tokens, prefix.hidden.shape[1], device=self.device)
            below = tuple(torch.zeros(kept.shape, device=self.device) for kept in prefix.below)
            self.prefix = Prefix(hidden, below)
        send_(self.prefix.hidden[: len(prefix.hidden)], prefix.hidden)
        for ours, kept in zip(self.prefix.below, prefix.below, strict=True):
            send_(ours, kept)

    def __call__(self) -> None:
        """Step, or replay what a step does."""
        self.replayed(self.compute)

    def compute(self) -> None:
        """The step itself: the same calls on the same tensors every time."""
        for model in self.stack.models:  # a capture that failed has asked for this step's masks already
            model.clock.forget_()
            for site in model.dropouts.values():
                site.forget_()
        ints = self.integers[: -len(self.sites)]
        keys = dict(zip(self.sites, self.integers[-len(self.sites) :], strict=True))
        step = CapturedKeys(self.step, keys)
        for index, run in self.pairing.items():
            run.blend = Blend(self.partners[index], self.shares[index])
        for run in self.stack.runs:
            run.optimizer.zero_grad()
        self.losses.copy_(self.stack.backward(self._batch(ints, step), step))
        for run, (rates, updates) in zip(self.stack.runs, self.numbers, strict=True):
            groups = len(run.optimizer.groups)
            run.change_gradients_()
            run.spend_by_(rates[:groups], updates[:groups])

    def _batch(self, integers: Tensor, step: CapturedKeys) -> FixedBatch:
        batch = batch_of(integers, self.shape, self.stack.runs[0].hides_words)
        if self.prefix is not None:
            return batch.with_prefix(self.prefix)
        model = self.stack.models[0]
        if model.frozen_layers == 0 or not self.stack.runs[0].shares_prefix:
            return batch
        return batch.with_prefix(model.prefix(batch, step))


def send_(target: Tensor, source: Tensor) -> None:
    """Copy from the CPU, without waiting for what the device still does."""
    if target.device.type == "cuda":
        source = source.pin_memory()
    target.copy_(source, non_blocking=True)


class CapturedSteps:
    """A family that is one stack, stepped by captured steps. Losses are looked at once an epoch is over."""

    def __init__(self, loaded: LoadedStudy, runs: Sequence[Run]) -> None:
        self.loaded, self.runs, self.stack = loaded, list(runs), Stack(runs)
        self.known: FrozenPrefix | None = frozen_prefix(runs[0])
        self.recipe, self.seed = runs[0].recipe, runs[0].seed
        graphs = Graphs(loaded.device)
        self.steps = {  # by texts and tokens; those of the fewest tokens come first
            (texts, shape.tokens): CapturedStep(self.stack, shape, loaded.device, graphs)
            for texts, shapes in self._shapes().items()
            for shape in shapes
        }
        self.losses: list[tuple[int, Tensor]] = []  # since the epoch began, by step
        self.began = 0.0

    def _shapes(self) -> dict[int, list[Shape]]:
        texts = self.loaded.training_texts(self.recipe)
        lengths = np.minimum(texts.lengths, self.recipe.model.max_length)  # none is longer in any epoch
        epochs = range(self.recipe.training.epochs)
        rows = (own for epoch in epochs for own in self.loaded.training_rows(self.recipe, self.seed, epoch))
        return plan_sizes((lengths[own] for own in rows), self.runs[0].model.parts.layers[0].heads)

    def step_of(self, batch: Batch) -> CapturedStep:
        """The step of the smallest shape that has room for a batch."""
        own = len(batch.rows), batch.real_tokens
        return next(
            step for (texts, tokens), step in self.steps.items() if texts == own[0] and tokens >= own[1]
        )

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, on the CPU."""
        self.began = time.perf_counter()
        for rows in self.loaded.training_rows(self.recipe, self.seed, epoch):
            yield self.loaded.pack_training(rows, self.recipe, self.seed, epoch, CPU)

    def step(self, batch: Batch, step: int) -> None:
        """One step of all runs; what was asked of a GPU may not be done yet."""
        alive = running(self.runs)
        if not alive:
            return
        captured = self.step_of(batch)
        filled = self.known.of(batch) if self.known else batch
        with guarded(*alive):
            captured.fill_(filled, step)
            captured()
            self.losses.append((step, captured.losses.clone()))

    def path_of(self, run: Run) -> EnginePath:
        """Where nothing could be captured, the same steps were calls."""
        if any(step.replayed.graph is not None for step in self.steps.values()):
            return "graph"
        return "stack" if len(self.runs) > 1 else "plain"

    def settle(self) -> None:
        """Wait for the epoch's steps, and take in losses and seconds."""
        alive = running(self.runs)
        values = [(step, losses.tolist()) for step, losses in self.losses]
        seconds = (time.perf_counter() - self.began) / max(1, len(alive))
        self.losses.clear()
        for index, run in enumerate(self.runs):
            if run not in alive:
                continue
            entry = run.progress.epochs[-1]
            entry["train_seconds"] += seconds
            with guarded(run):
                for step, losses in values:
                    run.check(losses[index], step)
                    entry["train_loss"] += losses[index] / self.loaded.steps_per_epoch(run.recipe)


def can_capture(runs: Sequence[Run], size: int) -> bool:
    """Whether a family is one stack (of at most ``size``), and nothing in its steps is beyond a graph."""
    return len(runs) <= size and all(can_stack(run) and fits_a_graph(run) for run in runs)


def fits_a_graph(run: Run) -> bool:
    """Whether every step makes the same calls: nothing is read back, and no group is ever left alone.

    Portions of a batch are cut on the CPU, where its lengths are known.
    """
    steps = range(run.total_steps) if any("factor" in group for group in run.optimizer.groups) else ()
    same_calls = all(None not in run.rates(step) for step in steps) and not run.micro_batch
    return same_calls and all(strategy.capturable for strategy in run.acting)
