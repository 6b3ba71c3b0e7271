"""The study's table: one row per recipe, merged rows included, in the order of the design."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from statistics import median
from typing import Any

from finegrid import metrics
from finegrid.recipe.identity import Levels, key_of
from finegrid.recipe.recipe import Recipe
from finegrid.results.load import records_by_seed
from finegrid.spelling import format_level
from finegrid.study.audit_file import Audit
from finegrid.study.ledger import Record
from finegrid.study.settings import BEST_TEST
from finegrid.study.study import Study


@dataclass(frozen=True)
class TableRow:
    index: int
    levels: Levels
    records: tuple[Record, ...]  # one per seed that has run
    same_as: int  # the first row that is the same run; its own index if none comes before
    inert: dict[str, str]

    def scores(self, name: str, split: str = "test") -> list[float]:
        """One score per finished seed."""
        return [metrics.score_of(r[split], name) for r in self.records if r["status"] == "done"]

    def mean(self, name: str, split: str = "test") -> float | None:
        scores = self.scores(name, split)
        return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True)
class ResultTable:
    study: Study
    audit: Audit | None
    rows: tuple[TableRow, ...]

    @property
    def score(self) -> str:
        return self.study.head.score

    def finished(self) -> list[TableRow]:
        return [row for row in self.rows if row.mean(self.score) is not None]

    def best_and_worst(self) -> tuple[TableRow, TableRow] | None:
        """By mean score on test; ties go to the earlier row."""
        rows = self.finished()
        if not rows:
            return None
        means = {row.index: row.mean(self.score) or 0.0 for row in rows}
        return max(rows, key=lambda r: (means[r.index], -r.index)), min(
            rows, key=lambda r: (means[r.index], r.index)
        )

    def epoch_seconds(self) -> dict[str, float]:
        """Median seconds per training epoch of the distinct runs that are full, and that are frozen."""
        runs: dict[str, Record] = {
            r["run_id"]: r for row in self.rows for r in row.records if r["status"] == "done"
        }
        kinds: dict[str, list[float]] = {}
        for record in runs.values():
            kind = "frozen" if Recipe().at(record["recipe"]).frozen_layers else "full"
            kinds.setdefault(kind, []).append(record["seconds"]["epoch"])
        return {kind: median(seconds) for kind, seconds in sorted(kinds.items(), reverse=True)}


def make_table(study: Study, audit: Audit | None) -> ResultTable:
    """Join the design with the ledger. Every seed that has run counts, also those beyond study.toml."""
    latest = study.ledger.latest()
    seeds = sorted({*study.head.design.numbers, *(record["seed"] for record in latest.values())})
    rows: list[TableRow] = []
    first: dict[str, int] = {}
    for row in study.rows:
        audited = audit.row(row) if audit else None
        records = records_by_seed(study, audit, audited.run, seeds, latest) if audit and audited else {}
        key = key_of(audited.run) if audited else str(row.index)
        same = first.setdefault(key, row.index)
        rows.append(
            TableRow(row.index, row.levels, tuple(records.values()), same, audited.inert if audited else {})
        )
    return ResultTable(study, audit, tuple(rows))


def columns(table: ResultTable) -> list[str]:
    preset = table.study.preset
    if table.study.is_published_grid and preset is not None:
        return [column.name for column in preset.columns]
    return list(table.study.factors)


def cells(table: ResultTable, row: TableRow) -> list[str]:
    preset = table.study.preset
    if table.study.is_published_grid and preset is not None:
        return [
            column.off if row.levels[column.factor] == preset.factors[column.factor][0] else column.on
            for column in preset.columns
        ]
    return [format_level(level) for level in row.levels.values()]


def result(table: ResultTable, row: TableRow) -> str:
    mean = row.mean(table.score)
    if mean is not None:
        return f"{mean:.4f}"
    return row.records[-1]["status"] if row.records else ""


def render(table: ResultTable, style: str) -> str:
    """The table as ``markdown``, ``csv`` or ``json``."""
    best_test = table.study.head.protocol == "best-test"
    header = ["index", *columns(table), "result (best-test)" if best_test else "result"]
    lines = [[str(row.index), *cells(table, row), result(table, row)] for row in table.rows]
    if style == "json":
        return json.dumps(as_json(table), ensure_ascii=False, indent=1)
    if style == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *lines])
        return out.getvalue().rstrip("\n")
    marks = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(map(escape, line))} |" for line in [header, marks, *lines])


def escape(cell: str) -> str:
    """Levels are ours, but f1:<label> and names may hold anything."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def as_json(table: ResultTable) -> dict[str, Any]:
    best = table.best_and_worst()
    return {
        "schema": 1,
        "score": table.score,
        "protocol": table.study.head.protocol,
        "rows": [
            {
                "index": row.index,
                "levels": row.levels,
                "same_as": row.same_as,
                "inert": row.inert,
                "result": row.mean(table.score),
                "runs": [
                    {
                        "run_id": r["run_id"],
                        "seed": r["seed"],
                        "status": r["status"],
                        "test": metrics.score_of(r["test"], table.score) if r["status"] == "done" else None,
                        "dev": metrics.score_of(r["dev"], table.score) if r["status"] == "done" else None,
                        "best_epoch": r.get("best_epoch"),
                        "epoch_seconds": r["seconds"]["epoch"] if r["status"] == "done" else None,
                    }
                    for r in row.records
                ],
            }
            for row in table.rows
        ],
        "best": best[0].index if best else None,
        "worst": best[1].index if best else None,
        "epoch_seconds": table.epoch_seconds(),
    }


def summary_lines(table: ResultTable) -> list[str]:
    """Best and worst row and seconds per epoch, in words."""
    extremes = table.best_and_worst()
    if extremes is None:
        return ["no run has finished yet"]
    lines = []
    for word, row in zip(("best", "worst"), extremes, strict=True):
        record = next(r for r in row.records if r["status"] == "done")
        epochs = len(record["epochs"])
        lines.append(
            f"{word} row {row.index}: {table.score} {row.mean(table.score):.4f} on test "
            f"(epoch {record['best_epoch']} of {epochs}, {record['seconds']['epoch']:.2f} s per epoch)"
        )
    kinds = [f"{seconds:.2f} s {kind}" for kind, seconds in table.epoch_seconds().items()]
    lines.append(f"seconds per epoch, median over runs: {', '.join(kinds)}")
    if table.study.head.protocol == "best-test":
        lines.append(BEST_TEST)
    return lines
