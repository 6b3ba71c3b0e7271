"""One cell as it came from a file, to a text or a label."""

import math
import re

from finegrid.data.findings import shown

# What leaves nothing to read: whitespace, control characters, zero-width spaces, marks and joiners.
BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff]*+")
# NUL, and halves of surrogate pairs, which JSON can spell but UTF-8 cannot.
UNWRITABLE = re.compile(r"[\0\ud800-\udfff]")


class Unfit(Exception):
    """The cell cannot be used: kind of problem, and what to tell the user."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(kind, what)
        self.kind = kind
        self.what = what


def as_text(cell: object) -> str:
    """The text, unchanged."""
    if cell is None:
        raise Unfit("missing text", "the text is missing. Fill it in, or take the row out")
    if not isinstance(cell, str):
        raise Unfit("text is no string", f"the text is {shown(cell)}, expected a string in quotes")
    if BLANK.fullmatch(cell):
        raise Unfit("empty text", f"the text is empty: {shown(cell)}. Fill it in, or take the row out")
    _refuse_unwritable(cell)
    return cell


def as_label(cell: object) -> str:
    """The class name, without whitespace around it; 3, 3.0 and "3" are the same class."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        raise Unfit("missing label", "the label is missing. Fill it in, or take the row out")
    if not isinstance(cell, int | str):
        raise Unfit("label", f"the label is {shown(cell)}, expected a word or a whole number")
    label = str(cell)
    if BLANK.fullmatch(label):
        raise Unfit("missing label", "the label is empty. Fill it in, or take the row out")
    _refuse_unwritable(label)
    return label.strip()


def _refuse_unwritable(cell: str) -> None:
    if broken := UNWRITABLE.search(cell):
        what = f"{shown(broken[0])} is no character of text, in {shown(cell)}. Take it out"
        raise Unfit("no character of text", what)
