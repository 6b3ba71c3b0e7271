"""Reads Markdown tables of GitHub's flavour (bars, dashes under the header), and writes words as words."""

import re
from itertools import pairwise

from finegrid.data.delimited import Line
from finegrid.data.findings import FileFindings
from finegrid.errors import visible

DASHES = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
BAR = re.compile(r"(?<!\\)(?:\\\\)*\|")  # a bar that no backslash escapes
EMPHASIS = re.compile(r"(\*{1,3}|_{1,3}|`+|~~)(?=\S)((?:(?!\1).)+)(?<=[^\s\\])\1", re.DOTALL)
ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")  # before any ASCII punctuation: CommonMark 0.31, section 2.4
MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*[]|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})
EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is none of emphasis
LEADING = re.compile(r"^(\s*)(#(?=#{0,5}(?:\s|$))|[+-](?=\s|$)|[=-](?=[=\s-]*$)|\d+(?=[.)](?:\s|$)))")
LINKS = re.compile(r"(?<=\w)://|(?<=\bwww)\.", re.IGNORECASE)  # that GitHub makes links of
# People, addresses and issues, which GitHub tells or links. It does so also where the mark is an entity.
MENTIONS = re.compile(r"@(?=\w)|#(?=\d)|\bGH-(?=\d)", re.IGNORECASE)
NOTHING = "&#8203;"  # a blank of no width
TICKS = re.compile("`+")
SPECIAL = re.compile(r"[\\|<>*`~&]|^_|_$")


def is_markdown(text: str) -> bool:
    return bool(_find_tables(_split_lines(text)))


def read_markdown(text: str, findings: FileFindings) -> list[Line]:
    """Line number and cells of the header and of each row of the only table of a text."""
    lines = _split_lines(text)
    starts = _find_tables(lines)
    if len(starts) > 1:
        places = ", ".join(str(start + 1) for start in starts)
        what = (
            f"{len(starts)} tables, in lines {places}; expected one. Copy the one you want into its own file"
        )
        findings.add_problem("tables", what)
        return []
    (start,) = starts
    stop = start + 2
    while stop < len(lines) and lines[stop].strip():
        stop += 1
    return [(number + 1, _read_cells(lines[number])) for number in (start, *range(start + 2, stop))]


def strip_marks(cell: str) -> str:
    """A cell without bold, italics, code marks and backslashes."""
    cell = cell.strip()
    while match := EMPHASIS.fullmatch(cell):
        cell = match[2].strip()
    return ESCAPE.sub(r"\1", cell)


def escape_cell(cell: str) -> str:
    """A cell of a Markdown table that shows exactly this text of one line. `strip_marks` undoes it."""
    return SPECIAL.sub(r"\\\g<0>", cell)


def escape_line(line: str) -> str:
    """One line that shows exactly this text wherever it stands in Markdown: no mark, no link, no HTML.

    Control characters, also those that turn the direction of writing, are spelled out.
    """
    marked = EDGE.sub(r"\\_", MENTIONS.sub(rf"\g<0>{NOTHING}", visible(line).translate(MARKS)))
    marked = LINKS.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", marked)
    return LEADING.sub(lambda found: f"{found[1]}&#{ord(found[2][0])};{found[2][1:]}", marked)


def code_span(text: str) -> str:
    """A line as code, whatever is in it."""
    code = visible(text)
    if "`" not in code:
        return f"`{code}`"
    ticks = "`" * (1 + _count_ticks(code))
    return f"{ticks} {code} {ticks}"


def code_block(code: str, language: str = "") -> str:
    """Lines of code, whatever is in them."""
    ticks = "`" * max(3, 1 + _count_ticks(code))
    return f"{ticks}{language}\n{code.rstrip()}\n{ticks}"


def _count_ticks(code: str) -> int:
    """The most backticks in a row."""
    return max(map(len, TICKS.findall(code)), default=0)


def _split_lines(text: str) -> list[str]:
    line_end = "\n" if "\n" in text else "\r"
    return [line.rstrip("\r") for line in text.split(line_end)]


def _find_tables(lines: list[str]) -> list[int]:
    """Where headers stand: lines with a bar, above a line of as many dashes."""
    return [
        index
        for index, (line, below) in enumerate(pairwise(lines))
        if "|" in line
        and "|" in below
        and DASHES.fullmatch(below)
        and len(_split_cells(line)) == len(_split_cells(below))
        and not DASHES.fullmatch(line)
    ]


def _read_cells(line: str) -> list[str]:
    return [strip_marks(cell) for cell in _split_cells(line)]


def _split_cells(line: str) -> list[str]:
    """Cells between bars; those at the two ends may be left out."""
    cells, start = [], 0
    line = line.strip()
    for bar in BAR.finditer(line):
        cells.append(line[start : bar.end() - 1])
        start = bar.end()
    cells.append(line[start:])
    if len(cells) > 1 and not cells[0].strip():
        cells.pop(0)
    if len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return cells
