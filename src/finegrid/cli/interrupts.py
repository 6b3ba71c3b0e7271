"""Ctrl-C: before a command has begun it ends the process at once; then a command may clean up behind itself.

Imports nothing that takes time: until `take_over` is called, Python answers Ctrl-C with a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

STOPPED_CODE = 130  # what a shell says of a program that Ctrl-C has ended
STOPPED = "stopped; the same command goes on"
_ours = False  # whether Ctrl-C is ours to handle: not in a notebook, a test, or a job in the background


def take_over() -> None:
    """Handle Ctrl-C from here on, unless whoever started the process has told it to ignore it."""
    global _ours
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _ours = True
        signal.signal(signal.SIGINT, end_at_once)


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C where nothing has begun. An exception would be lost in some imports, and in others told."""
    try:
        os.write(2, f"{STOPPED}\n".encode())
    finally:
        os._exit(STOPPED_CODE)


def end_silently(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C while the process ends: everything has been said."""
    os._exit(STOPPED_CODE)


def let_command_clean_up() -> None:
    """Ctrl-C raises KeyboardInterrupt from here on, so that neither drafts nor workers are left behind."""
    if _ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_process(code: int | str | None) -> NoReturn:
    """End with an exit code. Ctrl-C ends what Python still does then."""
    if _ours:
        signal.signal(signal.SIGINT, end_silently)
    if code == STOPPED_CODE:
        print(STOPPED, file=sys.stderr)
    sys.exit(code)
