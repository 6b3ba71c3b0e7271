"""Compiles every Triton kernel for GPUs that are not here, and prints the shared memory it asks for.

A program of its own: where Triton interprets, as in the tests, it compiles nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

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


if __name__ == "__main__":
    for name in KERNELS:
        print(name, compiled(name, int(sys.argv[1])).metadata.shared)
