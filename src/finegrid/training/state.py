"""The state of a family between epochs: one safetensors file, replaced atomically.

Random streams are stateless, so weights, moments and what the runs have to show are all there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from finegrid.atomic import replacing
from finegrid.training.run import Run, RunProgress

SHARE = 0.05  # of the time, at most: a stack of eight at base shape on a GPU is 14 GB


class StateFile:
    """
    Args:
        path: of the file.
        save_after_seconds: of work that would be lost; before that nothing is saved. More of it is risked
            where saving takes more than a twentieth of that, unless it is 0.
        made: threads, device and whatever else decides on last digits: a state made otherwise is not taken.
    """

    def __init__(self, path: Path, save_after_seconds: float, made: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.save_after_seconds = save_after_seconds
        self.made = dict(made or {})
        self._saved_at, self._took = time.monotonic(), 0.0

    def save(self, runs: Sequence[Run], epochs_done: int) -> None:
        """Save, if enough work has been done since the last time to be worth it."""
        began = time.monotonic()
        wait = self.save_after_seconds and max(self.save_after_seconds, self._took / SHARE)
        if began - self._saved_at < wait:
            return
        tensors = {f"{run.run_id}/{name}": t for run in runs for name, t in tensors_of(run).items()}
        about = {run.run_id: about_run(run) for run in runs}
        metadata = {
            "epochs_done": str(epochs_done),
            "runs": json.dumps(about),
            "made": json.dumps(self.made),
        }
        with replacing(self.path) as draft:
            save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, draft, metadata)
        self._saved_at = time.monotonic()
        self._took = self._saved_at - began

    @torch.no_grad()
    def load_(self, runs: Sequence[Run]) -> int:
        """Fill runs with what was saved. Returns the epochs done: 0 where nothing fitting was saved."""
        if not self.path.exists():
            return 0
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads(metadata["runs"])
            epochs_done = int(metadata["epochs_done"])
            made = json.loads(metadata["made"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return 0  # not ours, or damaged: the family starts over
        weights = {f"{run.run_id}/weight/{name}" for run in runs for name in run.trained()}
        # It may hold more runs: those whose record came before the crash.
        if (
            made != self.made
            or not {run.run_id for run in runs} <= about.keys()
            or not weights <= tensors.keys()
            or not all(scores_alike(run, about[run.run_id]) for run in runs)
        ):
            return 0
        for run in runs:
            prefix = f"{run.run_id}/"
            own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            fill_(run, own, about[run.run_id])
        return epochs_done


def about_run(run: Run) -> dict[str, Any]:
    """What no tensor says of a run, for JSON."""
    free = {} if run.scorer is None else {"free": run.scorer.about()}
    return {**asdict(run.progress), "updates": run.optimizer.updates, **free}


def scores_alike(run: Run, about: Mapping[str, Any]) -> bool:
    """Whether a saved run was scored at the same levels of free factors, whose averages began with it."""
    own = run.scorer.about() if run.scorer else {}
    return own.keys() == {*about.get("free", {})}


def tensors_of(run: Run) -> dict[str, Tensor]:
    """Everything of a run that training changes, by name."""
    named = run.trained()
    tensors: dict[str, Tensor] = {f"weight/{name}": p.detach() for name, p in named.items()}
    for name, p in named.items():
        state = run.optimizer.state.get(p, {})
        tensors |= {f"{kind}/{name}": values for kind, values in state.items()}
    tensors |= {f"best/{name}": t for name, t in run.best_weights.items()}
    tensors |= {f"logits/{split}": torch.from_numpy(logits) for split, logits in run.logits.items()}
    for index, averager in enumerate(run.averagers):
        tensors |= {f"averager/{index}/{name}": t for name, t in averager.tensors().items()}
    if run.scorer is not None:
        tensors |= {f"free/{name}": t for name, t in run.scorer.tensors(run.best_weights).items()}
    return tensors


def fill_(run: Run, saved: dict[str, Tensor], about: dict[str, Any]) -> None:
    """The inverse of `tensors_of`."""
    run.optimizer.updates = updates_from(about, len(run.optimizer.groups))
    free = about.pop("free", {})
    run.progress = RunProgress(**about)
    device = run.loaded.device
    for name, p in run.trained().items():
        p.copy_(saved[f"weight/{name}"])
        state = {
            kind: saved[f"{kind}/{name}"] for kind in run.optimizer.rule.names if f"{kind}/{name}" in saved
        }
        if state:
            run.optimizer.state[p] = {kind: values.to(device) for kind, values in state.items()}
        if f"best/{name}" in saved:
            run.best_weights[name] = saved[f"best/{name}"].to(device)
    for split in ("dev", "test"):
        if f"logits/{split}" in saved:
            run.logits[split] = saved[f"logits/{split}"].numpy()
    for index, averager in enumerate(run.averagers):
        for name, t in averager.tensors().items():
            t.copy_(saved[f"averager/{index}/{name}"])
    if run.scorer is not None:
        own = {name[5:]: t for name, t in saved.items() if name.startswith("free/")}
        run.scorer.fill_(own, free, (run.progress.best_epoch, run.best_weights))


def updates_from(about: dict[str, Any], groups: int) -> list[int]:
    """Updates of every group so far. States of earlier versions have one number for all: ``steps``."""
    steps = about.pop("steps", 0)
    updates: list[int] = about.pop("updates", [steps] * groups)
    return updates
