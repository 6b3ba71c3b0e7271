"""What looks wrong across rows: repeats, leaks between splits, damaged characters, rare classes."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations, islice

from finegrid.data.findings import counted, several, shown
from finegrid.data.read import Rows
from finegrid.errors import Problem

RARE = 10  # training texts of a class
EXAMPLES = 3


def unknown_labels(part: str, rows: Rows, known: Collection[str]) -> Iterator[Problem]:
    """One problem if rows have labels that no row of the train file has: no model could learn them."""
    known = frozenset(known)
    unknown = [index for index, label in enumerate(rows.labels) if label not in known]
    if unknown:
        names = several(sorted({rows.labels[index] for index in unknown}))
        what = (
            f"{counted(len(unknown), f'{part} row')} with labels that no training row has: {names}. "
            "Correct them, or take the rows out"
        )
        yield Problem(rows.where(unknown[0]), what)


def warnings(parts: Mapping[str, Rows]) -> list[str]:
    """Findings over the splits, each with its count and up to three examples."""
    found: list[str] = []
    for earlier, later in combinations(parts, 2):
        found += _shared_texts(earlier, parts[earlier], later, parts[later])
    for part, rows in parts.items():
        found += _repeated_rows(part, rows)
        found += _conflicting_labels(part, rows)
        found += _replacement_characters(part, rows)
    return found + list(_class_sizes(parts))


def _shared_texts(earlier: str, before: Rows, later: str, after: Rows) -> Iterator[str]:
    known = _first_by_label(before)
    shared = [index for index, text in enumerate(after.texts) if text in known]
    same = [index for index in shared if after.labels[index] in known[after.texts[index]]]
    other = sorted(set(shared) - set(same))

    def example(index: int) -> str:
        there = min(known[after.texts[index]].values())
        return f"{_sample(after, index)} ({before.where(there)}, {after.where(index)})"

    for indices, which in ((same, "the same"), (other, "another")):
        if indices:
            what = f"{later}: {counted(len(indices), 'text')} also in {earlier}, with {which} label"
            yield _finding(what, map(example, indices))


def _repeated_rows(part: str, rows: Rows) -> Iterator[str]:
    seen: set[tuple[tuple[str, ...], str]] = set()
    repeated = []
    for index, row in enumerate(zip(rows.texts, rows.labels, strict=True)):
        if row in seen:
            repeated.append(index)
        seen.add(row)
    if repeated:
        what = f"{part}: {counted(len(repeated), 'repeated row')}, same text and same label"
        yield _finding(what, (f"{_sample(rows, index)} ({rows.where(index)})" for index in repeated))


def _conflicting_labels(part: str, rows: Rows) -> Iterator[str]:
    torn = [first for first in _first_by_label(rows).values() if len(first) > 1]

    def example(first: dict[str, int]) -> str:
        places = ", ".join(f"{shown(label)} in {rows.where(index)}" for label, index in first.items())
        return f"{_sample(rows, min(first.values()))} ({places})"

    if torn:
        what = f"{part}: {counted(len(torn), 'text')} with more than one label"
        yield _finding(what, map(example, torn))


def _replacement_characters(part: str, rows: Rows) -> Iterator[str]:
    damaged = [index for index, text in enumerate(rows.texts) if any("\ufffd" in piece for piece in text)]
    if damaged:
        what = (
            f"{part}: {counted(len(damaged), 'text')} with characters lost in an earlier conversion (U+FFFD)"
        )
        yield _finding(what, (f"{_sample(rows, index)} ({rows.where(index)})" for index in damaged))


def _class_sizes(parts: Mapping[str, Rows]) -> Iterator[str]:
    sizes = Counter(parts["train"].labels)
    rare = sorted(label for label, count in sizes.items() if count < RARE)
    if rare:
        few = [f"{shown(label)} ({sizes[label]})" for label in rare]
        yield _finding(f"train: {_classes(len(rare))} with fewer than {RARE} texts", few)
    for part, rows in parts.items():
        if absent := sorted(set(sizes) - set(rows.labels)):
            yield _finding(f"{part}: no text of {_classes(len(absent))} that train has", map(shown, absent))


def _first_by_label(rows: Rows) -> dict[tuple[str, ...], dict[str, int]]:
    """For each text, the first row with each of its labels."""
    first: dict[tuple[str, ...], dict[str, int]] = {}
    for index, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True)):
        first.setdefault(text, {}).setdefault(label, index)
    return first


def _finding(what: str, examples: Iterable[str]) -> str:
    return f"{what}, e.g. {'; '.join(islice(examples, EXAMPLES))}"


def _sample(rows: Rows, index: int) -> str:
    return " / ".join(shown(piece) for piece in rows.texts[index])


def _classes(count: int) -> str:
    return f"{count:,} class{'' if count == 1 else 'es'}"
