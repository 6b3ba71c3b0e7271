"""Columns that say the same in every row: nothing can tell them apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from finegrid.data.findings import FileFindings, quote
from finegrid.recipe.identity import Level
from finegrid.spelling import format_level


def drop_twins(
    factors: Mapping[str, list[Level]],
    inert: Collection[str],
    varied: Mapping[str, Sequence[Level]],
    settings: Sequence[str],
    names: Mapping[str, str],
    findings: FileFindings,
) -> dict[str, list[Level]]:
    """The factors without those whose levels go with another's, one to one, in every row; and warnings.

    Kept is the first of them, or the one whose baseline the user has set. A factor that was declared to be
    without effect is no twin: it leaves the analysis anyway.

    Args:
        factors: levels, the baseline's first.
        inert: those declared to be without effect.
        varied: ``[rows]`` levels of each factor.
        settings: ``factor=level`` of the baseline.
        names: of a column, that of its factor.
        findings: gets the warnings.
    """
    asked = [setting.partition("=")[0].strip() for setting in settings]
    first = [names.get(name, name) for name in asked]
    order = sorted(factors, key=lambda name: name not in first)  # stable
    twin_of: dict[str, str] = {}
    kept: list[str] = []
    for name in order:
        twin = next((other for other in kept if are_twins(varied[other], varied[name])), None)
        if name in inert or twin is None:
            kept += [name] * (name not in inert)
        else:
            twin_of[name] = twin
    for name, twin in twin_of.items():
        findings.warnings.append(describe_twins(twin, name, factors, varied))
    return {name: levels for name, levels in factors.items() if name not in twin_of}


def are_twins(one: Sequence[Level], other: Sequence[Level]) -> bool:
    """Whether each level of either goes with one level of the other."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def describe_twins(
    twin: str, name: str, factors: Mapping[str, list[Level]], varied: Mapping[str, Sequence[Level]]
) -> str:
    meaning = dict(zip(varied[twin], varied[name], strict=True))
    alike = all(level == meaning[level] for level in meaning)
    pairs = [f"{format_level(meaning[level])} where that is {format_level(level)}" for level in factors[twin]]
    how = "are the same in every row" if alike else f"go together in every row ({quote(name)} is "
    how += "" if alike else f"{', '.join(pairs[:4])}{', ...' if len(pairs) > 4 else ''})"
    return (
        f"{quote(twin)} and {quote(name)} {how}: nothing tells them apart. {quote(name)} was left out; what "
        f"is said of {quote(twin)} holds for both together"
    )
