"""The operations that a layer is made of, and which of their two implementations computes them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from finegrid.machine import processor_kind
from finegrid.model.kernels import plain
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.plain import Joined


class Operations(Protocol):
    """A module that has these. Shapes are ``[tokens, ...]``, of stacked runs ``[runs, tokens, ...]``.

    What is called ``bias`` after `linear` is left for the next operation to add, or None if that is done.
    """

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
        """``x @ weight.T``, and the bias."""

    def attend(self, qkv: Tensor, bias: Any, layout: Layout, dropped: Dropped | None) -> tuple[Tensor, Any]:
        """Attention within each text, and what `attend_backward` needs."""

    def attend_backward(self, grad: Tensor, attended: Any) -> Tensor:
        """The gradient of ``qkv``: 0 for tokens that belong to no text."""

    def join(
        self, norm: Any, x: Tensor, y: Tensor, bias: Any, dropped: Dropped | None
    ) -> tuple[Tensor, Tensor | None, Joined]:
        """``norm(x + dropout(y + bias))``, perhaps also in the type of ``y``, and what it came from."""

    def join_backward(
        self,
        norm: Any,
        grad: Tensor,
        joined: Joined,
        dropped: Dropped | None,
        dtype: torch.dtype,
        with_bias: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of ``x``, of ``y`` (in ``dtype``), of the norm's weight and bias, and of ``bias``."""

    def activate(self, activation: Callable[[Tensor], Tensor], wide: Tensor, bias: Any) -> tuple[Tensor, Any]:
        """``activation(wide + bias)``, and what `activate_backward` needs."""

    def activate_backward(
        self, grad: Tensor, activated: Any, dtype: torch.dtype, with_bias: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Gradients of ``wide``, and of ``bias`` in ``dtype``."""

    def sum_tokens(self, grad: Tensor, dtype: torch.dtype) -> Tensor:
        """The gradient of a bias, from that of what it was added to."""


def operations(x: Tensor, dtype: torch.dtype) -> Operations:
    """Those for activations like ``x`` and products in ``dtype``."""
    known = x.dtype == torch.float32 and dtype in (torch.float32, torch.bfloat16)
    found = kernels(x.device) if known else None
    return plain if found is None else found


def means_by_kernel(hidden: Tensor, starts: Tensor, lengths: Tensor) -> Tensor | None:
    """Means over the tokens of each text, ``[texts, width]``; None where there is no kernel for that."""
    found = kernels(hidden.device) if hidden.dtype == torch.float32 else None
    return None if found is None else found.means(hidden, starts, lengths)


def name_kernels(device: torch.device) -> str:
    """Which implementation has the last digits of what is computed there."""
    found: str = (kernels(device) or plain).__name__
    return found.rpartition(".")[2]


def describe_rounding(device: torch.device) -> dict[str, str]:
    """What decides on the last digits of what is computed there, beside precision and threads.

    Whatever is computed once and kept for others is kept under this, too.
    """
    return {
        "torch": torch.__version__,
        "kernels": name_kernels(device),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else processor_kind(),
        "capability": torch.backends.cpu.get_cpu_capability(),  # ATEN_CPU_CAPABILITY may ask for less
    }


@cache
def kernels(device: torch.device) -> Any:
    """The module with kernels for it: `fused` on a GPU, `native` on a CPU.

    None, and word of it, where Triton or the compiler that it needs is missing.
    """
    try:
        if device.type == "cuda":
            from finegrid.model.kernels import fused as found
        else:
            from finegrid.model.kernels import native as found  # type: ignore[no-redef]
        found.draw_keep(1, 0, 8, device)
    except Exception as error:  # of many kinds, and none of them a reason not to train
        first = str(error).partition("\n")[0]
        print(
            f"no kernels for {device.type} ({type(error).__name__}: {first}): slower without", file=sys.stderr
        )
        return None
    return found
