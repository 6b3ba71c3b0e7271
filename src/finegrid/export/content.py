"""Collects what is exported of a study or of an imported table, the same for every tool."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid import __version__
from finegrid.export.words import say
from finegrid.in_chinese import name_state
from finegrid.metrics import PLAIN_SCORES
from finegrid.recipe.identity import Level, Levels
from finegrid.results.load import load_results
from finegrid.results.results import Distinct, Results
from finegrid.spelling import Lang
from finegrid.study.bundles import bundles_json
from finegrid.study.imported import Imported, load_imported
from finegrid.study.load import read_study
from finegrid.study.record import Epoch, Record
from finegrid.study.study import Study
from finegrid.words import SHARED

MADE_BY = "finegrid export"
# 0 to 1 (mcc: from -1), by "dev/macro-f1", "test/f1:<label>"; "result" of a table.
Scores = Mapping[str, float]


@dataclass(frozen=True)
class ExportedEpoch:
    """One epoch of a run; None: what its record does not say."""

    number: int  # from 1
    train_loss: float | None
    train_seconds: float | None
    dev_seconds: float | None
    scores: Scores

    @property
    def seconds(self) -> float:
        """What it took, as far as that is known."""
        return (self.train_seconds or 0.0) + (self.dev_seconds or 0.0)


@dataclass(frozen=True)
class ExportedRun:
    """One distinct recipe with one seed, or one line of an imported table."""

    name: str  # row-01-seed-0; good for a folder, and unique in its study
    group: str  # row-01; equal for repeats
    recipe: int  # first row of the table that is this recipe: equal for repeats
    rows: tuple[int, ...]  # that it stands for
    seed: int | None
    levels: Levels  # of the varied factors, inert ones as in its first row
    status: str  # done | diverged | failed | left; missing: an imported line without a number
    fixed: Levels  # the rest of its recipe: of the whole study, or of a bundle's level; empty of a table
    record: Record | None  # None: it has not run
    scores: Scores  # empty where the run has not finished
    seconds: Mapping[str, float]  # train, dev, test, and epoch: of training; or run: of a table
    epochs: tuple[ExportedEpoch, ...]

    @property
    def run_id(self) -> str | None:
        return self.record.run_id if self.record else None

    @property
    def started(self) -> float:
        """Seconds since 1970; 0 where nobody knows."""
        return (self.record.started if self.record else None) or 0.0

    @property
    def ended(self) -> float:
        """Seconds since 1970; 0 where nobody knows."""
        return (self.record.ended if self.record else None) or 0.0

    @property
    def best_epoch(self) -> int | None:
        return self.record.best_epoch if self.record and self.record.done and self.epochs else None


@dataclass(frozen=True)
class Content:
    """A study, or an imported table, as every tool gets it."""

    name: str  # of the study's folder
    folder: Path
    score: str  # the one that is analysed, or as the table calls its result
    protocol: str  # empty of an imported table: it does not tell
    factors: Mapping[str, Sequence[Level]]  # the varied ones, inert ones included; first the baseline's level
    scores: tuple[str, ...]  # that a finished run has
    labels: tuple[str, ...]
    runs: tuple[ExportedRun, ...]
    about: Mapping[str, Any]  # what all runs have in common, for JSON
    unfit: tuple[str, ...] = ()  # what of the study's files does not fit

    @property
    def main_score(self) -> str:
        """Key of the score that is analysed, as it was measured in the end."""
        return f"test/{self.score}" if self.protocol else "result"

    @property
    def identity(self) -> str:
        """12 hex digits of what the study varies around what: they stay when seeds or rows are added."""
        key = [self.about.get("imported"), {**self.factors}, self.about.get("baseline")]
        key += [bundles] if (bundles := self.about.get("bundles")) else []
        return hashlib.sha256(json.dumps(key, default=list).encode()).hexdigest()[:12]

    def describe_runs(self, lang: Lang = "en") -> str:
        """How many runs there are: ``192 runs (190 done, 2 left)``."""
        counts = Counter(run.status for run in self.runs).items()
        states = [say("state", lang, count=count, state=name_state(state, lang)) for state, count in counts]
        return say("runs", lang, runs=len(self.runs), states=SHARED[lang]["list comma"].join(states))


def load_content(folder: Path) -> Content:
    """Collect a study or an imported table.

    Raises:
        InputError: neither, or a study that has not been started.
    """
    imported = load_imported(folder)
    if imported is not None:
        return collect_table(folder, imported)
    study = read_study(folder)
    return collect_study(study, load_results(study))


def collect_study(study: Study, results: Results) -> Content:
    audit = results.audit
    assert audit is not None  # a study has one, tables do not come here
    rows = {row.index: row for row in study.rows}
    width = len(str(len(rows)))
    runs = []
    for recipe in results.recipes:
        row = rows[recipe.rows[0]]
        fixed = {name: level for name, level in row.recipe.levels().items() if name not in row.levels}
        for seed in results.seeds:
            runs.append(collect_run(f"row-{row.index:0{width}}", recipe, row.levels, fixed, seed))
    names = (*PLAIN_SCORES, *(f"f1:{label}" for label in audit.labels))
    return Content(
        name=name_study(study.folder),
        folder=study.folder,
        score=study.head.score,
        protocol=study.head.protocol,
        factors=study.factors,
        scores=tuple(f"{split}/{name}" for split in ("dev", "test") for name in names),
        labels=tuple(audit.labels),
        runs=tuple(runs),
        about={
            "made_by": MADE_BY,
            "finegrid": __version__,
            "study": name_study(study.folder),
            "score": study.head.score,
            "protocol": study.head.protocol,
            "design": study.head.design.kind,
            "seeds": list(results.seeds),
            "factors": {name: list(levels) for name, levels in study.factors.items()},
            **({"bundles": bundles_json(study.bundles)} if study.bundles else {}),
            "inert": dict(results.inert),
            "baseline": study.baseline.levels(),
            "labels": audit.labels,
            "texts": audit.sizes,
            "engine": audit.engine,
            "fingerprints": audit.fingerprints,
            "versions": audit.versions,
            "warnings": list(results.notes),
        },
        unfit=results.unfit,
    )


def collect_run(group: str, recipe: Distinct, levels: Levels, fixed: Levels, seed: int) -> ExportedRun:
    record = recipe.records.get(seed)
    scores: dict[str, float] = {}
    if record is not None and record.done:
        scores = {**flatten_scores("dev", record.dev), **flatten_scores("test", record.test)}
    seconds = record.seconds.to_json() if record and record.seconds else {}
    return ExportedRun(
        name=f"{group}-seed-{seed}",
        group=group,
        recipe=recipe.rows[0],
        rows=recipe.rows,
        seed=seed,
        levels=levels,
        status=record.status if record else "left",
        fixed=fixed,
        record=record,
        scores=scores,
        seconds={part: value for part, value in seconds.items() if value is not None},
        epochs=tuple(map(collect_epoch, record.epochs)) if record else (),
    )


def collect_epoch(epoch: Epoch) -> ExportedEpoch:
    scores = {**flatten_scores("dev", epoch.dev or {}), **flatten_scores("test", epoch.test or {})}
    return ExportedEpoch(epoch.epoch, epoch.train_loss, epoch.train_seconds, epoch.dev_seconds, scores)


def flatten_scores(split: str, scores: Mapping[str, Any]) -> dict[str, float]:
    """A `metrics.summary` without nesting."""
    plain = {f"{split}/{name}": value for name, value in scores.items() if name != "f1"}
    return plain | {f"{split}/f1:{label}": value for label, value in scores.get("f1", {}).items()}


def collect_table(folder: Path, imported: Imported) -> Content:
    """The content of an imported table, which has no dev scores, no epochs and no machine."""
    width = len(str(max((row.index for row in imported.rows), default=1)))
    taken: Counter[str] = Counter()
    runs = []
    for row, same in zip(imported.rows, imported.same_as(), strict=True):
        name = f"row-{row.index:0{width}}" + (f"-seed-{row.seed}" if row.seed is not None else "")
        taken[name] += 1
        runs.append(
            ExportedRun(
                name=name if taken[name] == 1 else f"{name}-{taken[name]}",
                group=f"row-{same:0{width}}",
                recipe=same,
                rows=(row.index,),
                seed=row.seed,
                levels=row.levels,
                status="missing" if row.result is None else "done",
                fixed={},
                record=None,
                scores={} if (written := imported.as_written(row)) is None else {"result": written},
                seconds={imported.seconds_per or "run": row.seconds} if row.seconds is not None else {},
                epochs=(),
            )
        )
    return Content(
        name=name_study(folder),
        folder=folder,
        score=imported.score,
        protocol="",
        factors=imported.factors,
        scores=("result",),
        labels=(),
        runs=tuple(runs),
        about={
            "made_by": MADE_BY,
            "finegrid": __version__,
            "study": name_study(folder),
            "imported": imported.source,
            "title": imported.title,
            "score": imported.score,
            "lower_is_better": imported.lower_is_better,
            "factors": imported.factors,
            "inert": imported.inert,
            "notes": imported.notes,
            "warnings": imported.warnings,
        },
    )


def name_study(folder: Path) -> str:
    return folder.resolve().name or "study"
