"""Studies and tables to export: runs that nobody trained, some of which have not ended well."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.recipe.identity import Level
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.imported import Imported, ImportedRow, save_imported
from finegrid.study.load import load_study
from finegrid.study.record import Epoch, Record, Seconds, Status
from finegrid.study.study import Study
from support.pretend import TEXTS, record_of
from support.studies import open_study, write_study

# 8 rows, of which 4 are distinct: first-last pooling never reads the pooler.
FACTORS = """
[design]
seeds = 3
[factors]
"optimizer.decay_on" = ["all", "matrices"]
"reinit.pooler" = [false, true]
"schedule.warmup_ratio" = [0.0, 0.1]
"""
LABELS = ["=1+1", "体育/足球", "体育:足球"]  # spreadsheets, paths and names of metrics trip over these
BROKEN: dict[Status, str] = {
    "diverged": "the loss was nan at step 7 of 12",
    "failed": "=OSError: 'no, space'\nleft",
}
STARTED = 1_795_539_586.5


def audited(folder: Path, bert: Path, head: str = "") -> Path:
    """A study with an audit and no runs, whose labels are `LABELS`."""
    loaded = open_study(write_study(folder, bert, FACTORS, head))
    audit = make_audit(loaded)
    majority = {
        split: {**scores, "f1": dict(zip(LABELS, scores["f1"].values(), strict=True))}
        for split, scores in audit.majority.items()
    }
    save_audit(folder, audit.model_copy(update={"labels": LABELS, "majority": majority}))
    return folder


def finished(audited: Path, folder: Path) -> Study:
    """A copy of an audited study in which all 12 runs are done."""
    study = copied(audited, folder)
    for run in planned(study):
        study.ledger.append(record_for(study, run))
    return study


def unfinished(audited: Path, folder: Path) -> Study:
    """A copy of which one run has diverged, one has failed, one is left, and nine are done."""
    study = copied(audited, folder)
    runs = planned(study)
    for run, (status, reason) in zip(runs[:2], BROKEN.items(), strict=True):
        whole = record_for(study, run)
        began = whole.epochs[:1] if status == "diverged" else ()
        seconds = Seconds(epoch=10.0, train=10.0, dev=0.5) if began else None
        void = replace(whole, dev={}, test={}, epochs=began, best_epoch=len(began), seconds=seconds)
        study.ledger.append(replace(void, status=status, reason=reason))
        (study.folder / "predictions" / f"{run.run_id}.npz").unlink()
    for run in runs[3:]:
        study.ledger.append(record_for(study, run))
    return study


def copied(folder: Path, to: Path) -> Study:
    shutil.copytree(folder, to)
    return load_study(to)


def planned(study: Study) -> list[PlannedRun]:
    audit = load_audit(study.folder)
    assert audit is not None
    return plan_runs(study, audit, "fp32", study.head.design.numbers)


def record_for(study: Study, run: PlannedRun) -> Record:
    """A run of two epochs, the second of them the best."""
    audit = load_audit(study.folder)
    assert audit is not None
    right = np.random.default_rng([run.seed, int(run.run_id, 16)]).random(TEXTS) < 0.7
    record = record_of(study, audit, run, right)
    worse = {**record.dev, "macro-f1": record.score("dev", "macro-f1") / 2}
    protocol = study.head.protocol
    epochs = [
        Epoch(
            epoch=number,
            train_loss=1.5 / number,
            train_seconds=10.0,
            dev_seconds=0.5,
            dev=dev,
            test=dev if protocol == "best-test" else None,
        )
        for number, dev in ((1, worse), (2, record.dev))
    ]
    return replace(
        record,
        best_epoch=2,
        epochs=tuple(epochs),
        started=STARTED,
        ended=STARTED + 22,
        versions={"torch": "2.13.0"},
        protocol=protocol,
        memory=123,
    )


def table_from_elsewhere(folder: Path, source: str = "results.csv") -> Path:
    """Four lines: two repeats, one without a number; names and levels that a spreadsheet would compute."""
    factors: dict[str, list[Level]] = {"=cmd": ["-1+1", "@x"], "status": [-1, 2], "idle": [True, False]}
    lines: list[tuple[list[Level], float | None]] = [
        (["-1+1", -1, True], 93.76),
        (["-1+1", -1, False], 93.7),
        (["@x", -1, True], None),
        (["@x", 2, True], 91.25),
    ]
    rows = [
        ImportedRow(index=index, levels=dict(zip(factors, levels, strict=True)), result=result, seconds=2.5)
        for index, (levels, result) in enumerate(lines, start=1)
    ]
    imported = Imported(
        title="a table",
        source=source,
        score="准确率",
        seconds_per="epoch",
        factors=factors,
        inert={"idle": "declared"},
        rows=rows,
        notes=["from somewhere"],
    )
    folder.mkdir(parents=True)
    save_imported(folder, imported)
    return folder


def no_library(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if it were not installed."""
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
