"""``python -m finegrid``, and the command ``finegrid``."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it from the first moment on, also while modules are imported."""
    from finegrid.cli.interrupts import take_over

    take_over()
    from finegrid.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
