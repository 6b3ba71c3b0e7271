"""Effects in few words: of a verdict's strategies, or of compared systems."""

from __future__ import annotations

from typing import Any

from finegrid.api.showing import html_table
from finegrid.api.table import Table
from finegrid.spelling import format_points


def effect_lines(effects: Table) -> list[str]:
    """Two lines for each: what it is worth, then what was decided and what would settle it."""
    return [
        line
        for row in effects
        for line in (f"{name_effect(row)}: {format_effect(row)}", f"    {describe_verdict(row)}")
    ]


def effects_html(effects: Table) -> str:
    """The same as a table."""
    timed = "seconds" in effects.columns
    kind = "strategy" if "factor" in effects.columns else "system"
    columns = [kind, "effect (95 % interval)", *["seconds"] * timed, "verdict"]
    rows = [
        [name_effect(row), format_effect(row), *[row.get("seconds")] * timed, describe_verdict(row)]
        for row in effects
    ]
    return html_table(columns, rows, len(rows))


def name_effect(row: dict[str, Any]) -> str:
    return f"{row['factor']} = {row['level']}" if "factor" in row else str(row["system"])


def format_effect(row: dict[str, Any]) -> str:
    """``+1.20 (-0.40 to +2.80)``."""
    if row["effect"] is None:
        return "not known"
    low, high = row["low"], row["high"]
    ends = "no interval" if low is None else f"{format_points(low)} to {format_points(high)}"
    return f"{format_points(row['effect'])} ({ends})"


def describe_verdict(row: dict[str, Any]) -> str:
    return ", ".join(filter(None, (row["verdict"], row["would_settle"]))) or "it cannot move the score"
