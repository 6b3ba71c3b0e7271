"""Writes a commented study.toml for the user's files, after everything in it has been check_draft."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from finegrid.data.reading_words import (
    describe_classes,
    describe_columns,
    describe_format,
    describe_rows,
)
from finegrid.data.settings import Encoding, Format, Quoting, Separator
from finegrid.data.sniff import Reading, Said, sniff
from finegrid.data.table import PARTS, DataTable, load_table
from finegrid.data.token_facts import TokenFacts, describe_tokens
from finegrid.data.unlabelled import parse_column
from finegrid.encoders.families import EMBEDDED, inspect, is_folder, resolve
from finegrid.errors import InputError, input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import DEFAULTS
from finegrid.study.chosen import choose_factors, suitable_design
from finegrid.study.clean import StudyFiles, cleaning
from finegrid.study.folder import SETTINGS_FILE, StudyFolder
from finegrid.study.load import load_study
from finegrid.study.opening import open_checkpoint
from finegrid.study.presets import PRESETS, Preset, make_preset
from finegrid.study.scored_label import check_scored_label
from finegrid.study.study import Study
from finegrid.study.toml import by_part, format_toml, parse_level, parse_levels

USUAL_PRESET = "thucnews64"
# What suits the embedded checkpoint; chosen by a trial on dev (docs/results.md), not by taste.
EMBEDDED_LEVELS: Levels = {"optimizer.rate": 3e-4, "training.batch_size": 32, "training.epochs": 4}

# Of the baseline, the parts that study.toml tells in full; of the others, what is not at its default.
TOLD_PARTS = ("model", "reinit", "freeze", "optimizer", "schedule", "training")


@dataclass(frozen=True)
class InitOptions:
    """The options of `finegrid init`. What is None is read off the file, or has a default."""

    train: Path
    model: str
    dev: Path | None = None
    test: Path | None = None
    preset: str | None = None  # None: `USUAL_PRESET`, or none where factors are named
    factors: tuple[str, ...] = ()  # to vary at their usual levels, by any name
    varied: Mapping[str, Any] = field(default_factory=dict)  # levels by factor; of a bundle settings by level
    text: tuple[str, ...] = ()
    label: str | None = None
    header: bool | None = None
    format: Format | None = None
    separator: Separator | None = None
    quoting: Quoting | None = None
    encoding: Encoding = "auto"
    score: str = "macro-f1"
    seeds: int = 1
    design: str | None = None  # None: as the preset has it
    resolution: str | None = None  # of a fraction: "IV" or "4"
    precision: str = "fp32"
    levels: Sequence[str] = ()  # "optimizer.rate=3e-4"
    clean: Path | None = None  # where to write files without what looks wrong
    near_twins: bool = False  # whether to look for them among very many texts too

    @property
    def files(self) -> dict[str, Path]:
        """By part, those that are given."""
        files = {"train": self.train, "dev": self.dev, "test": self.test}
        return {part: path for part, path in files.items() if path is not None}


@dataclass(frozen=True)
class WrittenStudy:
    """What `finegrid init` says: what it took the files for, and warnings about data and checkpoint."""

    took: list[str]
    warnings: list[str]


def draft_of(folder: Path) -> Path:
    """Where a study is made, before its folder is there: a sibling, so that relative paths mean the same."""
    folder = folder.resolve()
    return folder.parent / f".{folder.name}.draft"


def write_study(
    folder: Path, options: InitOptions, bring: Callable[[Path], None] = lambda draft: None
) -> WrittenStudy:
    """Make a study folder, and say how its files were read.

    Args:
        folder: to make.
        options: those of `finegrid init`.
        bring: writes files that are to lie in the study into its draft, which it is given; ``options`` name
            them there (`draft_of`).

    Raises:
        InputError: anything wrong with files, columns, model or settings; then nothing is written.
    """
    if StudyFolder(folder).settings.exists():
        raise input_error(str(folder), SETTINGS_FILE, "exists already. Edit it, or choose another --out.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise input_error(str(folder), "--out", "exists and is not an empty folder. Choose another --out.")
    folder = folder.resolve()
    draft = draft_of(folder)
    shutil.rmtree(draft, ignore_errors=True)
    new_parents = [parent for parent in draft.parents if not parent.exists()]
    draft.mkdir(parents=True)
    try:
        bring(draft)
        reading = find_reading(options)
        asked = StudyFiles(options.files, reading.settings())
        with cleaning(asked, options.clean, options.near_twins, folder, draft) as clean:
            files = clean.files
            named = replace(options, train=files["train"], dev=files.get("dev"), test=files.get("test"))
            content = render_study_toml(draft, named, clean.fields)
            StudyFolder(draft).settings.write_text(content, encoding="utf-8")
            study = check_draft(draft, folder)
            table = load_table(study.head.data, draft)
            check_scored_label(study.head.score, table)
            opened = open_checkpoint(study.checkpoint, table, study.baseline.model.max_length)
            warnings = [*table.look(options.near_twins), *opened.warnings]
            folder.mkdir(exist_ok=True)
            # Clean files that lie in the study, then study.toml: it says that all is there.
            for entry in sorted(draft.iterdir(), key=lambda entry: entry.name == SETTINGS_FILE):
                entry.replace(folder / entry.name)
    except InputError:
        shutil.rmtree(draft)
        for parent in new_parents:
            parent.rmdir()
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return WrittenStudy([*describe_reading(options, reading, table, opened.facts), *clean.done], warnings)


def describe_reading(
    options: InitOptions, reading: Reading, table: DataTable, facts: list[TokenFacts]
) -> list[str]:
    names = {part: path.name for part, path in options.files.items()}
    return [
        describe_rows(names, table),
        describe_columns(reading),
        describe_format(reading),
        describe_classes(table),
        describe_tokens(facts),
    ]


def check_draft(draft: Path, folder: Path) -> Study:
    """Load the study in ``draft``. Its problems name the ``folder`` that it is meant for."""
    try:
        return load_study(draft)
    except InputError as error:
        raise InputError(str(StudyFolder(folder).settings), error.problems) from None


def render_study_toml(folder: Path, options: InitOptions, reading: Mapping[str, Any]) -> str:
    """The text of study.toml; ``folder`` is where it will lie, ``reading`` fields of `DataSettings`."""
    name = options.preset or (None if options.factors or options.varied else USUAL_PRESET)
    if name is not None and name not in PRESETS:
        what = f'"{name}" is not a preset. Known: {", ".join(PRESETS)}.'
        raise input_error("command line", "--preset", what)
    model = spell_model(options.model, folder)
    checkpoint = inspect(resolve(model, folder))
    preset = Preset({}, {}) if name is None else make_preset(name, checkpoint)
    levels = {**DEFAULTS, **preset.baseline}
    if options.model == EMBEDDED:
        levels |= EMBEDDED_LEVELS
    levels |= parse_levels(options.levels)
    preset = preset.around(levels)
    chosen = choose_factors(options.factors, levels, checkpoint)
    chosen = replace(chosen, factors={**chosen.factors, **list_levels(options.varied)})
    design = options.design or (suitable_design(chosen) if name is None else preset.kind)
    usual = {factor: levels for factor, levels in chosen.factors.items() if factor not in preset.factors}
    told = {name: level for name, level in levels.items() if is_told(name, level)}
    parts = {
        part: {field: format_toml(level) for field, level in its_levels.items()}
        for part, its_levels in by_part(told).items()
    }
    return (
        Environment(
            loader=PackageLoader("finegrid", "assets"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # TOML, not HTML: every value below goes through `format_toml`
            keep_trailing_newline=True,
        )
        .get_template(f"{SETTINGS_FILE}.jinja")
        .render(
            files={part: format_toml(make_relative(path, folder)) for part, path in options.files.items()},
            missing=[part for part in PARTS if part not in options.files],
            columns={key: format_toml(value) for key, value in reading.items()},
            model=format_toml(model),
            parts=parts,
            preset=None if name is None else format_toml(name),
            factors=dict(factor_lines(preset)),
            own=dict(own_lines({**usual, **options.varied})),
            left_out=[" ".join(told.split()) for told in (*preset.left_out, *chosen.left_out)],
            score=format_toml(options.score),
            seeds=format_toml(options.seeds),
            design=format_toml(design),
            resolution=None if options.resolution is None else format_toml(parse_level(options.resolution)),
            precision=format_toml(options.precision),
        )
    )


def factor_lines(preset: Preset) -> Iterator[tuple[str, str]]:
    """Keys and values of a preset's factors, as [factors] takes them; of a bundle one for each level."""
    for name, levels in preset.factors.items():
        if name not in preset.bundles:
            yield format_toml(name), format_toml(levels)
            continue
        for level, settings in preset.bundles[name].levels.items():
            yield f"{format_toml(name)}.{format_toml(level)}", format_toml(settings)


def list_levels(varied: Mapping[str, Any]) -> dict[str, list[Level]]:
    """The levels of factors; of a bundle their names."""
    return {factor: list(levels) for factor, levels in varied.items()}


def own_lines(varied: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys and values of factors that no preset brings, as [factors] takes them."""
    for factor, levels in varied.items():
        if not isinstance(levels, Mapping):
            yield format_toml(factor), format_toml(levels)
            continue
        for level, settings in levels.items():
            yield f"{format_toml(factor)}.{format_toml(level)}", format_toml(settings)


def is_told(factor: str, level: Level) -> bool:
    """Whether study.toml has a line for the baseline's level: what everyone looks for, and what is moved."""
    return factor.partition(".")[0] in TOLD_PARTS or level != DEFAULTS[factor]


def find_reading(options: InitOptions) -> Reading:
    """How the files are to be read: what the user has given, and the rest found out from all of them."""
    texts = [parse_column(name) for name in options.text]
    said = Said(
        text=None if not texts else texts[0] if len(texts) == 1 else (texts[0], texts[1]),
        label=None if options.label is None else parse_column(options.label),
        header=options.header,
        format=options.format,
        separator=options.separator,
        quoting=options.quoting,
        encoding=options.encoding,
    )
    return sniff(list(options.files.values()), said)


def spell_model(name: str, folder: Path) -> str:
    """Folders are written relative to the study; names of the embedded checkpoint and of the hub stay."""
    return make_relative(Path(name), folder) if is_folder(Path(name)) and name != EMBEDDED else name


def make_relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, links resolved: `..` from a linked folder leads elsewhere.

    Raises:
        InputError: a name that study.toml, which is UTF-8, cannot hold.
    """
    path = path.expanduser()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise input_error("command line", str(path), "its name is not UTF-8. Rename it.") from None
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()
