"""``study.toml`` to a Study: all errors of the file at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from finegrid.data.settings import DataSettings
from finegrid.encoders.families import CheckpointInfo, inspect, resolve
from finegrid.errors import InputError, Problem, input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe, unknown_factor
from finegrid.study.design import DesignKind, Row, find_design_problems, plan_rows
from finegrid.study.folder import IMPORTED_FILE, StudyFolder
from finegrid.study.imported import NOTHING_TO_RUN
from finegrid.study.presets import PRESETS, Preset
from finegrid.study.screen import find_screen_problems, load_screen
from finegrid.study.settings import SCHEMA, SCREEN_ON_TEST, DesignSettings, Head, RunSettings
from finegrid.study.study import Study


def load_study(folder: Path) -> Study:
    """Read and check ``study.toml``.

    Raises:
        InputError: with all problems of the file.
    """
    files = StudyFolder(folder)
    path = files.settings
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
        problems.extend(find_design_problems(head.design.kind, head.design.resolution, factors))
    if head is not None and head.design.kind == "screen" and head.protocol == "best-test":
        problems.append(Problem("protocol", SCREEN_ON_TEST))
    if not problems and checkpoint is not None and baseline is not None and head is not None:
        kind: DesignKind = "full" if head.design.kind == "screen" else head.design.kind  # all may survive
        rows = plan_rows(kind, head.design.resolution, baseline, factors)
        problems.extend(check_combinations(rows, checkpoint))
    if problems or head is None or checkpoint is None or baseline is None:
        raise InputError(source, list(dict.fromkeys(problems)))
    study = Study(folder, head, checkpoint, preset, baseline, factors)
    if head.design.kind != "screen":
        return study
    screen = load_screen(folder)
    if screen is not None and (unfit := find_screen_problems(screen, study.asked)):
        raise InputError(str(files.screen), unfit)
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
        if StudyFolder(path.parent).imported.exists():
            what = f"{NOTHING_TO_RUN} {path.parent}"
            raise input_error(str(path.parent), IMPORTED_FILE, what) from None
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
            levels.update({f"{part}.{field}": level for field, level in table.items()})
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
            {f"{name}.{field}": value for field, value in levels.items()} if isinstance(levels, dict) else {}
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
