"""Libraries that only an export needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from finegrid.errors import input_error


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around the imports of an extra's library, which has the extra's name.

    Raises:
        InputError: it is not there, or cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        missing = f"found no {extra} that can be imported ({error})"
        get = f"Install it, in finegrid's checkout: pip install -e '.[{extra}]'"
        what = f"{missing}, which this export is written with. {get}"
        raise input_error("command line", f"--to {extra}", what) from None
