"""Ctrl-C: before a command has begun it ends the process at once; then a command may clean up behind itself.

Imports nothing that takes time: until `end_at_once` is in place, Python answers Ctrl-C with a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

STOPPED_CODE = 130  # what a shell says of a program that Ctrl-C has ended
STOPPED = "stopped; the same command goes on"


def end_at_once(number: int, frame: object) -> NoReturn:
    """Handle Ctrl-C where nothing has begun. Raising would be lost in some imports, and told in others."""
    end_saying(STOPPED)


def end_silently(number: int, frame: object) -> NoReturn:
    """Handle another Ctrl-C while the process ends: everything has been said."""
    os._exit(STOPPED_CODE)


def end_saying(line: str) -> NoReturn:
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())
    os._exit(STOPPED_CODE)


def let_command_clean_up() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, so that files and workers are not left behind."""
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say_stopped() -> None:
    """Say it, in one line, and let another Ctrl-C end the process at once."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) in (
        signal.default_int_handler,
        end_at_once,
    ):
        signal.signal(signal.SIGINT, end_silently)
    print(STOPPED, file=sys.stderr)
