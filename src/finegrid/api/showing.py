"""How values look: as text for a terminal, as HTML for a notebook, where what is the user's is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from rich.cells import cell_len, set_cell_size

from finegrid.errors import visible
from finegrid.spelling import count_noun, format_level

WIDEST_CELL, WIDTH = 60, 100  # columns of a terminal
MORE = "…"


def format_value(value: Any) -> str:
    """A cell: two digits after the point, of what is less than 1 four that tell; nothing where nothing is."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value))
    return visible(format_level(value))


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether these cells are aligned to the right."""
    found = [value for value in values if value is not None]
    return bool(found) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], total: int) -> str:
    """The rows under each other, with as many columns as are seen at once.

    Args:
        columns: their names.
        rows: the first ones.
        total: how many there are.
    """
    shown: list[list[str]] = []
    width = 0
    for place, name in enumerate(columns):
        values = [row[place] for row in rows]
        cells = [visible(name), *map(format_value, values)]
        widest = min(WIDEST_CELL, max(map(cell_len, cells)))
        if shown and width + widest > WIDTH:
            break
        shown.append([fit(cell, widest, right=is_numeric(values)) for cell in cells])
        width += widest + 2
    lines = ["  ".join(cells).rstrip() for cells in zip(*shown, strict=True)]
    return "\n".join([*lines, describe_rest(total, len(rows), len(columns) - len(shown))])


def fit(cell: str, width: int, right: bool) -> str:
    """A cell in so many columns; Chinese takes two a character."""
    if cell_len(cell) > width:
        return set_cell_size(cell, width - 1) + MORE
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def describe_rest(total: int, shown: int, columns: int) -> str:
    """``[120 rows, of which 20 are shown; 5 more columns]``."""
    words = count_noun(total, "row")
    words += f", of which {shown} are shown" if shown < total else ""
    return f"[{words}; {count_noun(columns, 'more column')}]" if columns > 0 else f"[{words}]"


def wrap(lines: Iterable[str]) -> str:
    """Sentences under each other; what is too long goes on below, indented as far."""
    return "\n".join(
        part
        for line in map(visible, lines)
        for part in textwrap.wrap(
            line, WIDTH, subsequent_indent=line[: len(line) - len(line.lstrip())], break_on_hyphens=False
        )
        or [""]
    )


def html_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], total: int) -> str:
    """The same for a notebook, with all columns."""
    numeric = [is_numeric([row[place] for row in rows]) for place in range(len(columns))]
    head = "".join(html_cell("th", name, right) for name, right in zip(columns, numeric, strict=True))
    body = "".join(
        f"<tr>{''.join(html_cell('td', format_value(v), r) for v, r in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    rest = html_line(describe_rest(total, len(rows), 0)) if len(rows) < total else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def html_cell(tag: str, text: str, right: bool) -> str:
    return f'<{tag} style="text-align: {"right" if right else "left"}">{escape(visible(text))}</{tag}>'


def html_line(text: str, tag: str = "p") -> str:
    return f"<{tag}>{escape(visible(text))}</{tag}>"
