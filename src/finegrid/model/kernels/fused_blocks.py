"""Launches the kernels of `triton_blocks`: attention of texts of any length on GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from finegrid.model.kernels import triton_blocks as kernels
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.sight import WHOLE, Sight


class TileShape(NamedTuple):
    """Of a block, and the warps that compute it."""

    queries: int
    keys: int
    warps: int


class TileShapes(NamedTuple):
    forward: TileShape
    backward: TileShape
    shared: int  # bytes of shared memory that a program asks for at the most


STAGES = 2
# By bytes of a number, and by columns: shapes for which what a program holds finds room in registers, but for
# a few numbers, as Triton 3.7 compiles it for sm_80 and sm_90 (`tests/support/compiled.py`). No GPU has timed
# them yet. For sm_100 a program shares more, but has 227 KiB.
SHAPES = {
    2: {
        **dict.fromkeys((16, 32, 64), TileShapes(TileShape(128, 64, 8), TileShape(64, 64, 8), 57 << 10)),
        128: TileShapes(TileShape(128, 64, 8), TileShape(64, 32, 4), 96 << 10),
        256: TileShapes(TileShape(32, 32, 4), TileShape(32, 32, 4), 96 << 10),
    },
    4: {
        **dict.fromkeys((16, 32, 64), TileShapes(TileShape(32, 32, 8), TileShape(32, 32, 8), 48 << 10)),
        128: TileShapes(TileShape(16, 16, 8), TileShape(16, 16, 8), 48 << 10),
        256: TileShapes(TileShape(16, 16, 8), TileShape(16, 16, 8), 96 << 10),
    },
}


@dataclass(frozen=True)
class Parts:
    """Queries, keys and values, ``[tokens, heads, head width]`` each; of stacked runs, run after run."""

    q: Tensor
    k: Tensor
    v: Tensor
    bias: tuple[Tensor, Tensor, Tensor] | None = (
        None  # ``[runs, heads * head width]`` each, still to be added
    )

    @classmethod
    def of_packed(cls, qkv: Tensor, bias: Tensor, layout: Layout) -> Parts:
        """Views of ``[runs, tokens, 3 * width]``."""
        q, k, v = qkv.view(-1, 3, layout.heads, qkv.shape[-1] // 3 // layout.heads).unbind(1)
        shifts = bias.view(layout.runs, 3, -1).unbind(1)
        return cls(q, k, v, (shifts[0], shifts[1], shifts[2]))

    @property
    def width(self) -> int:
        return self.q.shape[2]

    @property
    def columns(self) -> int:
        return max(16, int(triton.next_power_of_2(self.width)))


@dataclass(frozen=True)
class BlockAttended:
    """What the backward pass needs: nothing of the size of attention weights."""

    parts: Parts
    out: Tensor
    levels: Tensor  # [tokens, heads], logarithms to base 2 of what softmax divides by
    layout: Layout
    dropped: Dropped | None
    sight: Sight


def attend(
    parts: Parts, out: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight = WHOLE
) -> BlockAttended:
    """Attend within each text, into ``out``: ``[tokens, width]`` of all heads, contiguous."""
    levels = torch.empty(parts.q.shape[:2], dtype=torch.float32, device=out.device)
    attended = BlockAttended(parts, out, levels, layout, dropped, sight)
    launch(kernels.attend, attended, (out, levels), layout.heads)
    return attended


def attend_backward(grad: Tensor, attended: BlockAttended, grads: tuple[Tensor, Tensor, Tensor]) -> None:
    """Gradients of queries, keys and values, into ``grads``: ``[tokens, heads * head width]`` each.

    Those of keys and values lie alike; all may be parts of wider rows.
    """
    grad_q, grad_k, grad_v = grads
    out, levels = attended.out, attended.levels
    sums = torch.empty_like(levels)
    of_queries = out, levels, grad, sums, grad_q
    launch(kernels.attend_back_queries, attended, of_queries, attended.layout.heads, grad=grad_q)
    of_keys = levels, grad, sums, grad_k, grad_v
    heads = attended.parts.k.shape[1]
    launch(kernels.attend_back_keys, attended, of_keys, heads, by_keys=True, grad=grad_k)


def launch(
    kernel: Any,
    attended: BlockAttended,
    own: tuple[Tensor, ...],
    heads: int,
    by_keys: bool = False,
    grad: Tensor | None = None,
) -> None:
    """One launch for all texts: a grid of blocks, heads, and texts of all runs."""
    parts, layout, dropped, sight = attended.parts, attended.layout, attended.dropped, attended.sight
    q, k, v = parts.q, parts.k, parts.v
    longest, texts = layout.groups[-1].length, len(layout.lengths)
    shapes = SHAPES[q.element_size()][parts.columns]
    queries, keys, warps = shapes.forward if grad is None else shapes.backward
    kernel[(triton.cdiv(longest, keys if by_keys else queries), heads, texts * layout.runs)](
        *(
            q,
            k,
            v,
            *(parts.bias or (q, k, v)),
            layout.lengths if dropped is None else dropped.key_on(q.device),
        ),
        *(layout.starts, layout.lengths, *layout.mask_places, *own),
        *(texts, layout.tokens, layout.heads, layout.heads // k.shape[1]),
        *(stride for states in (q, k, v) for stride in states.stride()[:2]),
        0 if parts.bias is None else parts.bias[0].stride(0),
        *(() if grad is None else (grad.stride(0),)),
        sight.scale_for(parts.width),
        1.0 if dropped is None else dropped.scale,
        0 if dropped is None else dropped.lowest,
        sight.window or 0,
        HEAD=parts.width,
        COLUMNS=parts.columns,
        QUERIES=queries,
        KEYS=keys,
        BIAS=parts.bias is not None,
        KEEP=dropped is not None,
        CAUSAL=sight.causal,
        WINDOWED=sight.window is not None,
        num_warps=warps,
        num_stages=STAGES,
    )


def fits(parts: Parts, dropped: Dropped | None, room: float) -> bool:
    """Whether a GPU with so many bytes of shared memory a program can hold the blocks, and draw the mask."""
    shapes = SHAPES.get(parts.q.element_size(), {}).get(parts.columns)
    return shapes is not None and shapes.shared <= room and (dropped is None or dropped.key is not None)
