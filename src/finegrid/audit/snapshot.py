"""All that a level could change of a run, seen before and after one step on a real batch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from torch import nn

from finegrid.audit.canonical import own_schedule
from finegrid.audit.hashes import hash_gradients, hash_initial, hash_parameters, hash_values
from finegrid.model.classifier import Classifier
from finegrid.recipe.recipe import Recipe
from finegrid.streams import Streams
from finegrid.training.build import rate_factor
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import DivergedError, Run

PROBE_TEXTS = 32  # of the batch of the one step: enough to reach every layer, and quick at any batch size


@dataclass(frozen=True)
class Snapshot:
    """A run before its step, and what the step made of it. Tensors by name, values as hashes."""

    places: dict[str, str]  # of tensors: "embeddings", "layer 7" (from 1, at the bottom), "pooler", "head"
    layers: int
    vectors: frozenset[str]  # biases and LayerNorm
    initial: dict[str, str]
    trained: frozenset[str]
    rates: dict[str, tuple[float, tuple[float, ...]]]  # of the trained, with schedules of their own
    factors: str  # hash of what the rates are multiplied by, step by step
    decays: dict[str, float]
    sites: dict[str, int]  # active dropout sites, and how many of 65,536 values they drop
    data: tuple[object, ...]
    pooling: str
    end: int  # the first epoch after which it may end
    averages: dict[str, str]
    loss: float = float("nan")
    gradients: dict[str, str] = field(default_factory=dict)
    updated: dict[str, str] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Of a tensor or a dropout site."""
        site = re.fullmatch(r"layer\.(\d+)\.\w+", name)
        of_head = re.match(r"head\b", name)  # also what only the head of the other run has
        return f"layer {int(site[1]) + 1}" if site else "head" if of_head else self.places.get(name, name)


def take(loaded: LoadedStudy, recipe: Recipe, seed: int, step: int, steps: int = 1) -> Snapshot:
    """Build a run and make a step as its optimizer's first, but at ``step`` of the schedule.

    Args:
        loaded: the study's data and checkpoint.
        recipe: what to run.
        seed: the same for runs that are compared.
        step: with warmup, the rate of step 0 is 0 and would hide what a step does.
        steps: how many to make; loss and gradients are those of the first, values those after the last.
    """
    run = Run(loaded, "proof", recipe, seed)
    names = {p: name for name, p in run.model.named_parameters()}
    hypers = {names[p]: group for group in run.optimizer.groups for p in group["params"]}
    rates = {
        names[p]: (group["lr"], own)
        for group in run.optimizer.groups
        for own in [own_schedule(group, run.total_steps)]
        for p in group["params"]
    }
    schedule = [rate_factor(run.acting, at, run.total_steps) for at in range(run.total_steps)]
    held = loaded.rows(recipe)
    initial = hash_initial(run.model, loaded.checkpoint, held)
    loss, gradients = float("nan"), dict[str, str]()
    texts = loaded.training_texts(recipe)
    order = Streams(seed).permutation("order/0", len(texts))
    rows = order[: min(PROBE_TEXTS, recipe.training.batch_size)]
    batch = loaded.pack_training(rows, recipe, seed, 0, loaded.device)
    with suppress(DivergedError):  # whether a recipe diverges is for its run to find out
        loss = run.backward(batch, step)
        run.change_gradients_()
        gradients = hash_gradients(run.model, held)
        run.spend_(step)
        for later in range(step + 1, step + steps):
            run.step(batch, later)
    lengths = np.minimum(texts.lengths, recipe.model.max_length)
    keep = recipe.model.keep if (texts.lengths > recipe.model.max_length).any() else None
    return Snapshot(
        places=places(run.model),
        layers=len(run.model.parts.layers),
        vectors=frozenset(name for p, name in names.items() if p.ndim < 2),
        initial=initial,
        trained=frozenset(run.trained()),
        rates=rates,
        factors=hashlib.sha256(np.array(schedule).tobytes()).hexdigest(),
        decays={name: group["weight_decay"] for name, group in hypers.items()},
        sites={name: site.dropped for name, site in run.model.dropouts.items() if site.active},
        data=(
            recipe.training.batch_size,
            recipe.training.portion,
            int(lengths.sum()),
            keep,
            loaded.texts.key(recipe),
            hash_values(batch.ids if batch.visible is None else batch.ids * batch.visible),
        ),
        pooling=run.model.pooling,
        end=recipe.training.earliest_end,
        averages={
            name: hash_values(value)
            for averager in run.averagers
            for name, value in averager.tensors().items()
        },
        loss=loss,
        gradients=gradients,
        updated=hash_parameters(run.model, held),
    )


def places(model: Classifier) -> dict[str, str]:
    """Where every parameter lies."""
    parts = model.parts
    roots: list[tuple[str, nn.Module | None]] = [("embeddings", module) for module in parts.embeddings]
    roots += [(f"layer {index}", layer.module) for index, layer in enumerate(parts.layers, start=1)]
    roots += [("last norm", module) for module in parts.above]
    roots += [("pooler", parts.pooler), ("head", model.head)]
    owners = {p: place for place, module in roots if module is not None for p in module.parameters()}
    return {name: owners.get(p, "elsewhere") for name, p in model.named_parameters()}


def whereabouts(found: Iterable[str]) -> str:
    """Places in words, bottom to top: ``embeddings, layers 1-6, head``."""
    distinct = set(found)
    numbers = sorted(int(place.split()[1]) for place in distinct if place.startswith("layer "))
    runs = [
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    spans = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    layers = [f"layer{'s' * (len(numbers) > 1)} {', '.join(spans)}"] if numbers else []
    below = [place for place in ("embeddings",) if place in distinct]
    above = [place for place in ("last norm", "pooler", "head", "elsewhere") if place in distinct]
    return ", ".join([*below, *layers, *above])
