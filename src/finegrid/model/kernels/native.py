"""The operations of a layer by a library of our own: see `finegrid.model.kernels.operations`. On CPUs.

What lies between matrix products is one pass over memory each, and draws its dropout masks in passing; the
products are those of `finegrid.model.kernels.products`. The library is ``native.cpp``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.model.kernels import attention, plain, products
from finegrid.model.kernels.compiling import load_library
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.plain import Joined
from finegrid.model.kernels.sight import WHOLE, Sight

POINTER, LONG, FLOAT, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int
DROPOUT = [LONG, LONG, LONG, FLOAT]  # key, first value, lowest, scale
TEXTS = [POINTER] * 4 + [LONG] * 5 + [FLOAT]
ARGUMENTS = {
    "draw": [POINTER, *DROPOUT[:3], LONG],
    "join": [INT, *[POINTER] * 9, LONG, LONG, FLOAT, *DROPOUT, INT],
    "join_back": [INT, *[POINTER] * 9, LONG, LONG, *DROPOUT, INT],
    "gelu_back": [INT, *[POINTER] * 5, LONG, LONG, INT],
    "sum": [INT, *[POINTER] * 3, LONG, LONG, INT],
    "attend": [INT, *[POINTER] * 2, *TEXTS, *DROPOUT, INT],
    "attend_back": [INT, *[POINTER] * 3, *TEXTS, *DROPOUT, INT],
}
ROWS = 32  # of a block of the library's: sums over tokens are taken block by block
NONE = (0, 0, 0, 0.0)  # no dropout


@cache
def library() -> Any:
    """The library, with the types of its arguments.

    Raises:
        NotCompiledError: there is none.
    """
    found = load_library()
    for name, types in ARGUMENTS.items():
        function = getattr(found, f"finegrid_{name}")
        function.argtypes, function.restype = types, None
    return found


def draw_keep(key: int | Tensor, dropped: int, count: int, device: torch.device, first: int = 0) -> Tensor:
    """``[count]`` of 1 or 0, uint8: 0 for ``dropped`` of 65,536 values of the words of `counter_words`.

    From value ``first`` on; every word has four.
    """
    keep = torch.empty(count, dtype=torch.uint8)
    library().finegrid_draw(keep.data_ptr(), int(key), first, dropped - (1 << 15), count)
    return keep


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, None]:
    return products.linear(x, weight, bias), None


@dataclass(frozen=True)
class NativeAttended:
    qkv: Tensor
    layout: Layout
    dropped: Dropped | None
    sight: Sight


def attend(
    qkv: Tensor, bias: None, layout: Layout, dropped: Dropped | None, sight: Sight = WHOLE
) -> tuple[Tensor, Any]:
    if not fits(layout, dropped, sight):
        return plain.attend(qkv, None, layout, dropped, sight)
    qkv = qkv.contiguous()
    out = qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)
    about = *text_arguments(layout, out, sight), *dropout_arguments(dropped), threads()
    library().finegrid_attend(*low(qkv), at(qkv), at(out), *about)
    clear_tail_(out, layout)
    return out, NativeAttended(qkv, layout, dropped, sight)


def attend_backward(grad: Tensor, attended: NativeAttended | attention.Attended) -> Tensor:
    if isinstance(attended, attention.Attended):
        return plain.attend_backward(grad, attended)
    qkv, layout, grad = attended.qkv, attended.layout, grad.contiguous()
    out = torch.empty_like(qkv)
    of_texts = text_arguments(layout, grad, attended.sight)
    about = *of_texts, *dropout_arguments(attended.dropped), threads()
    library().finegrid_attend_back(*low(qkv), at(qkv), at(grad), at(out), *about)
    clear_tail_(out, layout)
    return out


def fits(layout: Layout, dropped: Dropped | None, sight: Sight) -> bool:
    """Whether all texts are short, tokens see all of them, and masks can be drawn in passing."""
    longest = layout.groups[-1]
    whole = sight.whole or (not sight.causal and sight.window is not None and sight.window >= longest.length)
    return whole and not layout.is_long(longest) and (dropped is None or dropped.key is not None)


def text_arguments(layout: Layout, rows: Tensor, sight: Sight) -> tuple[Any, ...]:
    """Where the texts lie, for the library. ``rows``: ``[..., width]`` of all heads."""
    begins, sides = layout.mask_places
    width = rows.shape[-1] // layout.heads
    places = at(layout.starts), at(layout.lengths), at(begins), at(sides)
    return (
        *places,
        len(layout.lengths),
        layout.runs,
        layout.tokens,
        layout.heads,
        width,
        sight.scale_for(width),
    )


def clear_tail_(x: Tensor, layout: Layout) -> None:
    """Zeros for the tokens that belong to no text."""
    real = sum(layout.host_lengths) if layout.real_tokens is None else layout.real_tokens
    if real < layout.tokens:
        x.view(layout.runs, layout.tokens, -1)[:, real:].zero_()


def join(
    norm: Any, x: Tensor, y: Tensor, bias: None, dropped: Dropped | None
) -> tuple[Tensor, Tensor | None, Joined]:
    if dropped is not None and dropped.key is None:
        return plain.join(norm, x, y, bias, dropped)
    x, y = x.contiguous(), y.contiguous()
    total, out = torch.empty_like(x), torch.empty_like(x)
    lower = torch.empty_like(y) if y.dtype != x.dtype else None
    mean, rstd = x.new_empty(x.shape[:-1]), x.new_empty(x.shape[:-1])
    tokens, width = x.shape[-2:]
    for run in range(x.numel() // (tokens * width)):
        row, about = run * tokens, (tokens, width, norm.eps, *dropout_arguments(dropped), threads())
        library().finegrid_join(
            *low(y),
            *(at(x, row), at(y, row), at(norm.weight, run), at(norm.bias, run), at(total, row), at(out, row)),
            *(
                None if lower is None else at(lower, row),
                at(mean.view(-1, 1), row),
                at(rstd.view(-1, 1), row),
            ),
            *about,
        )
    return out, lower, (total, mean, rstd)


def join_backward(
    norm: Any, grad: Tensor, joined: Joined, dropped: Dropped | None, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
    if dropped is not None and dropped.key is None:
        return plain.join_backward(norm, grad, joined, dropped, dtype, with_bias)
    total, mean, rstd = joined
    grad = grad.contiguous()
    grad_x, grad_y = torch.empty_like(grad), torch.empty_like(grad, dtype=dtype)
    tokens, width = grad.shape[-2:]
    runs = grad.numel() // (tokens * width)
    sums, parts = grad.new_empty(runs, 3, width), parts_of(3 * width, tokens)
    for run in range(runs):
        row = run * tokens
        library().finegrid_join_back(
            *low(grad_y),
            *(at(grad, row), at(total, row), at(mean.view(-1, 1), row), at(rstd.view(-1, 1), row)),
            *(at(norm.weight, run), at(grad_x, row), at(grad_y, row), at(parts), at(sums, 3 * run)),
            *(tokens, width, *dropout_arguments(dropped), threads()),
        )
    weight, shift, bias = sums.view(*grad.shape[:-2], 3, width).unbind(-2)
    return (
        grad_x,
        grad_y,
        *plain.of_trained(norm, weight, shift),
        bias if with_bias else None,
    )


@dataclass(frozen=True)
class NativeActivated:
    wide: Tensor


def activate(activation: Callable[[Tensor], Tensor], wide: Tensor, bias: None) -> tuple[Tensor, Any]:
    if not plain.is_gelu(activation):
        return plain.activate(activation, wide, None)
    return nn.functional.gelu(wide), NativeActivated(wide)  # by oneDNN, which has the fastest


def activate_backward(
    grad: Tensor, activated: Any, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor | None]:
    if not isinstance(activated, NativeActivated):
        return plain.activate_backward(grad, activated, dtype, with_bias)
    wide, grad = activated.wide, grad.contiguous()
    out = torch.empty_like(wide)
    tokens, width = wide.shape[-2:]
    runs = wide.numel() // (tokens * width)
    sums, parts = wide.new_empty(runs, width, dtype=torch.float32), parts_of(width, tokens)
    for run in range(runs):
        row = run * tokens
        library().finegrid_gelu_back(
            *(*low(wide), at(wide, row), at(grad, row), at(out, row), at(parts), at(sums, run)),
            *(tokens, width, threads()),
        )
    return out, sums.view(*wide.shape[:-2], width).to(dtype) if with_bias else None


def sum_tokens(grad: Tensor, dtype: torch.dtype) -> Tensor:
    grad = grad.contiguous()
    tokens, width = grad.shape[-2:]
    runs = grad.numel() // (tokens * width)
    sums, parts = grad.new_empty(runs, width, dtype=torch.float32), parts_of(width, tokens)
    for run in range(runs):
        about = at(grad, run * tokens), at(parts), at(sums, run), tokens, width, threads()
        library().finegrid_sum(*low(grad), *about)
    return sums.view(*grad.shape[:-2], width).to(dtype)


def means(hidden: Tensor, starts: Tensor, lengths: Tensor) -> None:
    """Torch's own way is as fast on a CPU."""


def attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight
) -> Tensor | None:
    """See `finegrid.model.kernels.varlen`. None where it cannot be computed here."""
    if q.dtype not in (torch.float32, torch.bfloat16) or not fits(layout, dropped, sight):
        return None
    qkv = attention.side_by_side(q, k, v)
    computed = partial(attend, bias=None, layout=layout, dropped=dropped, sight=sight)
    return attention.differentiable(qkv, computed, attend_backward).view(q.shape)


def at(x: Tensor, row: int = 0) -> int:
    """The address of a row, ``[..., width]``."""
    return x.data_ptr() + row * x.shape[-1] * x.element_size()


def low(x: Tensor) -> tuple[int]:
    """Whether numbers are bfloat16."""
    return (int(x.dtype == torch.bfloat16),)


def dropout_arguments(dropped: Dropped | None) -> tuple[int, int, int, float]:
    """Which values to draw, and what survivors are multiplied by."""
    if dropped is None:
        return NONE
    assert dropped.key is not None  # whoever has none went the plain way
    return int(dropped.key), dropped.first, dropped.lowest, dropped.scale


def parts_of(width: int, tokens: int) -> Tensor:
    """Room for sums over tokens, block by block."""
    return torch.empty(-(-tokens // ROWS) * width)


def threads() -> int:
    return torch.get_num_threads()
