"""Changes names of factors, labels and scores into those that other tools allow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# MLflow takes letters of any script, digits and _ . - space / : ; its file store makes each name a file, and
# a slash a folder. TensorBoard takes anything, and gets the same.
STRANGE = re.compile(r"[^\w.\- ]")
MOST_BYTES = 100  # of a label or a factor; file systems take 255 of a name


def make_distinct(names: Iterable[str], change: Callable[[str], str]) -> dict[str, str]:
    """Every name changed, and numbered where two would become one (or differ in case only)."""
    changed_names: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        changed = wanted = change(name)
        number = 1
        while changed.casefold() in taken:
            number += 1
            changed = f"{wanted}_{number}"
        taken.add(changed.casefold())
        changed_names[name] = changed
    return changed_names


def clean_name(name: str) -> str:
    """A name as a tool takes it that makes a file of it."""
    text = STRANGE.sub("_", name).encode()[:MOST_BYTES].decode(errors="ignore").strip()
    return text if text.strip(".") else f"_{text}"


def name_metrics(keys: Iterable[str]) -> dict[str, str]:
    """``test/macro-f1`` as it is; ``dev/f1:<label>`` is dev_f1/<label>: a group of its own."""
    return make_distinct(keys, name_metric)


def add_to_group(name: str, addition: str) -> str:
    """``dev/mcc`` in the group dev_best: next to the other, and not taken for it."""
    group, _, rest = name.partition("/")
    return f"{group}_{addition}/{rest}"


def name_metric(key: str) -> str:
    name, colon, label = key.partition(":")
    return f"{name.replace('/', '_')}/{clean_name(label)}" if colon else name


def name_curves(keys: Iterable[str]) -> dict[str, str]:
    """Of what is measured after every epoch. Under best-test that may be test, which is no final score."""
    names = name_metrics(keys)
    return {k: add_to_group(name, "by_epoch") if k.startswith("test/") else name for k, name in names.items()}


def name_finals(keys: Iterable[str]) -> dict[str, str]:
    """Of what a run has in the end; of dev, at the epoch that was chosen."""
    names = name_metrics(keys)
    return {k: add_to_group(name, "best") if k.startswith("dev/") else name for k, name in names.items()}
