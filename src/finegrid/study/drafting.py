"""The text of a new study.toml: what is varied, about which baseline, and why each value is what it is."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from finegrid.data.settings import Encoding, Format, Quoting, Separator
from finegrid.data.table import PARTS
from finegrid.encoders.families import EMBEDDED, CheckpointInfo, inspect, is_folder, resolve
from finegrid.encoders.poolings import reads_pooler
from finegrid.encoders.size import measure_size
from finegrid.errors import input_error
from finegrid.machine import fastest_precision, usual_device
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import DEFAULTS
from finegrid.spelling import Lang, expand_user
from finegrid.study.chosen import choose_factors, suitable_design
from finegrid.study.folder import SETTINGS_FILE
from finegrid.study.presets import PRESETS, RATE, Preset, first_choice, make_preset, usual
from finegrid.study.proposals import Proposal, TextLengths, propose, scale_levels
from finegrid.study.toml import by_part, format_toml, parse_level, parse_levels
from finegrid.study.toml_words import say, tell_left_out

PUBLISHED = "thucnews64"
LENGTH = "model.max_length"
CLEAR = 5  # the resolution of a fraction whose effects and interactions of two are clear of each other
# What suits the embedded checkpoint; chosen by a trial on dev (docs/results.md), not by taste.
EMBEDDED_LEVELS: Levels = {"optimizer.rate": 3e-4, "training.batch_size": 32, "training.epochs": 4}

# Of the baseline, the parts that study.toml tells in full; of the others, what is not at its default.
TOLD_PARTS = ("model", "reinit", "freeze", "optimizer", "schedule", "training")


@dataclass(frozen=True)
class InitOptions:
    """The options of `finegrid init`. What is None is read off the file, or has a default."""

    train: Path
    model: str | None  # None: the embedded one, where it knows the texts
    dev: Path | None = None
    test: Path | None = None
    preset: str | None = None  # None: `usual`, or nothing where factors are named
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
    precision: str | None = None  # None: what this machine is fastest with
    levels: Sequence[str] = ()  # "optimizer.rate=3e-4"
    clean: Path | None = None  # where to write files without what looks wrong
    near_twins: bool = False  # whether to look for them among very many texts too
    as_published: bool = False  # the values of the THUCNews study, whatever the texts are

    @property
    def files(self) -> dict[str, Path]:
        """By part, those that are given."""
        files = {"train": self.train, "dev": self.dev, "test": self.test}
        return {part: path for part, path in files.items() if path is not None}

    @property
    def checkpoint(self) -> str:
        return self.model or EMBEDDED

    @property
    def named_preset(self) -> str | None:
        """As study.toml names it.

        Raises:
            InputError: no preset of ours, or one that was not published so.
        """
        if self.preset is not None and self.preset not in PRESETS:
            what = f'"{self.preset}" is not a preset. Known: {", ".join(PRESETS)}.'
            raise input_error("command line", "--preset", what)
        if self.as_published and self.preset not in (None, PUBLISHED):
            what = f"found with --preset {self.preset}: only {PUBLISHED} has such values. Leave it out."
            raise input_error("command line", "--as-published", what)
        return PUBLISHED if self.as_published else self.preset


@dataclass(frozen=True)
class Drafted:
    """A study.toml that is to be written, and what was proposed in it."""

    text: str
    proposals: Mapping[str, Proposal]


def draft_study_toml(
    folder: Path,
    options: InitOptions,
    reading: Mapping[str, Any],
    texts: TextLengths | None = None,
    lang: Lang = "en",
) -> Drafted:
    """The text of study.toml.

    Args:
        folder: where it will lie.
        options: of `finegrid init`.
        reading: fields of `DataSettings`.
        texts: what the proposals need to know; None: not known yet, so that nothing is proposed.
        lang: en or zh, of the comments: nothing else differs.

    Raises:
        InputError: options that contradict each other, or name nothing; a model that cannot be used.
    """
    name = options.named_preset
    model = spell_model(options.checkpoint, folder)
    checkpoint = inspect(resolve(model, folder))
    preset = find_preset(name, options, checkpoint)
    baseline = choose_baseline(options, preset, checkpoint, texts, lang)
    own: dict[str, Any] = {**scaled_factors(preset, baseline.proposals)}
    own |= scaled_bundles(preset, float(baseline.levels[RATE]))
    preset = preset.around(baseline.levels)
    chosen = choose_factors(options.factors, baseline.levels, checkpoint)
    chosen = replace(chosen, factors={**chosen.factors, **list_levels(options.varied)})
    own |= {factor: lv for factor, lv in chosen.factors.items() if factor not in preset.factors}
    if name is None:
        own = {**preset.factors, **own}
    own |= options.varied
    named_alone = bool(options.factors or options.varied) and name is None
    design = options.design or (suitable_design(chosen) if named_alone else preset.kind)
    resolution = None if options.resolution is None else parse_level(options.resolution)
    if resolution is None and design == "fractional" and options.design is None:
        resolution = CLEAR
    left_out = [" ".join(told.split()) for told in (*preset.left_out, *chosen.left_out)]
    device = "cpu" if options.as_published else usual_device()
    precision = options.precision or ("fp32" if options.as_published else fastest_precision(device))
    text = render(
        files={part: format_toml(make_relative(path, folder)) for part, path in options.files.items()},
        missing=[part for part in PARTS if part not in options.files],
        columns={key: format_toml(value) for key, value in reading.items()},
        model=format_toml(model),
        parts=told_parts(baseline),
        preset=None if name is None else format_toml(name),
        factors=dict(factor_lines(preset, but=own)) if name is not None else {},
        own=dict(own_lines(own)),
        left_out=[tell_left_out(told, lang) for told in left_out],
        score=format_toml(options.score),
        seeds=format_toml(options.seeds),
        design=format_toml(design),
        resolution=None if resolution is None else format_toml(resolution),
        precision=format_toml(precision),
        device=format_toml(device),
        precision_why=explain_precision(precision, device, lang),
        say=partial(say, lang=lang),
    )
    return Drafted(text, baseline.proposals)


@dataclass(frozen=True)
class Baseline:
    """All levels of a study's baseline, those of them that were proposed, and what speaks for a level."""

    levels: Levels
    proposals: Mapping[str, Proposal]
    reasons: Mapping[str, str]


def choose_baseline(
    options: InitOptions,
    preset: Preset,
    checkpoint: CheckpointInfo,
    texts: TextLengths | None,
    lang: Lang = "en",
) -> Baseline:
    """What the preset asks for, what is proposed, and what the user has set, the last before all others.

    Args:
        options: of `finegrid init`.
        preset: what is varied, about which baseline.
        checkpoint: of the study.
        texts: what the proposals need to know; None: nothing is proposed.
        lang: en or zh, of the reasons.
    """
    set_ = parse_levels(options.levels)
    first = {
        name: levels[0]
        for name, levels in options.varied.items()
        if name in DEFAULTS and levels and not isinstance(levels, Mapping)
    }
    kept = {**preset.baseline} if options.as_published else fixed_levels(preset)
    tried = {f: lv for f, lv in EMBEDDED_LEVELS.items() if options.checkpoint == EMBEDDED and f in kept}
    kept |= tried
    if checkpoint.is_decoder:
        kept["model.pooling"] = first_choice(checkpoint, "")
    proposals: Mapping[str, Proposal] = {}
    if texts is not None and not options.as_published:
        proposals = propose(texts, measure_size(checkpoint.folder), {**kept, **set_, **first}, lang)
    proposed = {factor: one.level for factor, one in proposals.items()}
    levels = {**DEFAULTS, **preset.baseline, **kept, **proposed, **set_, **first}
    levels[LENGTH] = set_.get(LENGTH, min(int(levels[LENGTH]), checkpoint.positions))
    if options.as_published:
        return Baseline(levels, proposals, {})
    by_preset = [factor for factor in kept if factor in preset.baseline and options.preset is not None]
    reasons = {
        **dict.fromkeys(by_preset, say("by preset", lang, preset=options.preset)),
        **dict.fromkeys(tried, say("by trial", lang, model=EMBEDDED)),
        **{factor: one.reason for factor, one in proposals.items()},
        **dict.fromkeys(set_, say("by user", lang)),
        **dict.fromkeys(first, say("varied", lang)),
    }
    return Baseline(levels, proposals, reasons)


def find_preset(name: str | None, options: InitOptions, checkpoint: CheckpointInfo) -> Preset:
    """The preset of that name; without one what is usual, or nothing beside factors that are named."""
    if name is not None:
        return make_preset(name, checkpoint)
    if options.factors or options.varied:
        return Preset({}, {})
    levels = {**DEFAULTS, **usual(checkpoint).baseline, **parse_levels(options.levels)}
    return usual(checkpoint, reads_pooler(levels, checkpoint.family))


def fixed_levels(preset: Preset) -> dict[str, Level]:
    """What a preset itself asks of the baseline: of a published grid the pooling, and nowhere a length.

    Where bundles bring rates, these follow the rate of the study, which is then not the preset's.
    """
    if preset.columns:
        return {"model.pooling": preset.baseline["model.pooling"]}
    proposed = {LENGTH, RATE} if preset.has_rates else {LENGTH}
    return {factor: level for factor, level in preset.baseline.items() if factor not in proposed}


def scaled_factors(preset: Preset, proposals: Mapping[str, Proposal]) -> dict[str, list[Level]]:
    """A preset's numbers that are proposed otherwise: each level keeps its ratio to the first."""
    return {
        factor: scale_levels(levels, proposals[factor].level)
        for factor, levels in preset.factors.items()
        if factor in proposals and levels[0] != proposals[factor].level
    }


def scaled_bundles(preset: Preset, rate: float) -> dict[str, dict[str, Levels]]:
    """A preset's bundles that bring rates, about another rate: each keeps its ratio to the preset's own."""
    if not preset.has_rates or preset.baseline[RATE] == rate:
        return {}
    return {
        name: {
            level: {
                factor: scale_levels([preset.baseline[RATE], its], rate)[-1] if factor == RATE else its
                for factor, its in settings.items()
            }
            for level, settings in bundle.levels.items()
        }
        for name, bundle in preset.bundles.items()
    }


def told_parts(baseline: Baseline) -> dict[str, dict[str, str]]:
    """The baseline's lines by part and field: the level, and its reason as a comment."""
    told = {name: level for name, level in baseline.levels.items() if is_told(name, level)}
    return {
        part: {
            field: format_toml(level) + remark(baseline.reasons.get(f"{part}.{field}"))
            for field, level in its_levels.items()
        }
        for part, its_levels in by_part(told).items()
    }


def remark(reason: str | None) -> str:
    return f"   # {reason}" if reason else ""


def explain_precision(precision: str, device: str, lang: Lang) -> str:
    """Why a machine is to use this one."""
    return say("bf16" if precision == "bf16" and device == "cpu" else "precision", lang)


def render(**values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # status and plan write no study

    return (
        Environment(
            loader=PackageLoader("finegrid", "assets"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # TOML, not HTML: every value goes through `format_toml`
            keep_trailing_newline=True,
        )
        .get_template(f"{SETTINGS_FILE}.jinja")
        .render(**values)
    )


def factor_lines(preset: Preset, but: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Keys and values of a preset's factors, as [factors] takes them; of a bundle one for each level."""
    for name, levels in preset.factors.items():
        if name in but:
            continue
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


def spell_model(name: str, folder: Path) -> str:
    """Folders are written relative to the study; names of the embedded checkpoint and of the hub stay."""
    return make_relative(Path(name), folder) if is_folder(Path(name)) and name != EMBEDDED else name


def make_relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, links resolved: `..` from a linked folder leads elsewhere.

    Raises:
        InputError: a name that study.toml, which is UTF-8, cannot hold.
    """
    path = expand_user(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise input_error("command line", str(path), "its name is not UTF-8. Rename it.") from None
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()
