"""What fits a machine: how many workers, and how many runs may walk in lockstep in each."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from finegrid.errors import input_error
from finegrid.machine import VISIBLE, cores, gpus
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import MemoryNeeds
from finegrid.study.audit_file import Audit, Cost
from finegrid.study.settings import RunSettings

GIB = 2**30
SHARE = 0.6  # of the machine's memory, unless study.toml or the command line say otherwise
SHARE_CUDA = 0.8  # of a GPU's, which is shared with no one
# Runs that freeze nothing share only batches and dropout masks: 5 % of a small step. Not worth it where an
# epoch of them all takes more than a minute of one core, which is what a killed worker may lose.
SHORT_EPOCH_FLOP = 1.5e13
SHORT_EPOCH_FLOP_CUDA = 1e16  # half a minute of an H200, which does 0.3 PFLOP/s of them (docs/results.md)
BYTES = 4  # of a number


@dataclass(frozen=True)
class Hardware:
    """What a machine has that trains."""

    cores: int  # that may be used
    memory: int  # bytes
    gpus: int

    @classmethod
    def here(cls) -> Hardware:
        """This machine."""
        return cls(cores(), psutil.virtual_memory().total, len(gpus()))


@dataclass(frozen=True)
class Offer:
    """What there is to train a study: this machine, or the nodes of a cluster.

    Attributes:
        hardware: What families are planned for, of a cluster the smallest node's; None: this machine's.
        nodes: Of a cluster, those that can hold a worker; None: this machine trains.
        places: Workers that these nodes hold together.
        named: How the command line asks for it.
    """

    hardware: Hardware | None = None
    nodes: int | None = None
    places: int = 0
    named: tuple[str, ...] = ()


HERE = Offer()


@dataclass(frozen=True)
class Capacity:
    audit: Audit
    workers: int
    worker_bytes: int  # that each may use; 0: not known
    family_size: int
    stack_size: int = 1
    short_epoch_flop: float = SHORT_EPOCH_FLOP

    def size_of(self, run: PlannedRun) -> int:
        """How many runs like this one may make a family."""
        cost = self.audit.cost(run.recipe)
        frozen = run.recipe.frozen_layers > 0 and run.recipe.shares_prefix
        if cost is None or not cost.member_memory:
            return self.family_size if frozen else 1
        most = self.family_size if frozen else min(self.family_size, self._in_a_short_epoch(cost))
        if self.worker_bytes:
            most = min(most, 1 + (self.worker_bytes - cost.alone) // cost.member(self.stack_size > 1))
        return max(1, most)

    def _in_a_short_epoch(self, cost: Cost) -> int:
        """How many runs of this kind take a short epoch together: six operations a parameter and token."""
        tokens = self.audit.texts_of(cost) * self.audit.tokens["mean"]
        return int(self.short_epoch_flop / (6 * tokens * cost.member_memory / (BYTES * cost.copies)))


def capacity(settings: RunSettings, audit: Audit, hardware: Hardware | None = None) -> Capacity:
    """Depends on the machine and the settings, not on what else runs there: families stay the same.

    Args:
        settings: how runs are executed.
        audit: what they cost.
        hardware: of the machine that trains; None: of this one.
    """
    has = hardware or Hardware.here()
    if settings.device == "cuda":
        devices = max(1, has.gpus)  # elsewhere than where it trains there may be none
        shared = settings.family_size, settings.stack_size, SHORT_EPOCH_FLOP_CUDA
        budget = settings.memory * GIB / devices if settings.memory else SHARE_CUDA * audit.device_memory
        return Capacity(audit, devices, int(budget), *shared)
    budget = settings.memory * GIB if settings.memory else SHARE * has.memory
    largest = max((cost.alone for cost in audit.costs), default=0)
    by_memory = int(budget / largest) if largest else has.cores
    workers = max(1, min(has.cores // settings.threads, by_memory))
    return Capacity(audit, workers, int(budget / workers), settings.family_size, settings.stack_size)


def count_workers(settings: RunSettings, audit: Audit, offer: Offer, asked: int | None) -> int:
    """How many workers train, where there are as many families: one at least, which waits for a node.

    Args:
        settings: how runs are executed.
        audit: what they cost.
        offer: what there is to train them.
        asked: as many as the user asks for; None: as many as there is room for.
    """
    if offer.nodes is None:
        return asked or capacity(settings, audit, offer.hardware).workers
    places = max(1, offer.places)
    return places if asked is None else min(asked, places)


def room_of_a_run(settings: RunSettings, device_memory: int, hardware: Hardware | None = None) -> int:
    """Bytes that a run may take if every GPU, or every core, is to have a worker.

    Args:
        settings: how runs are executed.
        device_memory: of a GPU; 0 where none trains.
        hardware: of the machine that trains; None: of this one.
    """
    has = hardware or Hardware.here()
    if settings.device == "cuda":
        devices = max(1, has.gpus)
        return int(settings.memory * GIB / devices if settings.memory else SHARE_CUDA * device_memory)
    budget = settings.memory * GIB if settings.memory else SHARE * has.memory
    return int(budget / max(1, has.cores // settings.threads))


def recomputes(settings: RunSettings, audit: Audit, recipe: Recipe) -> bool:
    """Whether runs of a recipe compute their layers twice: as asked for, or as the audit chose."""
    if settings.recompute != "auto":
        return settings.recompute
    cost = audit.cost(recipe)
    return cost is not None and cost.recomputes


def needs_of(recipe: Recipe, settings: RunSettings, audit: Audit) -> MemoryNeeds:
    """What a run has in memory at once, for messages."""
    training = recipe.training
    return MemoryNeeds(training.portion or training.batch_size, recomputes(settings, audit, recipe))


def check_workers(settings: RunSettings, workers: int | None) -> None:
    """Refuse more workers than there are GPUs for, and to train on GPUs where none may be used.

    Raises:
        InputError: there are too many, or there is no GPU.
    """
    if settings.device != "cuda":
        return
    if not (found := gpus()):
        what = (
            f"is {os.environ.get(VISIBLE, '')!r}, with which CUDA sees no GPU. Name each once, as in "
            f"{VISIBLE}=0,1, or use --device cpu."
        )
        raise input_error("--device cuda", VISIBLE, what)
    if workers is not None and workers > len(found):
        what = f"{workers}, but there are {len(found)} GPUs, and each serves one worker. Ask for fewer."
        raise input_error("command line", "--workers", what)
