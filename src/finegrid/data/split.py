"""Draws dev, test and the training texts from one file: stratified, seeded, the same everywhere."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finegrid.data.alike import fold_rows
from finegrid.data.findings import quote
from finegrid.data.settings import DataSettings
from finegrid.errors import InputError, Problem, input_error
from finegrid.spelling import count_noun
from finegrid.streams import Streams

TOLD = 10  # classes that are too small
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Parts = dict[str, Ints]  # indices of the train file's rows, ascending, by part


@dataclass(frozen=True)
class Units:
    """What stays on one side of a split: the rows of one text; of one group, where there are groups.

    Texts that are equal but for case and blanks are one text.

    Attributes:
        of_row: ``[rows]``, the first row of its unit.
        first: ``[units]``, first rows, ascending.
        sizes: ``[units]``, distinct texts.
        labels: ``[units]``, by which the draw is stratified: the label of a text's first row; of the labels
            in a group, the one that is rarest in the file.
        groups: Whether there are any.
    """

    of_row: Ints
    first: Ints
    sizes: Ints
    labels: Ints
    groups: bool

    def class_sizes(self, classes: int) -> Ints:
        """``[classes]``, distinct texts."""
        sizes = np.bincount(self.labels, weights=self.sizes, minlength=classes)
        return np.asarray(sizes, dtype=np.int64)


def draw(
    texts: Sequence[tuple[str, ...]],
    labels: Ints,
    names: Sequence[str],
    settings: DataSettings,
    file: str,
    groups: Sequence[str] | None = None,
    fold: bool = True,
) -> Parts:
    """Dev and test where they have no file of their own, and ``train_size`` of what is left.

    labels: [rows], indices into ``names``. Texts that are equal but for case and blanks stay together:
    distinct texts are drawn, stratified by the label of their first row, and the other rows follow. So do the
    rows of a group. ``fold``: as of `find_units`. Raises InputError.
    """
    parts = {"train": np.arange(len(labels))}
    if settings.shares:
        units = find_units(texts, labels, groups, fold)
        bits = Streams(settings.split_seed).bits("split", len(labels))
        total = int(units.sizes.sum())
        counts = {part: round(share * total) for part, share in settings.shares.items()}
        parts = split_off(units, labels, names, counts, bits, file)
    if settings.train_size is not None:
        chosen = draw_training(labels[parts["train"]], parts["train"], len(names), settings, file)
        parts["train"] = chosen
    return parts


def find_units(
    texts: Sequence[tuple[str, ...]], labels: Ints, groups: Sequence[str] | None, fold: bool = True
) -> Units:
    """What stays together.

    Args:
        texts: by row.
        labels: by row.
        groups: by row, empty for a row that is a group of its own; None where there are none.
        fold: whether texts that are equal but for case and blanks are one; older versions told them apart.
    """
    first = find_first_rows(fold_rows(texts) if fold else texts)
    if groups is None:
        distinct = np.unique(first)
        return Units(first, distinct, np.ones(len(distinct), dtype=np.int64), labels[distinct], False)
    from scipy.sparse import coo_array  # slow to import, and few need it
    from scipy.sparse.csgraph import connected_components

    of_group = find_first_rows([(group,) if group else ("", str(row)) for row, group in enumerate(groups)])
    rows = len(labels)
    ends = np.tile(np.arange(rows), 2), np.concatenate([first, of_group])
    links = coo_array((np.ones(2 * rows), ends), shape=(rows, rows))
    _, component = connected_components(links, directed=False)
    firsts, unit = np.unique(component, return_index=True)[1], np.asarray(component)
    order = np.argsort(firsts, kind="stable")
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    unit_of_row = number[unit]
    distinct = np.unique(first)
    sizes = np.bincount(unit_of_row[distinct], minlength=len(order)).astype(np.int64)
    by_rarity = np.argsort(np.bincount(labels[distinct]), kind="stable")
    unit_labels = np.empty(len(order), dtype=np.int64)
    for label in by_rarity[::-1]:  # the rarest last: it stays
        unit_labels[unit_of_row[distinct[labels[distinct] == label]]] = label
    return Units(firsts[order][unit_of_row], np.sort(firsts), sizes, unit_labels, True)


def split_off(
    units: Units, labels: Ints, names: Sequence[str], counts: Mapping[str, int], bits: Words, file: str
) -> Parts:
    """All rows as train, and as the parts of which ``counts`` says how many distinct texts they take.

    bits: [rows], random; the order in which units are taken. Raises InputError.
    """
    sizes = units.class_sizes(len(names))
    cuts = {part: apportion(sizes, count) for part, count in counts.items()}
    rest = sizes - sum(cuts.values(), start=np.zeros_like(sizes))
    if not units.groups:
        _refuse_small_classes({**cuts, "train": rest}, sizes, names, file)
    part_of = np.full(len(labels), "train", dtype="<U5")
    for label in range(len(names)):
        mine = np.flatnonzero(units.labels == label)
        mine = mine[np.argsort(bits[units.first[mine]], kind="stable")]
        for part, of_class in cuts.items():
            taken = count_units(units.sizes[mine], int(of_class[label]))
            part_of[units.first[mine[:taken]]] = part
            mine = mine[taken:]
    parts = {part: np.flatnonzero(part_of[units.of_row] == part) for part in ("train", *cuts)}
    if units.groups:
        _refuse_missing_classes(parts, units, labels, names, file)
    return parts


def count_units(sizes: Ints, wanted: int) -> int:
    """How many units, in their order, come closest to so many texts."""
    reached = np.concatenate([[0], np.cumsum(sizes)])
    return int(np.abs(reached - wanted).argmin())


def draw_training(
    labels: Ints,
    rows: Ints,
    classes: int,
    settings: DataSettings,
    file: str,
    stream: str = "split/train_size",
) -> Ints:
    """``train_size`` of the rows; a smaller draw is always part of a larger one.

    labels: [rows], their labels. stream: of the random order.
    """
    size = settings.train_size or len(rows)
    if size > len(rows):
        what = f"train_size = {size}, but there are {count_noun(len(rows), 'training text')}. Ask for fewer"
        raise input_error("data", file, what)
    if size < classes:
        what = f"train_size = {size}, but there are {classes} classes, and each needs a text. Ask for more"
        raise input_error("data", file, what)
    counts = apportion(np.bincount(labels, minlength=classes), size)
    bits = Streams(settings.split_seed).bits(stream, int(rows.max()) + 1)
    chosen = []
    for label in range(classes):
        class_rows = rows[labels == label]
        chosen.append(class_rows[np.argsort(bits[class_rows], kind="stable")][: counts[label]])
    return np.sort(np.concatenate(chosen))


def apportion(sizes: Ints, total: int) -> Ints:
    """How many of each class make ``total``, in proportion to [classes] sizes, at least one of each.

    By Sainte-Lague's method. With largest remainders a class may lose a text when the total grows, the
    Alabama paradox, and small draws would not be part of large ones.
    """
    classes = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.concatenate([np.arange(size) for size in sizes])
    turn = np.where(rank == 0, 0.0, (rank + 0.5) / sizes[classes])
    taken = classes[np.argsort(turn, kind="stable")[: max(total, len(sizes))]]
    return np.bincount(taken, minlength=len(sizes)).astype(np.int64)


def find_first_rows(values: Iterable[Hashable]) -> Ints:
    """[rows], for each the first row with the same value."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(value, index) for index, value in enumerate(values)], dtype=np.int64)


def _refuse_small_classes(counts: Mapping[str, Ints], sizes: Ints, names: Sequence[str], file: str) -> None:
    problems = []
    for label, name in enumerate(names):
        if any(part[label] < 1 for part in counts.values()):
            what = (
                f"class {quote(name)} has {count_noun(int(sizes[label]), 'different text')} of its own, "
                f"too few for one in each of {' and '.join(counts)}. Add texts, or take the class out"
            )
            problems.append(Problem(file, what))
    if len(problems) > TOLD:
        more = f"... and {len(problems) - TOLD:,} more classes like this"
        problems = [*problems[:TOLD], Problem(file, more)]
    if problems:
        raise InputError("data", problems)


def _refuse_missing_classes(
    parts: Parts, units: Units, labels: Ints, names: Sequence[str], file: str
) -> None:
    """Groups are drawn whole, so a class may miss a part."""
    problems = []
    for label, name in enumerate(names):
        absent = [part for part, rows in parts.items() if not (labels[rows] == label).any()]
        if absent:
            count = len(np.unique(units.of_row[labels == label]))
            what = (
                f"class {quote(name)} has texts in {count_noun(count, 'group')}, drawn whole, and none came "
                f"into {' and '.join(absent)}. Try another split_seed, add groups, or take the class out"
            )
            problems.append(Problem(file, what))
    if problems:
        raise InputError("data", problems)
