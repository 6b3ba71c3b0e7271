"""Guesses which columns hold texts and labels: by their names if these tell, else by their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from finegrid.data.cells import UnfitCell, as_label
from finegrid.data.columns import LABEL_NAMES, PAIR_NAMES, TEXT_NAMES
from finegrid.data.findings import FileFindings, quote_all

TextColumn = str | int | tuple[str | int, str | int]
ColumnValues = Mapping[str | int, Sequence[object]]  # name, or number from 1, to values
SAID = "as you said"


@dataclass(frozen=True)
class ChosenColumns:
    """The text column or pair, the label column, and the reason for each."""

    text: TextColumn
    label: str | int
    why_text: str
    why_label: str


def choose_columns(
    columns: ColumnValues, text: TextColumn | None, label: str | int | None, findings: FileFindings
) -> ChosenColumns | None:
    """The columns as the user says, and what is not said guessed. None, and a problem, if that fails."""
    why_text = why_label = SAID
    if text is None:
        pair = guess_text_pair({name: values for name, values in columns.items() if name != label})
        text, why_text = pair, "a usual pair of names"
    if label is None:
        label, why_label = _guess_label(columns, text)
    if text is None:
        others = {name: values for name, values in columns.items() if name != label}
        text = guess_text_column(others)
        if str(text).casefold() in TEXT_NAMES:
            why_text = "a usual name"
        else:
            why_text = "the only other column" if len(others) == 1 else "the longest strings"
    if text is not None and label is not None:
        return ChosenColumns(text, label, why_text, why_label)
    missing = " and ".join(name for name, column in (("--text", text), ("--label", label)) if column is None)
    what = f"cannot tell which column is which{_explain_label(columns, text, label)}"
    findings.add_problem("columns", f"{what}. Found: {list_names(columns)}. Pass {missing}")
    return None


def guess_text_pair(columns: ColumnValues) -> tuple[str | int, str | int] | None:
    folded = {str(name).casefold(): name for name in columns}
    for first, second in PAIR_NAMES:
        if first in folded and second in folded:
            return folded[first], folded[second]
    return None


def guess_text_column(columns: ColumnValues) -> str | int | None:
    """The column with the longest strings, of those that are named like texts if there are any.

    A column of strings may miss some: the reader says which.
    """
    strings = {}
    for name, values in columns.items():
        there = [value for value in values if value is not None]
        words = [len(value) for value in there if isinstance(value, str)]
        if words and 2 * len(words) > len(there) and 2 * len(words) > len(values) / 2:
            strings[name] = fmean(words)
    text_like = {name: length for name, length in strings.items() if str(name).casefold() in TEXT_NAMES}
    candidates = text_like or strings
    return max(candidates, key=candidates.__getitem__) if candidates else None


def list_names(columns: ColumnValues) -> str:
    return quote_all([str(name) for name in columns]) or "none"


def _guess_label(columns: ColumnValues, text: TextColumn | None) -> tuple[str | int | None, str]:
    texts = text if isinstance(text, tuple) else (text,)
    named = [name for name in columns if name not in texts and str(name).casefold() in LABEL_NAMES]
    plain = [name for name in named if str(name).casefold() in ("label", "标签")]
    for candidates in (plain, named):
        if candidates:
            return (candidates[0], "a usual name") if len(candidates) == 1 else (None, "")
    few = _find_few(columns, texts)
    varied = [name for name in few if len(set(map(str, columns[name]))) > 1]
    for candidates in (varied, few):
        if candidates:
            return (candidates[0], "the only one with few values") if len(candidates) == 1 else (None, "")
    return None, ""


def _find_few(columns: ColumnValues, texts: Sequence[str | int | None]) -> list[str | int]:
    """Columns that may be labels: words, whole numbers or truth values, and each twice on average."""
    text = guess_text_column({name: v for name, v in columns.items() if str(name).casefold() in TEXT_NAMES})
    return [
        name
        for name, values in columns.items()
        if name not in texts and name != text and _has_few_values(values)
    ]


def _has_few_values(values: Sequence[object]) -> bool:
    """Whole numbers may come as floating ones, as pandas writes them, and some labels may be missing."""
    distinct: set[str] = set()
    missing = 0
    for value in values:
        try:
            distinct.add(as_label(value))
        except UnfitCell as unfit:
            if unfit.kind != "missing label":
                return False
            missing += 1
    return 0 < len(distinct) <= (len(values) - missing) / 2 and 2 * missing < len(values)


def _explain_label(columns: ColumnValues, text: TextColumn | None, label: str | int | None) -> str:
    if label is not None:
        return ""
    few = _find_few(columns, text if isinstance(text, tuple) else (text,))
    return f": {quote_all([str(name) for name in few])} have few values" if len(few) > 1 else ""
