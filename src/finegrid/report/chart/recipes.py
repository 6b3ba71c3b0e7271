"""What figures say of single recipes."""

from __future__ import annotations

from typing import Literal

from finegrid.facts.report import ReportRecipe
from finegrid.report.chart.style import LONGEST_TOLD, Look, Row, fit_line, plain
from finegrid.spelling import seconds_digits

Role = Literal["recommended", "baseline", "frontier", "other"]
ROLES: tuple[Role, ...] = ("recommended", "baseline", "frontier", "other")


def role_of(recipe: ReportRecipe) -> Role:
    if recipe["recommended"]:
        return "recommended"
    if recipe["baseline"]:
        return "baseline"
    return "frontier" if recipe["on_frontier"] else "other"


def recipe_row(recipe: ReportRecipe, look: Look, digits: int) -> Row:
    """Numbers, and the words for a tooltip. Without an interval there is no score.

    ``digits``: of a score, after the point.
    """
    low, high = recipe["test_interval"]
    spent = recipe["seconds"]
    return {
        "recipe": fit_line(look.levels(recipe["moved"]), LONGEST_TOLD),
        "rows": look.rows(recipe["rows"]),
        "role": role_of(recipe),
        "on_frontier": recipe["on_frontier"],
        "role_word": look.word(role_of(recipe)),
        "test": recipe["test"],
        "low": low,
        "high": high,
        "seconds": spent,
        "test_text": "" if low is None else plain(recipe["test"], digits),
        "interval_text": look.between(low, high, digits, sign=False),
        "seconds_text": plain(spent, seconds_digits(spent)),
        "done": sum(run["status"] == "done" for run in recipe["runs"]),
        "planned": len(recipe["runs"]),
    }
