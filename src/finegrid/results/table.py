"""The study's table: one row per recipe, merged rows included, in the order of the design."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from finegrid.in_chinese import name_state, translate
from finegrid.recipe.identity import Levels, key_of
from finegrid.results.load import records_by_seed
from finegrid.results.render import format_levels, name_columns, render_table
from finegrid.results.words import say
from finegrid.spelling import Lang, seconds_digits
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record
from finegrid.study.runs_on_file import read_runs
from finegrid.study.settings import BEST_TEST
from finegrid.study.study import Study
from finegrid.words import SHARED


@dataclass(frozen=True)
class TableRow:
    index: int
    levels: Levels
    records: tuple[Record, ...]  # one per seed that has run
    same_as: int  # the first row that is the same run; its own index if none comes before
    inert: dict[str, str]

    def scores(self, name: str, split: str = "test") -> list[float]:
        """One score per finished seed."""
        return [record.score(split, name) for record in self.records if record.done]

    def mean(self, name: str, split: str = "test") -> float | None:
        scores = self.scores(name, split)
        return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True)
class ResultTable:
    study: Study
    audit: Audit | None
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()  # what of the study's files does not fit

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
        runs = {record.run_id: record for row in self.rows for record in row.records if record.done}
        kinds: dict[str, list[float]] = {}
        for record in runs.values():
            kind = "frozen" if self.study.blank.at(record.recipe).frozen_layers else "full"
            if (seconds := epoch_seconds(record)) is not None:
                kinds.setdefault(kind, []).append(seconds)
        return {kind: median(seconds) for kind, seconds in sorted(kinds.items(), reverse=True)}


def make_table(study: Study, audit: Audit | None) -> ResultTable:
    """Join the design with the ledger. Every seed that has run counts, also those beyond study.toml."""
    on_file = read_runs(study, audit)
    latest = on_file.latest
    seeds = sorted({*study.head.design.numbers, *(record.seed for record in latest.values())})
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
    return ResultTable(study, audit, tuple(rows), on_file.notes)


def format_result(table: ResultTable, row: TableRow, lang: Lang = "en") -> str:
    """The mean score; what became of the last run where none has finished; empty where none has run."""
    mean = row.mean(table.score)
    if mean is not None:
        return f"{mean:.4f}"
    return name_state(row.records[-1].status, lang) if row.records else ""


def render_results(table: ResultTable, style: str, lang: Lang = "en") -> str:
    """The table as ``markdown``, ``csv`` or ``json``. ``lang`` is of Markdown: programs read the others."""
    lang = lang if style == "markdown" else "en"
    study = table.study
    preset = study.preset if study.is_published_grid else None
    result = "best-test" if study.head.protocol == "best-test" else "result"
    header = [say("index", lang), *name_columns(study.factors, preset), say(result, lang)]
    rows = [
        [str(row.index), *format_levels(row.levels, preset), format_result(table, row, lang)]
        for row in table.rows
    ]
    return render_table(header, rows, as_json(table), style)


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
                "runs": [run_json(record, table.score) for record in row.records],
            }
            for row in table.rows
        ],
        "best": best[0].index if best else None,
        "worst": best[1].index if best else None,
        "epoch_seconds": table.epoch_seconds(),
    }


def run_json(record: Record, score: str) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "seed": record.seed,
        "status": record.status,
        "test": record.score("test", score) if record.done else None,
        "dev": record.score("dev", score) if record.done else None,
        "best_epoch": record.best_epoch,
        "epoch_seconds": epoch_seconds(record) if record.done else None,
    }


def epoch_seconds(record: Record) -> float | None:
    """Seconds per training epoch of a finished run; None where its record does not tell."""
    return None if record.seconds is None else record.seconds.epoch


def format_epoch(seconds: float | None, lang: Lang = "en") -> str:
    """``12.30 s``; ``? s`` where it is not known."""
    if seconds is None:
        return say("seconds", lang, seconds="?")
    return say("seconds", lang, seconds=f"{seconds:.{seconds_digits(seconds, digits=2)}f}")


def summary_lines(table: ResultTable, lang: Lang = "en") -> list[str]:
    """Best and worst row and seconds per epoch, in words."""
    extremes = table.best_and_worst()
    if extremes is None:
        return [say("none", lang)]
    lines = []
    for word, row in zip(("best", "worst"), extremes, strict=True):
        record = next(record for record in row.records if record.done)
        told = say(
            word,
            lang,
            row=row.index,
            score=table.score,
            mean=row.mean(table.score),
            epoch=record.best_epoch,
            epochs=len(record.epochs),
            seconds=format_epoch(epoch_seconds(record), lang),
        )
        lines.append(told)
    return [*lines, *seconds_lines(table, lang)]


def seconds_lines(table: ResultTable, lang: Lang = "en") -> list[str]:
    """What an epoch took, and a warning where epochs were chosen on test; nothing before the first run."""
    lines = []
    kinds = [
        say(kind, lang, seconds=format_epoch(seconds, lang))
        for kind, seconds in table.epoch_seconds().items()
    ]
    if kinds:
        lines.append(say("per epoch", lang, kinds=SHARED[lang]["list comma"].join(kinds)))
    if table.study.head.protocol == "best-test":
        lines.append(translate(BEST_TEST, lang))
    return lines
