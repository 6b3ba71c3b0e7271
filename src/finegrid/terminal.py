"""Lines for a terminal: folded at words to its width, Chinese too, and coloured where it shows colours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

WIDTH = 160  # where the output is no terminal, and COLUMNS does not say
NEVER_FIRST = "，。、；：？！）》」』”’％%,.;:?!)"  # on a line
NEVER_LAST = "（《「『“‘("


def open_console() -> Console:
    """For stdout. No colours where it is no terminal, or NO_COLOR is set."""
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    columns = os.environ.get("COLUMNS", "")
    return Console(width=int(columns) if columns.isdecimal() and int(columns) > 0 else WIDTH, highlight=False)


def print_lines(console: Console, lines: Iterable[Text]) -> None:
    """Each as it is: `fold` has made them fit."""
    for line in lines:
        console.print(line, soft_wrap=True)


def fold(text: Text, width: int, indent: int = 0) -> list[Text]:
    """The text in lines of at most ``width`` columns; those after the first are indented.

    Lines break between words, and in Chinese between characters, but not before a comma. ``name = level`` is
    one word where a line can hold it. Only what is longer than a line is broken elsewhere.
    """
    plain = text.plain.rstrip()
    cuts = find_cuts(plain, width, max(1, width - indent))
    lines = []
    for place, piece in enumerate(text[: len(plain)].divide(cuts[1:])):
        piece.rstrip()
        lines.append(piece if place == 0 else Text(" " * indent).append_text(piece))
    return lines


def find_cuts(plain: str, first: int, rest: int) -> list[int]:
    """Where the lines of a text begin, the first of them at 0.

    Args:
        plain: without blanks at its end.
        first: columns of the first line.
        rest: of every other one.
    """
    lead = len(plain) - len(plain.lstrip(" "))
    cuts, at, room = [0], 0, first
    while cell_len(plain[at:]) > room:
        at = longest_fitting(plain, at, room, lead if at == 0 else 0)
        cuts.append(at)
        room = rest
    return cuts


def longest_fitting(plain: str, at: int, room: int, lead: int) -> int:
    """Where the line that starts at ``at`` ends: at the last place that may end one, of the best kind."""
    for may_break in KINDS:
        best = 0
        for end in range(at + lead + 1, len(plain)):
            if cell_len(plain[at:end].rstrip()) > room:
                break
            if may_break(plain, end):
                best = end
        if best:
            return best
    return at + 1


def between_words(plain: str, end: int) -> bool:
    """But not around an equals sign, nor before a percent sign."""
    before, after = plain[:end], plain[end:]
    if before.endswith(" "):
        return not (before.endswith((" = ", "< ", "> ")) or after.startswith(("= ", "%", " ")))
    wide = cell_len(before[-1]) == 2 or cell_len(after[0]) == 2
    return wide and after[0] not in f"{NEVER_FIRST} " and before[-1] not in NEVER_LAST


def at_spaces(plain: str, end: int) -> bool:
    return plain[end - 1] == " " != plain[end]


def after_marks(plain: str, end: int) -> bool:
    """In a path or a name that is longer than a line."""
    return plain[end - 1] in "/._-"


KINDS: tuple[Callable[[str, int], bool], ...] = (
    between_words,
    at_spaces,
    after_marks,
    lambda plain, end: True,
)


def fold_lines(lines: Iterable[str | Text], width: int) -> Iterator[Text]:
    """Every line folded, what follows indented by two columns more than the line itself."""
    for line in lines:
        text = line if isinstance(line, Text) else Text(line)
        lead = re.match(" *", text.plain)
        yield from fold(text, width, min(2 + len(lead[0] if lead else ""), width // 2))


def align(rows: Sequence[Sequence[Text]], right: Sequence[bool], width: int, least: int) -> list[Text] | None:
    """A table as lines: a row of heads, a rule, the rows. The last column is folded to what is left for it.

    Args:
        rows: heads first; cells of a line each.
        right: by column, whether it is aligned to the right.
        width: columns of the terminal.
        least: of the last column.

    Returns:
        None where the last column would be narrower than ``least``: tell it in blocks then.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(cell.cell_len for cell in column) for column in columns[:-1]]
    left = width - sum(widths) - 3 * len(widths)
    last = max(cell.cell_len for cell in columns[-1])
    if left < min(least, last):
        return None
    widths.append(min(left, last))
    lines = []
    for number, row in enumerate(rows):
        folded = fold(row[-1], widths[-1])
        for place, end in enumerate(folded):
            cells = [cell if place == 0 else Text() for cell in row[:-1]]
            line = Text()
            for cell, room, rightly in zip(cells, widths, right, strict=False):
                blank = Text(" " * (room - cell.cell_len))
                line.append_text(blank + cell if rightly else cell + blank).append("   ")
            line.append_text(end)
            line.rstrip()
            lines.append(line)
        if number == 0:
            lines.append(Text("─" * (sum(widths) + 3 * (len(widths) - 1)), style="dim"))
    return lines
