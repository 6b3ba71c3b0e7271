"""The operations of a layer by Triton's kernels: see `finegrid.model.kernels.operations`. On GPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from finegrid.model.kernels import attention, plain
from finegrid.model.kernels import fused_blocks as blocks
from finegrid.model.kernels import triton_kernels as kernels
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.plain import Joined
from finegrid.model.kernels.sight import Sight

# Padded tokens of a text that attends within one program, by bytes of a number: what is longer attends block
# by block. In float32 Triton compiles for minutes what is longer.
LONGEST = {2: 128, 4: 64}
WAVE = 2048  # programs that keep a large GPU busy: sums over tokens are taken in so many parts or fewer


def draw_keep(key: int | Tensor, dropped: int, count: int, device: torch.device, first: int = 0) -> Tensor:
    """``[count]`` of 1 or 0, uint8: 0 for ``dropped`` of 65,536 values of the words of `counter_words`.

    From value ``first`` on; every word has four.
    """
    if not isinstance(key, Tensor):
        key = torch.full((), key, dtype=torch.int64, device=device)
    before, skipped = divmod(first, 4)
    words = -(-(skipped + count) // 4)
    out = torch.empty(words, dtype=torch.int32, device=device)
    kernels.draw[(triton.cdiv(words, 1024),)](key, out, words, before, dropped - (1 << 15), BLOCK=1024)
    return out.view(torch.uint8)[skipped : skipped + count]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return x @ weight.mT, bias


@dataclass(frozen=True)
class FusedAttended:
    qkv: Tensor
    bias: Tensor
    layout: Layout
    dropped: Dropped | None


def attend(qkv: Tensor, bias: Tensor, layout: Layout, dropped: Dropped | None) -> tuple[Tensor, Any]:
    out = qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)
    if not fits(max(group.length for group in layout.groups), qkv, layout.heads):
        parts = blocks.Parts.of_packed(qkv, bias, layout)
        if not blocks.fits(parts, dropped, room(qkv.device)):
            return plain.attend(qkv + bias.unsqueeze(-2), None, layout, dropped)
        by_blocks = blocks.attend(parts, out.view(-1, out.shape[-1]), layout, dropped)
        clear_tail_(out, layout.starts, layout.lengths)
        return out, by_blocks
    attended = FusedAttended(qkv, bias, layout, dropped)
    attend_by_group(kernels.attend, attended, out)
    return out, attended


def attend_backward(
    grad: Tensor, attended: FusedAttended | blocks.BlockAttended | attention.Attended
) -> Tensor:
    if isinstance(attended, attention.Attended):
        return plain.attend_backward(grad, attended)
    out = grad.new_empty(*grad.shape[:-1], 3 * grad.shape[-1])
    if isinstance(attended, blocks.BlockAttended):
        rows = out.view(-1, out.shape[-1])
        flat = grad.reshape(-1, grad.shape[-1])
        blocks.attend_backward(flat, attended, rows.split(grad.shape[-1], 1))
        clear_tail_(out, attended.layout.starts, attended.layout.lengths)
        return out
    attend_by_group(kernels.attend_back, attended, out, grad)
    return out


def fits(length: int, qkv: Tensor, heads: int) -> bool:
    """Whether texts of so many tokens attend within one program each, forward and backward."""
    needed = shared_bytes(rows_of(length), columns_of(qkv.shape[-1] // 3 // heads), qkv.element_size())
    return length <= LONGEST[qkv.element_size()] and needed <= room(qkv.device)


def shared_bytes(rows: int, columns: int, size: int) -> int:
    """At the most, of the memory that a program of `kernels.attend_back` keeps its matrices in.

    As Triton 3.7 compiled it (test_fused.py). For sm_100 it asks for more, up to the 227 KiB that are there.
    """
    return (4 * columns + rows) * rows * size


@cache
def room(device: torch.device) -> float:
    """Bytes of that memory: 227 KiB on an H200, 99 on GPUs of desktops. No bound in the interpreter."""
    if device.type != "cuda":
        return float("inf")
    known = triton.runtime.driver.active.utils.get_device_properties(device.index)
    return float(known["max_shared_mem"])


def rows_of(length: int) -> int:
    return max(16, int(triton.next_power_of_2(length)))


def columns_of(width: int) -> int:
    return max(16, int(triton.next_power_of_2(width)))


def attend_by_group(kernel: Any, attended: FusedAttended, out: Tensor, *grad: Tensor) -> None:
    """Launch a kernel for every group of texts, and clear what belongs to none."""
    qkv, layout = attended.qkv, attended.layout
    width = qkv.shape[-1] // 3 // layout.heads
    keep, scale = told(attended.dropped, qkv)
    for group in layout.groups:
        rows = rows_of(group.length)
        kernel[(group.texts // layout.runs, layout.heads, layout.runs)](
            *(qkv, attended.bias, keep, layout.starts, layout.lengths, *grad, out),
            *(group.first, group.weights.start // layout.runs, group.length, layout.tokens, layout.heads),
            *(width**-0.5, scale),
            HEAD=width,
            COLUMNS=columns_of(width),
            ROWS=rows,
            KEEP=attended.dropped is not None,
            num_warps=warps(rows, backward=len(grad) > 0),
        )
    clear_tail_(out, layout.starts, layout.lengths)


def clear_tail_(x: Tensor, starts: Tensor, lengths: Tensor) -> None:
    """Zeros for the tokens of ``x`` that belong to no text."""
    runs, tokens, width = sizes(x)
    grid = triton.cdiv(tokens, 64), triton.cdiv(width, 256), runs
    about = x, starts, lengths, len(lengths), tokens, width
    kernels.clear_tail[grid](*about, ROWS=64, COLUMNS=256)


def warps(rows: int, backward: bool) -> int:
    return {16: 1, 32: 2, 64: 4, 128: 8}[rows] * (2 if backward and rows < 128 else 1)


def join(
    norm: Any, x: Tensor, y: Tensor, bias: Tensor, dropped: Dropped | None
) -> tuple[Tensor, Tensor | None, Joined]:
    runs, tokens, width = sizes(x)
    total, out, low = torch.empty_like(x), torch.empty_like(x), torch.empty_like(y)
    mean, rstd = x.new_empty(x.shape[:-1]), x.new_empty(x.shape[:-1])
    keep, scale = told(dropped, x)
    with_low = y.dtype != x.dtype
    kernels.join[(tokens, runs)](
        *(x.contiguous(), y, bias, keep, norm.weight, norm.bias, total, out, low, mean, rstd),
        *(tokens, width, norm.eps, scale),
        BLOCK=triton.next_power_of_2(width),
        KEEP=dropped is not None,
        LOW=with_low,
    )
    return out, low if with_low else None, (total, mean, rstd)


def join_backward(
    norm: Any, grad: Tensor, joined: Joined, dropped: Dropped | None, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
    runs, tokens, width = sizes(grad)
    grad_x, grad_y = torch.empty_like(joined[0]), torch.empty_like(joined[0], dtype=dtype)
    rows, blocks = parts_of(tokens, runs)
    sums = grad.new_empty(3, runs, blocks, width)
    keep, scale = told(dropped, grad)
    kernels.join_back[(blocks, runs)](
        *(grad.contiguous(), *joined, norm.weight, keep, grad_x, grad_y, sums, tokens, width, rows, scale),
        BLOCK=triton.next_power_of_2(width),
        KEEP=dropped is not None,
    )
    weight, shift, bias = sums.sum(2).view(3, *grad.shape[:-2], width)
    return (
        grad_x,
        grad_y,
        *plain.of_trained(norm, weight, shift),
        bias if with_bias else None,
    )


@dataclass(frozen=True)
class Activated:
    wide: Tensor
    bias: Tensor


def activate(activation: Callable[[Tensor], Tensor], wide: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
    if not plain.is_gelu(activation):
        return plain.activate(activation, wide + bias.unsqueeze(-2), None)
    runs, tokens, width = sizes(wide)
    active = torch.empty_like(wide)
    grid = triton.cdiv(tokens, 4), triton.cdiv(width, 1024), runs
    kernels.gelu[grid](wide, bias, active, tokens, width, 4, BLOCK=1024)
    return active, Activated(wide, bias)


def activate_backward(
    grad: Tensor, activated: Any, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor | None]:
    if not isinstance(activated, Activated):
        return plain.activate_backward(grad, activated, dtype, with_bias)
    wide, bias = activated.wide, activated.bias
    runs, tokens, width = sizes(wide)
    rows, blocks = parts_of(tokens, runs)
    out = torch.empty_like(wide)
    sums = torch.empty(runs, blocks, width, dtype=torch.float32, device=wide.device)
    grid = blocks, triton.cdiv(width, 1024), runs
    kernels.gelu_back[grid](wide, bias, grad, out, sums, tokens, width, rows, BLOCK=1024)
    return out, sums.sum(1).view(*wide.shape[:-2], width).to(dtype) if with_bias else None


def sum_tokens(grad: Tensor, dtype: torch.dtype) -> Tensor:
    return grad.sum(-2, dtype=dtype)


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Runs, tokens of each, width."""
    tokens, width = x.shape[-2:]
    return x.numel() // (tokens * width), tokens, width


def parts_of(tokens: int, runs: int) -> tuple[int, int]:
    """Into how many tokens each, and how many parts, a run's sums over tokens are cut."""
    rows = min(32, max(4, triton.next_power_of_2(tokens * runs // WAVE)))
    return rows, triton.cdiv(tokens, rows)


def told(dropped: Dropped | None, other: Tensor) -> tuple[Tensor, float]:
    """Mask and scale for a kernel; any tensor where there is none, which is not looked at."""
    return (other, 1.0) if dropped is None else (dropped.keep, dropped.scale)


def attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight
) -> Tensor | None:
    """See `finegrid.model.kernels.varlen`. None where it cannot be computed here."""
    q, k, v = (states if states.stride(2) == 1 else states.contiguous() for states in (q, k, v))
    parts = blocks.Parts(q, k, v)
    known = q.dtype in (torch.float32, torch.bfloat16) and blocks.fits(parts, dropped, room(q.device))
    if not known:
        return None
    found: Tensor = VarlenAttention.apply(parts.q, parts.k, parts.v, layout, dropped, sight)  # type: ignore[no-untyped-call]
    return found


class VarlenAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight
    ) -> Tensor:
        out = q.new_empty(len(q), q.shape[1] * q.shape[2])
        attended = blocks.attend(blocks.Parts(q, k, v), out, layout, dropped, sight)
        clear_tail_(out, layout.starts, layout.lengths)
        ctx.save_for_backward(q, k, v, out)
        ctx.rest = attended.levels, layout, dropped, sight
        return out.view(q.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        levels, layout, dropped, sight = ctx.rest
        grads = tuple(states.new_empty(len(states), states[0].numel()) for states in (q, k, v))
        attended = blocks.BlockAttended(blocks.Parts(q, k, v), out, levels, layout, dropped, sight)
        blocks.attend_backward(grad.reshape(out.shape), attended, grads)
        for own in grads:
            clear_tail_(own, layout.starts, layout.lengths)
        return (*(own.view(states.shape) for own, states in zip(grads, (q, k, v), strict=True)), *[None] * 3)


def means(hidden: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Means over the tokens of each text: ``[tokens, width]`` to ``[texts, width]``."""
    found: Tensor = Means.apply(hidden, starts, lengths)  # type: ignore[no-untyped-call]
    return found


class Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        ctx.save_for_backward(starts, lengths)
        ctx.shape = hidden.shape
        out = hidden.new_empty(len(lengths), hidden.shape[1])
        about = hidden.contiguous(), starts, lengths, out, hidden.shape[1]
        kernels.mean_texts[len(lengths), triton.cdiv(hidden.shape[1], 256)](*about, BLOCK=256)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        starts, lengths = ctx.saved_tensors
        out = grad.new_empty(ctx.shape)
        about = grad.contiguous(), starts, lengths, out, grad.shape[1]
        kernels.mean_texts_back[len(lengths), triton.cdiv(grad.shape[1], 256)](*about, BLOCK=256)
        clear_tail_(out, starts, lengths)
        return out, None, None
