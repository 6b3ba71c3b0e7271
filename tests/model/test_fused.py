"""Triton's kernels against the plain operations: on a GPU if there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.stacks import batches, runs_of, varied
from support.studies import recipe_of
from torch import Tensor, nn

from finegrid.model import encoder
from finegrid.model.dropout import LEVELS
from finegrid.model.kernels import attention, plain
from finegrid.model.kernels.counter import counter_words
from finegrid.model.kernels.layout import Dropped, cut, lay_out
from finegrid.model.kernels.operations import kernels
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack

pytest.importorskip("triton")
fused = pytest.importorskip("finegrid.model.kernels.fused")

HERE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
on_a_cpu = pytest.mark.skipif(HERE.type == "cuda", reason="a GPU's runs are in test_cuda.py")
TOLERANCE = {torch.float32: (1e-5, 1e-5), torch.bfloat16: (2e-2, 4e-2)}
DTYPES = [torch.float32, torch.bfloat16]


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(HERE, dtype)


def mask(count: int, rate: float = 0.3) -> Dropped:
    keep = torch.rand(count, generator=torch.Generator().manual_seed(9)) > rate
    return Dropped(keep.to(HERE, torch.uint8), 1 / (1 - rate))


def close(ours: Tensor, theirs: Tensor, dtype: torch.dtype = torch.float32) -> None:
    assert ours.dtype == theirs.dtype
    rtol, atol = TOLERANCE[dtype]
    torch.testing.assert_close(ours.float(), theirs.float(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("count", [1, 7, 4096, 10_001])
@pytest.mark.parametrize("dropped", [0, 6554, LEVELS - 1])
def test_masks_are_those_of_the_counter(count: int, dropped: int) -> None:
    for key in (5, -(2**63), 2**63 - 1):
        words = counter_words(key, -(-count // 4), HERE).view(torch.int16)[:count]
        expected = (words >= dropped - LEVELS // 2).to(torch.uint8)
        assert torch.equal(fused.draw_keep(key, dropped, count, HERE), expected)
        assert torch.equal(fused.draw_keep(torch.tensor(key, device=HERE), dropped, count, HERE), expected)


@pytest.mark.parametrize("first", [1, 6, 4096, 9_998])
def test_a_part_of_a_mask_is_drawn_by_itself(first: int) -> None:
    whole = fused.draw_keep(5, 6554, 10_001, HERE)

    assert torch.equal(fused.draw_keep(5, 6554, 10_001 - first, HERE, first), whole[first:])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize(
    ("lengths", "heads", "width", "runs"),
    [([3, 4, 9, 17], 2, 6, 1), ([2, 8, 8, 40], 3, 16, 2), ([5, 70], 1, 32, 1), ([130], 1, 16, 1)],
    ids=str,
)
def test_attention_and_its_gradient(
    lengths: list[int], heads: int, width: int, runs: int, masked: bool, dtype: torch.dtype
) -> None:
    """With texts padded inside groups, and tokens that belong to no text.

    Too long: block by block or, with a mask that no kernel draws, by plain operations.
    """
    if dtype == torch.bfloat16 and HERE.type == "cpu":
        pytest.skip("Triton's interpreter multiplies no matrices of bf16")
    tokens = sum(lengths) + 21
    cuts = cut(np.array(lengths), heads, 300)
    layout = lay_out(torch.tensor(lengths, device=HERE), cuts, tokens, heads, runs)
    qkv, bias = random(runs, tokens, 3 * heads * width, dtype=dtype), random(runs, 3 * heads * width, seed=1)
    bias = bias.to(dtype)
    dropped = mask(layout.weights // runs) if masked else None
    theirs, attended = plain.attend(qkv + bias[:, None], None, layout, dropped)
    ours, fused_attended = fused.attend(qkv, bias, layout, dropped)
    grad = random(*theirs.shape, dtype=dtype, seed=2)
    grad[:, sum(lengths) :] = 0
    theirs_grad = plain.attend_backward(grad, attended)
    ours_grad = fused.attend_backward(grad, fused_attended)

    close(ours[:, : sum(lengths)], theirs[:, : sum(lengths)], dtype)
    close(ours_grad, theirs_grad, dtype)
    assert torch.isfinite(ours).all() and (ours_grad[:, sum(lengths) :] == 0).all()


# Compute capability, tokens, head width, bytes of a number, and the KiB that a program of attend_back shares:
# `triton.compile(ASTSource(kernels.attend_back, ...), target=GPUTarget("cuda", 89, 32)).metadata.shared`.
COMPILED = [
    *((89, 128, 64, 4, 160), (89, 128, 32, 4, 112), (89, 128, 16, 4, 88), (90, 128, 64, 4, 160)),
    *((75, 64, 64, 4, 80), (89, 64, 32, 4, 48), (89, 64, 16, 4, 32), (89, 32, 64, 4, 36)),
    *((89, 128, 128, 2, 128), (90, 128, 128, 2, 160), (90, 128, 64, 2, 80), (89, 128, 32, 2, 56)),
    *((89, 128, 16, 2, 44), (89, 64, 128, 2, 66), (90, 64, 64, 2, 40), (89, 32, 64, 2, 16)),
    *((120, 64, 64, 4, 80), (120, 128, 64, 2, 80), (120, 128, 128, 2, 128), (80, 128, 64, 2, 80)),
]


@pytest.mark.parametrize(("capability", "rows", "columns", "size", "kib"), COMPILED)
def test_attention_never_shares_more_memory_than_it_says(
    capability: int, rows: int, columns: int, size: int, kib: int
) -> None:
    said = fused.shared_bytes(rows, columns, size) / 1024
    assert kib <= said <= 1.5 * kib


@pytest.mark.parametrize(
    ("kib", "length", "width", "size", "by_kernel"),
    [
        *((227, 64, 64, 4, True), (227, 72, 64, 4, False), (227, 128, 64, 2, True), (227, 136, 64, 2, False)),
        *((227, 128, 128, 2, True), (227, 128, 256, 2, False)),
        *((99, 128, 64, 2, True), (99, 72, 64, 4, False), (99, 64, 64, 4, True), (99, 128, 128, 2, False)),
        *((64, 64, 64, 4, False), (64, 32, 64, 4, True)),
    ],
)
def test_texts_that_a_gpu_has_no_room_for_attend_by_plain_operations(
    monkeypatch: pytest.MonkeyPatch, kib: int, length: int, width: int, size: int, by_kernel: bool
) -> None:
    """227 KiB as an H200, 99 as most GPUs of desktops, 64 as a T4."""
    monkeypatch.setattr(fused, "room", lambda device: kib * 1024)
    dtype = {2: torch.bfloat16, 4: torch.float32}[size]
    assert fused.fits(length, torch.empty(length, 3 * width, dtype=dtype), 1) is by_kernel


def test_attention_without_room_is_attention_by_plain_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "room", lambda device: 1024)
    lengths = torch.tensor([3, 9], device=HERE)
    layout = lay_out(lengths, cut(lengths.cpu().numpy(), 2), 16, 2)
    qkv, bias = random(16, 24), random(24, seed=1)
    ours, attended = fused.attend(qkv, bias, layout, None)

    assert isinstance(attended, attention.Attended)
    assert torch.equal(ours, plain.attend(qkv + bias, None, layout, None)[0])
    assert torch.isfinite(fused.attend_backward(torch.ones_like(ours), attended)).all()


def norm_of(shape: tuple[int, ...]) -> Any:
    norm = nn.LayerNorm(shape[-1], eps=1e-5, device=HERE)
    norm.weight, norm.bias = nn.Parameter(random(*shape, seed=3) + 1), nn.Parameter(random(*shape, seed=4))
    return norm


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("shape", [(37, 24), (3, 19, 48), (1, 5, 768)], ids=str)
def test_residual_dropout_and_norm_with_their_gradients(
    shape: tuple[int, ...], masked: bool, dtype: torch.dtype
) -> None:
    runs = shape[:-2]
    norm, x, y = norm_of((*runs, shape[-1])), random(*shape), random(*shape, dtype=dtype, seed=1)
    bias = random(*runs, shape[-1], seed=2).to(dtype)
    dropped = mask(shape[-1] * shape[-2]) if masked else None
    theirs, _, joined = plain.join(norm, x, (y.float() + bias.unsqueeze(-2).float()), None, dropped)
    ours, low, fused_joined = fused.join(norm, x, y, bias, dropped)
    close(ours, theirs)
    close(fused_joined[0], joined[0])
    assert (low is None) == (dtype == torch.float32)
    if low is not None:
        close(low, ours.to(dtype), dtype)  # not equal: Triton's interpreter cuts where a GPU rounds

    grad = random(*shape, seed=5)
    found = fused.join_backward(norm, grad, fused_joined, dropped, dtype, True)
    expected = plain.join_backward(norm, grad, joined, dropped, torch.float32, True)
    close(found[0], expected[0])
    close(found[1].float(), expected[1], dtype)
    for one, other in zip(found[2:], expected[2:], strict=True):
        assert one is not None and other is not None
        close(one, other)
    norm.weight.requires_grad_(False)
    without = fused.join_backward(norm, grad, fused_joined, dropped, dtype, False)
    assert without[2] is None and without[3] is not None and without[4] is None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(37, 24), (3, 19, 1030)], ids=str)
@pytest.mark.parametrize("activation", [nn.functional.gelu, torch.relu])
def test_activation_and_its_gradient(shape: tuple[int, ...], dtype: torch.dtype, activation: Any) -> None:
    """GELU by a kernel, any other by its own derivative."""
    wide, bias = random(*shape, dtype=dtype), random(*shape[:-2], shape[-1], seed=1).to(dtype)
    ours, state = fused.activate(activation, wide, bias)
    grad = random(*shape, dtype=dtype, seed=2)
    ours_grad, of_bias = fused.activate_backward(grad, state, torch.float32, True)

    exact = (wide.double() + bias.unsqueeze(-2).double()).requires_grad_()
    active = activation(exact)
    active.backward(grad.double())
    assert exact.grad is not None and of_bias is not None and of_bias.dtype == torch.float32
    close(ours, active.detach().to(dtype), dtype)
    close(ours_grad, exact.grad.to(dtype), dtype)
    if activation is nn.functional.gelu:
        torch.testing.assert_close(of_bias, exact.grad.sum(-2).float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", [24, 300])
def test_means_of_texts_and_their_gradient(width: int) -> None:
    lengths = torch.tensor([1, 3, 3, 17], device=HERE)
    starts = lengths.cumsum(0) - lengths
    hidden, grad = random(40, width).requires_grad_(), random(4, width, seed=1)
    ours = fused.means(hidden, starts, lengths)
    theirs = torch.stack([part.mean(0) for part in hidden[:24].split(lengths.tolist())])
    close(ours, theirs)
    (ours_grad,) = torch.autograd.grad(ours, hidden, grad)
    (theirs_grad,) = torch.autograd.grad(theirs, hidden, grad)
    close(ours_grad, theirs_grad)
    assert (ours_grad[24:] == 0).all()


def test_only_the_exact_gelu_is_taken_for_it() -> None:
    from transformers.activations import ACT2FN

    assert plain.is_gelu(ACT2FN["gelu"]) and plain.is_gelu(nn.functional.gelu)
    assert not any(plain.is_gelu(ACT2FN[name]) for name in ("gelu_new", "gelu_python", "relu", "silu"))


@pytest.mark.slow
@on_a_cpu
def test_a_stack_learns_by_kernels_what_it_learns_without(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of two steps and every tensor, 1e-4 relative in float32, with dropout on."""

    def trained() -> tuple[list[Run], list[list[float]]]:
        recipes = varied(loaded, freeze__layers=2, training__batch_size=2)[:2]  # the interpreter is slow
        runs, losses = runs_of(loaded, recipes), []
        stack = Stack(runs)
        for step, batch in enumerate(batches(loaded, recipes[0])[:2]):
            losses.append(stack.backward(runs[0].model.shared(batch, step), step).tolist())
            for run in runs:
                run.update(step)
        return runs, losses

    theirs, expected = trained()
    monkeypatch.setattr(encoder, "operations", lambda x, dtype: fused)
    ours, found = trained()
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for run, twin in zip(ours, theirs, strict=True):
        for (name, p), (_, q) in zip(
            run.model.named_parameters(), twin.model.named_parameters(), strict=True
        ):
            if not name.endswith("key.bias"):
                assert (p - q).norm() <= 1e-4 * q.norm(), name


@pytest.mark.slow
@on_a_cpu
def test_a_run_by_itself_learns_by_kernels_what_it_learns_without(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for ops in (plain, fused):
        monkeypatch.setattr(encoder, "operations", lambda x, dtype, ops=ops: ops)
        (run,) = runs_of(loaded, [recipe_of(loaded, training__batch_size=2)])
        found.append([run.step(batch, step) for step, batch in enumerate(batches(loaded, run.recipe)[:2])])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_without_triton_operations_are_plain_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*arguments: Any) -> None:
        raise RuntimeError("Failed to find C compiler\nand more")

    monkeypatch.setattr(fused, "draw_keep", missing)
    kernels.cache_clear()
    assert kernels(torch.device("cuda")) is None and kernels(torch.device("cuda")) is None
    kernels.cache_clear()
    told = capsys.readouterr().err
    assert told == "no kernels for cuda (RuntimeError: Failed to find C compiler): slower without\n"


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "kib"), [(80, 163), (86, 99), (90, 227), (100, 227)])
def test_every_kernel_compiles_for_gpus_that_are_not_here(capability: int, kib: int) -> None:
    """In no more shared memory than there is; what lies in registers stays there but for a few numbers.

    bf16, heads of 64, texts of 33 to 64 tokens. Attention block by block: also float32, and heads of 128.
    """
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "compiled.py"), str(capability)]
    done = subprocess.run(program, capture_output=True, text=True, env=environment)

    assert done.returncode == 0, done.stderr
    asked = [line.split() for line in done.stdout.splitlines()]
    assert len(asked) == 28 and all(int(shared) <= kib * 1024 for _, shared, *_ in asked)
    spilled = {name: int(stack) for name, _, _, stack in asked if name.startswith("block.")}
    assert len(spilled) == 18 and max(spilled.values()) <= 256 and not spilled["block.attend.16.64."]
