"""Warns of what looks wrong across rows: repeats, leaks between splits, damaged characters, rare classes."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

from finegrid.data.alike import Ints
from finegrid.data.census import Census, format_warning, quote_text, take_census
from finegrid.data.findings import quote, quote_all
from finegrid.data.label_findings import find_label_warnings, suggest_spellings
from finegrid.data.leaks import find_leaks
from finegrid.data.read import CheckedRows
from finegrid.errors import Problem
from finegrid.spelling import count_noun

RARE = 10  # training texts of a class


def find_unknown_labels(part: str, rows: CheckedRows, trained: Collection[str]) -> Iterator[Problem]:
    """One problem if rows have labels that no row of the train file has: no model could learn them."""
    trained = frozenset(trained)
    unknown = [index for index, label in enumerate(rows.labels) if label not in trained]
    if unknown:
        names = sorted({rows.labels[index] for index in unknown})
        what = (
            f"{count_noun(len(unknown), f'{part} row')} with labels that no training row has: "
            f"{quote_all(names)}.{suggest_spellings(names, trained)} Correct them, or take the rows out"
        )
        yield Problem(rows.where(unknown[0]), what)


def find_warnings(parts: Mapping[str, CheckedRows], near_twins: bool = False) -> list[str]:
    """Findings over the splits, each with its count and up to three examples.

    Args:
        parts: the rows, by part, those of train first.
        near_twins: whether to look for near-twins among very many texts too.
    """
    census = take_census(parts)
    warnings = [*find_label_warnings(rows.labels for rows in parts.values()), *find_leaks(census, near_twins)]
    for part, rows in parts.items():
        warnings += _find_repeated_rows(part, census)
        warnings += _find_conflicting_labels(part, census)
        warnings += _find_replacement_characters(part, rows)
    return warnings + list(_find_small_classes(parts))


def find_group_warnings(rows: Iterable[CheckedRows]) -> Iterator[str]:
    """Of rows without a group, and of groups that hold nothing together."""
    for one in rows:
        if one.groups is None:
            continue
        empty = one.groups.count("")
        if empty:
            yield f"{one.file}: {count_noun(empty, 'row')} without a group; each is a group of its own"
        if len(one) > 1 and len({*one.groups} - {""}) + empty == len(one):
            yield f"{one.file}: no two rows share a group. Is data.group the right column?"


def find_repeats(census: Census, part: str) -> Ints:
    """Rows whose text and label an earlier row of the part has."""
    _, first = np.unique(_pair_with_labels(census.texts[part], census.labels[part]), return_index=True)
    repeated = np.ones(len(census.texts[part]), dtype=bool)
    repeated[first] = False
    return np.flatnonzero(repeated)


def find_conflicts(numbers: Ints, labels: Ints) -> list[list[int]]:
    """For each text with several labels, the first row with each of these, in the order of the rows."""
    _, first = np.unique(_pair_with_labels(numbers, labels), return_index=True)
    first.sort()
    several = np.bincount(numbers[first]) > 1
    conflicts: dict[int, list[int]] = {}
    for row in first[several[numbers[first]]].tolist():
        conflicts.setdefault(int(numbers[row]), []).append(row)
    return list(conflicts.values())


def _pair_with_labels(numbers: Ints, labels: Ints) -> Ints:
    """A number for each text with its label."""
    return numbers * (int(labels.max(initial=0)) + 1) + labels


def _find_repeated_rows(part: str, census: Census) -> Iterator[str]:
    repeated = find_repeats(census, part).tolist()
    if repeated:
        what = f"{part}: {count_noun(len(repeated), 'repeated row')}, same text and same label"
        yield format_warning(what, (census.quote_row(part, index) for index in repeated))


def _find_conflicting_labels(part: str, census: Census) -> Iterator[str]:
    rows, labels = census.parts[part], census.labels[part]
    conflicts = find_conflicts(census.texts[part], labels)
    known = {int(census.folded[part][first[0]]) for first in conflicts}
    twins = [
        first
        for first in find_conflicts(census.folded[part], labels)
        if int(census.folded[part][first[0]]) not in known
    ]

    def format_example(first: list[int]) -> str:
        places = ", ".join(f"{quote(rows.labels[index])} in {rows.where(index)}" for index in first)
        return f"{quote_text(rows, first[0])} ({places})"

    for found, how in ((conflicts, ""), (twins, " in rows that are equal but for case and blanks")):
        if found:
            what = f"{part}: {count_noun(len(found), 'text')} with more than one label{how}"
            yield format_warning(what, map(format_example, found))


def _find_replacement_characters(part: str, rows: CheckedRows) -> Iterator[str]:
    damaged = [index for index, text in enumerate(rows.texts) if "\ufffd" in text[0] or "\ufffd" in text[-1]]
    if damaged:
        texts = count_noun(len(damaged), "text")
        what = f"{part}: {texts} with characters lost in an earlier conversion (U+FFFD)"
        yield format_warning(what, (f"{quote_text(rows, index)} ({rows.where(index)})" for index in damaged))


def _find_small_classes(parts: Mapping[str, CheckedRows]) -> Iterator[str]:
    sizes = Counter(parts["train"].labels)
    rare = sorted(label for label, count in sizes.items() if count < RARE)
    if rare:
        few = [f"{quote(label)} ({sizes[label]})" for label in rare]
        yield format_warning(f"train: {_count_classes(len(rare))} with fewer than {RARE} texts", few)
    for part, rows in parts.items():
        if absent := sorted(set(sizes) - set(rows.labels)):
            yield format_warning(
                f"{part}: no text of {_count_classes(len(absent))} that train has", map(quote, absent)
            )


def _count_classes(count: int) -> str:
    return f"{count:,} class{'' if count == 1 else 'es'}"
