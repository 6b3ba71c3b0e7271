"""Decides which rows ``finegrid init --clean`` takes out, and how look-alike labels are spelled.

Dev and test stay as they are as far as possible, since scores are compared on them: what two splits share
goes out of the one that trains first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from finegrid.data.alike import Ints
from finegrid.data.census import Census, take_census
from finegrid.data.doctor import find_conflicts, find_repeats
from finegrid.data.label_findings import group_look_alikes
from finegrid.data.leaks import index_first_rows
from finegrid.data.near import find_near
from finegrid.data.read import CheckedRows


@dataclass(frozen=True)
class Reason:
    """Why a row is taken out, and which other row it is like, as a part and an index; None: none."""

    why: str
    like: tuple[str, int] | None = None


@dataclass(frozen=True, eq=False)
class Cleaned:
    """What stays of some parts.

    Attributes:
        parts: all rows, look-alike labels spelled as most rows spell them.
        changed: by part, the old spelling of each row whose label is spelled anew.
        removed: by part, the rows that are taken out.
    """

    parts: Mapping[str, CheckedRows]
    changed: Mapping[str, Mapping[int, str]]
    removed: Mapping[str, Mapping[int, Reason]]

    def keep(self, part: str) -> list[int]:
        """The rows that stay."""
        return [row for row in range(len(self.parts[part])) if row not in self.removed[part]]


def clean_rows(parts: Mapping[str, CheckedRows], draws: bool, near_twins: bool) -> Cleaned:
    """What to take out so that no text is in two splits, or twice in one, or has two labels in one.

    Args:
        parts: the rows of the user's files, by part: train, then dev and test where they have files.
        draws: whether a split is drawn from train, so that nearly equal texts of it could come apart.
        near_twins: whether to look for nearly equal texts.
    """
    spellings = _choose_spellings(parts)
    changed = {
        part: {row: label for row, label in enumerate(rows.labels) if label in spellings}
        for part, rows in parts.items()
    }
    parts = {
        part: replace(rows, labels=[spellings.get(label, label) for label in rows.labels])
        for part, rows in parts.items()
    }
    sweep = _Sweep(take_census(parts))
    sweep.take_conflicts()
    for part in parts:
        sweep.take_repeats(part)
    names = list(parts)
    for place in reversed(range(len(names) - 1)):  # dev before train, which loses what dev still has
        sweep.take_shared(names[place], names[place + 1 :])
    if near_twins:
        for place in reversed(range(len(names) - 1)):
            sweep.take_near(names[place], names[place + 1 :])
        if draws:
            sweep.take_near_within(names[0])
    return Cleaned(parts, changed, sweep.removed)


def _choose_spellings(parts: Mapping[str, CheckedRows]) -> dict[str, str]:
    """The most frequent spelling of each label that has a more frequent look-alike."""
    counts = Counter(label for rows in parts.values() for label in rows.labels)
    return {label: group[0] for group in group_look_alikes(counts) for label in group[1:]}


class _Sweep:
    """Takes rows out, one kind after the other; a row that is out is not looked at again."""

    def __init__(self, census: Census) -> None:
        self.census = census
        self.removed: dict[str, dict[int, Reason]] = {part: {} for part in census.parts}

    def stay(self, part: str) -> NDArray[np.bool_]:
        """``[rows]``, whether a row is still there."""
        here = np.ones(len(self.census.parts[part]), dtype=bool)
        here[list(self.removed[part])] = False
        return here

    def find_first(self, parts: list[str], numbers: Mapping[str, Ints]) -> dict[int, tuple[str, int]]:
        """The first row that is still there with each number, in the first of the parts that has one."""
        first: dict[int, tuple[str, int]] = {}
        for part in parts:
            rows = np.flatnonzero(self.stay(part))
            found, at = np.unique(numbers[part][rows], return_index=True)
            for number, row in zip(found.tolist(), rows[at].tolist(), strict=True):
                first.setdefault(number, (part, row))
        return first

    def take_conflicts(self) -> None:
        """Texts with several labels in one split, wherever they stand, also in other case and blanks."""
        census = self.census
        first: dict[int, tuple[str, int, int]] = {}  # by number: the part, and two rows that disagree
        for part in census.parts:
            for rows in find_conflicts(census.folded[part], census.labels[part]):
                first.setdefault(int(census.folded[part][rows[0]]), (part, rows[0], rows[1]))
        wanted = np.array(sorted(first), dtype=np.int64)
        for part, numbers in census.folded.items():
            for row in np.flatnonzero(np.isin(numbers, wanted)).tolist():
                where, one, other = first[int(numbers[row])]
                like = other if (part, row) == (where, one) else one
                self.removed[part][row] = Reason("text with more than one label", (where, like))

    def take_repeats(self, part: str) -> None:
        """All but the first row of a text with its label. Which of a text have gone already are all gone."""
        first = index_first_rows(self.census.texts[part], int(self.census.texts[part].max(initial=-1)) + 1)
        for row in find_repeats(self.census, part).tolist():
            like = (part, int(first[self.census.texts[part][row]]))
            self.removed[part].setdefault(row, Reason("repeated row", like))

    def take_shared(self, part: str, later: list[str]) -> None:
        """Rows whose text one of the later parts has, but for case and blanks."""
        there = self.find_first(later, self.census.folded)
        for row in np.flatnonzero(self.stay(part)).tolist():
            if (like := there.get(int(self.census.folded[part][row]))) is not None:
                equal = self.census.texts[part][row] == self.census.texts[like[0]][like[1]]
                how = "" if equal else ", but for case and blanks"
                self.removed[part][row] = Reason(f"text also in {like[0]}{how}", like)

    def take_near(self, part: str, later: list[str]) -> None:
        """Rows whose text is nearly one of the later parts."""
        there = self.find_first(later, self.census.folded)
        self._take_like(part, there, "text nearly like one of {part}", earlier=False)

    def take_near_within(self, part: str) -> None:
        """Rows whose text is nearly an earlier one of the same part."""
        there = self.find_first([part], self.census.folded)
        self._take_like(part, there, "text nearly like an earlier one", earlier=True)

    def _take_like(self, part: str, there: Mapping[int, tuple[str, int]], why: str, earlier: bool) -> None:
        numbers = self.census.folded[part]
        asked = np.unique(numbers[self.stay(part)])
        near = find_near(self.census.distinct, asked, np.array(sorted(there), dtype=np.int64), earlier)
        of = np.full(len(self.census.distinct), -1, dtype=np.int64)
        of[asked] = near.of
        for row in np.flatnonzero(self.stay(part) & (of[numbers] >= 0)).tolist():
            like = there[int(of[numbers[row]])]
            self.removed[part][row] = Reason(why.format(part=like[0]), like)
