"""Finds what each column of an imported table is: index, seed, seconds, the result, or a factor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finegrid.data.columns import suggest_name
from finegrid.data.findings import FileFindings, quote, quote_all

INDEX = {"", "index", "row", "#", "no", "no.", "序号"}  # "": pandas writes its index so
SEED = {"seed", "random_seed", "种子", "随机种子"}
SECONDS = {
    *("seconds", "seconds_per_epoch", "seconds_per_run", "epoch_seconds"),
    *("秒数", "每轮秒数", "每次运行秒数"),
}
RESULT = {
    *("result", "results", "score", "test_score", "f1", "f1_score", "macro_f1", "micro_f1", "weighted_f1"),
    *("test_f1", "accuracy", "acc", "test_accuracy", "test_acc", "mcc", "结果", "得分", "准确率", "f1值"),
}


@dataclass(frozen=True)
class Roles:
    """Columns by number, from 0."""

    index: int | None
    seed: int | None
    seconds: int | None
    result: int
    factors: tuple[int, ...]


def find_roles(
    header: Sequence[str], result: str | None, seconds: str | None, findings: FileFindings
) -> Roles | None:
    """Recognise columns by their names and by what the user says; None, and problems, where that fails."""
    check_names(header, findings)
    results = find_columns(header, RESULT)
    if result is not None:
        chosen = find_column(header, result, "--result", findings)
    else:
        chosen = take_only(results, header, findings)
    timed = [column for column in find_columns(header, SECONDS) if column != chosen]
    time = find_column(header, seconds, "--seconds", findings) if seconds is not None else take_first(timed)
    kinds = {
        "index": [column for column in find_columns(header, INDEX) if column not in (chosen, time)],
        "seed": [column for column in find_columns(header, SEED) if column not in (chosen, time)],
        "seconds": timed if seconds is None else [],
    }
    for kind, columns in kinds.items():
        if len(columns) > 1:
            what = f"{len(columns)} columns of {kind}: {quote_columns(header, columns)}. Take out all but one"
            findings.add_problem(kind, f"{what}{', or pass --seconds COLUMN' if kind == 'seconds' else ''}")
    if chosen is not None and chosen == time:
        findings.add_problem("--seconds", f"{quote(header[chosen])} cannot be both result and seconds")
    if chosen is None:
        return None
    others = [column for column in (*results, *timed) if column not in (chosen, time)]
    if others:
        kept = quote_columns(header, [column for column in (chosen, time) if column is not None])
        findings.warnings.append(f"left out, next to {kept}: {quote_columns(header, others)}")
    taken = {chosen, time, *kinds["index"], *kinds["seed"], *others}
    factors = tuple(column for column in range(len(header)) if column not in taken)
    return Roles(take_first(kinds["index"]), take_first(kinds["seed"]), time, chosen, factors)


def check_names(header: Sequence[str], findings: FileFindings) -> None:
    for name in dict.fromkeys(header):
        if name and header.count(name) > 1:
            what = f"{header.count(name)} columns are called {quote(name)}. Rename all but one"
            findings.add_problem("columns", what)
    nameless = [column + 1 for column, name in enumerate(header) if not name and column > 0]
    if nameless:
        numbers = ", ".join(map(str, nameless))
        findings.add_problem(
            "columns", f"column {numbers} has no name. Name it in the header, or take it out"
        )


def fold_name(name: str) -> str:
    """``Macro-F1 (%)`` as ``macro_f1``."""
    return re.sub(r"[\s_-]+", "_", (name.partition("(")[0].strip() or name).casefold())


def find_columns(header: Sequence[str], names: set[str]) -> list[int]:
    return [column for column, name in enumerate(header) if fold_name(name) in names]


def take_first(columns: Sequence[int]) -> int | None:
    return columns[0] if columns else None


def quote_columns(header: Sequence[str], columns: Sequence[int]) -> str:
    return quote_all([header[column] for column in columns])


def find_column(header: Sequence[str], name: str, option: str, findings: FileFindings) -> int | None:
    exact = [column for column, title in enumerate(header) if title == name]
    alike = [column for column, title in enumerate(header) if title.casefold() == name.casefold()]
    for columns in (exact, alike):
        if len(columns) == 1:
            return columns[0]
    close = suggest_name(name, header)
    findings.add_problem(
        option, f"{option}: no column {quote(name)}.{close} Found: {quote_all(list(header))}"
    )
    return None


def take_only(results: Sequence[int], header: Sequence[str], findings: FileFindings) -> int | None:
    if len(results) == 1:
        return results[0]
    if results:
        what = f"several columns may be the result: {quote_columns(header, results)}. Pass --result COLUMN"
    else:
        known = quote_all(list(header))
        what = f"no column is called result, f1, accuracy or alike. Found: {known}. Pass --result COLUMN"
    findings.add_problem("result", what)
    return None
