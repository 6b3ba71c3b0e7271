"""Finds what two splits share: equal texts, texts equal but for case and blanks, near-twins, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from finegrid.data.alike import Ints
from finegrid.data.census import Census, format_warning, quote_text
from finegrid.data.findings import quote
from finegrid.data.near import LEAST, estimate_seconds, find_near
from finegrid.data.read import CheckedRows
from finegrid.spelling import count_noun, format_duration

MOST_TEXTS = 200_000  # among which near-twins are looked for without being asked


def find_leaks(census: Census, near_twins: bool) -> Iterator[str]:
    """A warning for each kind and each pair of splits.

    Args:
        census: of the splits, the one that trains first.
        near_twins: whether to look for near-twins among more than ``MOST_TEXTS`` texts too.
    """
    total = sum(map(len, census.parts.values()))
    for earlier, later in combinations(census.parts, 2):
        yield from _find_shared_texts(census, earlier, later)
        yield from _find_shared_groups(earlier, census.parts[earlier], later, census.parts[later])
    if near_twins or total <= MOST_TEXTS:
        yield from _find_near_twins(census)
    else:
        seconds = format_duration(estimate_seconds(census.distinct))
        yield (
            f"near-twins were not looked for, since there are {total:,} texts, more than {MOST_TEXTS:,}. "
            f"finegrid init --near-twins looks for them, in about {seconds} here"
        )


def index_first_rows(numbers: Ints, size: int) -> Ints:
    """``[size]``, the first row with each number, -1 where there is none."""
    first = np.full(size, -1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return first


def find_shared(numbers: Mapping[str, Ints], earlier: str, later: str) -> Ints:
    """``[rows of later]``, the first row of earlier with the same number, -1 where there is none."""
    size = 1 + max(int(numbers[part].max(initial=-1)) for part in (earlier, later))
    return index_first_rows(numbers[earlier], size)[numbers[later]]


def _find_shared_texts(census: Census, earlier: str, later: str) -> Iterator[str]:
    equal = find_shared(census.texts, earlier, later)
    twins = np.where(equal < 0, find_shared(census.folded, earlier, later), -1)
    yield from _tell_shared(census, census.texts, earlier, later, equal, f"also in {earlier}")
    yield from _tell_shared(
        census, census.folded, earlier, later, twins, f"also in {earlier}, but for case and blanks"
    )


def _tell_shared(
    census: Census, numbers: Mapping[str, Ints], earlier: str, later: str, first: Ints, how: str
) -> Iterator[str]:
    """Texts of later whose ``first`` row in earlier is known; apart, those that have another label there."""
    shared = np.flatnonzero(first >= 0)
    there = np.flatnonzero(find_shared(numbers, later, earlier) >= 0)
    size = 1 + max(int(census.labels[part].max(initial=0)) for part in (earlier, later))
    pairs = {
        part: numbers[part][rows] * size + census.labels[part][rows]
        for part, rows in ((earlier, there), (later, shared))
    }
    same = np.isin(pairs[later], pairs[earlier])
    for found, which in ((shared[same], "the same"), (shared[~same], "another")):
        if rows := found.tolist():
            what = f"{later}: {count_noun(len(rows), 'text')} {how}, with {which} label"
            yield format_warning(
                what, (_quote_pair(census, later, row, earlier, int(first[row])) for row in rows)
            )


def _quote_pair(census: Census, later: str, index: int, earlier: str, there: int) -> str:
    before, after = census.parts[earlier], census.parts[later]
    if before.texts[there] == after.texts[index]:
        return f"{quote_text(after, index)} ({before.where(there)}, {after.where(index)})"
    return f"{census.quote_row(later, index)} is {census.quote_row(earlier, there)}"


def _find_near_twins(census: Census) -> Iterator[str]:
    names = list(census.parts)
    for place, earlier in enumerate(names[:-1]):
        among = np.unique(census.folded[earlier])
        asked = np.setdiff1d(np.concatenate([census.folded[later] for later in names[place + 1 :]]), among)
        near = find_near(census.distinct, asked, among)
        of = np.full(len(census.distinct), -1, dtype=np.int64)
        of[asked] = near.of
        first = index_first_rows(census.folded[earlier], len(of))
        for later in names[place + 1 :]:
            like = of[census.folded[later]]
            if rows := np.flatnonzero(like >= 0).tolist():
                texts = count_noun(len(rows), "text")
                what = f"{later}: {texts} nearly like one of {earlier} (similarity from {LEAST})"
                pairs = ((row, int(first[like[row]])) for row in rows)
                yield format_warning(
                    what,
                    (
                        f"{census.quote_row(later, row)} is like {census.quote_row(earlier, there)}"
                        for row, there in pairs
                    ),
                )


def _find_shared_groups(earlier: str, before: CheckedRows, later: str, after: CheckedRows) -> Iterator[str]:
    shared = ({*(before.groups or ())} & {*(after.groups or ())}) - {""}
    if shared:
        count = sum(group in shared for group in after.groups or ())
        what = f"{later}: {count_noun(count, 'text')} of {count_noun(len(shared), 'group')} also in {earlier}"
        yield format_warning(what, map(quote, sorted(shared)))
