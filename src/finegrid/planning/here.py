"""What this machine and this installation can do: `finegrid machine`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from finegrid.errors import first_line
from finegrid.extras import EXTRAS, TO_TRAIN
from finegrid.machine import WITH_BF16, Precision, cpu_flags, fastest_precision, machine, versions
from finegrid.planning.capacity import GIB, SHARE, SHARE_CUDA
from finegrid.study.settings import RunSettings

OFFLINE = "HF_HUB_OFFLINE"


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use."""

    name: str
    memory_gib: float
    capability: str  # NVIDIA's number of the architecture, such as 9.0
    bf16: bool


@dataclass(frozen=True)
class Torch:
    """What torch says of itself: its version, or why it cannot be imported."""

    version: str | None
    problem: str | None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Here:
    """A machine and an installation.

    Attributes:
        machine: Processor, cores, memory and system, as ledgers have them.
        free_gib: Of memory, and of the disk that the current folder lies on.
        precision: What ``auto`` stands for on the processor.
        bf16_flags: What the processor has for bf16, as Linux spells it.
        workers: How many processes train, if their models are small.
        memory_gib: What all of them may use together.
        versions: Of Python, and of the libraries that a run's numbers depend on.
        extras: Whether each is installed.
        offline: Whether models are never asked for at the hub.
    """

    machine: dict[str, str]
    free_gib: dict[str, float]
    torch: Torch
    precision: Precision
    bf16_flags: tuple[str, ...]
    workers: int
    memory_gib: float
    versions: dict[str, str]
    extras: dict[str, bool]
    offline: bool

    @property
    def trains(self) -> bool:
        """Whether something can be trained: torch and transformers are there."""
        return self.torch.problem is None and "transformers" in self.versions

    def as_json(self) -> dict[str, Any]:
        return {"schema": 1, "trains": self.trains, **asdict(self)}

    def lines(self) -> Iterator[str]:
        """The same in words."""
        yield f"processor   {self.machine['processor']}, {self.machine['cores']} cores"
        yield f"memory      {self.machine['memory']}, {self.free_gib['memory']:.0f} GiB of it free"
        yield f"disk        {self.free_gib['disk']:.0f} GiB free in this folder"
        yield f"system      {self.machine['system']}"
        yield from self._training_lines()
        yield "versions    " + ", ".join(f"{name} {number}" for name, number in self.versions.items())
        yield from self._extras_lines()
        yield (
            f"hub         never asked: {OFFLINE} is set"
            if self.offline
            else f"hub         asked for a model that is named and not there yet; {OFFLINE}=1 forbids it"
        )

    def _training_lines(self) -> Iterator[str]:
        if not self.trains:
            why = self.torch.problem or "transformers is not installed"
            yield f"training    not possible: {why}. It needs: pip install {' '.join(TO_TRAIN)}"
            yield "            (reading needs neither: verdict, report, compare, watch)"
            return
        for number, gpu in enumerate(self.torch.gpus):
            memory = f"{gpu.memory_gib:.0f} GiB, {100 * SHARE_CUDA:.0f} % of it for runs"
            kind = "bf16" if gpu.bf16 else "no bf16: use --precision fp32"
            yield f"GPU {number}       {gpu.name}, {memory}, capability {gpu.capability}, {kind}"
        if not self.torch.gpus:
            yield f"GPU         none that torch {self.torch.version} can use"
        found = ", ".join(self.bf16_flags)
        why = f"it has {found}" if found else "it has no instructions for bf16"
        yield f"precision   auto is {self.precision} on the processor: {why}"
        yield (
            f"workers     {self.workers}, a thread each, {self.memory_gib:.0f} GiB for all; "
            "large models take fewer"
        )

    def _extras_lines(self) -> Iterator[str]:
        for name, extra in EXTRAS.items():
            if self.extras[name]:
                yield f"extra       {name} is installed: {extra.adds}"
            else:
                yield f"extra       pip install 'finegrid[{name}]' adds: {extra.adds}"


def look_around(folder: Path) -> Here:
    """Look at this machine, at the disk of a folder and at what is installed. Nothing asks the network."""
    memory, threads = psutil.virtual_memory(), RunSettings().threads
    facts = machine()
    return Here(
        machine=facts,
        free_gib={"memory": memory.available / GIB, "disk": shutil.disk_usage(folder).free / GIB},
        torch=ask_torch(),
        precision=fastest_precision("cpu"),
        bf16_flags=tuple(sorted(WITH_BF16 & cpu_flags())),
        workers=max(1, int(facts["cores"]) // threads),
        memory_gib=SHARE * memory.total / GIB,
        versions=versions(),
        extras={name: extra.is_there for name, extra in EXTRAS.items()},
        offline=os.environ.get(OFFLINE, "").casefold() in ("1", "true", "yes", "on"),
    )


def ask_torch() -> Torch:
    """Import torch, and ask for its GPUs. An installation may be broken in any way, which is then told."""
    try:
        number = version("torch")
    except PackageNotFoundError:
        return Torch(None, "torch is not installed")
    try:
        import torch

        properties = [torch.cuda.get_device_properties(each) for each in range(torch.cuda.device_count())]
        bf16 = bool(properties) and torch.cuda.is_bf16_supported()
    except Exception as error:
        return Torch(number, f"torch {number} cannot be used ({first_line(error)})")
    gpus = [
        Gpu(each.name, each.total_memory / GIB, f"{each.major}.{each.minor}", bf16) for each in properties
    ]
    return Torch(number, None, tuple(gpus))
