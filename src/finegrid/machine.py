"""The machine that a study was measured on, as far as a reader of its seconds must know it."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path

import psutil

from finegrid.capacity import cores


def machine(gpu: str | None = None) -> dict[str, str]:
    """Processor, cores that we may use, memory, system, and the GPU where one trains."""
    found = {
        "processor": processor(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.system(),
    }
    return found if gpu is None else {**found, "gpu": gpu}


def processor() -> str:
    """The processor's name. Linux tells it here; elsewhere Python knows as much as there is."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
