"""`finegrid watch`: serve a study's page on loopback until Ctrl-C."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from finegrid.errors import input_error
from finegrid.watch.connection import Connection

LOOPBACK = "127.0.0.1"
NICE = 5  # training comes first: beside it, a third of a core's time, where no core is free


def serve(app: Starlette, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, which is passed on.

    Args:
        app: of `watch.app.make_app`.
        port: 0 for any that is free.
        ready: is told the address, when connections are taken.

    Raises:
        InputError: the port cannot be had.
        KeyboardInterrupt: in the end.
    """
    listener = listen(port)
    if hasattr(os, "nice"):
        os.nice(NICE)
    ready(f"http://{LOOPBACK}:{listener.getsockname()[1]}/")
    make_server(app).run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """A socket that takes connections from this machine alone.

    Raises:
        InputError: the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a minute's wait after Ctrl-C
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        what = f"found {port}: {error.strerror}. Choose another, or leave it out and any free one is taken."
        raise input_error("command line", "--port", what) from None
    listener.listen()
    return listener


def make_server(app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",  # not a line for every request that is none
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
