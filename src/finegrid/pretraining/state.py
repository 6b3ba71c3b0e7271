"""Where a run is: weights, moments and counters in one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from finegrid.atomic import replacing
from finegrid.errors import input_error
from finegrid.optim.updater import Updater
from finegrid.pretraining.heads import Pretrainer


@dataclass
class PretrainProgress:
    """What has been done. ``batch`` of ``epoch`` comes next."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    layers: int = 0
    grown_at: int | None = None  # the step at which layers were last added
    points: int = 0  # of the curve that are behind us, those skipped by a slow machine included
    curve: list[dict[str, float]] = field(default_factory=list)
    by_file: list[dict[str, float]] = field(default_factory=list)  # held-out figures of the last point
    told: float = 0.0  # nats since the curve's last point
    hidden: int = 0  # tokens they were about


def save_state(path: Path, model: Pretrainer, optimizer: Updater, progress: PretrainProgress) -> None:
    tensors = {}
    for name, p in model.named_parameters():
        tensors[f"weight/{name}"] = p.detach()
        tensors |= {f"{kind}/{name}": values for kind, values in optimizer.state.get(p, {}).items()}
    about = {"progress": json.dumps(asdict(progress)), "optimizer_steps": str(optimizer.updates[0])}
    with replacing(path) as draft:
        save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, draft, about)


def load_progress(path: Path) -> PretrainProgress | None:
    """How far a run came; None where nothing was saved yet.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads(file.metadata()["progress"])
        return PretrainProgress(**about)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        what = f"is no state of a run, or damaged ({error}). Delete the folder to begin anew."
        raise input_error(str(path), "state", what) from error


@torch.no_grad()
def load_state_(path: Path, model: Pretrainer, optimizer: Updater) -> None:
    """Fill a model of the right depth and its optimizer with what was saved."""
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        for name, p in model.named_parameters():
            p.copy_(file.get_tensor(f"weight/{name}"))
            if f"first/{name}" in names:
                kinds = optimizer.rule.names
                optimizer.state[p] = {kind: file.get_tensor(f"{kind}/{name}").to(p.device) for kind in kinds}
        optimizer.updates = [int(file.metadata()["optimizer_steps"])] * len(optimizer.groups)
