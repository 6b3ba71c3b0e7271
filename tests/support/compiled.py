"""Compiles every Triton kernel for GPUs that are not here, and prints what it asks for.

    python tests/support/compiled.py 90

A line a kernel: bytes of shared memory, registers of a thread, and bytes that did not find room in them.

A program of its own: where Triton interprets, as in the tests, it compiles nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from finegrid.model.kernels import fused_blocks, triton_blocks
from finegrid.model.kernels import triton_kernels as kernels

INTEGERS, BYTES = "*i64", "*u8"
OPTIONS = {"KEEP": True, "LOW": True, "BLOCK": 1024, "HEAD": 64, "COLUMNS": 64, "ROWS": 64}
ALWAYS = {
    "keep": BYTES,
    "starts": INTEGERS,
    "lengths": INTEGERS,
    "eps": "fp32",
    "scale": "fp32",
    "alpha": "fp32",
}
WIDE = dict.fromkeys(("total", "mean", "rstd", "weight", "shift", "sums", "grad_total"), "*fp32")
LOW = ("qkv", "x", "y", "bias", "grad", "out", "low", "grad_y")
OWN: dict[str, dict[str, str]] = {
    "draw": {"key": INTEGERS, "out": "*i32"},
    "join": {"x": "*fp32", "out": "*fp32"},
    "join_back": {"grad": "*fp32"},
    "mean_texts": {"x": "*fp32", "out": "*fp32"},
    "mean_texts_back": {"grad": "*fp32", "out": "*fp32"},
}
KERNELS = ("attend", "attend_back", "clear_tail", "gelu", "gelu_back", *OWN)


def compiled(name: str, capability: int) -> Any:
    kernel = getattr(kernels, name)
    types = {**dict.fromkeys(LOW, "*bf16"), **WIDE, **ALWAYS, **OWN.get(name, {})}
    constants = {key: value for key, value in OPTIONS.items() if key in kernel.arg_names}
    signature = {key: "constexpr" if key in constants else types.get(key, "i32") for key in kernel.arg_names}
    places = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
    return triton.compile(ASTSource(kernel, signature, places), target=GPUTarget("cuda", capability, 32))


BLOCKS = ("attend", "attend_back_queries", "attend_back_keys")
BLOCK_INTEGERS = ("key", "starts", "lengths", "mask_starts", "mask_rows")
BLOCK_WIDE = ("levels", "sums")
STRIDES = ("q_token", "q_head", "k_token", "k_head", "v_token", "v_head", "by_run", "grad_token")
DROPPED_AND_BIASED = {"BIAS": True, "KEEP": True}
SIGHTS = [(False, False), (True, False), (False, True), (True, True)]  # causal, windowed


def compiled_block(name: str, capability: int, size: int, columns: int, sight: tuple[bool, bool]) -> Any:
    """A kernel of attention block by block, as `fused_blocks` launches it."""
    kernel, shapes = getattr(triton_blocks, name), fused_blocks.SHAPES[size][columns]
    queries, keys, warps = shapes.forward if name == "attend" else shapes.backward
    constants = {"HEAD": columns, "COLUMNS": columns, "QUERIES": queries, "KEYS": keys}
    constants |= {**DROPPED_AND_BIASED, "CAUSAL": sight[0], "WINDOWED": sight[1]}
    low = {2: "*bf16", 4: "*fp32"}[size]
    types = {**dict.fromkeys(BLOCK_INTEGERS, INTEGERS), **dict.fromkeys(BLOCK_WIDE, "*fp32")}
    types |= {"alpha": "fp32", "scale": "fp32"}
    signature, divisible = {}, {}
    for index, key in enumerate(kernel.arg_names):
        numbers = ("texts", "tokens", "heads", "repeats", "lowest", "window", *STRIDES)
        default = "i32" if key in numbers else low
        signature[key] = "constexpr" if key in constants else types.get(key, default)
        if (signature[key].startswith("*") and key != "key") or key in STRIDES:
            divisible[(index,)] = [["tt.divisibility", 16]]
    places = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
    source = ASTSource(kernel, signature, places, divisible)
    options = {"num_warps": warps, "num_stages": fused_blocks.STAGES}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def resources(kernel: Any) -> list[int]:
    """Registers of a thread, and bytes of its own memory: what did not find room."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as binary:
        binary.write(kernel.asm["cubin"])
        binary.flush()
        told = subprocess.run([tool, "-res-usage", binary.name], capture_output=True, text=True).stdout
    return [int(found) for found in re.findall(r"(?:REG|STACK):(\d+)", told)]


if __name__ == "__main__":
    capability = int(sys.argv[1])
    for name in KERNELS:
        kernel = compiled(name, capability)
        print(name, kernel.metadata.shared, *resources(kernel))
    for size, columns, sight in [
        *((2, 64, sight) for sight in SIGHTS),
        (2, 128, SIGHTS[0]),
        (4, 64, SIGHTS[0]),
    ]:
        for name in BLOCKS:
            kernel = compiled_block(name, capability, size, columns, sight)
            kind = f"block.{name}.{8 * size}.{columns}.{'causal' * sight[0]}{'window' * sight[1]}"
            print(kind, kernel.metadata.shared, *resources(kernel))
