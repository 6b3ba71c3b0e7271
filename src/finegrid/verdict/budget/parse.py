"""A budget of time, as the command line gives it."""

from __future__ import annotations

import re

from finegrid.errors import input_error

MOST_SECONDS = 1e4 * 3600.0  # over a year; more is a slip of the keyboard
NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
BUDGET = re.compile(rf"(?:{NUMBER}h)?(?:{NUMBER}m)?(?:{NUMBER}s)?")


def parse_budget(text: str, seeds: int | None = None) -> float:
    """Seconds of ``3h``, ``90m``, ``1h30m``, ``2.5h`` or ``7200s``.

    Raises:
        InputError: anything else, nothing, more than a year; or seeds are asked for as well.
    """
    if seeds is not None:
        what = f"found {seeds} together with --budget, which chooses the seeds. Leave one of them out."
        raise input_error("command line", "--seeds", what)
    return parse_duration(text, "--budget")


def parse_duration(text: str, option: str) -> float:
    """Seconds of a time as the command line gives it.

    Args:
        text: such as ``1h30m``.
        option: whose value it is, for the message.

    Raises:
        InputError: anything else, nothing, more than a year.
    """
    found = BUDGET.fullmatch(text.strip())
    parts = found.groups() if found else ()
    seconds = sum(float(part or 0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not 0 < seconds <= MOST_SECONDS:
        what = (
            f'found "{text}", expected hours, minutes or seconds above 0 and up to '
            f"{MOST_SECONDS / 3600:,.0f} hours. Write e.g. 3h, 90m, 1h30m or 7200s."
        )
        raise input_error("command line", option, what)
    return seconds
