"""Draws dev, test and the training texts from one file: stratified, seeded, the same everywhere."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from finegrid.data.findings import quote
from finegrid.data.settings import DataSettings
from finegrid.errors import InputError, Problem, input_error
from finegrid.spelling import count_noun
from finegrid.streams import Streams

Ints = NDArray[np.int64]
Parts = dict[str, Ints]  # indices of the train file's rows, ascending, by part


def draw(
    texts: Sequence[tuple[str, ...]], labels: Ints, names: Sequence[str], settings: DataSettings, file: str
) -> Parts:
    """Dev and test where they have no file of their own, and ``train_size`` of what is left.

    labels: [rows], indices into ``names``. Equal texts stay together: distinct texts are drawn, stratified by
    the label of their first row, and the other rows follow. Raises InputError.
    """
    parts = {"train": np.arange(len(labels))}
    if settings.shares:
        parts = split_off(texts, labels, names, settings, file)
    if settings.train_size is not None:
        chosen = draw_training(labels[parts["train"]], parts["train"], len(names), settings, file)
        parts["train"] = chosen
    return parts


def split_off(
    texts: Sequence[tuple[str, ...]], labels: Ints, names: Sequence[str], settings: DataSettings, file: str
) -> Parts:
    """The train file's rows as train, and as dev and test where these have no file."""
    first = find_first_rows(texts)
    distinct = np.unique(first)
    bits = Streams(settings.split_seed).bits("split", len(labels))
    sizes = np.bincount(labels[distinct], minlength=len(names))
    cuts = {part: apportion(sizes, round(share * len(distinct))) for part, share in settings.shares.items()}
    rest = sizes - sum(cuts.values(), start=np.zeros_like(sizes))
    _refuse_small_classes({**cuts, "train": rest}, sizes, names, file)
    part_of = np.full(len(labels), "train", dtype="<U5")
    for label in range(len(names)):
        rows = distinct[labels[distinct] == label]
        rows = rows[np.argsort(bits[rows], kind="stable")]
        for part, counts in cuts.items():
            part_of[rows[: counts[label]]] = part
            rows = rows[counts[label] :]
    return {part: np.flatnonzero(part_of[first] == part) for part in ("train", *cuts)}


def draw_training(labels: Ints, rows: Ints, classes: int, settings: DataSettings, file: str) -> Ints:
    """``train_size`` of the rows; a smaller draw is always part of a larger one.

    labels: [rows], their labels.
    """
    size = settings.train_size or len(rows)
    if size > len(rows):
        what = f"train_size = {size}, but there are {count_noun(len(rows), 'training text')}. Ask for fewer"
        raise input_error("data", file, what)
    if size < classes:
        what = f"train_size = {size}, but there are {classes} classes, and each needs a text. Ask for more"
        raise input_error("data", file, what)
    counts = apportion(np.bincount(labels, minlength=classes), size)
    bits = Streams(settings.split_seed).bits("split/train_size", int(rows.max()) + 1)
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


def find_first_rows(texts: Sequence[tuple[str, ...]]) -> Ints:
    """[rows], for each the first row with the same text."""
    first: dict[tuple[str, ...], int] = {}
    return np.array([first.setdefault(text, index) for index, text in enumerate(texts)], dtype=np.int64)


def _refuse_small_classes(counts: Mapping[str, Ints], sizes: Ints, names: Sequence[str], file: str) -> None:
    problems = []
    for label, name in enumerate(names):
        if any(part[label] < 1 for part in counts.values()):
            what = (
                f"class {quote(name)} has {count_noun(int(sizes[label]), 'different text')} of its own, "
                f"too few for one in each of {' and '.join(counts)}. Add texts, or take the class out"
            )
            problems.append(Problem(file, what))
    if problems:
        raise InputError("data", problems)
