"""What a node is: whatever decides on the last digits of a run, and how much there is of it."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from finegrid.errors import Problem
from finegrid.machine import NVIDIA, WITH_BF16, cores, cpu_flags, processor, versions
from finegrid.study.settings import RunSettings

KIND = ("torch", "transformers", "tokenizers", "numpy")  # versions that decide on last digits
NONE = "–"  # of a library that is not there
SAME_HERE = ("finegrid", "transformers", "tokenizers", "torch")  # versions that the driver has, too


@dataclass(frozen=True)
class NodeFacts:
    """What a node is."""

    node: str  # Ray's id
    host: str
    processor: str
    bf16: bool  # whether the processor has such products
    cores: int  # that may be used
    memory: int  # bytes
    gpus: tuple[str, ...]  # their models
    versions: Mapping[str, str]

    @classmethod
    def here(cls, node: str) -> NodeFacts:
        """Of the machine that this process runs on."""
        return cls(
            node,
            platform.node(),
            processor(),
            bool(WITH_BF16 & cpu_flags()),
            cores(),
            psutil.virtual_memory().total,
            tuple(list_gpus()),
            versions(),
        )

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> NodeFacts:
        """The inverse of `to_json`."""
        return cls(**{**told, "gpus": tuple(told["gpus"])})

    def to_json(self) -> dict[str, Any]:
        """Plain values: a node may have another version of this class."""
        return {**asdict(self), "versions": dict(self.versions)}

    def device(self, settings: RunSettings) -> str:
        """The name of what trains."""
        if settings.device == "cuda":
            return ", ".join(dict.fromkeys(self.gpus)) or "a GPU"
        return self.processor

    def kind(self, settings: RunSettings) -> str:
        """All that decides on the last digits of a run."""
        return describe_kind(self.device(settings), self.versions)


def describe_kind(device: str, versions: Mapping[str, str]) -> str:
    """A kind of device in words: ``AMD EPYC 9B14 (torch 2.12.0, ...)``."""
    libraries = ", ".join(f"{name} {versions[name]}" for name in KIND if name in versions)
    return f"{device} ({libraries})"


def list_gpus() -> Iterable[str]:
    """The models of a machine's GPUs, from NVIDIA's driver on Linux, found without torch."""
    with suppress(OSError):
        for folder in sorted(NVIDIA.iterdir()):
            for line in (folder / "information").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    yield line.partition(":")[2].strip()


def tell_facts(node: str) -> dict[str, Any]:
    """What the node is that this is called on."""
    return NodeFacts.here(node).to_json()


def find_unfit(facts: NodeFacts, settings: RunSettings, mix: bool) -> str:
    """Why a node can train nothing of a study, whatever the others are; empty if it can.

    Args:
        facts: of the node.
        settings: how the study is trained.
        mix: whether all that it must have is the same finegrid.
    """
    here = versions()
    others = [
        name
        for name in SAME_HERE[: 1 if mix else None]
        if plain(facts.versions.get(name)) != plain(here.get(name))
    ]
    if others:
        found, asked = (
            ", ".join(f"{name} {of.get(name, NONE)}" for name in others) for of in (facts.versions, here)
        )
        return f"it has {found}; who started the study has {asked}"
    if settings.precision == "bf16" and settings.device == "cpu" and not facts.bf16:
        return "its processor has no bf16 products (amx_bf16 or avx512_bf16)"
    return ""


def plain(version: str | None) -> str | None:
    """A version without what it was built for: the driver may have no GPU."""
    return version and version.partition("+")[0]


def find_problems(nodes: Iterable[NodeFacts | Problem], settings: RunSettings, mix: bool) -> list[Problem]:
    """What is wrong with nodes, by their names.

    Args:
        nodes: what each is, or why that is not known.
        settings: how the study is trained.
        mix: whether they may differ.
    """
    problems, groups = [], defaultdict(list)
    for node in nodes:
        if isinstance(node, Problem):
            problems.append(node)
        elif why := find_unfit(node, settings, mix):
            problems.append(Problem(node.host, f"{why}. Mend that, or leave the node out."))
        else:
            groups[node.kind(settings)].append(node.host)
    if len(groups) > 1 and not mix:
        advice = (
            "Nodes differ, so that last digits may. Leave some out, or pass --mix: each takes whole seeds."
        )
        problems += [Problem(", ".join(sorted(groups[kind])), f"{kind}. {advice}") for kind in sorted(groups)]
    return problems
