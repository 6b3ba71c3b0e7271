"""A table of recipes and results, from anywhere, to an `Imported`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finegrid.data.columns import did_you_mean
from finegrid.data.delimited import Line, read_lines
from finegrid.data.encoding import decode
from finegrid.data.findings import FileFindings, counted, several, shown
from finegrid.data.markdown import is_markdown, read_markdown, unmarked
from finegrid.data.read import ENDINGS, read_bytes
from finegrid.data.sniff import separated_by
from finegrid.errors import InputError, visible
from finegrid.imported import Imported, ImportedRow
from finegrid.presets import PRESETS
from finegrid.recipe import Level
from finegrid.roles import Roles, find_roles

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
DECLARED = "declared to be without effect when the table was imported"
MOST_LEVELS = 8  # from so many rows on, a factor with another level in each looks like a result


@dataclass(frozen=True)
class Wishes:
    """What the user says about a table. None: find it out."""

    result: str | None = None
    seconds: str | None = None
    inert: Mapping[str, str] | None = None  # factor or column, and why it has no effect
    baseline: Sequence[str] = ()  # "factor=level"


def import_table(path: Path, wishes: Wishes | None = None) -> Imported:
    """Read a CSV, TSV or markdown table.

    Raises:
        InputError: with all problems of the file, and of what is said about it.
    """
    wishes = wishes or Wishes()
    findings = FileFindings(path.name)
    header, lines = read_table(path, findings)
    roles = find_roles(header, wishes.result, wishes.seconds, findings) if header else None
    if roles is None or not lines:
        raise InputError("import", findings.problems())
    columns = {header[column]: [cells[column] for _, cells in lines] for column in roles.factors}
    mapped = published_levels(columns, findings)
    varied = mapped or plain_levels(columns, lines, findings)
    factors = {name: list(dict.fromkeys(levels)) for name, levels in varied.items()}
    notes = constant_notes(factors)
    factors = {name: levels for name, levels in factors.items() if len(levels) > 1}
    names = dict(zip(columns, varied, strict=True)) if mapped else {}  # of a column, that of its factor
    if not factors and not findings:
        what = "no column varies, so there is nothing to compare. Expected two levels of a factor at least"
        findings.problem("factors", what)
    take_baseline(factors, wishes.baseline, names, findings)
    inert = take_inert(factors, wishes.inert or {}, names, findings)
    results = take_results([(place, cells[roles.result]) for place, cells in lines], findings)
    rows = make_rows(lines, roles, {name: varied[name] for name in factors}, results, findings)
    if findings:
        raise InputError("import", findings.problems())
    scale, _ = results
    notes = [f"results were taken as {scale}", *notes]
    if mapped:
        notes.append("its columns are those of the preset thucnews64, and were given its factors' names")
    return Imported(
        title=visible(path.stem),
        source=visible(path.name),
        score=header[roles.result],
        seconds_per=None if roles.seconds is None else seconds_per(header[roles.seconds]),
        factors=factors,
        inert=inert,
        rows=rows,
        notes=notes,
        warnings=findings.warnings,
    )


def read_table(path: Path, findings: FileFindings) -> tuple[list[str], list[Line]]:
    """Names of the columns, and the rows that have a cell in each."""
    raw = read_bytes(path, findings)
    if raw is None:
        return [], []
    text = decode(raw, "auto", findings)
    if text is None:
        return [], []
    if findings.warnings:
        findings.warnings[:] = [f"{findings.file} is not UTF-8 and was read as GB18030"]
    if is_markdown(text):
        lines = read_markdown(text, findings)
    else:
        kind = separated_by(text, ENDINGS.get(path.suffix.lower(), "csv"))
        lines = read_lines(text, "\t" if kind == "tsv" else ",", "rfc4180", findings)
    if not lines or (lines[0][0] > 1 and findings):  # the header is broken, and the problem is noted
        if not findings:
            findings.problem("empty file", "no rows. Expected names of columns, then a row per recipe")
        return [], []
    header = [name.strip() for name in lines[0][1]]
    return header, whole_rows(lines[1:], len(header), findings)


def whole_rows(lines: list[Line], width: int, findings: FileFindings) -> list[Line]:
    """The rows with as many cells as the header. Empty lines are passed over, others are problems."""
    rows, empty = [], 0
    for place, cells in lines:
        if not any(cell.strip() for cell in cells):
            empty += 1
        elif len(cells) == width:
            rows.append((place, [cell.strip() for cell in cells]))
        else:
            what = f"{counted(len(cells), 'cell')}, expected {width} as in the header. Is a separator "
            what += "missing?" if len(cells) < width else "inside a cell? Then put the cell in quotes"
            findings.problem("cells", what, place)
    if empty:
        findings.warnings.append(f"{counted(empty, 'empty line')} passed over")
    if not rows and not findings:
        findings.problem("rows", "a header without rows. Expected a row per recipe")
    return rows


def number(cell: str) -> float | None:
    """A finite number as it is written in code, or None."""
    value = float(cell) if NUMBER.fullmatch(cell) else math.inf
    return value + 0.0 if math.isfinite(value) else None  # + 0.0 makes 0.0 of -0.0


def published_levels(
    columns: Mapping[str, list[str]], findings: FileFindings
) -> dict[str, list[Level]] | None:
    """``[rows]`` levels of our factors, if these are the columns and levels of preset thucnews64."""
    cells = {name.casefold(): [number(cell) for cell in own] for name, own in columns.items()}
    layers = [value for name in ("reinit_layers", "frozen_layers") for value in cells.get(name, []) if value]
    half = int(max(layers, default=1))
    preset = PRESETS["thucnews64"](2 * max(half, 1), "reinit_pooler" in cells)
    if len(cells) < len(columns) or set(cells) != {column.name for column in preset.columns}:
        return None
    levels: dict[str, list[Level]] = {}
    for name in cells:
        column = next(column for column in preset.columns if column.name == name)
        off, on = preset.factors[column.factor]
        meaning = {float(column.off): off, float(column.on): on}
        strange = next((row for row, value in enumerate(cells[name]) if value not in meaning), None)
        if strange is not None:
            cell = next(own[strange] for column, own in columns.items() if column.casefold() == name)
            findings.warnings.append(
                f"columns are named like those of the preset thucnews64, but {shown(name)} has the level "
                f"{shown(cell)}: names and levels were taken as they are"
            )
            return None
        levels[column.factor] = [meaning[value] for value in cells[name] if value is not None]
    return levels


def plain_levels(
    columns: Mapping[str, list[str]], lines: list[Line], findings: FileFindings
) -> dict[str, list[Level]]:
    """``[rows]`` levels of each column: whole numbers, numbers, true and false, or text."""
    varied = {}
    for name, cells in columns.items():
        for (place, _), cell in zip(lines, cells, strict=True):
            if not cell:
                what = f'no level of {shown(name)}. Fill it in (for "does not apply", write none)'
                findings.problem("no level", what, place)
        varied[name] = parse_levels(cells)
        if len(set(varied[name])) == len(cells) >= MOST_LEVELS:
            findings.warnings.append(
                f"factor {shown(name)} has another level in every row. If it is a result, take the column out"
            )
    return varied


def parse_levels(cells: Sequence[str]) -> list[Level]:
    """Levels of one column, all of one type, so that 6 and 6.0 are the same and 6 and "none" comparable."""
    if all(WHOLE.fullmatch(cell) for cell in cells):
        return [int(cell) for cell in cells]
    numbers = [number(cell) for cell in cells]
    if None not in numbers:
        return [value for value in numbers if value is not None]
    words = [cell.casefold() for cell in cells]
    if set(words) <= {"true", "false"}:
        return [word == "true" for word in words]
    return list(cells)


def constant_notes(factors: Mapping[str, list[Level]]) -> list[str]:
    return [
        f"{name} is {written(levels[0])} in every row" for name, levels in factors.items() if len(levels) == 1
    ]


def factor_of(
    name: str,
    option: str,
    factors: Mapping[str, list[Level]],
    names: Mapping[str, str],
    findings: FileFindings,
) -> str | None:
    """The factor that the user calls by its name or by its column's, or None and a problem."""
    factor = names.get(name, name)
    if factor in factors:
        return factor
    known = [*factors, *(column for column, own in names.items() if own in factors)]
    what = f"{option}: no factor {shown(name)}.{did_you_mean(name, known)} Factors: {several(list(factors))}"
    findings.problem(option, what)
    return None


def take_inert(
    factors: Mapping[str, list[Level]],
    wished: Mapping[str, str],
    names: Mapping[str, str],
    findings: FileFindings,
) -> dict[str, str]:
    found = {factor_of(name, "--inert", factors, names, findings): why for name, why in wished.items()}
    inert = {factor: why for factor, why in found.items() if factor is not None}
    if factors and len(inert) == len(factors):
        what = "--inert: every factor is declared to be without effect. Leave one to compare at least"
        findings.problem("--inert", what)
    return inert


def take_baseline(
    factors: dict[str, list[Level]], wished: Sequence[str], names: Mapping[str, str], findings: FileFindings
) -> None:
    """Move the wished levels to the front of their factors."""
    for setting in wished:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            findings.problem("--baseline", f"--baseline: found {shown(setting)}, expected factor=level")
            continue
        factor = factor_of(name, "--baseline", factors, names, findings)
        if factor is None:
            continue
        levels = factors[factor]
        wanted = parse_levels([text])[0]
        fitting = [level for level in levels if level == wanted or str(level) == text]
        if not fitting:
            what = f"--baseline: no level {shown(text)} of {shown(factor)}. Levels: "
            findings.problem("--baseline", what + several([written(level) for level in levels]))
            continue
        levels.remove(fitting[0])
        levels.insert(0, fitting[0])


def written(level: Level) -> str:
    """A level as it would be written in a table."""
    return str(level).lower() if isinstance(level, bool) else str(level)


def take_results(cells: Sequence[tuple[int, str]], findings: FileFindings) -> tuple[str, list[float | None]]:
    """The scale that was taken, in words, and ``[rows]`` points 0 to 100."""
    plain = [unmarked(cell) for _, cell in cells]
    values = [number(cell.removesuffix("%").rstrip()) for cell in plain]
    missing = [(place, cell) for (place, cell), value in zip(cells, values, strict=True) if value is None]
    found = [abs(value) for value in values if value is not None]
    if not found:
        what = f"no result is a number, e.g. {shown(cells[0][1])}. Name another column with --result"
        findings.problem("results", what)
        return "", values
    if missing:
        listed = "; ".join(f"line {place}: {shown(cell)}" for place, cell in missing[:10])
        more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
        findings.warnings.append(f"{counted(len(missing), 'row')} without a result ({listed}{more})")
    percent = any(cell.endswith("%") for cell in plain)
    if max(found) <= 1 and not percent:
        return "0 to 1", [None if value is None else round(100 * value, 10) for value in values]
    for (place, cell), value, text in zip(cells, values, plain, strict=True):
        if value is None:
            continue
        if abs(value) > 100:
            findings.problem("result", f"result {shown(cell)}, expected 0 to 1 or 0 to 100", place)
        elif 0 < abs(value) <= 1 and not text.endswith("%"):
            what = (
                f"result {shown(cell)}, while others go up to {max(found):g}: both 0 to 1 and 0 to 100 in "
                "one column. Write all of them alike"
            )
            findings.problem("result", what, place)
    return "0 to 100", values


def make_rows(
    lines: list[Line],
    roles: Roles,
    varied: Mapping[str, list[Level]],
    results: tuple[str, list[float | None]],
    findings: FileFindings,
) -> list[ImportedRow]:
    """The rows, each with its own place among the repeats of its recipe."""
    _, points = results
    indices = take_whole(lines, roles.index, "index", findings) if roles.index is not None else None
    seeds = take_whole(lines, roles.seed, "seed", findings) if roles.seed is not None else None
    seconds = take_seconds(lines, roles.seconds, findings)
    rows = [
        ImportedRow(
            index=position + 1 if indices is None else indices[position],
            levels={name: levels[position] for name, levels in varied.items()},
            seed=None if seeds is None else seeds[position],
            result=points[position],
            seconds=seconds[position],
        )
        for position in range(len(lines))
    ]
    check_repeats(rows, [place for place, _ in lines], indices is not None, seeds is not None, findings)
    return rows


def take_whole(lines: list[Line], column: int, name: str, findings: FileFindings) -> list[int]:
    """``[rows]`` whole numbers of 0 or more; 0 where there is a problem."""
    numbers = []
    for place, cells in lines:
        cell = unmarked(cells[column])
        value = number(cell)
        if value is None or not 0 <= value < 2**53 or value != int(value):
            what = f"{name} {shown(cells[column])}, expected a whole number. Correct it"
            findings.problem(name, what, place)
            value = 0
        numbers.append(int(value))
    return numbers


def take_seconds(lines: list[Line], column: int | None, findings: FileFindings) -> list[float | None]:
    if column is None:
        return [None] * len(lines)
    seconds = [number(unmarked(cells[column])) for _, cells in lines]
    absent = [place for (place, _), value in zip(lines, seconds, strict=True) if value is None]
    for (place, cells), value in zip(lines, seconds, strict=True):
        if value is not None and value < 0:
            findings.problem("seconds", f"seconds {shown(cells[column])}, expected 0 or more", place)
    if absent:
        places = ", ".join(map(str, absent[:10])) + (" ..." if len(absent) > 10 else "")
        findings.warnings.append(f"{counted(len(absent), 'row')} without seconds (lines {places})")
    return seconds


def seconds_per(name: str) -> Literal["epoch", "run"]:
    return "epoch" if "epoch" in name.casefold() else "run"


def check_repeats(
    rows: Sequence[ImportedRow], places: Sequence[int], indexed: bool, seeded: bool, findings: FileFindings
) -> None:
    """Problems where one run stands in two rows, or one index for two recipes; warnings for other repeats."""
    by_index: dict[int, int] = {}
    by_recipe: dict[tuple[object, ...], int] = {}
    repeats: list[tuple[int, int]] = []
    for position, row in enumerate(rows):
        before = by_index.setdefault(row.index, position)
        if indexed and before != position and (not seeded or rows[before].levels != row.levels):
            other = (
                "another recipe" if rows[before].levels != row.levels else "the same recipe, without seeds"
            )
            what = f"index {row.index} stands in line {places[before]} too, for {other}. Number the rows anew"
            findings.problem("index", what, places[position])
        recipe = (*row.levels.values(), row.seed)
        same = by_recipe.setdefault(recipe, position)
        if same != position and seeded:
            what = f"the same recipe and seed as in line {places[same]}. Take one of them out"
            findings.problem("repeat", what, places[position])
        elif same != position:
            repeats.append((places[same], places[position]))
    if repeats:
        first, second = repeats[0]
        findings.warnings.append(
            f"{counted(len(repeats), 'row')} with the recipe of an earlier one (e.g. lines {first} and "
            f"{second}); taken as runs with other seeds. If they are copies, take them out"
        )
