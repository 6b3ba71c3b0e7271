"""Turns a cell of a file into a text or a label, or says why it cannot be used."""

import math
import re

from finegrid.data.findings import quote

# What leaves nothing to read: whitespace, control characters, zero-width spaces, marks and joiners.
BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff]*+")
# NUL, and halves of surrogate pairs, which JSON can spell but UTF-8 cannot.
UNWRITABLE = re.compile(r"[\0\ud800-\udfff]")


class UnfitCell(Exception):
    """The cell cannot be used: kind of problem, and what to tell the user."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(kind, what)
        self.kind = kind
        self.what = what


def as_text(cell: object) -> str:
    """The text, unchanged."""
    if cell is None:
        raise UnfitCell("missing text", "the text is missing. Fill it in, or take the row out")
    if not isinstance(cell, str):
        raise UnfitCell("text is no string", f"the text is {quote(cell)}, expected a string in quotes")
    if BLANK.fullmatch(cell):
        raise UnfitCell("empty text", f"the text is empty: {quote(cell)}. Fill it in, or take the row out")
    _refuse_unwritable(cell)
    return cell


def as_label(cell: object) -> str:
    """The class name, without whitespace around it; 3, 3.0 and "3" are the same class."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        raise UnfitCell("missing label", "the label is missing. Fill it in, or take the row out")
    if not isinstance(cell, int | str):
        raise UnfitCell("label", f"the label is {quote(cell)}, expected a word or a whole number")
    label = str(cell)
    if BLANK.fullmatch(label):
        raise UnfitCell("missing label", "the label is empty. Fill it in, or take the row out")
    _refuse_unwritable(label)
    return label.strip()


def as_group(cell: object) -> str:
    """What a row shares with others, without whitespace around it; empty where the cell is."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, str) and BLANK.fullmatch(cell):
        return ""
    try:
        return as_label(cell)
    except UnfitCell as unfit:
        raise UnfitCell(unfit.kind.replace("label", "group"), unfit.what.replace("label", "group")) from None


def _refuse_unwritable(cell: str) -> None:
    if broken := UNWRITABLE.search(cell):
        what = f"{quote(broken[0])} is no character of text, in {quote(cell)}. Take it out"
        raise UnfitCell("no character of text", what)
