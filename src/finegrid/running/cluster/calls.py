"""Calls of Ray in a thread of their own, one after the other: some wait for a head that is gone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from finegrid.errors import ClusterLostError, first_line

T = TypeVar("T")
LOOK_UP_SECONDS = 0.2  # how often who waits asks whether that is of any use


class Calls:
    """Who calls Ray for others.

    Attributes:
        gone: Why the cluster cannot be reached any more; empty if it can.
    """

    def __init__(self) -> None:
        self.gone = ""
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._waiting.get()()

    def ask(self, work: Callable[[], T]) -> T:
        """Have something done, and wait for what it gives.

        Raises:
            ClusterLostError: the cluster is gone.
            Exception: whatever it raises.
        """
        done: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue()

        def act() -> None:
            try:
                done.put((work(), None))
            except BaseException as error:
                done.put((None, error))

        self._waiting.put(act)
        while True:
            if self.gone:
                raise ClusterLostError(self.gone)
            try:
                value, error = done.get(timeout=LOOK_UP_SECONDS)
            except queue.Empty:
                continue
            if error is None:
                return value  # type: ignore[return-value]  # without an error there is one
            if isinstance(error, ConnectionError) or type(error).__module__.startswith("ray."):
                raise ClusterLostError(first_line(error)) from error
            raise error

    def post(self, work: Callable[[], Any]) -> None:
        """Have something done some time. If it fails, an event of the worker says why."""

        def act() -> None:
            with suppress(Exception):
                work()

        self._waiting.put(act)
