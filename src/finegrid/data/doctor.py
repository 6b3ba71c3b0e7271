"""Warns of what looks wrong across rows: repeats, leaks between splits, damaged characters, rare classes."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations, islice

from finegrid.data.findings import quote, quote_all
from finegrid.data.read import CheckedRows
from finegrid.errors import Problem
from finegrid.spelling import count_noun

RARE = 10  # training texts of a class
EXAMPLES = 3


def find_unknown_labels(part: str, rows: CheckedRows, trained: Collection[str]) -> Iterator[Problem]:
    """One problem if rows have labels that no row of the train file has: no model could learn them."""
    trained = frozenset(trained)
    unknown = [index for index, label in enumerate(rows.labels) if label not in trained]
    if unknown:
        names = quote_all(sorted({rows.labels[index] for index in unknown}))
        what = (
            f"{count_noun(len(unknown), f'{part} row')} with labels that no training row has: {names}. "
            "Correct them, or take the rows out"
        )
        yield Problem(rows.where(unknown[0]), what)


def find_warnings(parts: Mapping[str, CheckedRows]) -> list[str]:
    """Findings over the splits, each with its count and up to three examples."""
    warnings: list[str] = []
    for earlier, later in combinations(parts, 2):
        warnings += _find_shared_texts(earlier, parts[earlier], later, parts[later])
        warnings += _find_shared_groups(earlier, parts[earlier], later, parts[later])
    for part, rows in parts.items():
        warnings += _find_repeated_rows(part, rows)
        warnings += _find_conflicting_labels(part, rows)
        warnings += _find_replacement_characters(part, rows)
    return warnings + list(_find_small_classes(parts))


def _find_shared_texts(earlier: str, before: CheckedRows, later: str, after: CheckedRows) -> Iterator[str]:
    first = _index_first_rows(before)
    shared = [index for index, text in enumerate(after.texts) if text in first]
    same_label = [index for index in shared if after.labels[index] in first[after.texts[index]]]
    other_label = sorted(set(shared) - set(same_label))

    def format_example(index: int) -> str:
        there = min(first[after.texts[index]].values())
        return f"{_quote_row(after, index)} ({before.where(there)}, {after.where(index)})"

    for indices, which in ((same_label, "the same"), (other_label, "another")):
        if indices:
            what = f"{later}: {count_noun(len(indices), 'text')} also in {earlier}, with {which} label"
            yield _format_warning(what, map(format_example, indices))


def _find_shared_groups(earlier: str, before: CheckedRows, later: str, after: CheckedRows) -> Iterator[str]:
    shared = ({*(before.groups or ())} & {*(after.groups or ())}) - {""}
    if shared:
        count = sum(group in shared for group in after.groups or ())
        what = f"{later}: {count_noun(count, 'text')} of {count_noun(len(shared), 'group')} also in {earlier}"
        yield _format_warning(what, map(quote, sorted(shared)))


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


def _find_repeated_rows(part: str, rows: CheckedRows) -> Iterator[str]:
    seen: set[tuple[tuple[str, ...], str]] = set()
    repeated = []
    for index, row in enumerate(zip(rows.texts, rows.labels, strict=True)):
        if row in seen:
            repeated.append(index)
        seen.add(row)
    if repeated:
        what = f"{part}: {count_noun(len(repeated), 'repeated row')}, same text and same label"
        yield _format_warning(
            what, (f"{_quote_row(rows, index)} ({rows.where(index)})" for index in repeated)
        )


def _find_conflicting_labels(part: str, rows: CheckedRows) -> Iterator[str]:
    conflicts = [first for first in _index_first_rows(rows).values() if len(first) > 1]

    def format_example(first: dict[str, int]) -> str:
        places = ", ".join(f"{quote(label)} in {rows.where(index)}" for label, index in first.items())
        return f"{_quote_row(rows, min(first.values()))} ({places})"

    if conflicts:
        what = f"{part}: {count_noun(len(conflicts), 'text')} with more than one label"
        yield _format_warning(what, map(format_example, conflicts))


def _find_replacement_characters(part: str, rows: CheckedRows) -> Iterator[str]:
    damaged = [index for index, text in enumerate(rows.texts) if any("\ufffd" in piece for piece in text)]
    if damaged:
        texts = count_noun(len(damaged), "text")
        what = f"{part}: {texts} with characters lost in an earlier conversion (U+FFFD)"
        yield _format_warning(what, (f"{_quote_row(rows, index)} ({rows.where(index)})" for index in damaged))


def _find_small_classes(parts: Mapping[str, CheckedRows]) -> Iterator[str]:
    sizes = Counter(parts["train"].labels)
    rare = sorted(label for label, count in sizes.items() if count < RARE)
    if rare:
        few = [f"{quote(label)} ({sizes[label]})" for label in rare]
        yield _format_warning(f"train: {_count_classes(len(rare))} with fewer than {RARE} texts", few)
    for part, rows in parts.items():
        if absent := sorted(set(sizes) - set(rows.labels)):
            yield _format_warning(
                f"{part}: no text of {_count_classes(len(absent))} that train has", map(quote, absent)
            )


def _index_first_rows(rows: CheckedRows) -> dict[tuple[str, ...], dict[str, int]]:
    """For each text, the first row with each of its labels."""
    first: dict[tuple[str, ...], dict[str, int]] = {}
    for index, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True)):
        first.setdefault(text, {}).setdefault(label, index)
    return first


def _format_warning(what: str, examples: Iterable[str]) -> str:
    return f"{what}, e.g. {'; '.join(islice(examples, EXAMPLES))}"


def _quote_row(rows: CheckedRows, index: int) -> str:
    return " / ".join(quote(piece) for piece in rows.texts[index])


def _count_classes(count: int) -> str:
    return f"{count:,} class{'' if count == 1 else 'es'}"
