"""One family of runs, top to bottom: the only training loop.

A family is one run, or several runs of one seed whose steps cost the same. They walk in lockstep: a batch is
packed, its dropout masks are drawn, and its frozen prefix is computed once for all of them. What follows
uses the same operations as in a family of one, so results are equal bit for bit; unless runs are stacked,
which is equal to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from finegrid.data.batches import Batch
from finegrid.evaluate import Logits, predict
from finegrid.frozen import FrozenPrefix, frozen_prefix
from finegrid.plan import evenly
from finegrid.run import DivergedError, Run
from finegrid.stack import Stack, can_stack
from finegrid.state import StateFile
from finegrid.workbench import Workbench, peak_memory, reset_peak_memory


def train_family(
    bench: Workbench,
    members: Iterable[Run],
    state: StateFile,
    on_step: Callable[[int], None] = lambda done: None,
) -> list[Run]:
    """Train runs in lockstep to their end. Returns them; what became of each stands in its ``progress``.

    Args:
        bench: the study's data.
        members: one run, or several with equal seed, training settings and frozen layers.
        state: where the family is saved between epochs, and goes on from.
        on_step: called after each step with the steps done since the family began, those of earlier
            processes included.
    """
    reset_peak_memory(bench.device)
    runs = gather(members)
    recipe, seed = runs[0].recipe, runs[0].seed
    first_epoch = state.load_(runs)
    step = first_epoch * bench.steps_per_epoch(recipe)
    known = frozen_prefix(runs[0])
    stacks, single = stack_up(runs, bench.settings.stack_size)
    for epoch in range(first_epoch, recipe.training.epochs):
        if not running(runs):
            break
        for run in running(runs):
            run.progress.epochs.append({"epoch": epoch + 1, "train_loss": 0.0, "train_seconds": 0.0})
        for batch in bench.training_batches(recipe, seed, epoch):
            alive = running(runs)
            shared, seconds = share_prefix(alive, batch, step, known)
            for stack in stacks:
                step_stack(stack, shared, step, seconds / max(1, len(alive)))
            for run in running(single):
                with guarded(run):
                    step_one(run, shared, step, seconds / len(alive))
            step += 1
            on_step(step)
        evaluate(bench, running(runs))
        state.save(runs, epoch + 1)
    predict_test(bench, running(runs))
    for run in runs:
        run.progress.memory = peak_memory(bench.device)
    return runs


def gather(runs: Iterable[Run]) -> list[Run]:
    """Let runs share what is equal in all of a family: dropout masks, and the weights that they freeze."""
    family: list[Run] = []
    for run in runs:  # one after the other, so that no more than one has frozen weights of its own
        if family:
            run.model.share_(family[0].model)
        family.append(run)
    return family


def running(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.progress.status == "running"]


def stack_up(runs: Sequence[Run], size: int) -> tuple[list[Stack], list[Run]]:
    """Stacks of at most ``size`` runs, and the runs that step by themselves: all, whoever still runs."""
    if size == 1 or not all(can_stack(run) for run in runs):
        return [], list(runs)
    parts = evenly(list(runs), size)
    return [Stack(part) for part in parts if len(part) > 1], [
        run for part in parts if len(part) == 1 for run in part
    ]


@contextmanager
def guarded(*runs: Run) -> Iterator[None]:
    """Runs that diverge or fail end as that, with the reason; the others go on."""
    try:
        yield
    except DivergedError as error:
        end(runs, "diverged", str(error))
    except Exception as error:  # whatever it was, the ledger tells it and the study goes on
        end(runs, "failed", f"{type(error).__name__}: {error}")


def end(runs: Iterable[Run], status: str, reason: str) -> None:
    for run in runs:
        run.progress.status, run.progress.reason = status, reason


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
    if not runs:
        return batch, 0.0
    start = time.perf_counter()
    runs[0].model.clock.step = step
    shared = known.of(batch) if known else runs[0].model.shared(batch)
    return shared, 0.0 if shared is batch else time.perf_counter() - start


def step_one(run: Run, batch: Batch, step: int, prefix_seconds: float) -> None:
    """One step of one run, its loss and seconds added to the epoch's entry."""
    start = time.perf_counter()
    loss = run.step(batch, step)
    entry = run.progress.epochs[-1]
    entry["train_loss"] += loss / run.bench.steps_per_epoch(run.recipe)
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
            run.progress.epochs[-1]["train_loss"] += loss / run.bench.steps_per_epoch(run.recipe)
    for run in alive:
        seconds = (time.perf_counter() - start) / len(alive)
        run.progress.epochs[-1]["train_seconds"] += seconds + prefix_seconds


def evaluate(bench: Workbench, runs: Sequence[Run]) -> None:
    """Let every run judge its epoch by dev, with averaged weights where a strategy has them."""
    if not runs:
        return
    splits = ["dev", "test"] if bench.study.head.protocol == "best-test" else ["dev"]
    with ExitStack() as averaged:
        for run in runs:
            for averager in run.averagers:
                averaged.enter_context(averager.applied())
        start = time.perf_counter()
        logits = {split: predict_split(bench, runs, split) for split in splits}
        seconds = (time.perf_counter() - start) / len(runs)
        for index, run in enumerate(runs):
            run.progress.epochs[-1]["dev_seconds"] = seconds
            with guarded(run):
                run.judge({split: logits[split][index] for split in splits})


def predict_test(bench: Workbench, runs: Sequence[Run]) -> None:
    """Predict test once, with the weights of the best epoch.

    Equal to keeping test predictions whenever dev improves, at a fraction of the cost.
    """
    if not runs:
        return
    start = time.perf_counter()
    if "test" not in runs[0].logits:
        for run in runs:
            run.restore_best_()
        for run, logits in zip(runs, predict_split(bench, runs, "test"), strict=True):
            with guarded(run):
                run.take_test(logits)
    for run in running(runs):
        run.progress.test_seconds = (time.perf_counter() - start) / len(runs)
        run.progress.status = "done"


def predict_split(bench: Workbench, runs: Sequence[Run], split: str) -> list[Logits]:
    tokens = getattr(bench.tokens, split)
    batches = bench.evaluation_batches(tokens, runs[0].recipe)
    return predict([run.model for run in runs], batches, len(tokens))
