"""Saves and loads a run: weights, moments and counters in one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors.torch import save_file

from finegrid.optim.updater import Updater
from finegrid.pretraining.heads import Pretrainer
from finegrid.refusals import saving
from finegrid.unfit import UnfitError, opening_state

Count = Annotated[int, Field(ge=0, lt=2**53)]


@dataclass
class PretrainProgress:
    """What has been done. ``batch`` of ``epoch`` comes next."""

    # Of what a saved state may say.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    epoch: Count = 0
    batch: Count = 0
    step: Count = 0
    tokens: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    layers: Count = 0
    grown_at: Count | None = None  # the step at which layers were last added
    points: Count = 0  # of the curve that are behind us, those skipped by a slow machine included
    curve: list[dict[str, float]] = field(default_factory=list)
    by_file: list[dict[str, float]] = field(default_factory=list)  # held-out figures of the last point
    # Nats since the curve's last point. Saved states have the field by this name.
    told: float = 0.0
    hidden: Count = 0  # tokens they were about


PROGRESS = TypeAdapter(PretrainProgress)


def save_state(path: Path, model: Pretrainer, optimizer: Updater, progress: PretrainProgress) -> None:
    tensors = {}
    for name, p in model.named_parameters():
        tensors[f"weight/{name}"] = p.detach()
        tensors |= {f"{kind}/{name}": values for kind, values in optimizer.state.get(p, {}).items()}
    about = {"progress": json.dumps(asdict(progress)), "optimizer_steps": str(optimizer.updates[0])}
    with saving(path, sum(t.nbytes for t in tensors.values())) as draft:
        save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, draft, about)


def load_progress(path: Path) -> PretrainProgress | None:
    """How far a run came; None where nothing was saved yet.

    Raises:
        UnfitError: the file is damaged, or of something else.
        OSError: the system refuses to read it.
    """
    if not path.exists():
        return None
    with opening_state(path) as file:
        try:
            return PROGRESS.validate_json((file.metadata() or {})["progress"])
        except (KeyError, ValidationError) as error:
            raise UnfitError("other progress", error) from error


@torch.no_grad()
def load_state_(path: Path, model: Pretrainer, optimizer: Updater) -> None:
    """Fill a model of the right depth and its optimizer with what was saved. All is checked before.

    Raises:
        UnfitError: it does not fit.
        OSError: the system refuses to read it.
    """
    kinds = optimizer.rule.names
    with opening_state(path) as file:
        names = {*file.keys()}
        steps = (file.metadata() or {}).get("optimizer_steps", "")
        weights = {f"weight/{name}": p for name, p in model.named_parameters()}
        stepped = {name: p for name, p in model.named_parameters() if f"{kinds[0]}/{name}" in names}
        moments = {f"{kind}/{name}": p for name, p in stepped.items() for kind in kinds}
        needed = weights | moments
        if names != needed.keys() or not re.fullmatch(r"\d{1,15}", steps):
            raise UnfitError("other tensors")
        saved = {name: file.get_tensor(name) for name in names}
    for name, p in needed.items():
        if (saved[name].shape, saved[name].dtype) != (p.shape, p.dtype):
            raise UnfitError("other tensors", name)
        if not saved[name].isfinite().all():
            raise UnfitError("not finite", name)
    for name, p in model.named_parameters():
        p.copy_(saved[f"weight/{name}"])
    for name, p in stepped.items():
        optimizer.state[p] = {kind: saved[f"{kind}/{name}"].to(p.device) for kind in kinds}
    optimizer.updates = [int(steps)] * len(optimizer.groups)
