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
from finegrid.in_chinese import translate
from finegrid.machine import (
    WITH_BF16,
    Precision,
    cpu_flags,
    describe_compilers,
    fastest_precision,
    find_compiler,
    machine,
    versions,
)
from finegrid.planning.capacity import GIB, SHARE, SHARE_CUDA
from finegrid.planning.here_words import say
from finegrid.spelling import Lang
from finegrid.study.settings import RunSettings
from finegrid.words import SHARED

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
        compiler: Path of a C++ compiler, which makes what trains faster on the processor; or none.
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
    compiler: str | None  # of C++
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

    def lines(self, lang: Lang = "en") -> Iterator[str]:
        """The same in words."""
        comma, free = SHARED[lang]["list comma"], self.free_gib
        yield say("processor", lang, processor=self.machine["processor"], cores=self.machine["cores"])
        yield say("memory", lang, memory=self.machine["memory"], free=free["memory"])
        yield say("disk", lang, free=free["disk"])
        yield say("system", lang, system=self.machine["system"])
        yield from self._training_lines(lang)
        versions = comma.join(f"{name} {number}" for name, number in self.versions.items())
        yield say("versions", lang, versions=versions)
        for name, extra in EXTRAS.items():
            yield say(
                "extra there" if self.extras[name] else "extra", lang, name=name, adds=extra.describe(lang)
            )
        yield say("offline" if self.offline else "hub", lang, setting=OFFLINE)

    def _training_lines(self, lang: Lang) -> Iterator[str]:
        if not self.trains:
            why = translate(self.torch.problem or "transformers is not installed", lang)
            yield say("no training", lang, why=why, libraries=" ".join(TO_TRAIN))
            yield say("reading", lang)
            return
        for number, gpu in enumerate(self.torch.gpus):
            told = {"memory": gpu.memory_gib, "share": 100 * SHARE_CUDA, "capability": gpu.capability}
            bf16 = say("bf16" if gpu.bf16 else "no bf16", lang)
            yield say("gpu", lang, number=number, name=gpu.name, bf16=bf16, **told)
        if not self.torch.gpus:
            yield say("no gpu", lang, version=self.torch.version)
        found = SHARED[lang]["list comma"].join(self.bf16_flags)
        why = say("flags", lang, flags=found) if found else say("no flags", lang)
        yield say("precision", lang, precision=self.precision, why=why)
        compiler = "compiler" if self.compiler else "no compiler"
        yield say(compiler, lang, path=self.compiler or describe_compilers())
        yield say("workers", lang, workers=self.workers, memory=self.memory_gib)


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
        compiler=next(iter(find_compiler() or ()), None),
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
