"""``python -m finegrid``, and the command ``finegrid``."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it from the first moment on, also while modules are imported."""
    from finegrid.cli.interrupts import end_at_once

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a job in the background ignores it
        signal.signal(signal.SIGINT, end_at_once)
    from finegrid.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
