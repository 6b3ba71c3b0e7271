"""Imports a table of recipes and results, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from finegrid.data.columns import suggest_name
from finegrid.data.content import format_of_ending, read_content, refuse_other_text
from finegrid.data.delimited import Line, is_blank, read_lines
from finegrid.data.encoding import NO_UNICODE, decode
from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.data.markdown import is_markdown, read_markdown
from finegrid.data.separator import guess_separator
from finegrid.data.settings import SEPARATORS
from finegrid.errors import InputError, visible
from finegrid.recipe.identity import Level
from finegrid.spelling import count_noun, format_level
from finegrid.study.imported import Imported
from finegrid.study.importing.direction import take_direction
from finegrid.study.importing.levels import parse_levels, read_plain_levels, read_published_levels
from finegrid.study.importing.roles import find_roles
from finegrid.study.importing.rows import guess_seconds_unit, make_rows, take_results
from finegrid.study.importing.twins import drop_twins

DECLARED = "declared to be without effect when the table was imported"


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a table. What is None is found out from the table."""

    result: str | None = None
    seconds: str | None = None
    inert: Mapping[str, str] | None = None  # factor or column, and why it has no effect
    baseline: Sequence[str] = ()  # "factor=level"
    lower_is_better: bool | None = None  # None: more is better, unless the result's name says otherwise


def import_table(path: Path, options: ImportOptions | None = None) -> Imported:
    """Read a CSV, TSV or markdown table.

    Raises:
        InputError: with all problems of the file and of the options.
    """
    options = options or ImportOptions()
    findings = FileFindings(path.name)
    header, lines = read_table(path, findings)
    roles = find_roles(header, options.result, options.seconds, findings) if header else None
    if roles is None or not lines:
        raise InputError("import", findings.problems())
    columns = {header[column]: [cells[column] for _, cells in lines] for column in roles.factors}
    mapped = read_published_levels(columns, findings)
    varied = mapped or read_plain_levels(columns, lines, findings)
    factors = {name: list(dict.fromkeys(levels)) for name, levels in varied.items()}
    notes = describe_constants(factors)
    factors = {name: levels for name, levels in factors.items() if len(levels) > 1}
    names = dict(zip(columns, varied, strict=True)) if mapped else {}  # of a column, that of its factor
    if not factors and not findings:
        what = "no column varies, so there is nothing to compare. Expected two levels of a factor at least"
        findings.add_problem("factors", what)
    take_baseline(factors, options.baseline, names, findings)
    inert = take_inert(factors, options.inert or {}, names, findings)
    lower, own = take_direction(header[roles.result], options.lower_is_better, findings)
    results = take_results([(place, cells[roles.result]) for place, cells in lines], findings, own)
    rows = make_rows(lines, roles, {name: varied[name] for name in factors}, results, findings)
    if findings:
        raise InputError("import", findings.problems())
    factors = drop_twins(factors, inert, varied, options.baseline, names, findings)
    scale, _ = results
    notes = [f"results were taken as {scale}" + ", lower is better" * lower, *notes]
    if mapped:
        notes.append("its columns are those of the preset thucnews64, and were given its factors' names")
    return Imported(
        title=visible(path.stem),
        source=visible(path.name),
        score=header[roles.result],
        lower_is_better=lower,
        scale="own" if own else "points",
        seconds_per=None if roles.seconds is None else guess_seconds_unit(header[roles.seconds]),
        factors=factors,
        inert=inert,
        rows=[row.model_copy(update={"levels": {f: row.levels[f] for f in factors}}) for row in rows],
        notes=notes,
        warnings=findings.warnings,
    )


def read_table(path: Path, findings: FileFindings) -> tuple[list[str], list[Line]]:
    """Names of the columns, and the rows that have a cell in each."""
    raw = read_content(path, findings)
    decoded = None if raw is None else decode(raw, "auto", findings)
    if decoded is None or refuse_other_text(decoded.text, findings):
        return [], []
    text = decoded.text
    if decoded.encoding in NO_UNICODE:
        findings.warnings[:] = [f"{findings.file} is not UTF-8 and was read as {decoded.encoding.upper()}"]
    if is_markdown(text):
        lines = read_markdown(text, findings)
    else:
        usual = SEPARATORS.get(format_of_ending(path) or "csv", ",")
        lines = read_lines(text, guess_separator(text, usual), "rfc4180", findings)
        lines = list(dropwhile(lambda line: is_blank(line[1]), lines))
    if not lines or (lines[0][0] > 1 and findings):  # the header is broken, and the problem is noted
        if not findings:
            findings.add_problem("empty file", "no rows. Expected names of columns, then a row per recipe")
        return [], []
    header = [name.strip() for name in lines[0][1]]
    return header, take_whole_rows(lines[1:], len(header), findings)


def take_whole_rows(lines: list[Line], width: int, findings: FileFindings) -> list[Line]:
    """The rows with as many cells as the header. Empty lines are passed over, others are problems."""
    rows, empty = [], 0
    for place, cells in lines:
        if not any(cell.strip() for cell in cells):
            empty += 1
        elif len(cells) == width:
            rows.append((place, [cell.strip() for cell in cells]))
        else:
            what = f"{count_noun(len(cells), 'cell')}, expected {width} as in the header. Is a separator "
            what += "missing?" if len(cells) < width else "inside a cell? Then put the cell in quotes"
            findings.add_problem("cells", what, place)
    if empty:
        findings.warnings.append(f"{count_noun(empty, 'empty line')} passed over")
    if not rows and not findings:
        findings.add_problem("rows", "a header without rows. Expected a row per recipe")
    return rows


def describe_constants(factors: Mapping[str, list[Level]]) -> list[str]:
    return [
        f"{name} is {format_level(levels[0])} in every row"
        for name, levels in factors.items()
        if len(levels) == 1
    ]


def find_factor(
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
    known = [*factors, *(column for column, meant in names.items() if meant in factors)]
    close = suggest_name(name, known)
    what = f"{option}: no factor {quote(name)}.{close} Factors: {quote_all(list(factors))}"
    findings.add_problem(option, what)
    return None


def take_inert(
    factors: Mapping[str, list[Level]],
    declared: Mapping[str, str],
    names: Mapping[str, str],
    findings: FileFindings,
) -> dict[str, str]:
    reasons = {find_factor(name, "--inert", factors, names, findings): why for name, why in declared.items()}
    inert = {factor: why for factor, why in reasons.items() if factor is not None}
    if factors and len(inert) == len(factors):
        what = "--inert: every factor is declared to be without effect. Leave one to compare at least"
        findings.add_problem("--inert", what)
    return inert


def take_baseline(
    factors: dict[str, list[Level]], settings: Sequence[str], names: Mapping[str, str], findings: FileFindings
) -> None:
    """Move the levels of the settings to the front of their factors."""
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            findings.add_problem("--baseline", f"--baseline: found {quote(setting)}, expected factor=level")
            continue
        factor = find_factor(name, "--baseline", factors, names, findings)
        if factor is None:
            continue
        levels = factors[factor]
        wanted = parse_levels([text])[0]
        fitting = [level for level in levels if level == wanted or str(level) == text]
        if not fitting:
            what = f"--baseline: no level {quote(text)} of {quote(factor)}. Levels: "
            findings.add_problem("--baseline", what + quote_all([format_level(level) for level in levels]))
            continue
        levels.remove(fitting[0])
        levels.insert(0, fitting[0])
