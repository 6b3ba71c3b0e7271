"""One family of runs, top to bottom: the only training loop.

A family is one run, or several runs of one seed whose steps cost the same. They walk in lockstep: a batch is
packed, its dropout masks are drawn, and its frozen prefix is computed once for all of them. What follows
uses the same operations as in a family of one, so results are equal bit for bit; unless runs are stacked,
which is equal to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from finegrid.model.device import peak_memory, reset_peak_memory
from finegrid.training.captured import CapturedSteps, can_capture
from finegrid.training.evaluate import Logits, predict
from finegrid.training.free import FreeScoring
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import Lockstep
from finegrid.training.run import Run, guarded, running, stop_early_, trained
from finegrid.training.state import StateFile


def train_family(
    loaded: LoadedStudy,
    members: Iterable[Run],
    state: StateFile,
    on_step: Callable[[int], None] = lambda done: None,
    on_epoch: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Train runs in lockstep to their end. Returns them; what became of each stands in its ``progress``.

    Args:
        loaded: the study's data.
        members: one run, or several with equal seed, training settings and frozen layers.
        state: where the family is saved between epochs, and goes on from.
        on_step: called after each step with the steps done since the family began, those of earlier
            processes included.
        on_epoch: called with every run after each epoch that it was scored after.
    """
    reset_peak_memory(loaded.device)
    runs = gather(members)
    recipe = runs[0].recipe
    free = FreeScoring(runs, lambda some, split: predict_split(loaded, some, split))
    first_epoch = state.load_(runs)
    step = first_epoch * loaded.steps_per_epoch(recipe)
    walk = walk_of(loaded, runs)
    for epoch in range(first_epoch, recipe.training.epochs):
        if not running(runs):
            break
        for run in running(runs):
            run.progress.epochs.append({"epoch": epoch + 1, "train_loss": 0.0, "train_seconds": 0.0})
        for batch in walk.batches(epoch):
            walk.step(batch, step)
            free.follow_(step)
            step += 1
            on_step(step)
        walk.settle()
        free.settle()
        evaluate(loaded, running(runs), free)
        for run in running(runs):
            on_epoch(run)
        stop_early_(runs)
        state.save(runs, epoch + 1)
    predict_test(loaded, trained(runs))
    free.finish()
    for run in runs:
        run.progress.memory, run.progress.path = peak_memory(loaded.device), walk.path_of(run)
    return runs


def walk_of(loaded: LoadedStudy, runs: Sequence[Run]) -> Lockstep | CapturedSteps:
    """How a family walks: on a GPU with whole steps in a graph if it can, else in lockstep."""
    return CapturedSteps(loaded, runs) if captures_steps(loaded, runs) else Lockstep(loaded, runs)


def captures_steps(loaded: LoadedStudy, runs: Sequence[Run]) -> bool:
    """Not where stacks are refused: a run by itself then has the bits that it has in company."""
    size = loaded.settings.stack_size
    return loaded.device.type == "cuda" and size > 1 and can_capture(runs, size)


def gather(runs: Iterable[Run]) -> list[Run]:
    """Let runs share what is equal in all of a family: dropout masks, and the weights that they freeze."""
    family: list[Run] = []
    for run in runs:  # one after the other, so that no more than one has frozen weights of its own
        if family:
            run.model.share_(family[0].model)
        family.append(run)
    return family


def evaluate(loaded: LoadedStudy, runs: Sequence[Run], free: FreeScoring | None = None) -> None:
    """Let every run judge its epoch by dev, with averaged weights where a strategy has them.

    So does every level of the free factors.
    """
    if not runs:
        return
    splits = ["dev", "test"] if loaded.study.head.protocol == "best-test" else ["dev"]
    with ExitStack() as averaged:
        for run in runs:
            for averager in run.averagers:
                averaged.enter_context(averager.applied())
        start = time.perf_counter()
        logits = {split: predict_split(loaded, runs, split) for split in splits}
        seconds = (time.perf_counter() - start) / len(runs)
        by_run = {
            run.run_id: {split: logits[split][index] for split in splits} for index, run in enumerate(runs)
        }
        for run in runs:
            run.progress.epochs[-1]["dev_seconds"] = seconds
            with guarded(run):
                run.judge(by_run[run.run_id])
        if free is not None:
            free.judge(by_run)


def predict_test(loaded: LoadedStudy, runs: Sequence[Run]) -> None:
    """Predict test once, with the weights of the best epoch.

    Equal to keeping test predictions whenever dev improves, at a fraction of the cost.
    """
    if not runs:
        return
    start = time.perf_counter()
    if "test" not in runs[0].logits:
        for run in runs:
            run.restore_best_()
        for run, logits in zip(runs, predict_split(loaded, runs, "test"), strict=True):
            with guarded(run):
                run.take_test(logits)
    for run in trained(runs):
        run.progress.test_seconds = (time.perf_counter() - start) / len(runs)
        run.progress.status = "done"


def predict_split(loaded: LoadedStudy, runs: Sequence[Run], split: str) -> list[Logits]:
    tokens = getattr(loaded.tokens, split)
    batches = loaded.evaluation_batches(tokens, runs[0].recipe)
    return predict([run.model for run in runs], batches, len(tokens))
