"""The machine: what we may use of it, and the facts without which seconds measured on it mean nothing."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Literal

import psutil

from finegrid import __version__

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")
NVIDIA = Path("/proc/driver/nvidia/gpus")  # where its driver on Linux lists them
VISIBLE = "CUDA_VISIBLE_DEVICES"
NUMBER = re.compile(r"\+?[0-9]+")  # CUDA reads 1gpu as 1
COMPILERS = ("c++", "g++", "clang++")
CPUINFO = Path("/proc/cpuinfo")
Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")  # the reference first
AUTO = "auto"
WITH_BF16 = {"amx_bf16", "avx512_bf16"}  # as Linux spells them
VECTORS = ("amx", "avx", "fma", "sse")  # what such flags begin with


def machine(gpu: str | None = None) -> dict[str, str]:
    """Processor, cores that we may use, memory, system, and the GPU where one trains."""
    facts = {
        "processor": processor(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.system(),
    }
    return facts if gpu is None else {**facts, "gpu": gpu}


def processor() -> str:
    """The processor's name, from Linux where there is one, else as Python knows it.

    With the numbers of its model where Linux tells them: virtual machines name many models alike.
    """
    facts = cpu_facts()
    name = facts.get("model name") or platform.processor() or platform.machine()
    if {"cpu family", "model"} <= facts.keys():
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


@cache
def processor_kind() -> str:
    """The processor's name and a digest of what it can do with vectors, which decides on last digits.

    A virtual machine may hide which model it has, and what that can do.
    """
    vectors = sorted(flag for flag in cpu_flags() if flag.startswith(VECTORS))
    return f"{processor()} {hashlib.sha256(' '.join(vectors).encode()).hexdigest()[:8]}"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(psutil.Process, "cpu_affinity"):
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them, found without torch.

    Where that is not set: those that the driver lists; one where it lists none, as elsewhere than on Linux.
    """
    allowed = os.environ.get(VISIBLE)
    if allowed is not None:
        return parse_visible(allowed)
    return [str(number) for number in range(len(list(NVIDIA.iterdir())) if NVIDIA.is_dir() else 1)]


def parse_visible(allowed: str) -> list[str]:
    """The GPUs that CUDA sees: the first that is none ends the list, and one that comes twice empties it.

    As torch reads it (``torch.cuda._parse_visible_devices``): numbers, or UUIDs of GPUs, or of parts of them.
    """
    kind = next((kind for kind in ("GPU-", "MIG-") if allowed.lstrip().startswith(kind)), "")
    named = [name.strip() for name in allowed.split(",")]
    seen = [*takewhile(lambda name: name.startswith(kind) if kind else NUMBER.match(name), named)]
    same = {name if kind else int(NUMBER.findall(name)[0]) for name in seen}
    return seen if len(same) == len(seen) else []


def usual_device() -> Device:
    """What trains here if nobody says otherwise: a GPU where there is one, and torch was built for it."""
    has_gpu = NVIDIA.is_dir() and any(NVIDIA.iterdir()) and gpus()
    return "cuda" if has_gpu and not version("torch").endswith("+cpu") else "cpu"


def find_compiler() -> list[str] | None:
    """A C++ compiler: ``CXX`` if it is set, with its arguments; else the first of the usual names."""
    for name, *arguments in _compilers():
        found = shutil.which(name)
        if found is not None:
            return [found, *arguments]
    return None


def describe_compilers() -> str:
    """What `find_compiler` looks for."""
    return ", ".join(name for name, *_ in _compilers())


def _compilers() -> list[list[str]]:
    asked = shlex.split(os.environ.get("CXX", ""))
    return [asked] if asked else [[name] for name in COMPILERS]


def versions() -> dict[str, str]:
    """Versions of Python, finegrid and the libraries that a run's numbers depend on, where installed."""
    found = {"python": platform.python_version(), "finegrid": __version__}
    for name in ("torch", "transformers", "tokenizers", "numpy"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def fastest_precision(device: str) -> Precision:
    """The precision that ``auto`` stands for here. A worker refuses bf16 where it turns out to be missing."""
    if device == "cuda":
        return "bf16"
    return "bf16" if WITH_BF16 & cpu_flags() else "fp32"


def cpu_flags() -> set[str]:
    """What the processor can do, as Linux lists it; nothing elsewhere."""
    return set(cpu_facts().get("flags", "").split())


def cpu_facts() -> dict[str, str]:
    """What Linux says of the first processor, by its names; nothing elsewhere."""
    try:
        told = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in reversed(told.splitlines()))  # the first of a name is kept
    return {name.strip(): value.strip() for name, _, value in lines}
