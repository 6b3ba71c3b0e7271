"""To wait for what another process, thread or browser does: ask again and again, up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 60.0, what: str = "a condition") -> T:
    """The first true answer of ``condition``.

    Raises:
        AssertionError: there was none within that many seconds.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.01)
    return answer


def let_pass(seconds: float) -> None:
    """Of an attack, whose moments are what is tried, and between samples: nothing is waited for."""
    time.sleep(seconds)
