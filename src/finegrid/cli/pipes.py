"""stdout and stderr when nobody takes what a command says: a pipe that was closed, a terminal that has gone.

Results that nobody reads end a command. Progress that nobody reads does not: training goes on.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CLOSED = (errno.EPIPE, errno.EIO)  # EIO: of a terminal that has gone
CLOSED_CODE = 141  # what a shell says of a program that SIGPIPE has ended
NAMES = {0: "stdin", 1: "stdout", 2: "stderr"}


class Pipe(io.FileIO):
    """Where a stream writes to. What cannot be written is dropped, and so is all that comes after it.

    Of stdout, the command is told: it ends with `CLOSED_CODE`, or with an error where a disk is full.
    """

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            written = super().write(content)
        except OSError as error:
            drop(self.fileno())
            if self.fileno() == 2:
                return memoryview(content).nbytes
            if error.errno in CLOSED:
                raise SystemExit(CLOSED_CODE) from None
            raise OSError(error.errno, error.strerror, "stdout") from None
        return written


def take_streams() -> None:
    """Put a `Pipe` under stdout and stderr. One that the caller has closed leads nowhere from here on."""
    for number, name in NAMES.items():
        if getattr(sys, name) is None:  # else the next file that is opened would be taken for it
            drop(number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
    for number in (1, 2):
        stream = getattr(sys, NAMES[number])
        if not isinstance(stream, io.TextIOWrapper):
            continue
        stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese is no reason to fail
        if is_of_process(stream, number):
            setattr(sys, NAMES[number], over_pipe(stream, number))


def is_of_process(stream: io.TextIOWrapper, number: int) -> bool:
    """Whether a stream is the one that the process was started with: of notebooks and tests it is none."""
    try:
        return stream.fileno() == number
    except OSError:
        return False


def over_pipe(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    """The same stream with a `Pipe` under it."""
    stream.flush()
    to = io.BufferedWriter(Pipe(number, "w", closefd=False))
    return io.TextIOWrapper(to, stream.encoding, stream.errors, line_buffering=stream.line_buffering)


def drop(number: int) -> None:
    """Let a stream of the process lead nowhere: with what it still holds, and for who inherits it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
