"""What a study's files tell of its runs: records that fit it, whose predictions are there.

A folder may have been in other hands. What does not fit counts as missing, and is told: `finegrid run` trains
it again, to the same bits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finegrid.machine import PRECISIONS
from finegrid.metrics import find_epoch_problem, find_scores_problem
from finegrid.recipe.identity import Levels, key_of
from finegrid.spelling import count_noun
from finegrid.study.audit_file import Audit, describe_unfit_audit
from finegrid.study.folder import LEDGER_FILE
from finegrid.study.identity import identify
from finegrid.study.ledger import latest_of
from finegrid.study.parsing import Misfit, describe_misfits, name_first
from finegrid.study.prediction_file import SPLITS
from finegrid.study.predictions import Depth, Looked, PredictionPlace, look_into
from finegrid.study.record import Record
from finegrid.study.study import Study

NO_OTHER_LINE = "Runs that have no other line are missing; `finegrid run` trains them"
TRAINED_AGAIN = "They count as missing; `finegrid run` trains them again"
LATEST_TIME = 1e11  # seconds since 1970: the year 5138


@dataclass(frozen=True)
class RunsOnFile:
    """What the ledger and the predictions tell.

    Attributes:
        latest: By run id, the record that counts, of this study and of others that were in its folder.
        lost: Finished runs of this study that count as missing, since their predictions are lost; with
            their seeds.
        notes: What does not fit, in English sentences that `in_chinese` knows.
    """

    latest: Mapping[str, Record]
    lost: Mapping[str, int]
    notes: tuple[str, ...]


def read_runs(study: Study, audit: Audit | None, depth: Depth | None = "headers") -> RunsOnFile:
    """Read the ledger, and look whether the predictions of finished runs are there.

    Args:
        study: whose runs they are.
        audit: that fits the study; None: which runs are the study's is not known.
        depth: how closely predictions are looked at; None: not at all.

    Raises:
        InputError: the ledger cannot be read.
    """
    lines = study.ledger.read()
    seeds = sorted({record.seed for _, record in lines.entries})
    planned = {} if audit is None else plan_ids(study, audit, seeds)
    misfits, fitting = list(lines.misfits), []
    for number, record in lines.entries:
        run = planned.get(record.run_id)
        why = (
            find_misfit(record, *run, audit.labels, study.head.score)
            if run is not None and audit is not None
            else ""
        )
        if why:
            misfits.append(Misfit(number, why))
        else:
            fitting.append(record)
    latest = latest_of(fitting)
    lost: dict[str, int] = {}
    notes = describe_misfits(LEDGER_FILE, sorted(misfits, key=lambda misfit: misfit.line), NO_OTHER_LINE)
    if audit is not None and depth is not None:
        own = [record for record in latest.values() if record.done and record.run_id in planned]
        files = find_lost(study, audit, own, depth)
        lost = {record.run_id: record.seed for record in own if record.run_id in files}
        notes += describe_lost(study, files)
    if audit is None and (why := describe_unfit_audit(study.folder)):
        notes.append(why)
    notes += study.own.warnings
    return RunsOnFile({name: one for name, one in latest.items() if name not in lost}, lost, tuple(notes))


def plan_ids(study: Study, audit: Audit, seeds: Iterable[int]) -> dict[str, tuple[Levels, int]]:
    """By the id of every run that the study has with these seeds, in any precision: levels and seed."""
    recipes = {key_of(row.run): row.run for each in study.rows if (row := audit.row(each)) is not None}
    return {
        identify(study, audit, precision, levels, seed): (levels, seed)
        for seed in seeds
        for levels in recipes.values()
        for precision in PRECISIONS
    }


def find_misfit(record: Record, levels: Levels, seed: int, labels: Sequence[str], score: str) -> str:
    """Why a record cannot be that of its run; empty where it can."""
    return next(find_misfits(record, levels, seed, labels, score), "")


def find_misfits(
    record: Record, levels: Levels, seed: int, labels: Sequence[str], score: str
) -> Iterator[str]:
    if record.seed != seed:
        yield f"seed: found {record.seed}, but the run has {seed}"
    if record.recipe and record.recipe != levels:
        yield "recipe: not that of its run"
    for name in ("started", "ended"):
        if not 0 <= (getattr(record, name) or 0) < LATEST_TIME:
            yield f"{name}: no time since 1970"
    spent = [] if record.seconds is None else [*record.seconds.to_json().values()]
    spent += [value for epoch in record.epochs for value in (epoch.train_seconds, epoch.dev_seconds)]
    if not all(0 <= (value or 0) < LATEST_TIME for value in spent):
        yield "seconds: no time that a run takes"
    if any(epoch.epoch < 1 for epoch in record.epochs):
        yield "epochs: found a number below 1"
    for epoch in record.epochs:
        for split, scores in (("dev", epoch.dev), ("test", epoch.test)):
            if scores is not None and (why := find_epoch_problem(scores, score)):
                yield f"epochs.{split}: {why}"
    if not record.done:
        return
    if not record.best_epoch or record.best_epoch < 1:
        yield "best_epoch: found none, but the run is done"
    for split in SPLITS:
        if why := find_scores_problem(record.scores(split), labels):
            yield f"{split}: {why}"
    for key, free in record.free.items():
        for split, scores in (("dev", free.dev), ("test", free.test)):
            if free.best_epoch and (why := find_scores_problem(scores, labels)):
                yield f"free.{key}.{split}: {why}"


def find_lost(study: Study, audit: Audit, records: Sequence[Record], depth: Depth) -> dict[str, list[str]]:
    """By run id, the names of predictions that are not there, or damaged: of a family that is all its runs.

    Args:
        study: whose runs they are.
        audit: that fits it.
        records: of finished runs of it.
        depth: how closely files are looked at. Beyond their headers, what is on other texts than most files
            is damaged, too.
    """
    classes = len(audit.labels)
    texts = {split: len(groups) for split, groups in audit.groups.items()}
    lost: dict[str, list[str]] = defaultdict(list)
    told: dict[tuple[str, int], dict[tuple[str, str], str]] = defaultdict(dict)  # by split and part: by file
    looked: dict[Path, tuple[str, Looked]] = {}
    design = study.head.design
    for record in records:
        free = [key for key in study.free_levels if key in record.free and record.free[key].best_epoch]
        for place in (PredictionPlace.of(study.files, record, key) for key in ("", *free)):
            if place.path not in looked:
                found = look_into(place.path, classes, texts, depth)
                looked[place.path] = study.files.relative(place.path), found
            name, found = looked[place.path]
            if found.why or (found.names is not None and place.row not in found.names):
                lost[record.run_id].append(name)
            for split, digest in found.texts.items():
                part = 0 if design.resample is None else design.split_of(record.seed)
                told[split, part][record.run_id, name] = digest
    for digests in told.values():
        ((common, _),) = Counter(digests.values()).most_common(1)
        for (run_id, name), digest in digests.items():
            if digest != common and name not in lost[run_id]:
                lost[run_id].append(name)
    return {run_id: names for run_id, names in lost.items() if names}


def describe_lost(study: Study, files: Mapping[str, Sequence[str]]) -> list[str]:
    """One sentence on the runs whose predictions are lost; none where none is."""
    if not files:
        return []
    names = [*dict.fromkeys(name for each in files.values() for name in each)]
    runs = count_noun(len(files), "finished run")
    return [f"{runs} without predictions, which are lost or damaged ({name_first(names)}). {TRAINED_AGAIN}"]
