"""Which cases `make test` tries. `make test-slow` tries them all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def rare(cases: Iterable[Any], often: Collection[Any]) -> list[Any]:
    """All cases. Those not among ``often`` are marked as slow. A case of several values is a tuple."""
    every = [*cases]
    assert {*often} <= {*every}, "there is no such case"
    found = []
    for case in every:
        values = case if isinstance(case, tuple) else (case,)
        found.append(pytest.param(*values, marks=() if case in often else pytest.mark.slow))
    return found
