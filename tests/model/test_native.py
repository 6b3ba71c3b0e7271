"""The library for CPUs against torch's own operations, and what happens where no compiler is."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from finegrid.machine import find_compiler
from finegrid.model.dropout import LEVELS
from finegrid.model.kernels import attention, compiling, plain, varlen
from finegrid.model.kernels.counter import counter_words
from finegrid.model.kernels.layout import Dropped, Layout, cut, lay_out
from finegrid.model.kernels.native import NativeAttended
from finegrid.model.kernels.operations import kernels, operations
from finegrid.model.kernels.sight import Sight

CPU = torch.device("cpu")
native = kernels(CPU)
pytestmark = pytest.mark.skipif(native is None, reason="no C++ compiler here")

TOLERANCE = {torch.float32: (1e-5, 1e-5), torch.bfloat16: (2e-2, 4e-2)}
DTYPES = [torch.float32, torch.bfloat16]
KEY, DROPPED = -77, 20_000


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(ours: Tensor, theirs: Tensor, dtype: torch.dtype = torch.float32) -> None:
    assert ours.dtype == theirs.dtype
    rtol, atol = TOLERANCE[dtype]
    torch.testing.assert_close(ours.float(), theirs.float(), rtol=rtol, atol=atol)


def masked(count: int, first: int = 0) -> Dropped:
    """A mask that can be drawn in passing, and is there for whoever cannot."""
    words = counter_words(KEY, -(-(first + count) // 4), CPU).view(torch.int16)[first : first + count]
    lowest = DROPPED - LEVELS // 2
    return Dropped((words >= lowest).to(torch.uint8), LEVELS / (LEVELS - DROPPED), KEY, lowest, first)


def norm_of(width: int, runs: int = 0) -> SimpleNamespace:
    shape = (runs, width) if runs else (width,)
    weight, bias = (nn.Parameter(random(*shape, seed=seed)) for seed in (5, 6))
    return SimpleNamespace(weight=weight, bias=bias, eps=1e-12, normalized_shape=(width,))


@pytest.mark.parametrize("first", [0, 1, 6, 4099])
@pytest.mark.parametrize("dropped", [0, 6554, LEVELS - 1])
def test_masks_are_those_of_the_counter(first: int, dropped: int) -> None:
    for key in (5, -(2**63), 2**63 - 1):
        for count in (1, 7, 1024, 10_001):
            words = counter_words(key, -(-(first + count) // 4), CPU).view(torch.int16)
            expected = (words[first : first + count] >= dropped - LEVELS // 2).to(torch.uint8)
            assert torch.equal(native.draw_keep(key, dropped, count, CPU, first), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("runs", "width"), [(0, 192), (0, 7), (3, 40)])
@pytest.mark.parametrize("first", [None, 0, 333])
def test_joins_and_their_gradients_are_torchs(
    dtype: torch.dtype, runs: int, width: int, first: int | None
) -> None:
    """71 tokens are three blocks of the library's, the last of them not full."""
    shape = (*([runs] if runs else []), 71, width)
    norm = norm_of(width, runs)
    dropped = None if first is None else masked(71 * width, first)
    x, y, grad = random(*shape), random(*shape, dtype=dtype, seed=1), random(*shape, seed=2)
    out, low, joined = native.join(norm, x, y, None, dropped)
    expected, _, theirs = plain.join(norm, x, y, None, dropped)

    close(out, expected)
    assert (low is None) is (dtype == torch.float32)
    if low is not None:
        assert torch.equal(low, out.to(dtype))
    backward = grad, joined, dropped, dtype, True
    ours = native.join_backward(norm, *backward)
    for index, one in enumerate(plain.join_backward(norm, grad, theirs, dropped, dtype, True)):
        assert ours[index] is not None and one is not None
        close(ours[index], one, dtype if index in (1, 4) else torch.float32)


def test_a_frozen_norm_gets_no_gradient() -> None:
    norm = norm_of(16)
    norm.weight.requires_grad_(False)
    _, _, joined = native.join(norm, random(5, 16), random(5, 16, seed=1), None, None)
    _, _, weight, shift, bias = native.join_backward(
        norm, random(5, 16), joined, None, torch.float32, with_bias=False
    )
    assert weight is None and shift is not None and bias is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(71, 768), (40, 9), (2, 33, 24)])
def test_gelu_and_sums_over_tokens_are_torchs(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    wide, grad = random(*shape).mul_(3).to(dtype), random(*shape, dtype=dtype, seed=1)
    ours, activated = native.activate(nn.functional.gelu, wide.clone(), None)
    theirs, plainly = plain.activate(nn.functional.gelu, wide.clone(), None)
    back, bias = native.activate_backward(grad, activated, torch.float32, True)
    expected, of_bias = plain.activate_backward(grad, plainly, torch.float32, True)

    assert torch.equal(ours, theirs) and bias is not None and of_bias is not None
    close(back, expected, dtype)
    torch.testing.assert_close(bias, of_bias, rtol=2e-2, atol=3e-5 if dtype == torch.float32 else 0.3)
    close(native.sum_tokens(grad, torch.float32), grad.double().sum(-2).float())


def test_the_gradient_of_gelu_is_exact_to_float32() -> None:
    wide = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([0.0, -0.0, 1e-30, 80.0, -80.0, 1e4])])[
        None
    ]
    expected = wide.double().requires_grad_()
    nn.functional.gelu(expected).sum().backward()
    _, activated = native.activate(nn.functional.gelu, wide, None)
    back, _ = native.activate_backward(torch.ones_like(wide), activated, torch.float32, False)
    assert expected.grad is not None
    torch.testing.assert_close(back.double(), expected.grad, rtol=0, atol=5e-7)


def test_other_activations_are_left_to_torch() -> None:
    wide = random(9, 8)
    ours, activated = native.activate(nn.functional.silu, wide.clone(), None)
    theirs, plainly = plain.activate(nn.functional.silu, wide.clone(), None)
    assert torch.equal(ours, theirs)
    about = random(9, 8, seed=1), torch.float32, True
    back, bias = native.activate_backward(about[0], activated, *about[1:])
    expected, of_bias = plain.activate_backward(about[0], plainly, *about[1:])
    assert torch.equal(back, expected) and bias is not None and of_bias is not None
    assert torch.equal(bias, of_bias)


def kept_for_backward(context: Tensor) -> object:
    """What attention left for its backward pass, which drops it."""
    assert context.grad_fn is not None
    of_attention: Any = context.grad_fn.next_functions[0][0]
    return of_attention.attended


def layout_of(lengths: list[int], heads: int, runs: int = 1, spare: int = 0, before: int = 0) -> Layout:
    """``spare`` tokens belong to no text."""
    sizes = torch.tensor(sorted(lengths))
    cuts = cut(sizes.numpy(), heads)
    return lay_out(sizes, cuts, int(sizes.sum()) + spare, heads, runs, int(sizes.sum()), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("lengths", "heads", "width", "runs"),
    [
        ([1, 2, 3, 17, 18, 31, 32, 33], 3, 64, 1),
        ([5, 44, 64, 65], 2, 20, 1),
        ([4, 9, 23], 2, 7, 3),
        ([128, 100], 1, 32, 1),
    ],
)
@pytest.mark.parametrize("dropping", [False, True])
def test_attention_and_its_gradient_are_torchs(
    dtype: torch.dtype, lengths: list[int], heads: int, width: int, runs: int, dropping: bool
) -> None:
    layout = layout_of(lengths, heads, runs, spare=5)
    shape = (*([runs] if runs > 1 else []), layout.tokens)
    dropped = masked(layout.weights // runs) if dropping else None
    qkv = random(*shape, 3 * heads * width, dtype=dtype)
    grad = random(*shape, heads * width, dtype=dtype, seed=1)
    real = layout.real_tokens
    grad[..., real:, :] = 0
    ours, attended = native.attend(qkv, None, layout, dropped)
    theirs, plainly = plain.attend(qkv, None, layout, dropped)

    assert isinstance(attended, native.NativeAttended)
    close(ours[..., :real, :], theirs[..., :real, :], dtype)
    close(native.attend_backward(grad, attended), plain.attend_backward(grad, plainly), dtype)
    assert not ours[..., real:, :].any()


@pytest.mark.parametrize("sight", [Sight(window=5), Sight(causal=True), Sight(scale=0.1, causal=True)])
def test_what_is_left_to_torch_sees_what_it_would_see(sight: Sight) -> None:
    layout = layout_of([21, 40], 2)
    qkv = random(layout.tokens, 3 * 32)
    context, attended = native.attend(qkv, None, layout, None, sight)
    assert not isinstance(attended, native.NativeAttended)
    close(context, attention.attend(qkv, layout, None, sight)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("key_heads", "about", "ours"),
    [
        (4, {"scale": 0.3}, True),
        (2, {"scale": 0.2, "window": 48}, True),  # no text is longer
        (4, {"scale": 0.3, "window": 5}, False),
        (4, {"scale": 0.3, "causal": True}, False),
    ],
)
def test_encoders_of_other_kinds_attend_as_by_torch(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, key_heads: int, about: dict[str, Any], ours: bool
) -> None:
    layout = layout_of([3, 21, 40], 4, spare=3)
    dropped = masked(layout.weights)
    grad = random(layout.tokens, 4, 16, dtype=dtype, seed=3)
    found = []
    for way in (native, None):
        monkeypatch.setattr(varlen, "kernels", lambda device, way=way: way)
        states = [random(layout.tokens, n, 16, dtype=dtype, seed=n) for n in (4, key_heads, key_heads)]
        q, k, v = (one.requires_grad_() for one in states)
        context = varlen.attend_varlen(q, k, v, layout, dropped, **about)
        attended = kept_for_backward(context)
        assert isinstance(attended, NativeAttended) is (ours and way is native)
        context.backward(grad)
        found.append([context.detach(), *(one.grad for one in (q, k, v))])
    for one, other in zip(*found, strict=True):
        close(one, other, dtype)


def test_a_portion_draws_the_masks_of_its_batch() -> None:
    """The second half of a batch's texts, by itself."""
    whole = layout_of([8, 8, 8, 8], 2)
    half = layout_of([8, 8], 2, before=whole.weights // 2)
    qkv = random(32, 3 * 32)
    dropped = masked(whole.weights)
    ours, _ = native.attend(qkv[16:], None, half, dropped)
    assert torch.equal(ours, native.attend(qkv, None, whole, dropped)[0][16:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_text_has_other_bits_in_company(dtype: torch.dtype) -> None:
    """Nor at another address, which a compiler might take for a reason to sum in another order."""
    alone, layout = layout_of([19], 2), layout_of([7, 19], 2)
    qkv = random(27, 3 * 40, dtype=dtype)[1:]
    grad = random(27, 40, dtype=dtype, seed=1)[1:]
    together, attended = native.attend(qkv, None, layout, None)
    apart, by_itself = native.attend(qkv[7:].clone(), None, alone, None)
    assert torch.equal(together[7:], apart)
    back = native.attend_backward(grad, attended)[7:]
    assert torch.equal(back, native.attend_backward(grad[7:].clone(), by_itself))


def test_results_do_not_depend_on_threads() -> None:
    layout, norm = layout_of(list(range(3, 40)), 3), norm_of(48)
    qkv, x, y = (random(layout.tokens, width, seed=width) for width in (144, 48, 48))

    def all_of_it() -> list[Tensor]:
        context, attended = native.attend(qkv, None, layout, masked(layout.weights))
        out, _, joined = native.join(norm, x, y, None, masked(x.numel()))
        _, activated = native.activate(nn.functional.gelu, y, None)
        back = native.activate_backward(x, activated, torch.float32, True)
        of_join = native.join_backward(norm, x, joined, masked(x.numel()), torch.float32, True)
        return [
            context,
            native.attend_backward(y, attended),
            out,
            *back,
            *of_join,
            native.sum_tokens(x, x.dtype),
        ]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = all_of_it()
        torch.set_num_threads(3)
        three = all_of_it()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_what_is_not_finite_stays_so_and_spoils_no_other_text() -> None:
    layout = layout_of([6, 6], 1)
    qkv = random(12, 48)
    qkv[7, 3] = torch.nan
    context, attended = native.attend(qkv, None, layout, None)
    back = native.attend_backward(random(12, 16, seed=1), attended)
    assert torch.isfinite(context[:6]).all() and torch.isfinite(back[:6]).all()
    assert not torch.isfinite(context[6:]).all() and not torch.isfinite(back[6:]).all()
    for bad in (torch.nan, torch.inf):
        x = random(3, 16)
        x[1, 2] = bad
        out, low, _ = native.join(norm_of(16), x, random(3, 16, dtype=torch.bfloat16, seed=1), None, None)
        assert low is not None and low[1].isnan().any() and out[1].isnan().any()
        assert torch.isfinite(out[[0, 2]]).all()


def test_masks_without_a_key_and_long_texts_go_the_plain_way() -> None:
    layout = layout_of([9], 2)
    given = masked(layout.weights)
    _, attended = native.attend(random(9, 96), None, layout, Dropped(given.keep, given.scale))
    assert not isinstance(attended, native.NativeAttended)
    long = layout_of([300], 8)
    qkv = random(300, 3 * 64)
    ours, attended = native.attend(qkv, None, long, masked(long.weights))
    assert not isinstance(attended, native.NativeAttended)
    close(ours, plain.attend(qkv, None, long, masked(long.weights))[0])
    dropped = Dropped(masked(9 * 16).keep, 1.5)
    about = norm_of(16), random(9, 16), random(9, 16, seed=1), None, dropped
    out, _, joined = native.join(*about)
    assert torch.equal(out, plain.join(*about)[0])
    back = about[0], random(9, 16, seed=2), joined, dropped, torch.float32, True
    for one, other in zip(native.join_backward(*back), plain.join_backward(*back), strict=True):
        assert other is not None and torch.equal(one, other)


def test_float64_goes_the_plain_way() -> None:
    assert operations(torch.zeros(1), torch.bfloat16) is native
    assert operations(torch.zeros(1, dtype=torch.float64), torch.float64) is plain


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's cache of its own."""
    monkeypatch.delenv("FINEGRID_KERNELS")
    monkeypatch.setenv("FINEGRID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def compiler_that(tmp_path: Path, does: str) -> Path:
    path = tmp_path / "some-compiler"
    path.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def counting(tmp_path: Path) -> str:
    """A compiler that notes every call that compiles."""
    name, *arguments = find_compiler() or []
    command = " ".join([name, *arguments, "-O0"])
    return f'[ "$1" = --version ] || echo once >> {tmp_path}/calls\nexec {command} "$@"'


def test_it_is_compiled_once_for_all_processes(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And by two that come at once without harm."""
    monkeypatch.setattr(compiling, "PORTABLE", ("-std=c++17", "-shared", "-fPIC"))
    monkeypatch.setattr(compiling, "CHOICES", (("-O0", "-march=native"), ("-O0",)))
    monkeypatch.setenv("CXX", str(compiler_that(tmp_path, counting(tmp_path))))
    with ThreadPoolExecutor(2) as pool:
        for library in pool.map(lambda _: compiling.load_library(), range(2)):
            assert library.finegrid_draw
    (kept,) = elsewhere.iterdir()
    assert kept.suffix == ".so" and len((tmp_path / "calls").read_text().split()) <= 2
    compiling.load_library()
    assert len((tmp_path / "calls").read_text().split()) <= 2


def test_what_was_not_compiled_whole_is_compiled_again(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "PORTABLE", ("-std=c++17", "-shared", "-fPIC", "-O0"))
    monkeypatch.setattr(compiling, "CHOICES", ((),))
    name = f"native-{compiling.key_of(find_compiler() or [])}.so"
    elsewhere.mkdir(parents=True)
    (elsewhere / name).write_bytes(b"no library")
    assert compiling.load_library().finegrid_draw


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("exit 1", "some-compiler: no message"),
        ("echo 'fatal error: out of ideas' >&2; exit 1", "out of ideas"),
    ],
)
def test_a_compiler_that_fails_is_told_of_and_training_goes_without(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, does: str, said: str
) -> None:
    monkeypatch.setenv("CXX", str(compiler_that(tmp_path, does)))
    with pytest.raises(compiling.NotCompiledError, match=said):
        compiling.load_library()


def test_without_a_compiler_steps_are_plain_and_it_is_said(tmp_path: Path) -> None:
    program = (
        "import torch; from finegrid.model.kernels.operations import operations\n"
        "print(operations(torch.zeros(1), torch.float32).__name__)"
    )
    for changed, why in (
        ({"CXX": "no-such-compiler"}, "no-such-compiler not found"),
        ({"FINEGRID_KERNELS": "off"}, "FINEGRID_KERNELS=off"),
    ):
        environment = {**os.environ, "FINEGRID_KERNELS": str(tmp_path), **changed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split(".")[-1].strip() == "plain"
        assert done.stderr == f"no kernels for cpu (NotCompiledError: {why}): slower without\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="options of a compiler for x86")
@pytest.mark.parametrize("narrow", ["-march=x86-64-v3", "-march=x86-64"])
def test_processors_with_narrow_vectors_compute_the_same(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, narrow: str
) -> None:
    monkeypatch.setattr(compiling, "CHOICES", ((narrow,),))
    monkeypatch.setattr(native, "library", cache(native.library.__wrapped__))
    for dtype in DTYPES:
        test_masks_are_those_of_the_counter(6, 6554)
        for width in (192, 7):
            test_joins_and_their_gradients_are_torchs(dtype, 0, width, 333)
        test_gelu_and_sums_over_tokens_are_torchs(dtype, (40, 9))
        for heads, width in ((3, 64), (2, 7)):
            test_attention_and_its_gradient_are_torchs(dtype, [1, 3, 18, 33, 44], heads, width, 1, True)
    test_what_is_not_finite_stays_so_and_spoils_no_other_text()
    (kept,) = elsewhere.iterdir()
    assert kept.suffix == ".so"
