"""What a GPU computes between matrix products, and attention of short texts, each in one pass over memory.

Triton's kernels; `fused.py` calls them. They add nothing up in an order that chance decides, so results are
the same to the last bit every time. Without a GPU they run, slowly, in Triton's interpreter.
"""

from __future__ import annotations

import triton
import triton.language as tl

# SplitMix64's constants: see finegrid.model.kernels.counter.
GAMMA = tl.constexpr(0x9E3779B97F4A7C15)
FIRST = tl.constexpr(0xBF58476D1CE4E5B9)
SECOND = tl.constexpr(0x94D049BB133111EB)
HALF_ROOT = tl.constexpr(0.7071067811865476)  # of 2
PEAK = tl.constexpr(0.3989422804014327)  # of the normal density


@triton.jit(do_not_specialize=["before"])
def draw(key, out, words, before, lowest, BLOCK: tl.constexpr):
    """Four bytes of every word: 1 where 16 of its bits, a signed number, are ``lowest`` or more, else 0.

    ``before`` words of the stream are left out.
    """
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    z = (index + before + 1).to(tl.uint64) * GAMMA + tl.load(key).to(tl.uint64, bitcast=True)
    z = (z ^ (z >> 30)) * FIRST
    z = (z ^ (z >> 27)) * SECOND
    z = z ^ (z >> 31)
    four = tl.zeros([BLOCK], tl.int32)
    for place in tl.static_range(4):
        bits = ((z >> (16 * place)) & 0xFFFF).to(tl.int32)
        signed = (bits ^ 0x8000) - 0x8000
        four |= (signed >= lowest).to(tl.int32) << (8 * place)
    tl.store(out + index, four, mask=index < words)


@triton.jit
def head_rows(x, bias, start, run, head, rows, columns, inside, width, HEAD: tl.constexpr):
    """One head of queries, keys or values of a text. ``[rows, columns]``, 0 outside."""
    own = tl.load(
        x + start + rows[:, None] * (3 * width) + head * HEAD + columns[None, :], mask=inside, other=0
    )
    here = tl.load(bias + run * (3 * width) + head * HEAD + columns, mask=columns < HEAD, other=0)
    shifted = own.to(tl.float32) + here.to(tl.float32)[None, :]
    return tl.where(inside, shifted, 0).to(own.dtype)


@triton.jit
def attention_weights(q, k, rows, length, alpha):
    """Softmax of the scores in float32. ``[rows, rows]``, 0 outside of the text."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * alpha
    scores = tl.where((rows < length)[None, :], scores, float("-inf"))
    p = tl.exp(scores - tl.max(scores, 1)[:, None])
    p = p / tl.sum(p, 1)[:, None]
    return tl.where((rows < length)[:, None], p, 0)


@triton.jit
def heads_of_text(
    qkv, bias, starts, lengths, first, tokens, heads,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Where a program's text begins, its length, and its head of queries, keys and values."""
    text, head, run = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    begin = run.to(tl.int64) * tokens + tl.load(starts + first + text)
    length = tl.load(lengths + first + text)
    rows, columns, width = tl.arange(0, ROWS), tl.arange(0, COLUMNS), heads * HEAD
    inside = (rows < length)[:, None] & (columns < HEAD)[None, :]
    start = begin * (3 * width)
    q = head_rows(qkv, bias, start, run, head, rows, columns, inside, width, HEAD)
    k = head_rows(qkv + width, bias + width, start, run, head, rows, columns, inside, width, HEAD)
    v = head_rows(qkv + 2 * width, bias + 2 * width, start, run, head, rows, columns, inside, width, HEAD)
    return begin, length, rows, columns, inside, q, k, v


@triton.jit(do_not_specialize=["first"])
def attend(
    qkv, bias, keep, starts, lengths, out, first, keep_at, padded, tokens, heads, alpha, scale,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Attention of one head of one text. Texts ``first`` and after, padded to ``padded`` in their masks."""
    begin, length, rows, columns, inside, q, k, v = heads_of_text(
        qkv, bias, starts, lengths, first, tokens, heads, HEAD, COLUMNS, ROWS
    )
    text, head, width = tl.program_id(0), tl.program_id(1), heads * HEAD
    p = attention_weights(q, k, rows, length, alpha)
    if KEEP:
        before = (text * heads + head).to(tl.int64) * padded
        place = keep + keep_at + (before + rows[:, None]) * padded + rows[None, :]
        both = (rows < length)[:, None] & (rows < length)[None, :]
        p = p * tl.load(place, mask=both, other=0).to(tl.float32)
    context = tl.dot(p.to(v.dtype), v, input_precision="ieee") * scale
    there = out + begin * width + rows[:, None] * width + head * HEAD + columns[None, :]
    tl.store(there, context.to(v.dtype), mask=inside)


@triton.jit(do_not_specialize=["first"])
def attend_back(
    qkv, bias, keep, starts, lengths, grad, out, first, keep_at, padded, tokens, heads, alpha, scale,
    HEAD: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """The gradient of what went into `attend`, whose attention weights are computed once more."""
    begin, length, rows, columns, inside, q, k, v = heads_of_text(
        qkv, bias, starts, lengths, first, tokens, heads, HEAD, COLUMNS, ROWS
    )
    text, head, width = tl.program_id(0), tl.program_id(1), heads * HEAD
    own = grad + begin * width + rows[:, None] * width + head * HEAD + columns[None, :]
    g = tl.load(own, mask=inside, other=0)
    p = attention_weights(q, k, rows, length, alpha)
    grad_p = tl.dot(g, tl.trans(v), input_precision="ieee") * scale
    kept = p
    if KEEP:
        before = (text * heads + head).to(tl.int64) * padded
        place = keep + keep_at + (before + rows[:, None]) * padded + rows[None, :]
        both = (rows < length)[:, None] & (rows < length)[None, :]
        survives = tl.load(place, mask=both, other=0).to(tl.float32)
        kept = p * survives
        grad_p = grad_p * survives
    grad_v = tl.dot(tl.trans(kept.to(v.dtype)), g, input_precision="ieee") * scale
    grad_score = (p * (grad_p - tl.sum(grad_p * p, 1)[:, None])).to(v.dtype)
    grad_q = tl.dot(grad_score, k, input_precision="ieee") * alpha
    grad_k = tl.dot(tl.trans(grad_score), q, input_precision="ieee") * alpha
    there = out + begin * (3 * width) + rows[:, None] * (3 * width) + head * HEAD + columns[None, :]
    tl.store(there, grad_q.to(v.dtype), mask=inside)
    tl.store(there + width, grad_k.to(v.dtype), mask=inside)
    tl.store(there + 2 * width, grad_v.to(v.dtype), mask=inside)


@triton.jit
def clear_tail(x, starts, lengths, texts, tokens, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Zeros for the tokens at the end of every run that belong to no text."""
    end = tl.load(starts + texts - 1) + tl.load(lengths + texts - 1)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    there = x + (tl.program_id(2).to(tl.int64) * tokens + rows[:, None]) * width + columns[None, :]
    tail = ((rows >= end) & (rows < tokens))[:, None] & (columns < width)[None, :]
    tl.store(there, tl.zeros([ROWS, COLUMNS], x.dtype.element_ty), mask=tail)


@triton.jit
def join(
    x, y, bias, keep, weight, shift, total, out, low, mean, rstd, tokens, width, eps, scale,
    BLOCK: tl.constexpr, KEEP: tl.constexpr, LOW: tl.constexpr,
):  # fmt: skip
    """One token: ``total = x + dropout(y + bias)``, and its LayerNorm, also in the type of the products."""
    token, run, column = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, BLOCK)
    row = run * tokens + token
    inside, here, of_run = column < width, row * width + column, run * width + column
    value = tl.load(y + here, mask=inside, other=0).to(tl.float32)
    value += tl.load(bias + of_run, mask=inside, other=0).to(tl.float32)
    if KEEP:
        value *= tl.load(keep + token * width + column, mask=inside, other=0).to(tl.float32) * scale
    value += tl.load(x + here, mask=inside, other=0)
    middle = tl.sum(value, 0) / width
    off = tl.where(inside, value - middle, 0)
    inverse = 1 / tl.sqrt(tl.sum(off * off, 0) / width + eps)
    normal = off * inverse * tl.load(weight + of_run, mask=inside, other=0)
    normal += tl.load(shift + of_run, mask=inside, other=0)
    tl.store(total + here, value, mask=inside)
    tl.store(out + here, normal, mask=inside)
    if LOW:
        tl.store(low + here, normal.to(low.dtype.element_ty), mask=inside)
    tl.store(mean + row, middle)
    tl.store(rstd + row, inverse)


@triton.jit
def join_back(
    grad, total, mean, rstd, weight, keep, grad_total, grad_y, sums, tokens, width, rows, scale,
    BLOCK: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """``rows`` tokens of a run: gradients of ``x`` and ``y`` of `join`, and their part of three sums over
    tokens: of the gradients of LayerNorm's weight and bias, and of the bias of ``y``."""
    block, run, column = tl.program_id(0), tl.program_id(1), tl.arange(0, BLOCK)
    w = tl.load(weight + run * width + column, mask=column < width, other=0)
    of_weight = tl.zeros([BLOCK], tl.float32)
    of_shift = tl.zeros([BLOCK], tl.float32)
    of_bias = tl.zeros([BLOCK], tl.float32)
    for index in range(rows):
        token = block * rows + index
        row = run.to(tl.int64) * tokens + token
        inside, here = (column < width) & (token < tokens), row * width + column
        g = tl.load(grad + here, mask=inside, other=0)
        middle = tl.load(mean + row, mask=token < tokens, other=0)
        inverse = tl.load(rstd + row, mask=token < tokens, other=0)
        normal = (tl.load(total + here, mask=inside, other=0) - middle) * inverse
        normal = tl.where(inside, normal, 0)
        weighted = g * w
        along = tl.sum(weighted * normal, 0) / width
        back = (weighted - tl.sum(weighted, 0) / width - normal * along) * inverse
        tl.store(grad_total + here, back, mask=inside)
        if KEEP:
            own = tl.load(keep + token.to(tl.int64) * width + column, mask=inside, other=0)
            back = back * (own.to(tl.float32) * scale)
        tl.store(grad_y + here, back.to(grad_y.dtype.element_ty), mask=inside)
        of_weight += g * normal
        of_shift += g
        of_bias += tl.where(inside, back, 0)
    part = sums + (run * tl.num_programs(0) + block) * width + column
    next_sum = tl.num_programs(1) * tl.num_programs(0) * width
    tl.store(part, of_weight, mask=column < width)
    tl.store(part + next_sum, of_shift, mask=column < width)
    tl.store(part + 2 * next_sum, of_bias, mask=column < width)


@triton.jit
def gelu(x, bias, out, tokens, width, rows, BLOCK: tl.constexpr):
    """``gelu(x + bias)``, the exact one, of ``rows`` tokens of a run."""
    block, run = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    shift = tl.load(bias + run * width + column, mask=column < width, other=0).to(tl.float32)
    for index in range(rows):
        token = block * rows + index
        inside = (column < width) & (token < tokens)
        here = (run.to(tl.int64) * tokens + token) * width + column
        value = tl.load(x + here, mask=inside, other=0).to(tl.float32) + shift
        active = 0.5 * value * (1 + tl.erf(value * HALF_ROOT))
        tl.store(out + here, active.to(out.dtype.element_ty), mask=inside)


@triton.jit
def gelu_back(x, bias, grad, out, sums, tokens, width, rows, BLOCK: tl.constexpr):
    """``rows`` tokens of a run: the gradient of ``x`` of `gelu`, and their part of its sum over tokens."""
    block, run = tl.program_id(0), tl.program_id(2)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    shift = tl.load(bias + run * width + column, mask=column < width, other=0).to(tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for index in range(rows):
        token = block * rows + index
        inside = (column < width) & (token < tokens)
        here = (run.to(tl.int64) * tokens + token) * width + column
        value = tl.load(x + here, mask=inside, other=0).to(tl.float32) + shift
        slope = 0.5 * (1 + tl.erf(value * HALF_ROOT)) + value * PEAK * tl.exp(-0.5 * value * value)
        back = tl.load(grad + here, mask=inside, other=0).to(tl.float32) * slope
        tl.store(out + here, back.to(out.dtype.element_ty), mask=inside)
        total += back
    tl.store(sums + (run * tl.num_programs(0) + block) * width + column, total, mask=column < width)


@triton.jit
def mean_texts(x, starts, lengths, out, width, BLOCK: tl.constexpr):
    """The mean of one text's tokens."""
    text, column = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start, length, inside = tl.load(starts + text), tl.load(lengths + text), column < width
    total = tl.zeros([BLOCK], tl.float32)
    for index in range(length.to(tl.int32)):
        total += tl.load(x + (start + index) * width + column, mask=inside, other=0)
    tl.store(out + text * width + column, total / length.to(tl.float32), mask=inside)


@triton.jit
def mean_texts_back(grad, starts, lengths, out, width, BLOCK: tl.constexpr):
    """The gradient of one text's tokens, from that of their mean."""
    text, column = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start, length, inside = tl.load(starts + text), tl.load(lengths + text), column < width
    own = tl.load(grad + text * width + column, mask=inside, other=0) / length.to(tl.float32)
    for index in range(length.to(tl.int32)):
        tl.store(out + (start + index) * width + column, own, mask=inside)
