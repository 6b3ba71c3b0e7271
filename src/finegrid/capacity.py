"""What fits this machine: how many workers, and how many runs may walk in lockstep in each."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from finegrid.audit import Audit
from finegrid.plan import PlannedRun
from finegrid.study import RunSettings

GIB = 2**30
SHARE = 0.6  # of the machine's memory, unless study.toml or the command line say otherwise
# Runs that freeze nothing share only batches and dropout masks. That is worth waiting for each other where
# models are small; of large ones a lost worker would cost too much work.
SMALL_MEMBER = 256 * 2**20


@dataclass(frozen=True)
class Capacity:
    audit: Audit
    workers: int
    worker_bytes: int  # that each may use; 0: not known
    family_size: int

    def size_of(self, run: PlannedRun) -> int:
        """How many runs like this one may make a family."""
        cost = self.audit.cost(run.recipe)
        frozen = run.recipe.freeze.layers > 0
        if cost is None or not cost.member_memory:
            return self.family_size if frozen else 1
        if not frozen and cost.member_memory > SMALL_MEMBER:
            return 1
        if not self.worker_bytes:
            return self.family_size
        others = (self.worker_bytes - cost.memory) // cost.member_memory
        return max(1, min(self.family_size, 1 + others))


def capacity(settings: RunSettings, audit: Audit) -> Capacity:
    """Depends on the machine and the settings, not on what else runs there: families stay the same."""
    if settings.device == "cuda":
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = len(allowed.split(",")) if allowed else 1
        return Capacity(audit, devices, int((settings.memory or 0) * GIB), settings.family_size)
    budget = settings.memory * GIB if settings.memory else SHARE * psutil.virtual_memory().total
    largest = max((cost.memory for cost in audit.costs), default=0)
    by_memory = int(budget / largest) if largest else cores()
    workers = max(1, min(cores() // settings.threads, by_memory))
    return Capacity(audit, workers, int(budget / workers), settings.family_size)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(psutil.Process, "cpu_affinity"):
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1
