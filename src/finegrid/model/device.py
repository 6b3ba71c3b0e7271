"""The device that a process computes on: what it can do, and the memory it takes."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

import torch

from finegrid.errors import input_error


def compute_repeatably() -> None:
    """Have torch compute the same bits every time, or refuse what it cannot."""
    # cuBLAS reads it when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As `use_deterministic_algorithms(True)`, which imports torch's compiler: that takes a second.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # not in the stubs
    # Whatever the environment says: fp32 is no TF32, and sums of bf16 products stay in float32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def check_machine(device: str, precision: str) -> None:
    """Refuse what the machine cannot do.

    Raises:
        InputError: no such device, or no bf16 products on this processor.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise input_error("device", "cuda", "torch sees no CUDA device here. Use --device cpu.")
    if precision == "bf16" and not has_bf16(device):
        lacking = (
            "GPU has no bf16" if device == "cuda" else "processor has no bf16 products (AMX or AVX512-BF16)"
        )
        raise input_error("precision", "bf16", f"this {lacking}. Use --precision fp32.")


def has_bf16(device: str) -> bool:
    """Whether bf16 products run in hardware. Elsewhere they are emulated, many times slower than fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def peak_memory(device: torch.device) -> int:
    """Most memory this process has used since `reset_peak_memory`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)  # that of graphs counts as free while they do not run
    if (peak := read_status("VmHWM")) is not None:
        return peak
    import resource  # not on Windows, and there only
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def mapped_memory(device: torch.device) -> int:
    """What of a process's memory are files that it maps, in bytes: the system may drop it, and processes that
    map the same files share it. 0 of a GPU, and where it cannot be known.
    """
    return 0 if device.type == "cuda" else read_status("RssFile") or 0


def read_status(name: str) -> int | None:
    """Bytes of a line of this process's status on Linux; None where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def name_gpu(device: torch.device) -> str:
    """As its maker calls it; empty of a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def total_memory(device: torch.device) -> int:
    """Bytes of a GPU; 0 of a CPU, whose memory can be asked for without torch."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0


def give_back_memory() -> None:
    """Let the system have what is free: it would count as used by whatever is measured next."""
    gc.collect()
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring anew. Where the system cannot (macOS), peaks are those of the whole process."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        give_back_memory()
        try:
            clear.write_text("5")  # 5 resets VmHWM: proc(5)
        except OSError:  # a container may forbid it
            return
