"""Write a commented study.toml for the user's files, after everything in it has been checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from finegrid.data.read import ENDINGS
from finegrid.data.sniff import Sniffed, sniff
from finegrid.data.table import load_table
from finegrid.data.unlabelled import parse_column
from finegrid.encoders.families import EMBEDDED, inspect, resolve
from finegrid.errors import InputError, input_error
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import DEFAULTS
from finegrid.study.load import load_study
from finegrid.study.presets import PRESETS
from finegrid.study.study import Study
from finegrid.study.toml import parse_level, parse_levels, toml

# What suits the embedded checkpoint; chosen by a trial on dev (docs/results.md), not by taste.
EMBEDDED_LEVELS: Levels = {"optimizer.rate": 3e-4, "training.batch_size": 32, "training.epochs": 4}


@dataclass(frozen=True)
class InitOptions:
    """What the user asks `finegrid init` for. None: find it out."""

    train: Path
    model: str
    dev: Path | None = None
    test: Path | None = None
    preset: str = "thucnews64"
    text: tuple[str, ...] = ()
    label: str | None = None
    header: bool | None = None
    score: str = "macro-f1"
    seeds: int = 1
    design: str = "full"
    resolution: str | None = None  # of a fraction: "IV" or "4"
    precision: str = "fp32"
    levels: Sequence[str] = ()  # "optimizer.rate=3e-4"


def write_study(folder: Path, wishes: InitOptions) -> list[str]:
    """Make a study folder. Returns the warnings about the data.

    Raises:
        InputError: anything wrong with files, columns, model or settings; then nothing is written.
    """
    if (folder / "study.toml").exists():
        raise input_error(str(folder), "study.toml", "exists already. Edit it, or choose another --out.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise input_error(str(folder), "--out", "exists and is not an empty folder. Choose another --out.")
    folder = folder.resolve()
    # A sibling of the same depth: relative paths mean the same there.
    draft = folder.parent / f".{folder.name}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    made = [parent for parent in draft.parents if not parent.exists()]
    draft.mkdir(parents=True)
    try:
        (draft / "study.toml").write_text(study_toml(draft, wishes), encoding="utf-8")
        study = checked(draft, folder)
        table = load_table(study.head.data, draft)
        folder.mkdir(exist_ok=True)
        (draft / "study.toml").replace(folder / "study.toml")
    except InputError:
        shutil.rmtree(draft)
        for parent in made:
            parent.rmdir()
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return list(table.warnings)


def checked(draft: Path, folder: Path) -> Study:
    """The study in ``draft``; its problems are told as those of the ``folder`` that it is meant for."""
    try:
        return load_study(draft)
    except InputError as error:
        raise InputError(str(folder / "study.toml"), error.problems) from None


def study_toml(folder: Path, wishes: InitOptions) -> str:
    """The text of study.toml; ``folder`` is where it will lie."""
    if wishes.preset not in PRESETS:
        what = f'"{wishes.preset}" is not a preset. Known: {", ".join(PRESETS)}.'
        raise input_error("command line", "--preset", what)
    model = model_name(wishes.model, folder)
    checkpoint = inspect(resolve(model, folder))
    preset = PRESETS[wishes.preset](checkpoint.layers, checkpoint.has_pooler)
    levels = {**DEFAULTS, **preset.baseline}
    if wishes.model == EMBEDDED:
        levels |= EMBEDDED_LEVELS
    levels |= parse_levels(wishes.levels)
    found = sniff_for(wishes)
    parts: dict[str, dict[str, str]] = {}
    for factor, level in levels.items():
        part, field = factor.split(".")
        parts.setdefault(part, {})[field] = toml(level)
    files = {"train": wishes.train, "dev": wishes.dev, "test": wishes.test}
    return (
        Environment(
            loader=PackageLoader("finegrid", "assets"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # TOML, not HTML: every value below goes through `toml`
            keep_trailing_newline=True,
        )
        .get_template("study.toml.jinja")
        .render(
            files={part: toml(relative(path, folder)) for part, path in files.items() if path is not None},
            missing=[part for part, path in files.items() if path is None],
            columns={key: toml(value) for key, value in found.items()},
            model=toml(model),
            parts=parts,
            preset=toml(wishes.preset),
            factors={toml(name): toml(options) for name, options in preset.factors.items()},
            score=toml(wishes.score),
            seeds=toml(wishes.seeds),
            design=toml(wishes.design),
            resolution=None if wishes.resolution is None else toml(parse_level(wishes.resolution)),
            precision=toml(wishes.precision),
        )
    )


def sniff_for(wishes: InitOptions) -> dict[str, Any]:
    """Columns, header and quoting: as the user said, and otherwise as the file looks."""
    texts = [parse_column(name) for name in wishes.text]
    said: dict[str, Any] = {}
    if texts:
        said["text"] = texts[0] if len(texts) == 1 else texts
    if wishes.label is not None:
        said["label"] = parse_column(wishes.label)
    if any(isinstance(column, str) for column in (*texts, said.get("label"))):
        said["header"] = True  # only a header gives names
    if wishes.header is not None:
        said["header"] = wishes.header
    if {"text", "label"} <= said.keys() and wishes.header is not None:
        return said
    try:
        guess: Sniffed = sniff(wishes.train)
    except InputError:
        if {"text", "label"} <= said.keys():
            return said
        raise
    guessed = {
        "text": list(guess.text) if isinstance(guess.text, tuple) else guess.text,
        "label": guess.label,
        "header": guess.header,
        "quoting": guess.quoting,
    }
    # What follows holds for dev and test as well: said only where it must be.
    if guess.format != ENDINGS.get(wishes.train.suffix.lower()):
        guessed["format"] = guess.format
    if guess.encoding != "auto":
        guessed["encoding"] = guess.encoding
    return {**guessed, **said}


def model_name(name: str, folder: Path) -> str:
    """Folders are written relative to the study; names of the embedded checkpoint and of the hub stay."""
    return relative(Path(name), folder) if Path(name).is_dir() and name != EMBEDDED else name


def relative(path: Path, folder: Path) -> str:
    """Both ends as they really lie: `..` from a folder that is reached by a link leads elsewhere.

    Raises:
        InputError: a name that study.toml, which is UTF-8, cannot hold.
    """
    path = path.expanduser()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise input_error("command line", str(path), "its name is not UTF-8. Rename it.") from None
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()
