"""Makes the table of effects: what each level of a strategy is worth, and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finegrid.export.frame import ColumnKind, Frame, FrameColumn, make_category
from finegrid.facts.decision_words import (
    condition_words,
    decision_of,
    decision_words,
    factor_needs,
    needs_words,
)
from finegrid.facts.verdict import FactorFacts, FreeLevelFacts, FreeVerdictFacts, VerdictFacts
from finegrid.metrics import TOLERANCE
from finegrid.results.load import any_results
from finegrid.spelling import format_level
from finegrid.statistics.decide import KINDS
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.to_json import as_json

Line = Mapping[str, Any]

# Columns after those that say which effect it is, by kind.
COLUMNS: dict[str, ColumnKind] = {
    "effect": "number",
    "low": "number",
    "high": "number",
    "adjusted_low": "number",
    "adjusted_high": "number",
    "se": "number",
    "df": "number",
    "p": "number",
    "decision": "category",
    "verdict": "text",
    "would_settle": "text",
    "needs_seeds": "whole",
    "needs_texts": "whole",
    "needs_runs": "whole",
    "needs_hours": "number",
    "seconds": "number",
    "seconds_low": "number",
    "seconds_high": "number",
    "memory_bytes": "number",
    "at_baseline": "number",
    "at_baseline_low": "number",
    "at_baseline_high": "number",
    "at_recommended": "number",
    "at_recommended_low": "number",
    "at_recommended_high": "number",
}


def judge_study(folder: Path, margin: float | None = None, tolerance: float = TOLERANCE) -> VerdictFacts:
    """What `finegrid verdict --json` says of a study, or of an imported table.

    Raises:
        InputError: neither, or a study that has not been started.
    """
    return as_json(with_interim_decisions(any_results(folder), margin, tolerance))


def make_effects_table(name: str, verdict: VerdictFacts) -> Frame:
    """A line per level of every strategy, against the strategy's first level; free ones come last.

    Args:
        name: of the study.
        verdict: of it.
    """
    lines: list[Line] = [describe_factor(factor, verdict) for factor in verdict["factors"]]
    free = verdict["free"]
    lines += [describe_free(level, free, verdict) for level in free["levels"]] if free else []
    return Frame(
        (
            make_category("study", [name] * len(lines), [name]),
            make_category("factor", [line["factor"] for line in lines]),
            FrameColumn("level", "text", [format_level(line["levels"][1]) for line in lines]),
            FrameColumn("against", "text", [format_level(line["levels"][0]) for line in lines]),
            FrameColumn("free", "truth", ["dev_passes" in line for line in lines]),
            *(take_column(name, kind, lines) for name, kind in COLUMNS.items()),
        )
    )


def take_column(name: str, kind: ColumnKind, lines: Sequence[Line]) -> FrameColumn:
    values = [line.get(name) for line in lines]
    return make_category(name, values, KINDS) if kind == "category" else FrameColumn(name, kind, values)


def describe_factor(factor: FactorFacts, verdict: VerdictFacts) -> Line:
    seconds_low, seconds_high = factor["seconds_interval"] or (None, None)
    return {
        **factor,
        **(decided := describe_decision(factor, verdict["margin"])),
        "verdict": condition_words(factor, verdict["margin"], "en") or decided["verdict"],
        "would_settle": factor_needs(factor, verdict, "en") or None,
        "seconds_low": seconds_low,
        "seconds_high": seconds_high,
        "memory_bytes": factor["memory"],
        **spread_local("at_baseline", factor["at_baseline"]),
        **spread_local("at_recommended", factor["at_recommended"]),
    }


def describe_free(level: FreeLevelFacts, free: FreeVerdictFacts, verdict: VerdictFacts) -> Line:
    needs = level["needs"]
    settle = None if needs is None else needs_words(needs, free["seeds"], verdict["texts"], "en")
    return {**level, **describe_decision(level, verdict["margin"]), "would_settle": settle}


def describe_decision(effect: FactorFacts | FreeLevelFacts, margin: float) -> Line:
    """What was decided on which interval, and what would settle it, in cells of their own."""
    low, high = effect["adjusted"]
    decision, needs = effect["decision"], effect["needs"]
    words = "" if decision is None else decision_words(decision_of(decision), margin, "en")
    return {
        "verdict": words or None,
        "adjusted_low": low,
        "adjusted_high": high,
        "decision": decision and decision["kind"],
        **({} if needs is None else {f"needs_{name}": value for name, value in needs.items()}),
    }


def spread_local(name: str, local: Mapping[str, Any] | None) -> Line:
    """The effect of a level in one recipe, with its interval."""
    if local is None:
        return {name: None}
    return {name: local["effect"], f"{name}_low": local["low"], f"{name}_high": local["high"]}
