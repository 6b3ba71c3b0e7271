"""Other optimizers than AdamW, against slow twins in float64, closed forms, and torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from finegrid.optim.adafactor import Adafactor
from finegrid.optim.adamw import AdamW
from finegrid.optim.lion import Lion
from finegrid.optim.muon import COEFFICIENTS, ITERATIONS, MOMENTUM, Muon, orthogonalise
from finegrid.optim.schedule_free import ScheduleFree
from finegrid.optim.sgd import Sgd
from finegrid.optim.updater import ParamGroup, Updater, UpdateRule
from finegrid.strategies.optimizer import Optimizer, list_kinds_at_one_rate

RATE, DECAY, STEPS = 1e-2, 0.1, 8
SHAPES = [(7, 5), (3,), (1,), (33, 40)]


def starts() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in SHAPES]


def grads() -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(STEPS)]
        for shape in SHAPES
    ]


def updated(rule_of: Callable[[list[Tensor]], UpdateRule], dtype: torch.dtype = torch.float64) -> Updater:
    """After all steps with those gradients."""
    params = [torch.nn.Parameter(start.to(dtype)) for start in starts()]
    group: ParamGroup = {"params": params, "lr": RATE, "weight_decay": DECAY}
    updater = Updater([group], rule_of([*params]))
    for step in range(STEPS):
        for p, own in zip(params, grads(), strict=True):
            p.grad = own[step].to(dtype)
        updater.step([RATE])
    return updater


def values(updater: Updater) -> list[Tensor]:
    return [p.detach() for p in updater.groups[0]["params"]]


def assert_close(found: list[Tensor], expected: list[Tensor], rtol: float = 1e-12) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.to(one.dtype), rtol=rtol, atol=rtol)


def by_torch(make: Callable[[list[Tensor]], Any], shapes: Callable[[Tensor], bool]) -> list[Tensor]:
    params = [torch.nn.Parameter(start) for start in starts() if shapes(start)]
    optimizer = make([*params])
    for step in range(STEPS):
        for p, own in zip(params, (own for own in grads() if shapes(own[0])), strict=True):
            p.grad = own[step].clone()
        optimizer.step()
    return [p.detach() for p in params]


def lion_twin(p: Tensor, own: list[Tensor]) -> Tensor:
    m = torch.zeros_like(p)
    for g in own:
        p = p - RATE * DECAY * p - RATE * torch.sign(0.9 * m + (1 - 0.9) * g)
        m = 0.99 * m + (1 - 0.99) * g
    return p


def test_lion_is_its_paper() -> None:
    found = values(updated(lambda params: Lion(0.9, 0.99)))

    assert_close(found, [lion_twin(*both) for both in zip(starts(), grads(), strict=True)])


def test_lions_first_step_is_the_rate_in_every_number() -> None:
    p = torch.nn.Parameter(starts()[0])
    updater = Updater([{"params": [p], "lr": RATE, "weight_decay": 0.0}], Lion(0.9, 0.99))
    p.grad = grads()[0][0]
    updater.step([RATE])

    torch.testing.assert_close((p.detach() - starts()[0]).abs(), torch.full_like(p, RATE))
    assert [*updater.state[p]] == ["first"]


def test_sgd_is_torchs() -> None:
    """Whose weight decay is coupled, so without one."""
    params = [torch.nn.Parameter(start) for start in starts()]
    updater = Updater([{"params": params, "lr": RATE, "weight_decay": 0.0}], Sgd(0.9))
    for step in range(STEPS):
        for p, own in zip(params, grads(), strict=True):
            p.grad = own[step].clone()
        updater.step([RATE])

    assert_close(
        values(updater), by_torch(lambda own: torch.optim.SGD(own, lr=RATE, momentum=0.9), lambda p: True)
    )


def test_sgd_decays_apart_from_the_gradient() -> None:
    p = torch.nn.Parameter(starts()[0])
    updater = Updater([{"params": [p], "lr": RATE, "weight_decay": DECAY}], Sgd(0.9))
    for _ in range(3):
        p.grad = torch.zeros_like(p)
        updater.step([RATE])

    torch.testing.assert_close(p.detach(), (1 - RATE * DECAY) ** 3 * starts()[0])


def polynomial(matrix: Tensor) -> Tensor:
    """What Newton-Schulz iterations make of a matrix, by its singular values: an odd polynomial of each."""
    left, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    singular = singular / singular.square().sum().sqrt()
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        singular = a * singular + b * singular**3 + c * singular**5
    found: Tensor = left @ torch.diag(singular) @ right
    return found


@pytest.mark.parametrize("shape", [(6, 6), (12, 5), (5, 12)])
def test_orthogonalising_acts_on_singular_values_alone(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = orthogonalise(matrix)

    torch.testing.assert_close(found, polynomial(matrix), rtol=1e-10, atol=1e-10)
    singular = torch.linalg.svdvals(found)
    assert float(singular.min()) > 0.5 and float(singular.max()) < 1.3  # near 1, not 1
    assert found.is_contiguous()


def muon_of(params: list[Tensor]) -> Muon:
    return Muon(AdamW(), frozenset(p for p in params if p.ndim == 2))


def test_muon_is_torchs_but_for_its_bfloat16_and_all_else_is_adamw() -> None:
    def torchs(params: list[Tensor]) -> Any:
        of_adamw = "match_rms_adamw"
        return torch.optim.Muon(params, lr=RATE, weight_decay=DECAY, adjust_lr_fn=of_adamw, momentum=MOMENTUM)

    found = updated(muon_of, torch.float32)
    plain = values(updated(lambda params: AdamW(), torch.float32))
    matrices = [p for p in values(found) if p.ndim == 2]
    moved = [p - start.float() for p, start in zip(values(found), starts(), strict=True) if p.ndim == 2]

    for p, other, step in zip(matrices, by_torch(torchs, lambda p: p.ndim == 2), moved, strict=True):
        assert (p - other).norm() < 0.03 * step.norm()
    for p, other in zip(values(found), plain, strict=True):
        assert torch.equal(p, other) == (p.ndim < 2)
    kept = [sorted(state) for state in found.state.values()]
    assert kept == [["momentum"] if len(shape) == 2 else ["first", "second"] for shape in SHAPES]


def test_muons_steps_are_of_the_size_of_adamws() -> None:
    step = orthogonalise(torch.randn(64, 256, generator=torch.Generator().manual_seed(3)))

    assert 0.15 < float(step.square().mean().sqrt()) * 0.2 * 256**0.5 < 0.22


def test_adafactor_is_torchs_at_a_fixed_rate() -> None:
    """torch multiplies by the larger of eps2 and a parameter's size: a large eps2 makes that a constant."""

    def torchs(params: list[Tensor]) -> Any:
        return torch.optim.Adafactor(params, lr=RATE / 10, eps=(1e-15, 10.0), weight_decay=DECAY * 10)

    found = updated(lambda params: Adafactor())
    assert_close(values(found), by_torch(torchs, lambda p: True), rtol=1e-9)
    shapes = [[tuple(t.shape) for t in state.values()] for state in found.state.values()]
    assert shapes == [[(7, 1), (1, 5)], [(3,)], [(1,)], [(33, 1), (1, 40)]]


def test_adafactor_leaves_what_has_no_gradient() -> None:
    p = torch.nn.Parameter(starts()[0])
    updater = Updater([{"params": [p], "lr": RATE, "weight_decay": 0.0}], Adafactor())
    p.grad = torch.zeros_like(p)
    updater.step([RATE])

    assert torch.equal(p.detach(), starts()[0])


def schedule_free_twin(p: Tensor, own: list[Tensor], rates: list[float]) -> tuple[Tensor, Tensor]:
    """The paper's algorithm: where it looks, and what predicts."""
    z, x, v, total = p, p, torch.zeros_like(p), 0.0
    for t, (g, rate) in enumerate(zip(own, rates, strict=True), start=1):
        y = (1 - 0.9) * z + 0.9 * x
        v = 0.98 * v + (1 - 0.98) * g * g
        z = z - rate * (g / ((v / (1 - 0.98**t)).sqrt() + 1e-8) + DECAY * y)
        total += rate**2
        share = rate**2 / total if total else 0.0
        x = (1 - share) * x + share * z
    return (1 - 0.9) * z + 0.9 * x, x


def test_schedule_free_is_its_paper_also_while_it_warms_up() -> None:
    params = [torch.nn.Parameter(start) for start in starts()]
    rule = ScheduleFree(True, 0.9, 0.98, 1e-8)
    updater = Updater([{"params": params, "lr": RATE, "weight_decay": DECAY}], rule)
    rates = [RATE * min(1.0, step / 3) for step in range(STEPS)]  # the first is 0
    for step, rate in enumerate(rates):
        for p, own in zip(params, grads(), strict=True):
            p.grad = own[step].clone()
        updater.step([rate])
    twins = [schedule_free_twin(p, own, rates) for p, own in zip(starts(), grads(), strict=True)]

    assert_close(values(updater), [y for y, _ in twins], rtol=1e-10)
    assert_close([updater.state[p]["x"] for p in params], [x for _, x in twins], rtol=1e-10)


def test_without_momentum_the_mean_of_equal_steps_predicts() -> None:
    """Of equal gradients steps are equal: after T of them x is the mean of 1 to T steps, (T + 1) / 2."""
    p = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    updater = Updater([{"params": [p], "lr": RATE, "weight_decay": 0.0}], ScheduleFree(True, 0.0, 0.9, 1e-12))
    for _ in range(STEPS):
        p.grad = torch.full_like(p, 3.0)
        updater.step([RATE])

    torch.testing.assert_close(updater.state[p]["x"], torch.full_like(p, -RATE * (STEPS + 1) / 2))
    torch.testing.assert_close(p.detach(), torch.full_like(p, -RATE * STEPS))


RULES: dict[str, Callable[[list[Tensor]], UpdateRule]] = {
    "lion": lambda params: Lion(0.9, 0.99),
    "sgd": lambda params: Sgd(0.9),
    "muon": muon_of,
    "adafactor": lambda params: Adafactor(),
    "schedule-free": lambda params: ScheduleFree(True, 0.9, 0.999, 1e-8),
}


@pytest.mark.parametrize("name", RULES)
def test_numbers_in_tensors_give_the_bits_of_numbers(name: str) -> None:
    plain = updated(RULES[name], torch.float32)
    params = [torch.nn.Parameter(start.float()) for start in starts()]
    updater = Updater([{"params": params, "lr": RATE, "weight_decay": DECAY}], RULES[name]([*params]))
    for step in range(STEPS):
        for p, own in zip(params, grads(), strict=True):
            p.grad = own[step].float()
        updater.count_([RATE])
        updater.update_(torch.tensor([RATE]), torch.tensor(updater.numbers_for_graphs()))

    if name != "muon":  # whose vectors AdamW's kernel is given a number for
        assert all(map(torch.equal, values(updater), values(plain)))
    assert_close(values(updater), values(plain), rtol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_float32_stays_near_float64(name: str) -> None:
    tolerance = 2 * RATE if name == "lion" else 1e-5  # where a mean is near 0 its sign may be another

    assert_close(values(updated(RULES[name], torch.float32)), values(updated(RULES[name])), rtol=tolerance)


def named(*kinds_and_rates: tuple[Any, float]) -> list[str]:
    return [*list_kinds_at_one_rate(Optimizer(kind=kind, rate=rate) for kind, rate in kinds_and_rates)]


def test_kinds_that_have_but_the_rate_of_another_are_named() -> None:
    assert named(("adamw", 5e-5), ("lion", 5e-5), ("muon", 5e-5)) == ["lion", "muon"]  # one rate for all
    assert named(("adamw", 5e-5), ("lion", 5e-5), ("sgd", 1e-2)) == ["lion"]
    assert named(("lion", 1e-5), ("adamw", 1e-5), ("sgd", 1e-2)) == ["adamw"]


def test_kinds_with_rates_of_their_own_are_not() -> None:
    assert named() == named(("adamw", 5e-5), ("adamw", 1e-4)) == []
    assert named(("adamw", 5e-5), ("lion", 1e-5), ("muon", 5e-5)) == []  # Muon steps as far as AdamW
    assert named(("adamw", 5e-5), ("lion", 5e-5), ("adamw", 1e-5), ("lion", 1e-5)) == []
