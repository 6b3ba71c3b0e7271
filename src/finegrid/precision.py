"""``precision = "auto"``: bf16 where the processor has bf16 products, else fp32. Told without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")  # the reference first
AUTO = "auto"
CPUINFO = Path("/proc/cpuinfo")
WITH_BF16 = {"amx_bf16", "avx512_bf16"}  # as Linux spells them


def fastest_precision(device: str) -> Precision:
    """What ``auto`` means on this machine. A worker refuses bf16 where it turns out to be missing."""
    if device == "cuda":
        return "bf16"
    return "bf16" if WITH_BF16 & cpu_flags() else "fp32"


def cpu_flags() -> set[str]:
    """What the processor can do; nothing where the system does not tell in Linux's way."""
    try:
        lines = CPUINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
