"""The machine: what we may use of it, and what a reader of seconds measured on it must know."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")
NVIDIA = Path("/proc/driver/nvidia/gpus")  # where its driver on Linux lists them


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


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(psutil.Process, "cpu_affinity"):
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; told without torch."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return allowed.split(",")
    return [str(number) for number in range(len(list(NVIDIA.iterdir())) if NVIDIA.is_dir() else 1)]
