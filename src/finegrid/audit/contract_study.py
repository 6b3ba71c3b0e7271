"""A small study for checking one strategy: finegrid's own checkpoint, and some of its headlines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from finegrid import ASSETS
from finegrid.audit.contract import Contract
from finegrid.encoders.families import EMBEDDED
from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.own_code import (
    OwnCode,
    describe_factor,
    factor_names,
    find_level_problem,
    import_strategy,
)
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.part import OfLayers
from finegrid.strategies.seams import Strategy
from finegrid.study.folder import SETTINGS_FILE
from finegrid.study.load import load_study
from finegrid.study.own_strategies import import_own
from finegrid.study.toml import by_part, format_toml
from finegrid.training.loaded import LoadedStudy, prepare_process

TEXTS = {"train": 22, "dev": 9, "test": 9}  # three batches, the last of them smaller
CLASSES = 3
MOST_FACTORS = 5  # of which every combination is a row; of more, one at a time
# Levels to try of a factor that names none itself.
TRIED: dict[str, tuple[Level, ...]] = {
    "bool": (True, False),
    "int": (1, 2, 4, 0, 8),
    "float": (0.5, 0.1, 1.0, 0.01, 2.0, 0.9, 10.0, 0.0),
}


@contextmanager
def contract_of(code: OwnCode, asked: Mapping[str, Any]) -> Iterator[Contract]:
    """A strategy in a study of its own, which is gone afterwards.

    Args:
        code: of the strategy, which may run.
        asked: levels that switch its factors on, by their dotted names, where others are chosen; and levels
            of finegrid's own factors, which the study's baseline then has.

    Raises:
        InputError: with all that is wrong with the file, or levels that it cannot have.
    """
    levels = choose_levels(code.name, import_strategy(code), asked)
    given = {name: level for name, level in asked.items() if not name.startswith(f"{code.name}.")}
    with TemporaryDirectory(prefix="finegrid-check-") as folder:
        home = Path(folder)
        write_study(home, code, levels, Recipe().at(given).moved())
        study = load_study(home, partial(import_own, allowed=[code.digest]))
        prepare_process(study.head.run)
        yield Contract(LoadedStudy(study, study.head.run), code.name, {n: lv[1] for n, lv in levels.items()})


def choose_levels(part: str, kind: type[Strategy], asked: Mapping[str, Any]) -> dict[str, list[Level]]:
    """The default of every factor, and a level that switches it on.

    Raises:
        InputError: with all levels that are asked for and cannot be, and factors that none was found of.
    """
    names = factor_names(kind)
    problems = [
        Problem(f"--level {name}", f"no such factor. Known: {', '.join(f'{part}.{one}' for one in names)}.")
        for name in asked
        if name.startswith(f"{part}.") and name.partition(".")[2] not in names
    ]
    found = {}
    for name in names:
        default: Level = getattr(kind(), name)
        tried = [asked[own]] if (own := f"{part}.{name}") in asked else list_levels(kind, name)
        fitting = [level for level in tried if not find_level_problem(kind, name, level) and level != default]
        found[name] = [default, *fitting[:1]]
        if not fitting:
            what = f"found none that differs from the default and is allowed. Name one: --level {own}=..."
            problems.append(Problem(own, what))
    if problems:
        raise InputError("check-strategy", problems)
    return found


def list_levels(kind: type[Strategy], name: str) -> Sequence[Level]:
    """Those that it says are usual; else some of its type."""
    told = describe_factor(kind, name)
    usual = [level for level in kind.usual.get(name, ()) if not isinstance(level, OfLayers)]
    return [*usual, *(told.choices or TRIED.get(told.kind, ()))]


def write_study(folder: Path, code: OwnCode, levels: Mapping[str, Sequence[Level]], baseline: Levels) -> None:
    """Its texts, and study.toml, whose baseline has some levels that the usual one has not."""
    for part, count in TEXTS.items():
        write_texts(folder / f"{part}.tsv", part, count)
    own = {"installed": [code.source]} if code.content is None else {"files": [str(code.path.resolve())]}
    kind = "full" if len(levels) <= MOST_FACTORS else "one-at-a-time"
    tables: dict[str, dict[str, Any]] = {
        "data": {part: f"{part}.tsv" for part in TEXTS} | {"text": "text", "label": "label"},
        "model": {"name": EMBEDDED, "max_length": 12},
        "optimizer": {"rate": 1e-3, "weight_decay": 0.01},
        "training": {"batch_size": 8, "epochs": 2},
        "design": {"kind": kind},
        "strategies": own,
        "factors": {json.dumps(f"{code.name}.{name}"): list(both) for name, both in levels.items()},
    }
    for part, own_levels in by_part(baseline).items():
        tables.setdefault(part, {}).update(own_levels)
    lines = [
        line
        for name, table in tables.items()
        for line in (f"[{name}]", *(f"{key} = {format_toml(value)}" for key, value in table.items()))
    ]
    (folder / SETTINGS_FILE).write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_texts(path: Path, part: str, count: int) -> None:
    """Some headlines of the first classes, of one class more than of the others."""
    header, *rows = (ASSETS / "headlines" / f"{part}.tsv").read_text(encoding="utf-8").splitlines()
    by_label: dict[str, list[str]] = {}
    for row in rows:
        by_label.setdefault(row.rpartition("\t")[2], []).append(row)
    classes = [*by_label.values()][:CLASSES]
    more = count - CLASSES * (count // (CLASSES + 1))
    chosen = [*classes[0][:more], *(row for rows in classes[1:] for row in rows[: count // (CLASSES + 1)])]
    path.write_text("\n".join([header, *chosen, ""]), encoding="utf-8")
