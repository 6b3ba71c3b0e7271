"""A study served to browsers, by a real server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finegrid.watch.app import make_app
from finegrid.watch.serve import LOOPBACK, listen, make_server
from finegrid.watch.view import PageMaker


@contextmanager
def served(folder: Path, make: PageMaker, port: int = 0) -> Iterator[str]:
    """Yields the address. Pages are made without a rest between them."""
    listening = listen(port)
    server = make_server(make_app(folder, make, lambda took: 0.0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
