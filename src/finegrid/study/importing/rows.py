"""Reads results, seeds and seconds of an imported table, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from finegrid.data.delimited import Line
from finegrid.data.findings import FileFindings, quote
from finegrid.data.markdown import strip_marks
from finegrid.recipe.identity import Level
from finegrid.spelling import count_noun
from finegrid.study.imported import ImportedRow
from finegrid.study.importing.levels import parse_number
from finegrid.study.importing.roles import Roles


def take_results(
    cells: Sequence[tuple[int, str]], findings: FileFindings, own_scale: bool = False
) -> tuple[str, list[float | None]]:
    """The scale that was taken, in words, and ``[rows]`` points 0 to 100.

    Numbers on a scale of their own stay as they are.
    """
    plain = [strip_marks(cell) for _, cell in cells]
    values = [parse_number(cell.removesuffix("%").rstrip()) for cell in plain]
    missing = [(place, cell) for (place, cell), value in zip(cells, values, strict=True) if value is None]
    sizes = [abs(value) for value in values if value is not None]
    if not sizes:
        what = f"no result is a number, e.g. {quote(cells[0][1])}. Name another column with --result"
        findings.add_problem("results", what)
        return "", values
    if missing:
        examples = "; ".join(f"line {place}: {quote(cell)}" for place, cell in missing[:10])
        more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
        findings.warnings.append(f"{count_noun(len(missing), 'row')} without a result ({examples}{more})")
    if own_scale:
        return "numbers on a scale of their own", values
    percent = any(cell.endswith("%") for cell in plain)
    if max(sizes) <= 1 and not percent:
        return "0 to 1", [None if value is None else round(100 * value, 10) for value in values]
    for (place, cell), value, text in zip(cells, values, plain, strict=True):
        if value is None:
            continue
        if abs(value) > 100:
            findings.add_problem("result", f"result {quote(cell)}, expected 0 to 1 or 0 to 100", place)
        elif 0 < abs(value) <= 1 and not text.endswith("%"):
            what = (
                f"result {quote(cell)}, while others go up to {max(sizes):g}: both 0 to 1 and 0 to 100 in "
                "one column. Write all of them alike"
            )
            findings.add_problem("result", what, place)
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
        cell = strip_marks(cells[column])
        value = parse_number(cell)
        if value is None or not 0 <= value < 2**53 or value != int(value):
            what = f"{name} {quote(cells[column])}, expected a whole number. Correct it"
            findings.add_problem(name, what, place)
            value = 0
        numbers.append(int(value))
    return numbers


def take_seconds(lines: list[Line], column: int | None, findings: FileFindings) -> list[float | None]:
    if column is None:
        return [None] * len(lines)
    seconds = [parse_number(strip_marks(cells[column])) for _, cells in lines]
    absent = [place for (place, _), value in zip(lines, seconds, strict=True) if value is None]
    zero = [place for (place, _), value in zip(lines, seconds, strict=True) if value == 0]
    for (place, cells), value in zip(lines, seconds, strict=True):
        if value is not None and value < 0:
            findings.add_problem("seconds", f"seconds {quote(cells[column])}, expected 0 or more", place)
    if absent:
        findings.warnings.append(
            f"{count_noun(len(absent), 'row')} without seconds (lines {list_places(absent)})"
        )
    if zero:
        what = (
            f"{count_noun(len(zero), 'row')} with 0 seconds (lines {list_places(zero)}): taken as not known"
        )
        findings.warnings.append(what)
    return [value or None for value in seconds]  # costs are told as ratios too, and 0 has none


def list_places(places: Sequence[int]) -> str:
    """The first ten, in words."""
    return ", ".join(map(str, places[:10])) + (" ..." if len(places) > 10 else "")


def guess_seconds_unit(name: str) -> Literal["epoch", "run"]:
    return "epoch" if "epoch" in name.casefold() or "每轮" in name else "run"


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
            which = (
                "another recipe" if rows[before].levels != row.levels else "the same recipe, without seeds"
            )
            what = f"index {row.index} stands in line {places[before]} too, for {which}. Number the rows anew"
            findings.add_problem("index", what, places[position])
        recipe = (*row.levels.values(), row.seed)
        earlier = by_recipe.setdefault(recipe, position)
        if earlier != position and seeded:
            what = f"the same recipe and seed as in line {places[earlier]}. Take one of them out"
            findings.add_problem("repeat", what, places[position])
        elif earlier != position:
            repeats.append((places[earlier], places[position]))
    if repeats:
        first, second = repeats[0]
        findings.warnings.append(
            f"{count_noun(len(repeats), 'row')} with the recipe of an earlier one (e.g. lines {first} and "
            f"{second}); taken as runs with other seeds. If they are copies, take them out"
        )
