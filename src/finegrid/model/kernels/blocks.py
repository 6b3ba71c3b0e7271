"""Self-attention of long texts in torch's own terms: text by text, some heads and queries at a time.

What is computed at once fits into a processor's cache. Nothing that grows with the square of a length is
kept for the backward pass, which computes attention weights anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrid.buckets import round_up
from finegrid.model.kernels.layout import Dropped, Group, Layout
from finegrid.model.kernels.products import by_onednn, linear
from finegrid.model.kernels.sight import Sight

# Attention weights that are computed at once. Of 2^17 to 2^21, fastest on one Zen 5 core.
AT_ONCE = 1 << 19
ROWS = 512  # queries at once, at most
WINDOW_ROWS = 128  # the same where they see a window: they need few more keys than that
# Lengths are rounded up to so many tokens: oneDNN compiles a product for every shape.
GRAIN = 32


@dataclass(frozen=True)
class LongText:
    """One text that attends by itself."""

    group: Group
    index: int  # which text of its group
    rows: slice  # of the packed batch; of stacked runs, of all of them
    length: int


@dataclass(frozen=True)
class WeightBlock:
    """Some heads and queries of a text, with the keys that the queries see."""

    heads: slice
    queries: slice
    keys: slice
    unseen: Tensor | None  # [queries, keys], 0 or -inf


def long_texts(layout: Layout) -> Iterator[LongText]:
    """The texts that attend block by block."""
    for group in layout.groups:
        if not layout.is_long(group):
            continue
        here = layout.texts_of(group)
        about = zip(layout.host_starts[here], layout.host_lengths[here], strict=True)
        for index, (start, length) in enumerate(about):
            for run in range(layout.runs):
                first = run * layout.tokens + start
                yield LongText(group, index, slice(first, first + length), length)


class Blocks:
    """The parts of a text, filled up with zeros, and what is computed of them at once."""

    def __init__(self, like: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight) -> None:
        self.layout, self.dropped, self.sight = layout, dropped, sight
        self.width = like.shape[1] // 3 // layout.heads
        self.alpha = sight.scale_for(self.width)
        self.exact = torch.promote_types(like.dtype, torch.float32)
        self.room: dict[tuple[str, torch.dtype], Tensor] = {}
        self.like = like
        self._unseen: dict[tuple[int, ...], Tensor] = {}

    def borrow(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory that is overwritten by the next who asks for this name."""
        count, dtype = int(torch.Size(shape).numel()), dtype or self.like.dtype
        known = self.room.get((name, dtype))
        if known is None or len(known) < count:
            known = self.room[name, dtype] = self.like.new_empty(count, dtype=dtype)
        return known[:count].view(shape)

    def by_head(self, name: str, rows: Tensor, parts: int) -> Tensor:
        """``[tokens, parts * heads * width]`` as ``[parts, heads, tokens, width]``, filled up."""
        heads, tokens = self.layout.heads, len(rows)
        out = self.borrow(name, parts, heads, round_up(tokens, GRAIN), self.width)
        out[:, :, :tokens] = rows.view(tokens, parts, heads, self.width).permute(1, 2, 0, 3)
        out[:, :, tokens:] = 0
        return out

    def of(self, text: LongText) -> Iterator[WeightBlock]:
        length, padded = text.length, round_up(text.length, GRAIN)
        most = ROWS if self.sight.window is None else WINDOW_ROWS
        for first in range(0, padded, most):
            end = min(padded, first + most)
            start, stop = self.sight.keys_of(first, end, padded)
            heads = max(1, AT_ONCE // ((end - first) * (stop - start)))
            unseen = self.unseen(first, end, start, stop, length)
            for head in range(0, self.layout.heads, heads):
                part = slice(head, min(head + heads, self.layout.heads))
                yield WeightBlock(part, slice(first, end), slice(start, stop), unseen)

    def unseen(self, first: int, end: int, start: int, stop: int, length: int) -> Tensor | None:
        if self.sight.whole and stop <= length:
            return None
        asked = first, end, start, stop, length
        if asked not in self._unseen:
            self._unseen.clear()
            # What fills up sees what the last query sees: no row is without a key.
            queries = torch.arange(first, end, device=self.like.device).clamp(max=length - 1)[:, None]
            keys = torch.arange(start, stop, device=self.like.device)
            seen = self.sight.seen(queries, keys) & (keys < length)
            zeros = torch.zeros(seen.shape, dtype=self.exact, device=self.like.device)
            self._unseen[asked] = zeros.masked_fill_(~seen, -torch.inf)
        return self._unseen[asked]

    def weights(self, q: Tensor, k: Tensor, block: WeightBlock) -> Tensor:
        """Attention weights of a block before dropout. ``[heads, queries, keys]``, exact."""
        product = q[block.heads, block.queries], k[block.heads, block.keys].mT
        scores = self.exactly("weights", self.multiply("scores", *product, self.alpha))
        if block.unseen is not None:
            scores.add_(block.unseen)
        return torch.softmax(scores, -1, out=scores)

    def drop_(self, weights: Tensor, text: LongText, block: WeightBlock) -> None:
        """Put dropped ones to 0; the scale of the others is left to whoever uses them next."""
        if self.dropped is None:
            return
        length, texts = text.group.length, text.group.texts // self.layout.runs
        own = self.dropped.keep[self.layout.weights_of_one_run(text.group)]
        keep = own.view(texts, self.layout.heads, length, length)[text.index, block.heads]
        queries, keys = block.queries, block.keys
        weights[:, : length - queries.start, : length - keys.start].mul_(keep[:, queries, keys])

    def exactly(self, name: str, values: Tensor) -> Tensor:
        """In at least float32: softmax is more exact in it, and many times faster than in bf16."""
        if values.dtype == self.exact:
            return values
        return self.borrow(name, *values.shape, dtype=self.exact).copy_(values)

    def low(self, name: str, values: Tensor) -> Tensor:
        """In the type of the products."""
        if values.dtype == self.like.dtype:
            return values
        return self.borrow(name, *values.shape).copy_(values)

    def multiply(self, name: str, a: Tensor, b: Tensor, scale: float) -> Tensor:
        """``scale * a @ b`` of every head."""
        out = self.borrow(name, len(a), a.shape[1], b.shape[2])
        return self.multiply_(out, a, b, scale)

    def multiply_(self, out: Tensor, a: Tensor, b: Tensor, scale: float, add: bool = False) -> Tensor:
        """``out = scale * a @ b`` of every head, or ``out +=`` it."""
        if not by_onednn(a):
            return torch.baddbmm(out, a, b, beta=float(add), alpha=scale, out=out)
        for head in range(len(a)):  # torch's batched float32 products go through MKL: this is twice as fast
            if add:  # ``a`` is transposed: the other way round it need not be copied
                out[head].add_(linear(b[head].mT, a[head], None).mT, alpha=scale)
            else:
                torch.mul(linear(a[head], b[head].mT, None), scale, out=out[head])
        return out


def attend_long_(context: Tensor, qkv: Tensor, layout: Layout, dropped: Dropped | None, sight: Sight) -> None:
    """Attend within each long text, into its rows of ``context``."""
    blocks = Blocks(qkv, layout, dropped, sight)
    scale = 1.0 if dropped is None else dropped.scale
    for text in long_texts(layout):
        q, k, v = blocks.by_head("parts", qkv[text.rows], 3)
        out = blocks.borrow("out", *q.shape)
        for block in blocks.of(text):
            weights = blocks.weights(q, k, block)
            blocks.drop_(weights, text, block)
            kept = blocks.low("kept", weights)
            blocks.multiply_(out[block.heads, block.queries], kept, v[block.heads, block.keys], scale)
        own = context[text.rows].view(text.length, layout.heads, -1)
        own.copy_(out[:, : text.length].transpose(0, 1))


def attend_long_back_(
    grad_qkv: Tensor,
    grad_context: Tensor,
    qkv: Tensor,
    layout: Layout,
    dropped: Dropped | None,
    sight: Sight,
) -> None:
    """The gradient of what went into `attend_long_`, into the long texts' rows of ``grad_qkv``."""
    blocks = Blocks(qkv, layout, dropped, sight)
    scale, alpha = 1.0 if dropped is None else dropped.scale, blocks.alpha
    for text in long_texts(layout):
        parts = blocks.by_head("parts", qkv[text.rows], 3)
        (grad,) = blocks.by_head("grad", grad_context[text.rows], 1)
        grads = blocks.borrow("grads", *parts.shape).zero_()
        for block in blocks.of(text):
            heads, queries, keys = block.heads, block.queries, block.keys
            q, k, v = parts[0, heads, queries], parts[1, heads, keys], parts[2, heads, keys]
            g = grad[heads, queries]
            weights = blocks.weights(parts[0], parts[1], block)
            back = blocks.exactly("back", blocks.multiply("grad scores", g, v.mT, scale))
            blocks.drop_(back, text, block)
            torch._softmax_backward_data(back, weights, -1, weights.dtype, grad_input=back)
            blocks.drop_(weights, text, block)
            kept = blocks.low("kept", weights)
            blocks.multiply_(grads[2, heads, keys], kept.mT, g, scale, add=True)
            low = blocks.low("low", back)
            blocks.multiply_(grads[0, heads, queries], low, k, alpha)
            blocks.multiply_(grads[1, heads, keys], low.mT, q, alpha, add=True)
        own = grad_qkv[text.rows].view(text.length, 3, layout.heads, -1)
        own.copy_(grads[:, :, : text.length].permute(2, 0, 1, 3))
