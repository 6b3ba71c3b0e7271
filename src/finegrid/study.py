"""``study.toml`` to a Study: all errors of the file at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from finegrid.data.sources import DataSettings
from finegrid.data.table import Table, load_table
from finegrid.design import OF_FRACTIONS, Kind, Resolution, Row, design_problems, plan_rows, screened
from finegrid.errors import InputError, Problem, input_error
from finegrid.fraction import ROMAN
from finegrid.imported import FILE as IMPORTED
from finegrid.imported import NOTHING_TO_RUN
from finegrid.ledger import Ledger
from finegrid.machine import Device
from finegrid.metrics import check_score
from finegrid.model.families import CheckpointInfo, inspect, resolve
from finegrid.precision import AUTO, Precision, fastest_precision
from finegrid.presets import PRESETS, Preset
from finegrid.recipe import Level, Levels, Recipe, unknown_factor
from finegrid.screen import Asked, Screen, load_screen, screen_problems

SCHEMA = 1
BEST_TEST = "protocol best-test: epochs are chosen on the test set, so test scores are too high"
SCREEN_ON_TEST = (
    "best-test chooses epochs on the test set, but a screen must decide without it. "
    'Set protocol = "best-dev", or another design.kind.'
)
MOST_SEEDS = 1000
LOOKS = (3, 5, 8, 12, 20)  # seeds after which `run --until-decided` looks, unless study.toml says otherwise
ROMAN_RESOLUTIONS = {roman: number for number, roman in ROMAN.items()}
Protocol = Literal["best-dev", "best-test"]


class DesignSettings(BaseModel):
    """The ``[design]`` table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Kind = "full"
    resolution: Resolution = 4  # of a fraction; IV leaves main effects clear of two-factor interactions
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | list[Annotated[int, Field(ge=0)]] = 1
    looks: Annotated[list[Annotated[int, Field(ge=2, le=MOST_SEEDS)]], Field(min_length=1)] | None = None

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int] | None) -> list[int] | None:
        if looks is not None and sorted(set(looks)) != looks:
            raise ValueError(f"found {looks}, expected rising numbers of seeds, e.g. {list(LOOKS)}")
        return looks

    @field_validator("resolution", mode="before")
    @classmethod
    def _roman_or_not(cls, value: Any) -> Any:
        return ROMAN_RESOLUTIONS.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _resolution_of_a_fraction(self) -> DesignSettings:
        if "resolution" in self.model_fields_set and self.kind not in OF_FRACTIONS:
            what = f'found a resolution, but kind = "{self.kind}" has none.'
            raise ValueError(f'{what} Take it out, or set kind = "fractional" or "screen"')
        return self

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds themselves: ``seeds = 3`` means 0, 1, 2."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(dict.fromkeys(self.seeds))

    @property
    def planned(self) -> tuple[int, ...]:
        """The seeds, and those that a planned look may add."""
        return tuple(dict.fromkeys((*self.numbers, *range(max(self.looks or [0])))))


class RunSettings(BaseModel):
    """The ``[run]`` table: how runs are executed, where that can reach the last digits of a result."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    threads: Annotated[int, Field(ge=1)] = 1  # per run; recorded, since sums depend on it
    precision: Precision = "fp32"
    device: Device = "cpu"
    family_size: Annotated[int, Field(ge=1)] = 8  # runs that walk in lockstep and share what they can
    # Runs of a family whose products are one batched product; recorded, since it rounds otherwise.
    stack: Annotated[int, Field(ge=1)] | None = None
    # GiB, of all workers together. Families are made small enough to fit.
    memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    # Of work since the last saved state.
    save_after_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0

    @property
    def stack_size(self) -> int:
        """As asked for. Else whole families on a GPU, where calls cost the most, and no stacks on CPUs.

        On a GPU 1 stands for runs that are neither stacked nor captured: a family of one is no reason for it.
        """
        return self.stack or (max(2, self.family_size) if self.device == "cuda" else 1)

    @property
    def alike(self) -> dict[str, str | int]:
        """What the runs of a study have in common, unless told otherwise; costs are those of it, too."""
        return {"device": self.device, "precision": self.precision, "threads": self.threads}

    _auto: bool = PrivateAttr(default=False)  # whether `precision` is what the device chose

    @model_validator(mode="wrap")
    @classmethod
    def _resolve_precision(cls, table: Any, check: ModelWrapValidatorHandler[RunSettings]) -> RunSettings:
        if not isinstance(table, dict) or table.get("precision") != AUTO:
            return check(table)
        settings = check({**table, "precision": fastest_precision(table.get("device", "cpu"))})
        settings._auto = True
        return settings

    def overridden(self, changed: dict[str, Any]) -> RunSettings:
        """With some settings changed. On another device, ``auto`` chooses anew."""
        asked = {"precision": AUTO} if self._auto else {}
        return RunSettings.model_validate({**self.model_dump(), **asked, **changed})


class Head(BaseModel):
    """The top level of the file, but for the parts of the recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    finegrid: Annotated[int, Field(strict=True)] = SCHEMA
    preset: str | None = None
    score: str = "macro-f1"
    protocol: Protocol = "best-dev"
    data: DataSettings
    design: DesignSettings = DesignSettings()
    run: RunSettings = RunSettings()

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f'"{name}" is not a preset. Known: {", ".join(PRESETS)}')
        return name

    @field_validator("score")
    @classmethod
    def _known_score(cls, name: str) -> str:
        try:
            check_score(name)
        except InputError as error:
            raise ValueError(error.problems[0].what) from None
        return name


@dataclass(frozen=True)
class Study:
    """A checked study: everything that its folder says, before anything is trained."""

    folder: Path
    head: Head
    checkpoint: CheckpointInfo
    preset: Preset | None
    baseline: Recipe
    factors: Mapping[str, Sequence[Level]]
    screen: Screen | None = None  # what phase 1 of a screen has decided; None of other designs, and before

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the study's table, in order."""
        if self.screen is None:
            return self.first_rows
        resolution = self.head.design.resolution
        return screened(self.baseline, self.factors, resolution, self.screen.survivors)

    @cached_property
    def first_rows(self) -> list[Row]:
        """The rows that are there from the start: of a screen, those of phase 1; else all."""
        design = self.head.design
        return plan_rows(design.kind, design.resolution, self.baseline, self.factors)

    @property
    def undecided(self) -> bool:
        """Whether this is a screen in phase 1, to which rows may come."""
        return self.head.design.kind == "screen" and self.screen is None

    @property
    def asked(self) -> Asked:
        return Asked(
            score=self.head.score,
            protocol=self.head.protocol,
            resolution=self.head.design.resolution,
            baseline=self.baseline.levels(),
            factors={name: list(levels) for name, levels in self.factors.items()},
        )

    def read_table(self) -> Table:
        """The checked texts and labels.

        Raises:
            InputError: files that cannot be used.
        """
        return load_table(self.head.data, self.folder, self.folder / "split.tsv")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "runs.jsonl")

    @property
    def is_published_grid(self) -> bool:
        """Whether the table has the columns and the order of the preset's published table."""
        whole = self.head.design.kind == "full"
        return whole and self.preset is not None and self.preset.matches(self.factors)


def load_study(folder: Path) -> Study:
    """Read and check ``study.toml``.

    Raises:
        InputError: with all problems of the file.
    """
    path = folder / "study.toml"
    source = str(path)
    content = read_toml(path)
    problems: list[Problem] = []
    parts = {field.name for field in fields(Recipe)}
    baseline_levels = take_levels(content, parts, problems)
    name = baseline_levels.pop("model.name", None)
    factors = take_factors(content, problems)
    head = check_head(content, parts, problems)
    checkpoint = check_checkpoint(name, folder, problems)
    preset = check_preset(head, checkpoint, problems)
    if preset is not None:
        baseline_levels = {**preset.baseline, **baseline_levels}
        factors = {**preset.factors, **factors}
    baseline = check_levels(baseline_levels, problems)
    check_factors(factors, problems)
    if not factors and not problems:
        problems.append(
            Problem("[factors]", 'nothing to vary. Add e.g. "reinit.layers" = [0, 6], or a preset.')
        )
    if head is not None and all(isinstance(levels, list) for levels in factors.values()):
        problems.extend(design_problems(head.design.kind, head.design.resolution, factors))
    if head is not None and head.design.kind == "screen" and head.protocol == "best-test":
        problems.append(Problem("protocol", SCREEN_ON_TEST))
    if not problems and checkpoint is not None and baseline is not None and head is not None:
        kind: Kind = "full" if head.design.kind == "screen" else head.design.kind  # all may survive
        rows = plan_rows(kind, head.design.resolution, baseline, factors)
        problems.extend(check_combinations(rows, checkpoint))
    if problems or head is None or checkpoint is None or baseline is None:
        raise InputError(source, list(dict.fromkeys(problems)))
    study = Study(folder, head, checkpoint, preset, baseline, factors)
    if head.design.kind != "screen":
        return study
    screen = load_screen(folder)
    if screen is not None and (unfit := screen_problems(screen, study.asked)):
        raise InputError(str(folder / "screen.json"), unfit)
    return replace(study, screen=screen)


def override(settings: RunSettings, **given: str | float | None) -> RunSettings:
    """Run settings with what the command line says instead.

    Raises:
        InputError: not a device or precision of ours, or no amount of memory.
    """
    changed = {name: value for name, value in given.items() if value is not None}
    try:
        return settings.overridden(changed)
    except ValidationError as error:
        known = {"device": "cpu or cuda", "precision": "fp32, bf16 or auto", "memory": "GiB, more than 0"}
        names = [str(item["loc"][0]) for item in error.errors()]
        problems = [Problem(f"--{name}", f"found {given[name]!r}, expected {known[name]}.") for name in names]
        raise InputError("command line", problems) from None


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if (path.parent / IMPORTED).exists():
            what = f"{NOTHING_TO_RUN} {path.parent}"
            raise input_error(str(path.parent), IMPORTED, what) from None
        what = "no such file. Expected a study folder; `finegrid init` makes one."
        raise input_error(str(path.parent), path.name, what) from None
    except UnicodeDecodeError as error:
        raise input_error(str(path), f"byte {error.start}", "not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise input_error(str(path), "TOML", f"{error}.") from None
    except OSError as error:
        raise input_error(str(path.parent), path.name, f"cannot be read: {error.strerror}.") from None


def take_levels(content: dict[str, Any], parts: set[str], problems: list[Problem]) -> dict[str, Any]:
    """Take the tables of the recipe's parts out of the file: the baseline, by dotted names."""
    levels = {}
    for part in sorted(parts & content.keys()):
        table = content.pop(part)
        if isinstance(table, dict):
            levels.update({f"{part}.{knob}": level for knob, level in table.items()})
        else:
            problems.append(Problem(part, f"found {table!r}, expected a table: [{part}]."))
    return levels


def take_factors(content: dict[str, Any], problems: list[Problem]) -> dict[str, list[Any]]:
    """Take ``[factors]`` out of the file. ``[factors.reinit] layers = [0, 6]`` works as well."""
    table = content.pop("factors", {})
    if not isinstance(table, dict):
        problems.append(Problem("factors", f"found {table!r}, expected a table: [factors]."))
        return {}
    factors: dict[str, list[Any]] = {}
    for name, levels in table.items():
        nested = (
            {f"{name}.{knob}": value for knob, value in levels.items()} if isinstance(levels, dict) else {}
        )
        factors.update(nested or {name: levels})
    return factors


def check_head(content: dict[str, Any], parts: set[str], problems: list[Problem]) -> Head | None:
    try:
        head = Head.model_validate(content)
    except ValidationError as error:
        known = [*Head.model_fields, *parts, "factors"]
        found: dict[str, list[str]] = {}
        for item in error.errors():
            problem = head_problem(dict(item), known)
            found.setdefault(problem.where, []).append(problem.what)
        # A setting of several types has a finding for each.
        problems.extend(Problem(where, " Or: ".join(whats)) for where, whats in found.items())
        return None
    if head.finegrid != SCHEMA:
        what = (
            f"found {head.finegrid}, but this finegrid reads schema {SCHEMA}. Use the version that wrote it."
        )
        problems.append(Problem("finegrid", what))
    return head


def head_problem(item: dict[str, Any], known: list[str]) -> Problem:
    """One of pydantic's findings, with "did you mean" for names that do not exist."""
    where = [str(step) for step in item["loc"]]
    if item["type"] == "extra_forbidden":
        names = known
        if where[0] in ("data", "design", "run") and len(where) > 1:
            tables: dict[str, type[BaseModel]] = {
                "data": DataSettings,
                "design": DesignSettings,
                "run": RunSettings,
            }
            table = tables[where[0]]
            names = list(table.model_fields)
        close = difflib.get_close_matches(where[-1], names, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(names)}."
        return Problem(".".join(where), f"no such setting.{hint}")
    if item["type"] == "missing":
        what = "missing. Expected a [data] table with at least train." if where == ["data"] else "missing."
        return Problem(".".join(where), what)
    if item["type"] == "value_error":
        return Problem(".".join(where), f"{str(item['ctx']['error']).rstrip('.')}.")
    if item["type"] == "model_type":
        return Problem(where[0], f"found {item['input']!r}, expected a table: [{where[0]}].")
    expected = item["msg"].replace("Input should be", "expected")
    return Problem(".".join(where[:2]), f"found {item['input']!r}: {expected}.")


def check_checkpoint(name: object, folder: Path, problems: list[Problem]) -> CheckpointInfo | None:
    if not isinstance(name, str) or not name:
        what = 'missing. Expected a folder, a hub id, or "mini-zh" (comes with finegrid).'
        problems.append(Problem("model.name", what))
        return None
    try:
        return inspect(resolve(name, folder))
    except InputError as error:
        inside = "" if error.source == "model.name" else f"{error.source}: "
        problems.extend(Problem("model.name", f"{inside}{p.where}: {p.what}") for p in error.problems)
        return None


def check_preset(
    head: Head | None, checkpoint: CheckpointInfo | None, problems: list[Problem]
) -> Preset | None:
    if head is None or checkpoint is None or head.preset is None:
        return None
    if checkpoint.layers < 2:
        problems.append(Problem("preset", f"{head.preset} halves the encoder, but it has one layer."))
        return None
    return PRESETS[head.preset](checkpoint.layers, checkpoint.has_pooler)


def check_levels(levels: Levels, problems: list[Problem]) -> Recipe | None:
    try:
        return Recipe().at(levels)
    except InputError as error:
        problems.extend(Problem(problem.where.strip('"'), problem.what) for problem in error.problems)
        return None


def check_factors(factors: Mapping[str, Any], problems: list[Problem]) -> None:
    """Check every level of every factor by itself; combinations come later."""
    for name, levels in factors.items():
        where = f'factors."{name}"'
        if name not in Recipe().levels():
            problems.append(Problem(where, unknown_factor(name)))
            continue
        if not isinstance(levels, list) or len(levels) < 2:
            problems.append(Problem(where, f"found {levels!r}, expected a list of two or more levels."))
            continue
        taken: list[Level] = []
        for level in levels:
            try:
                taken.append(Recipe().at({name: level}).levels()[name])
            except InputError as error:
                problems.extend(Problem(where, problem.what) for problem in error.problems)
        if len(set(taken)) < len(taken):
            problems.append(Problem(where, f"found {levels!r}: a level stands there twice. Take one out."))


def check_combinations(rows: Sequence[Row], checkpoint: CheckpointInfo) -> list[Problem]:
    """Problems of every row of the design with this checkpoint, each told once."""
    found: dict[Problem, None] = {}
    for row in rows:
        found.update(dict.fromkeys(row.recipe.problems(checkpoint)))
    return list(found)
