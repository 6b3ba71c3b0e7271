"""Whether a saved state fits the runs that are to go on from it: all is checked before anything is filled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from finegrid import metrics
from finegrid.model.rows import held_rows
from finegrid.study.record import EnginePath
from finegrid.training.averages import MovingAverage
from finegrid.training.free import splits_of
from finegrid.training.run import Run, RunProgress
from finegrid.unfit import UnfitError, opening_state

Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0)]
Scores = dict[str, float | dict[str, float]]
Shape = tuple[int, ...]
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class SavedEpoch(BaseModel):
    """An entry of `RunProgress.epochs`."""

    model_config = STRICT

    epoch: Count
    train_loss: float
    train_seconds: Seconds
    dev_seconds: Seconds | None = None
    clipped: Count | None = None
    dev: Scores | None = None
    test: Scores | None = None


class SavedRun(BaseModel):
    """What no tensor says of a run: its `RunProgress`, its updates, and what free levels have chosen."""

    model_config = STRICT

    status: Literal["running", "stopped", "diverged", "failed"]
    reason: str
    best_epoch: Count
    best_score: float
    epochs: list[SavedEpoch]
    memory: Count
    test_seconds: Seconds
    path: EnginePath
    free_seconds: Seconds
    updates: list[Count]  # of every parameter group
    free: dict[str, tuple[Count, float]] = {}  # by level: its best epoch, and the score

    @property
    def goes_on(self) -> bool:
        return self.status in ("running", "stopped")

    @property
    def progress(self) -> RunProgress:
        fields = self.model_dump(exclude={"epochs", "updates", "free"})
        return RunProgress(**fields, epochs=[one.model_dump(exclude_unset=True) for one in self.epochs])


@dataclass(frozen=True)
class SavedState:
    """A state that fits: what to fill its runs with."""

    epochs_done: int
    about: Mapping[str, SavedRun]  # by run id
    tensors: Mapping[str, Mapping[str, Tensor]]  # by run id and name


def digest_names(names: Iterable[str]) -> str:
    """What tells whether a tensor of a state is missing, or was added."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def digest_rows(run: Run) -> str:
    """What tells which rows of the table of words a run holds; empty: all, as earlier versions did."""
    rows = held_rows(run.table)
    return "" if rows is None else rows.digest


def read_saved(path: Path, runs: Sequence[Run], made: Mapping[str, str]) -> SavedState:
    """Read a state, if it fits.

    Args:
        path: of the file.
        runs: that are to be filled; the file may hold more: those whose record came before a crash.
        made: what decides on last digits.

    Raises:
        UnfitError: it does not.
        OSError: the system refuses to read it.
    """
    with opening_state(path) as file:
        names: list[str] = file.keys()
        epochs_done, about = read_metadata(file.metadata() or {}, names, runs, made)
        own = {run.run_id: own_names(run.run_id, names) for run in runs}
        for run in runs:
            check_progress(run, about[run.run_id], epochs_done)
            shapes = {short: tuple(file.get_slice(name).get_shape()) for short, name in own[run.run_id]}
            check_shapes(run, about[run.run_id], shapes)
        tensors = {
            run.run_id: {short: file.get_tensor(name) for short, name in own[run.run_id]} for run in runs
        }
    for run in runs:
        check_values(run, about[run.run_id], tensors[run.run_id])
    return SavedState(epochs_done, about, tensors)


def own_names(run_id: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """Of a run's tensors, what they are called in the run, and in the file."""
    prefix = f"{run_id}/"
    return [(name.removeprefix(prefix), name) for name in names if name.startswith(prefix)]


def read_metadata(
    metadata: Mapping[str, str], names: Sequence[str], runs: Sequence[Run], made: Mapping[str, str]
) -> tuple[int, dict[str, SavedRun]]:
    """Epochs done, and by run id what is said of each of the runs.

    Raises:
        UnfitError: of other runs, made otherwise, or damaged.
    """
    try:
        said, epochs_done = json.loads(metadata["runs"]), int(metadata["epochs_done"])
        made_by, digest = json.loads(metadata["made"]), metadata["names"]
        rows = json.loads(metadata.get("rows", "{}"))
    except (KeyError, ValueError, RecursionError) as error:
        raise UnfitError("damaged", error) from error
    if made_by != {**made}:
        raise UnfitError("made otherwise", made_by)
    if not isinstance(said, dict) or any(run.run_id not in said for run in runs):
        raise UnfitError("other runs")
    if not isinstance(rows, dict) or any(rows.get(run.run_id, "") != digest_rows(run) for run in runs):
        raise UnfitError("other rows")
    if digest != digest_names(names):
        raise UnfitError("other tensors", "some are missing, or were added")
    try:
        return epochs_done, {
            run.run_id: SavedRun.model_validate_json(json.dumps(said[run.run_id])) for run in runs
        }
    except ValidationError as error:
        raise UnfitError("other progress", error) from error


def check_progress(run: Run, about: SavedRun, epochs_done: int) -> None:
    """Whether a run can have come so far.

    Raises:
        UnfitError: it cannot.
    """
    entries, training = about.epochs, run.recipe.training
    steps = epochs_done * run.loaded.steps_per_epoch(run.recipe)
    free = run.scorer.choices.keys() if run.scorer else {}
    complete = [is_complete(run, entry) for entry in entries]
    possible = {
        "epochs_done": 0 <= epochs_done <= training.epochs,
        "epochs": [entry.epoch for entry in entries] == [*range(1, len(entries) + 1)]
        and len(entries) <= epochs_done
        and (about.status != "running" or len(entries) == epochs_done)
        and all(complete if about.goes_on else complete[:-1]),
        "best_epoch": about.best_epoch <= len(entries)
        and (about.best_epoch > 0 or not about.goes_on or not entries),
        "updates": len(about.updates) == len(run.optimizer.groups) and max(about.updates, default=0) <= steps,
        "free": about.free.keys() == {*free}
        and all(best_epoch <= len(entries) for best_epoch, _ in about.free.values()),
    }
    if wrong := [name for name, holds in possible.items() if not holds]:
        raise UnfitError("other progress", f"{run.run_id}: {', '.join(wrong)}")


def is_complete(run: Run, entry: SavedEpoch) -> bool:
    """Whether an epoch has all that judging it leaves."""
    name = run.loaded.study.head.score
    try:
        for scores in ({"dev": entry.dev, "test": entry.test}[split] for split in splits_of(run)):
            metrics.score_of(scores or {}, name)
    except (KeyError, TypeError):
        return False
    return entry.dev_seconds is not None


def check_shapes(run: Run, about: SavedRun, shapes: Mapping[str, Shape]) -> None:
    """Whether a run has tensors of these names and shapes.

    Raises:
        UnfitError: it does not.
    """
    needed = {name: tuple(t.shape) for name, t in needed_tensors(run).items()}
    if about.best_epoch:
        needed |= {f"best/{name}": tuple(p.shape) for name, p in run.trained().items()}
        needed |= {f"logits/{split}": logits_shape(run, split) for split in splits_of(run)}
    known = needed | dict(moment_shapes(run, shapes)) | dict(free_shapes(run, shapes))
    if shapes != known:
        unlike = {name for name in {*known, *shapes} if known.get(name) != shapes.get(name)}
        raise UnfitError("other tensors", f"{run.run_id}: {', '.join(sorted(unlike)[:3])}")


def needed_tensors(run: Run) -> dict[str, Tensor]:
    """What every state of a run has."""
    needed = {f"weight/{name}": p for name, p in run.trained().items()}
    for index, averager in enumerate(run.averagers):
        needed |= {f"averager/{index}/{name}": t for name, t in averager.tensors().items()}
    return needed


def logits_shape(run: Run, split: str) -> Shape:
    tokens = run.loaded.tokens
    return len(getattr(tokens, split)), len(tokens.labels)


def moment_shapes(run: Run, found: Iterable[str]) -> Iterator[tuple[str, Shape]]:
    """Of parameters that have had a gradient: all of the rule's tensors, or none."""
    named, rule, known = run.trained(), run.optimizer.rule, {*found}
    for name in {name for name in named for kind in rule.names if f"{kind}/{name}" in known}:
        begun = rule.new_state(named[name])
        yield from ((f"{kind}/{name}", tuple(values.shape)) for kind, values in begun.items())


def free_shapes(run: Run, found: Iterable[str]) -> Iterator[tuple[str, Shape]]:
    """Of levels of free factors: logits, and sets of weights that are complete."""
    if run.scorer is None:
        return
    averages = [*run.scorer.averages.values()]
    sets = {
        f"free/average/{index}/mean" for index, one in enumerate(averages) if isinstance(one, MovingAverage)
    }
    for name in found:
        match name.split("/"):
            case ["free", "average", index, step, *_] if index.isdecimal() and int(index) < len(averages):
                if not isinstance(averages[int(index)], MovingAverage) and step.isdecimal():
                    sets.add(f"free/average/{index}/{step}")
            case ["free", "end", epoch, *_] if epoch.isdecimal():
                sets.add(f"free/end/{epoch}")
            case ["free", "chosen", key, *_] if key in run.scorer.choices:
                sets.add(f"free/chosen/{key}")
            case ["free", "logits", key, "dev" | "test" as split] if key in run.scorer.choices:
                yield name, logits_shape(run, split)
    weights = run.trained()
    yield from ((f"{one}/{name}", tuple(p.shape)) for one in sets for name, p in weights.items())


def check_values(run: Run, about: SavedRun, tensors: Mapping[str, Tensor]) -> None:
    """Whether the values can be those of a run that goes on; what has diverged may hold anything.

    Raises:
        UnfitError: they cannot.
    """
    expected = {name: t.dtype for name, t in needed_tensors(run).items()}
    for name, t in tensors.items():
        if t.dtype != expected.get(name, torch.float32):
            raise UnfitError("other tensors", f"{run.run_id}: {name} is of {t.dtype}")
        if about.goes_on and not torch.isfinite(t).all():
            raise UnfitError("not finite", f"{run.run_id}: {name}")
