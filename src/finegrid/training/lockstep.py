"""A family step by step: what runs have in common is computed once, the rest run by run or stack by stack."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from finegrid.model.packing.batches import Batch
from finegrid.planning.families import evenly
from finegrid.study.record import EnginePath
from finegrid.training.frozen_prefix import FrozenPrefix, frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run, guarded, running
from finegrid.training.stack import Stack, can_stack


class Lockstep:
    def __init__(self, loaded: LoadedStudy, runs: Sequence[Run]) -> None:
        self.loaded, self.runs = loaded, list(runs)
        self.known = frozen_prefix(runs[0])
        self.stacks, self.single = stack_up(runs, loaded.settings.stack_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        return self.loaded.training_batches(self.runs[0].recipe, self.runs[0].seed, epoch)

    def step(self, batch: Batch, step: int) -> None:
        """One step of every run that still runs, with its loss and seconds added to the epoch's entry."""
        alive = running(self.runs)
        shared, seconds = share_prefix(alive, batch, step, self.known)
        for stack in self.stacks:
            step_stack(stack, shared, step, seconds / max(1, len(alive)))
        for run in running(self.single):
            with guarded(run):
                step_one(run, shared, step, seconds / len(alive))

    def settle(self) -> None:
        """Nothing is left open at the end of an epoch."""

    def path_of(self, run: Run) -> EnginePath:
        return "plain" if run in self.single else "stack"


def stack_up(runs: Sequence[Run], size: int) -> tuple[list[Stack], list[Run]]:
    """Stacks of at most ``size`` runs, and the runs that step by themselves: all, whoever still runs."""
    if size == 1 or not all(can_stack(run) for run in runs):
        return [], list(runs)
    parts = evenly(list(runs), size)
    return [Stack(part) for part in parts if len(part) > 1], [
        run for part in parts if len(part) == 1 for run in part
    ]


def share_prefix(
    runs: Sequence[Run], batch: Batch, step: int, known: FrozenPrefix | None = None
) -> tuple[Batch, float]:
    """Compute the frozen bottom once for all runs that still run. Returns also the seconds that took.

    Args:
        runs: of one family.
        batch: of training texts.
        step: counted from 0.
        known: where the bottom's output is looked up, if it is the same in every step.
    """
    if not runs or not runs[0].shares_prefix:  # all of a family, or none
        return batch, 0.0
    start = time.perf_counter()
    shared = known.of(batch) if known else runs[0].model.shared(batch, step, runs[0].micro_batch)
    return shared, 0.0 if shared is batch else time.perf_counter() - start


def step_one(run: Run, batch: Batch, step: int, prefix_seconds: float) -> None:
    """One step of one run, its loss and seconds added to the epoch's entry."""
    start = time.perf_counter()
    loss = run.step(batch, step)
    entry = run.progress.epochs[-1]
    entry["train_loss"] += loss / run.loaded.steps_per_epoch(run.recipe)
    entry["train_seconds"] += time.perf_counter() - start + prefix_seconds


def step_stack(stack: Stack, batch: Batch, step: int, prefix_seconds: float) -> None:
    """One step of stacked runs. Its seconds are shared among those that still run."""
    alive = running(stack.runs)
    start = time.perf_counter()
    losses: list[float] = []
    if alive:
        with guarded(*alive):
            losses = stack.backward(batch, step).tolist()
    for run, loss in zip(stack.runs, losses, strict=False):
        if run not in alive:
            run.optimizer.zero_grad()
            continue
        with guarded(run):
            run.check(loss, step)
            run.update(step)
            run.progress.epochs[-1]["train_loss"] += loss / run.loaded.steps_per_epoch(run.recipe)
    for run in alive:
        seconds = (time.perf_counter() - start) / len(alive)
        run.progress.epochs[-1]["train_seconds"] += seconds + prefix_seconds
