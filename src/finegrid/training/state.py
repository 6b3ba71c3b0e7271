"""The state of a family between epochs: one safetensors file, replaced atomically.

Random streams are stateless, so weights, moments and what the runs have to show are all there is.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from finegrid.refusals import saving
from finegrid.training.run import Run
from finegrid.training.saved import SavedRun, digest_names, digest_rows, read_saved
from finegrid.unfit import UnfitError, set_aside

SHARE = 0.05  # of the time, at most: a stack of eight at base shape on a GPU is 14 GB


class StateFile:
    """
    Args:
        path: of the file.
        save_after_seconds: of work that would be lost; before that nothing is saved. More of it is risked
            where saving takes more than a twentieth of that, unless it is 0.
        made: threads, device and whatever else decides on last digits: a state made otherwise is not taken.
        tell: is given why a state was set aside.

    Attributes:
        taken: whether runs go on from it.
    """

    def __init__(
        self,
        path: Path,
        save_after_seconds: float,
        made: Mapping[str, str] | None = None,
        tell: Callable[[UnfitError], None] = lambda unfit: None,
    ) -> None:
        self.path, self.tell = path, tell
        self.taken = False
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
            "names": digest_names(tensors),
            "rows": json.dumps({run.run_id: digest_rows(run) for run in runs}),
        }
        if not self.path.parent.is_dir():  # deleted or renamed meanwhile: not to be made anew
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path.parent))
        with saving(self.path, sum(t.nbytes for t in tensors.values())) as draft:
            save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, draft, metadata)
        self._saved_at = time.monotonic()
        self._took = self._saved_at - began

    @torch.no_grad()
    def load_(self, runs: Sequence[Run]) -> int:
        """Fill runs with what was saved. Returns the epochs done: 0 where nothing fitting was saved.

        All is checked before anything is filled. What does not fit is set aside: the family starts again, and
        would otherwise meet it every time.

        Raises:
            OSError: the system refuses to read it, or to set it aside.
        """
        if not self.path.exists():
            return 0
        try:
            saved = read_saved(self.path, runs, self.made)
        except UnfitError as unfit:
            self.set_aside(unfit)
            return 0
        self.taken = True
        for run in runs:
            fill_(run, saved.tensors[run.run_id], saved.about[run.run_id])
        return saved.epochs_done

    def set_aside(self, unfit: UnfitError) -> None:
        """Rename the file, so that nobody goes on from it. An earlier one that was set aside goes."""
        set_aside(self.path)
        self.tell(unfit)


def about_run(run: Run) -> dict[str, Any]:
    """What no tensor says of a run, for JSON."""
    free = {} if run.scorer is None else {"free": run.scorer.about()}
    return {**asdict(run.progress), "updates": run.optimizer.updates, **free}


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


def fill_(run: Run, saved: Mapping[str, Tensor], about: SavedRun) -> None:
    """The inverse of `tensors_of` and `about_run`, of what fits: see `read_saved`."""
    run.optimizer.updates = [*about.updates]
    run.progress = about.progress
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
        run.scorer.fill_(own, about.free, (run.progress.best_epoch, run.best_weights))
