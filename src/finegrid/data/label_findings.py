"""Looks at the labels: spellings that look alike, several in one cell, numbers that look like regression."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from finegrid.data.alike import NUMBER, fold_label
from finegrid.data.findings import QUOTED_CHARACTERS, quote
from finegrid.spelling import count_noun

SEPARATORS = "|;,/、；，"
LISTED = 10
LIST = re.compile(r"\[.*\]", re.DOTALL)
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
# Numbers that look like a quantity: so many different ones, and whole ones in so few rows each.
FRACTIONS, WHOLES, ROWS_OF_EACH = 20, 50, 10


def find_label_warnings(labels: Iterable[Sequence[str]]) -> Iterator[str]:
    """Of the labels of all splits together."""
    counts: Counter[str] = Counter()
    for some in labels:
        counts.update(some)
    yield from _find_look_alikes(counts)
    yield from _find_joined_labels(counts)
    if quantity := describe_quantity(counts):
        yield quantity


def group_look_alikes(counts: Mapping[str, int]) -> list[list[str]]:
    """The spellings of each label that has several, the most frequent first."""
    spellings: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        spellings.setdefault(fold_label(label), []).append(label)
    return [group for group in spellings.values() if len(group) > 1]


def suggest_spellings(unknown: Iterable[str], known: Collection[str]) -> str:
    """`` Did you mean 'garden'?`` where labels that are not known look like known ones; else nothing."""
    folded = {fold_label(label): label for label in sorted(known, reverse=True)}
    meant = {folded[fold]: None for label in unknown if (fold := fold_label(label)) in folded}
    return f" Did you mean {', '.join(map(spell_label, [*meant][:LISTED]))}?" if meant else ""


def spell_label(label: str) -> str:
    """In quotes. Letters of several characters look like letters of one, and are spelled out."""
    return quote(label) if unicodedata.is_normalized("NFC", label) else ascii(label[:QUOTED_CHARACTERS])


def _find_look_alikes(counts: Mapping[str, int]) -> Iterator[str]:
    groups = group_look_alikes(counts)
    if not groups:
        return
    told = [
        " and ".join(f"{spell_label(label)} ({counts[label]:,})" for label in group)
        for group in groups[:LISTED]
    ]
    more = f"; and {len(groups) - LISTED} more" if len(groups) > LISTED else ""
    yield (
        f"labels that look alike: {'; '.join(told)}{more}. Each spelling is a class of its own here. "
        "Write them alike: finegrid init --clean OUT takes the most frequent spelling"
    )


def _find_joined_labels(counts: Mapping[str, int]) -> Iterator[str]:
    found: dict[str, dict[str, list[str]]] = {}  # by how they are joined: labels, and their pieces
    known = {fold_label(label) for label in counts} | _list_single(counts)
    for label in counts:
        for how, pieces in _take_apart(label):
            if len({*pieces}) > 1 and all(fold_label(piece) in known for piece in pieces):
                found.setdefault(how, {})[label] = pieces
                break
    for how, joined in found.items():
        classes = {fold_label(piece) for pieces in joined.values() for piece in pieces}
        rows = sum(counts[label] for label in joined)
        example = max(joined, key=lambda label: counts[label])
        yield (
            f"labels of {len(classes):,} classes joined {how} ({quote(example)}): a text has one label here, "
            f"and {count_noun(rows, 'row')} name{'s' * (rows == 1)} several. Each combination is a class of "
            "its own. What takes several labels is multi-label classification, which finegrid does not do yet"
        )


def _take_apart(label: str) -> Iterator[tuple[str, list[str]]]:
    if LIST.fullmatch(label):
        yield "in a list", _read_list(label)
        return
    for separator in SEPARATORS:
        if separator in label:
            yield f"by {quote(separator)}", [piece.strip() for piece in label.split(separator)]


def _read_list(label: str) -> list[str]:
    """The elements of a JSON list, or of a list as Python prints it."""
    try:
        elements = json.loads(label)
    except (ValueError, RecursionError):
        return [first or second for first, second in QUOTED.findall(label)]
    return [str(element) for element in elements] if isinstance(elements, list) else []


def _list_single(counts: Iterable[str]) -> set[str]:
    """Pieces of lists: where all cells are lists, no cell is a plain label."""
    lists = [_read_list(label) for label in counts if LIST.fullmatch(label)]
    seen = Counter(fold_label(piece) for pieces in lists for piece in {*pieces})
    return {piece for piece, count in seen.items() if count > 1} | {
        fold_label(pieces[0]) for pieces in lists if len(pieces) == 1
    }


def describe_quantity(counts: Mapping[str, int]) -> str:
    """A sentence where the labels are many different numbers, as measured or counted things are."""
    if len(counts) <= FRACTIONS or not all(NUMBER.fullmatch(label) for label in counts):
        return ""
    values = sorted({Decimal(label) for label in counts})
    if all(value == int(value) for value in values):
        no_gaps = values[-1] - values[0] == len(values) - 1  # as classes that were numbered
        if no_gaps or len(values) <= WHOLES or sum(counts.values()) >= ROWS_OF_EACH * len(values):
            return ""
    return (
        f"the labels are {len(values):,} different numbers from {values[0]} to {values[-1]}: "
        "that looks like regression, which finegrid does not do. Is this the right label column? "
        "Else make classes of the numbers, such as low and high"
    )
