"""Roots are those that scipy finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, special

from finegrid.statistics.roots import find_root

CASES: dict[str, tuple[Callable[[float], float], float, float]] = {
    "line": (lambda x: 2 * x - 1, -3.0, 10.0),
    "cube": (lambda x: (x - 1 / 3) ** 3, -2.0, 1.5),
    "falling": (lambda x: float(np.exp(-x)) - 0.2, 0.0, 50.0),
    "quantile": (lambda x: float(special.ndtr(x)) - 0.025, -9.0, 9.0),
    "mixture": (lambda x: float(special.ndtr([x, 100 * (x - 4), x / 50]).mean()) - 0.975, -900.0, 900.0),
    "flat beyond the root": (lambda x: 0.05 - float(special.ndtr(-x)), 0.0, 200.0),
    "steep": (lambda x: float(np.tanh(1e6 * (x - 0.7))), -1.0, 2.0),
    "step": (lambda x: -0.1 if x < np.pi else 0.9, 0.0, 100.0),
}


@pytest.mark.parametrize("name", CASES)
def test_roots_are_those_of_brent_in_about_as_many_steps(name: str) -> None:
    function, low, high = CASES[name]
    asked = []

    def counted(x: float) -> float:
        asked.append(x)
        return function(x)

    found = find_root(counted, low, high, tolerance=1e-6)

    _, brent = optimize.brentq(function, low, high, xtol=1e-6, full_output=True)
    assert found == pytest.approx(optimize.brentq(function, low, high, xtol=1e-9), abs=2e-6)
    assert len(asked) <= 2 * brent.function_calls + 4


def test_an_end_may_be_the_root_and_signs_must_differ() -> None:
    assert find_root(lambda x: x, 0.0, 1.0, 1e-6) == 0.0
    assert find_root(lambda x: x - 1, 0.0, 1.0, 1e-6) == 1.0
    with pytest.raises(ValueError, match="same sign"):
        find_root(lambda x: x * x + 1, -1.0, 1.0, 1e-6)
