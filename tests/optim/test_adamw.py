"""The fused optimizer against a slow twin in float64, and against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from finegrid.optim.adamw import BETAS, EPS, AdamW
from finegrid.optim.updater import ParamGroup, Updater

STEPS = 50
SHAPES = [(7, 5), (3,), (1,), (40, 33)]  # odd sizes: the kernel has another path for what is left over
DECAYS = [0.1, 0.0, 0.01, 0.1]
FACTORS = [step / 5 if step < 5 else (STEPS - step) / (STEPS - 5) for step in range(STEPS)]


def twin(start: Tensor, grads: list[Tensor], rate: float, decay: float, correct: bool) -> Tensor:
    """AdamW as its paper writes it: slow and obvious. ``correct=False`` leaves out both corrections."""
    p, m, v = start.double(), torch.zeros_like(start).double(), torch.zeros_like(start).double()
    for t, (grad, factor) in enumerate(zip(grads, FACTORS, strict=True), start=1):
        g = grad.double()
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g * g
        m_hat, v_hat = (m / (1 - BETAS[0] ** t), v / (1 - BETAS[1] ** t)) if correct else (m, v)
        p = p - rate * factor * (m_hat / (v_hat.sqrt() + EPS) + decay * p)
    return p


def problem(dtype: torch.dtype, size: float = 1.0) -> tuple[list[Tensor], list[list[Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(shape, dtype=dtype, generator=generator) for shape in SHAPES]
    grads = [
        [size * torch.randn(shape, dtype=dtype, generator=generator) for _ in range(STEPS)]
        for shape in SHAPES
    ]
    return starts, grads


def ours(starts: list[Tensor], grads: list[list[Tensor]], rate: float, correct: bool) -> list[Tensor]:
    params = [torch.nn.Parameter(start.clone()) for start in starts]
    groups: list[ParamGroup] = [
        {"params": params[:2], "lr": rate, "weight_decay": DECAYS[0]},
        {"params": params[2:], "lr": rate / 2, "weight_decay": 0.0},
    ]
    optimizer = Updater(groups, AdamW(correct))
    for step in range(STEPS):
        for p, own in zip(params, grads, strict=True):
            p.grad = own[step].clone()
        step_by(optimizer, FACTORS[step])
        optimizer.zero_grad()
        assert all(p.grad is None for p in params)
    return [p.detach() for p in params]


def step_by(optimizer: Updater, factor: float) -> None:
    optimizer.step([group["lr"] * factor for group in optimizer.groups])


def expected(starts: list[Tensor], grads: list[list[Tensor]], rate: float, correct: bool) -> list[Tensor]:
    hypers = [(rate, DECAYS[0])] * 2 + [(rate / 2, 0.0)] * 2
    return [twin(s, g, r, d, correct) for s, g, (r, d) in zip(starts, grads, hypers, strict=True)]


@pytest.mark.parametrize("size", [1.0, 1e-7], ids=["gradients of 1", "gradients of the size of eps"])
@pytest.mark.parametrize("correct", [True, False])
def test_in_float64_it_is_the_twin(correct: bool, size: float) -> None:
    starts, grads = problem(torch.float64, size)

    for a, b in zip(ours(starts, grads, 0.01, correct), expected(starts, grads, 0.01, correct), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("correct", [True, False])
def test_in_float32_it_is_the_twin_to_rounding(correct: bool) -> None:
    starts, grads = problem(torch.float32)

    for a, b in zip(ours(starts, grads, 0.01, correct), expected(starts, grads, 0.01, correct), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=5e-6)


def test_with_bias_correction_it_is_torchs_adamw() -> None:
    starts, grads = problem(torch.float64)
    params = [torch.nn.Parameter(start.clone()) for start in starts]
    groups = [
        {"params": params[:2], "lr": 0.01, "weight_decay": DECAYS[0]},
        {"params": params[2:], "lr": 0.005, "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, betas=BETAS, eps=EPS)
    schedule = torch.optim.lr_scheduler.LambdaLR(theirs, lambda step: FACTORS[min(step, STEPS - 1)])
    for step in range(STEPS):
        for p, own in zip(params, grads, strict=True):
            p.grad = own[step].clone()
        theirs.step()
        schedule.step()

    for a, b in zip(ours(starts, grads, 0.01, True), params, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("betas", [(0.5, 0.9), (0.0, 0.98), (0.95, 0.0), (0.9, 0.99999)])
@pytest.mark.parametrize("correct", [True, False])
def test_other_betas_and_eps_are_those_of_the_formula(correct: bool, betas: tuple[float, float]) -> None:
    """With the update's number as a number, and in a tensor as a captured step has it."""
    generator = torch.Generator().manual_seed(0)
    grads = torch.randn(20, 7, dtype=torch.float64, generator=generator)
    start = torch.randn(7, dtype=torch.float64, generator=generator)
    p, m, v = start, torch.zeros_like(start), torch.zeros_like(start)
    params = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    rule = AdamW(correct, *betas, eps=1e-3)
    plain, captured = (Updater([{"params": [q], "lr": 0.1, "weight_decay": 0.1}], rule) for q in params)
    for t, grad in enumerate(grads, start=1):
        m = betas[0] * m + (1 - betas[0]) * grad
        v = betas[1] * v + (1 - betas[1]) * grad * grad
        ours, root = (m / (1 - betas[0] ** t), (v / (1 - betas[1] ** t)).sqrt()) if correct else (m, v.sqrt())
        p = p - 0.1 * (ours / (root + 1e-3) + 0.1 * p)
        for q in params:
            q.grad = grad.clone()
        plain.step([0.1])
        captured.count_([0.1])
        numbers = torch.tensor(captured.numbers_for_graphs())
        captured.update_(torch.tensor([0.1]), numbers)

    torch.testing.assert_close(params[0].detach(), p, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(params[1].detach(), p, rtol=1e-5, atol=1e-6)


def test_rules_of_other_betas_or_eps_have_other_keys() -> None:
    rules = [AdamW(), AdamW(False), AdamW(beta1=0.8), AdamW(beta2=0.98), AdamW(eps=1e-6)]

    assert len({rule.key for rule in rules}) == len(rules)
    assert AdamW(True, 0.9, 0.999, 1e-8) == AdamW()


def test_without_bias_correction_the_first_step_is_about_three_times_as_large() -> None:
    start, grad = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    moved = []
    for correct in (True, False):
        p = torch.nn.Parameter(start.clone())
        p.grad = grad
        step_by(Updater([{"params": [p], "lr": 1.0, "weight_decay": 0.0}], AdamW(correct)), 1.0)
        moved.append(-float(p.detach()))

    assert moved == pytest.approx([1.0, 0.1 / 0.001**0.5], rel=1e-6)


def test_decay_does_not_depend_on_bias_correction() -> None:
    moved = []
    for correct in (True, False):
        p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = Updater([{"params": [p], "lr": 0.1, "weight_decay": 0.5}], AdamW(correct))
        for _ in range(3):
            p.grad = torch.zeros_like(p)
            step_by(optimizer, 0.5)
        moved.append(p.detach())

    torch.testing.assert_close(moved[0], torch.full_like(moved[0], (1 - 0.1 * 0.5 * 0.5) ** 3))
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-12, atol=0)


def test_parameters_without_gradient_are_left_alone() -> None:
    p, q = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    optimizer = Updater([{"params": [p, q], "lr": 0.1, "weight_decay": 0.5}], AdamW())
    p.grad = torch.ones(3)
    step_by(optimizer, 1.0)

    assert torch.equal(q.detach(), torch.ones(3)) and q not in optimizer.state
    assert not torch.equal(p.detach(), torch.ones(3))


def test_a_group_that_is_left_alone_keeps_values_and_moments_and_counts_its_own_updates() -> None:
    """Its first update is corrected as a first one, whenever it comes."""
    params = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    groups: list[ParamGroup] = [{"params": [p], "lr": 1.0, "weight_decay": 0.0} for p in params]
    optimizer = Updater(groups, AdamW())
    for rates in ([1.0, None], [1.0, None], [1.0, 1.0]):
        for p in params:
            p.grad = torch.ones(3)
        if rates[1] is None:
            optimizer.step(rates)
            assert params[1].detach().tolist() == [0.0] * 3 and params[1] not in optimizer.state

    optimizer.step([1.0, 1.0])
    assert optimizer.updates == [3, 1]
    torch.testing.assert_close(params[1].detach(), torch.full((3,), -1.0))
