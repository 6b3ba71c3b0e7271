"""Attention of texts of any length on a GPU, block by block, with memory that grows with tokens alone.

Triton's kernels; `fused_blocks.py` launches them. A program has some queries of one head of one text and
walks over its keys, or the other way round: whatever is beyond the text, or out of sight, is skipped.
Softmax is summed up as it goes (Milakov & Gimelshein, Online normalizer calculation for softmax, 2018), and
the backward pass computes weights and dropout masks anew (Dao, FlashAttention-2, 2023). Gradients of queries
and of keys have kernels of their own: nothing is added up in an order that chance decides.
"""

from __future__ import annotations

import triton
import triton.language as tl

from finegrid.model.kernels.triton_kernels import FIRST, GAMMA, SECOND

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def text_of(starts, lengths, texts, tokens):
    """The text and run of a program, where the text begins, and its length. The longest come first."""
    place = tl.program_id(2)
    text, run = texts - 1 - place % texts, place // texts
    begin = run.to(tl.int64) * tokens + tl.load(starts + text)
    return text, run, begin, tl.load(lengths + text).to(tl.int32)


@triton.jit
def load_rows(x, bias, begin, run, head, rows, length, by_token, by_head, by_run,
              HEAD: tl.constexpr, COLUMNS: tl.constexpr, BIAS: tl.constexpr):  # fmt: skip
    """One head of some tokens of a text. ``[rows, columns]``, 0 outside."""
    columns = tl.arange(0, COLUMNS)
    inside = (rows < length)[:, None] & (columns < HEAD)[None, :]
    there = (begin + rows)[:, None] * by_token + head * by_head + columns[None, :]
    own = tl.load(x + there, mask=inside, other=0)
    if BIAS:
        here = tl.load(bias + run * by_run + head * HEAD + columns, mask=columns < HEAD, other=0)
        shifted = own.to(tl.float32) + here.to(tl.float32)[None, :]
        own = tl.where(inside, shifted, 0).to(own.dtype)
    return own


@triton.jit
def store_rows(x, values, begin, head, rows, length, by_token, HEAD: tl.constexpr, COLUMNS: tl.constexpr):
    columns = tl.arange(0, COLUMNS)
    inside = (rows < length)[:, None] & (columns < HEAD)[None, :]
    there = (begin + rows)[:, None] * by_token + head * HEAD + columns[None, :]
    tl.store(x + there, values.to(x.dtype.element_ty), mask=inside)


@triton.jit
def seen_by(rows, columns, length, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr):
    """Which keys (columns) a query (rows) sees. ``[rows, columns]``."""
    seen = (rows < length)[:, None] & (columns < length)[None, :]
    away = rows[:, None] - columns[None, :]
    if CAUSAL:
        seen = seen & (away >= 0)
    if WINDOWED:
        seen = seen & (away < window) & (away > -window)
    return seen


@triton.jit
def keys_of(first, length, window, QUERIES: tl.constexpr, KEYS: tl.constexpr,
            CAUSAL: tl.constexpr, WINDOWED: tl.constexpr):  # fmt: skip
    """Where the keys begin and end that any of the queries from ``first`` sees, from the start of a block."""
    start, end = 0, length
    if CAUSAL:
        end = tl.minimum(end, first + QUERIES)
    if WINDOWED:
        start = tl.maximum(0, first - window + 1) // KEYS * KEYS
        end = tl.minimum(end, first + QUERIES - 1 + window)
    return start, end


@triton.jit
def survivors(key, base, padded, rows, first, lowest, COLUMNS: tl.constexpr):
    """Which attention weights dropout leaves, of ``rows`` and ``COLUMNS`` keys from ``first``.

    The bits of `draw`: four weights side by side share a word, and ``first`` and ``padded`` are multiples of
    four. A word's number times GAMMA is summed up from its row's and its column's: a product less.
    """
    row = ((base + rows.to(tl.int64) * padded) >> 2).to(tl.uint64) * GAMMA
    place = tl.arange(0, COLUMNS // 4).to(tl.int64) + (first >> 2) + 1
    z = (row + tl.load(key).to(tl.uint64, bitcast=True))[:, None] + (place.to(tl.uint64) * GAMMA)[None, :]
    z = (z ^ (z >> 30)) * FIRST
    z = (z ^ (z >> 27)) * SECOND
    z = z ^ (z >> 31)
    even = tl.join(survives(z, lowest), survives(z >> 32, lowest))
    odd = tl.join(survives(z >> 16, lowest), survives(z >> 48, lowest))
    return tl.reshape(tl.join(even, odd), [rows.shape[0], COLUMNS]) != 0


@triton.jit
def survives(z, lowest):
    """1 where the lowest 16 bits, a signed number, are ``lowest`` or more, else 0."""
    signed = ((z & 0xFFFF).to(tl.int32) ^ 0x8000) - 0x8000
    return (signed >= lowest).to(tl.int8)


@triton.jit
def attend(
    q, k, v, q_bias, k_bias, v_bias, key, starts, lengths, mask_starts, mask_rows, out, levels,
    texts, tokens, heads, repeats, q_token, q_head, k_token, k_head, v_token, v_head, by_run,
    alpha, scale, lowest, window,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    BIAS: tl.constexpr, KEEP: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """Attention of some queries of one head of one text, and the logarithms of what softmax divides by."""
    first, head = tl.program_id(0) * QUERIES, tl.program_id(1)
    text, run, begin, length = text_of(starts, lengths, texts, tokens)
    if first >= length:
        return
    rows = first + tl.arange(0, QUERIES)
    own = load_rows(q, q_bias, begin, run, head, rows, length, q_token, q_head, by_run, HEAD, COLUMNS, BIAS)
    start, end = keys_of(first, length, window, QUERIES, KEYS, CAUSAL, WINDOWED)
    padded = tl.load(mask_rows + text)
    base = tl.load(mask_starts + text) + head.to(tl.int64) * padded * padded
    top = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    context = tl.zeros([QUERIES, COLUMNS], tl.float32)
    other = head // repeats
    for at in range(start, end, KEYS):
        columns = at + tl.arange(0, KEYS)
        keys = load_rows(
            k, k_bias, begin, run, other, columns, length, k_token, k_head, by_run, HEAD, COLUMNS, BIAS
        )
        values = load_rows(
            v, v_bias, begin, run, other, columns, length, v_token, v_head, by_run, HEAD, COLUMNS, BIAS
        )
        scores = tl.dot(own, tl.trans(keys), input_precision="ieee") * (alpha * LOG2_E)
        scores = tl.where(seen_by(rows, columns, length, window, CAUSAL, WINDOWED), scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        level = tl.where(higher == float("-inf"), 0, higher)  # of rows that have seen nothing yet
        p = tl.exp2(scores - level[:, None])
        change = tl.exp2(top - level)
        total = total * change + tl.sum(p, 1)
        if KEEP:
            p = tl.where(survivors(key, base, padded, rows, at, lowest, KEYS), p, 0)
        context = context * change[:, None]
        context += tl.dot(p.to(values.dtype), values, input_precision="ieee")
        top = higher
    there = rows < length
    total = tl.where(there, total, 1)
    store_rows(
        out, context * (scale / total)[:, None], begin, head, rows, length, heads * HEAD, HEAD, COLUMNS
    )
    at_level = levels + (begin + rows) * heads + head
    tl.store(at_level, top + tl.log2(total), mask=there)


@triton.jit
def attend_back_queries(
    q, k, v, q_bias, k_bias, v_bias, key, starts, lengths, mask_starts, mask_rows, out, levels, grad,
    sums, grad_q,
    texts, tokens, heads, repeats, q_token, q_head, k_token, k_head, v_token, v_head, by_run, grad_token,
    alpha, scale, lowest, window,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    BIAS: tl.constexpr, KEEP: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """The gradient of some queries; and ``sums``, of the products of context and its gradient."""
    first, head = tl.program_id(0) * QUERIES, tl.program_id(1)
    text, run, begin, length = text_of(starts, lengths, texts, tokens)
    if first >= length:
        return
    rows = first + tl.arange(0, QUERIES)
    own = load_rows(q, q_bias, begin, run, head, rows, length, q_token, q_head, by_run, HEAD, COLUMNS, BIAS)
    width = heads * HEAD
    g = load_rows(grad, grad, begin, run, head, rows, length, width, HEAD, 0, HEAD, COLUMNS, False)
    context = load_rows(out, out, begin, run, head, rows, length, width, HEAD, 0, HEAD, COLUMNS, False)
    there = rows < length
    along = tl.sum(g.to(tl.float32) * context.to(tl.float32), 1)
    place = (begin + rows) * heads + head
    tl.store(sums + place, along, mask=there)
    level = tl.load(levels + place, mask=there, other=0)
    start, end = keys_of(first, length, window, QUERIES, KEYS, CAUSAL, WINDOWED)
    padded = tl.load(mask_rows + text)
    base = tl.load(mask_starts + text) + head.to(tl.int64) * padded * padded
    back = tl.zeros([QUERIES, COLUMNS], tl.float32)
    other = head // repeats
    for at in range(start, end, KEYS):
        columns = at + tl.arange(0, KEYS)
        keys = load_rows(
            k, k_bias, begin, run, other, columns, length, k_token, k_head, by_run, HEAD, COLUMNS, BIAS
        )
        values = load_rows(
            v, v_bias, begin, run, other, columns, length, v_token, v_head, by_run, HEAD, COLUMNS, BIAS
        )
        scores = tl.dot(own, tl.trans(keys), input_precision="ieee") * (alpha * LOG2_E)
        seen = seen_by(rows, columns, length, window, CAUSAL, WINDOWED)
        p = tl.where(seen, tl.exp2(scores - level[:, None]), 0)
        grad_p = tl.dot(g, tl.trans(values), input_precision="ieee") * scale
        if KEEP:
            grad_p = tl.where(survivors(key, base, padded, rows, at, lowest, KEYS), grad_p, 0)
        grad_score = (p * (grad_p - along[:, None])).to(keys.dtype)
        back += tl.dot(grad_score, keys, input_precision="ieee")
    store_rows(grad_q, back * alpha, begin, head, rows, length, grad_token, HEAD, COLUMNS)


@triton.jit
def attend_back_keys(
    q, k, v, q_bias, k_bias, v_bias, key, starts, lengths, mask_starts, mask_rows, levels, grad, sums,
    grad_k, grad_v,
    texts, tokens, heads, repeats, q_token, q_head, k_token, k_head, v_token, v_head, by_run, grad_token,
    alpha, scale, lowest, window,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
    BIAS: tl.constexpr, KEEP: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
):  # fmt: skip
    """The gradients of some keys and values, from all heads of queries that share them."""
    first, other = tl.program_id(0) * KEYS, tl.program_id(1)
    text, run, begin, length = text_of(starts, lengths, texts, tokens)
    if first >= length:
        return
    columns = first + tl.arange(0, KEYS)
    keys = load_rows(
        k, k_bias, begin, run, other, columns, length, k_token, k_head, by_run, HEAD, COLUMNS, BIAS
    )
    values = load_rows(
        v, v_bias, begin, run, other, columns, length, v_token, v_head, by_run, HEAD, COLUMNS, BIAS
    )
    start, end = 0, length
    if CAUSAL:
        start = first // QUERIES * QUERIES
    if WINDOWED:
        start = tl.maximum(start, tl.maximum(0, first - window + 1) // QUERIES * QUERIES)
        end = tl.minimum(end, first + KEYS - 1 + window)
    padded = tl.load(mask_rows + text)
    begin_mask = tl.load(mask_starts + text)
    back_k = tl.zeros([KEYS, COLUMNS], tl.float32)
    back_v = tl.zeros([KEYS, COLUMNS], tl.float32)
    width = heads * HEAD
    for head in range(other * repeats, (other + 1) * repeats):
        base = begin_mask + head * padded * padded
        for at in range(start, end, QUERIES):
            rows = at + tl.arange(0, QUERIES)
            own = load_rows(
                q, q_bias, begin, run, head, rows, length, q_token, q_head, by_run, HEAD, COLUMNS, BIAS
            )
            g = load_rows(grad, grad, begin, run, head, rows, length, width, HEAD, 0, HEAD, COLUMNS, False)
            place = (begin + rows) * heads + head
            level = tl.load(levels + place, mask=rows < length, other=0)
            along = tl.load(sums + place, mask=rows < length, other=0)
            scores = tl.dot(own, tl.trans(keys), input_precision="ieee") * (alpha * LOG2_E)
            seen = seen_by(rows, columns, length, window, CAUSAL, WINDOWED)
            p = tl.where(seen, tl.exp2(scores - level[:, None]), 0)
            grad_p = tl.dot(g, tl.trans(values), input_precision="ieee") * scale
            kept = p
            if KEEP:
                survive = survivors(key, base, padded, rows, first, lowest, KEYS)
                grad_p = tl.where(survive, grad_p, 0)
                kept = tl.where(survive, p, 0)
            back_v += tl.dot(tl.trans(kept.to(g.dtype)), g, input_precision="ieee")
            grad_score = (p * (grad_p - along[:, None])).to(own.dtype)
            back_k += tl.dot(tl.trans(grad_score), own, input_precision="ieee")
    store_rows(grad_k, back_k * alpha, begin, other, columns, length, grad_token, HEAD, COLUMNS)
    store_rows(grad_v, back_v * scale, begin, other, columns, length, grad_token, HEAD, COLUMNS)
