"""Studies of thousands of runs that nobody trained, for what times the driver and the commands that read.

Texts are the embedded headlines. The audit, records and predictions are drawn, and written as a study writes
them: every combination of up to twelve factors of two levels, in families of eight.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.data.table import DataTable, fingerprint_tables
from finegrid.machine import machine, versions
from finegrid.planning.capacity import capacity
from finegrid.planning.families import Family, plan_families
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.recipe.identity import ENGINE, Levels
from finegrid.study.audit_file import Audit, Cost, RowAudit, save_audit
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study
from finegrid.study.prediction_file import BySplit, RunPredictions, save_family
from finegrid.study.record import Epoch, Record, Seconds
from finegrid.study.study import Study

# None of them changes what a step costs, so that a seed's runs are one kind.
FACTORS: dict[str, list[Any]] = {
    "optimizer.bias_correction": [True, False],
    "schedule.warmup_ratio": [0.0, 0.1],
    "reinit.layers": [0, 1],
    "rates.layer_decay": [1.0, 0.9],
    "loss.smoothing": [0.0, 0.1],
    "optimizer.decay_on": ["all", "matrices"],
    "optimizer.beta2": [0.999, 0.99],
    "optimizer.weight_decay": [0.01, 0.1],
    "clip.norm": [0.0, 1.0],
    "schedule.floor": [0.0, 0.1],
    "rates.head": [1.0, 2.0],
    "prior.decay": [0.0, 0.01],
}
# Logits that the second level of each adds to the right class.
WORTH = (0.3, 0.15, -0.15, 0.08, -0.05, 0.03, *(0.0,) * 6)
EPOCHS = 3
FAMILY_SIZE = 8


def write_study(folder: Path, seeds: int, factors: int = len(FACTORS)) -> Study:
    """A study whose audit is made up: of so many factors, in every combination, and nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HEADLINES, folder / "data")
    settings = [
        '[data]\ntrain = "data/train.tsv"\ndev = "data/dev.tsv"\ntest = "data/test.tsv"',
        'text = "text"\nlabel = "label"',
        '[model]\nname = "mini-zh"',
        f"[training]\nepochs = {EPOCHS}",
        f'[design]\nkind = "full"\nseeds = {seeds}',
        f'[run]\ndevice = "cpu"\nprecision = "fp32"\nthreads = 1\nfamily_size = {FAMILY_SIZE}',
        "[factors]",
        *(f'"{name}" = {json.dumps(levels)}' for name, levels in list(FACTORS.items())[:factors]),
    ]
    (folder / "study.toml").write_text("\n".join(settings) + "\n", encoding="utf-8")
    study = load_study(folder)
    (table,) = study.read_tables(keep_split=False)
    save_audit(folder, make_up_audit(study, table))
    for made in (study.files.predictions, study.files.states):
        made.mkdir()
    return study


def make_up_audit(study: Study, table: DataTable) -> Audit:
    """Of a study all of whose rows are runs of their own and cost the same."""
    always = np.zeros((1, len(table.labels)), dtype=np.float32)
    always[0, np.bincount(table.train.labels).argmax()] = 1.0
    scored = {"dev": table.dev, "test": table.test}
    moved = [row.recipe.moved() for row in study.rows]
    return Audit(
        engine=ENGINE,
        fingerprints={"data": fingerprint_tables([table])},
        labels=list(table.labels),
        sizes={"train": len(table.train), "dev": len(table.dev), "test": len(table.test)},
        tokens={"mean": 14.0, "longest": 32.0, "share_of_texts_cut": 0.0},
        majority={
            name: metrics.summary(of.labels, np.repeat(always, len(of), axis=0), table.labels)
            for name, of in scored.items()
        },
        warnings=list(table.warnings),
        rows=[RowAudit(moved=levels, run=levels, inert={}) for levels in moved],
        costs=[
            Cost(
                shared=study.rows[0].recipe.priced_levels(),
                step_seconds=0.02,
                prefix_seconds=0.0,
                evaluation_seconds=0.5,
                test_seconds=1.0,
                memory=300 << 20,
                member_memory=40 << 20,
            )
        ],
        versions=versions(),
        machine=machine(),
        measured=study.head.run.alike,
    )


@dataclass(frozen=True)
class Texts:
    """Gold labels and lines of dev and test, by split, and the names of the classes."""

    gold: Mapping[str, NDArray[np.int64]]
    ids: Mapping[str, NDArray[np.int64]]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, study: Study) -> Texts:
        (table,) = study.read_tables(keep_split=False)
        splits = {"dev": table.dev, "test": table.test}
        gold = {name: of.labels for name, of in splits.items()}
        return cls(gold, {name: of.ids for name, of in splits.items()}, tuple(table.labels))

    def first(self, count: int) -> Texts:
        """The first so many of each."""
        gold, ids = ({name: of[:count] for name, of in each.items()} for each in (self.gold, self.ids))
        return Texts(gold, ids, self.labels)


@cache
def draw_hard(number: int, texts: int, classes: int) -> NDArray[np.float64]:
    """``[texts, classes]``, of a split, for all runs alike."""
    return np.random.default_rng([9, number]).standard_normal((texts, classes))


def draw_run(texts: Texts, levels: Levels, seed: int) -> BySplit:
    """What a run predicts: texts are hard for all runs alike, and levels are worth what `WORTH` says."""
    moved = [levels.get(name, first) != first for name, (first, _) in FACTORS.items()]
    worth = sum(value for value, is_moved in zip(WORTH, moved, strict=True) if is_moved)
    found = {}
    for number, (split, gold) in enumerate(texts.gold.items()):
        hard = draw_hard(number, len(gold), len(texts.labels))
        random = np.random.default_rng([seed, number, *map(int, moved)])
        noise = random.standard_normal(hard.shape, dtype=np.float32)
        logits = (1.5 * hard + noise).astype(np.float32)
        logits[np.arange(len(gold)), gold] += 2.5 + worth + 0.05 * random.standard_normal()
        found[split] = RunPredictions(gold, logits, texts.ids[split])
    return found


def make_up_record(
    run_id: str, levels: Levels, seed: int, family: str, scores: Mapping[str, Any], times: tuple[float, float]
) -> Record:
    """Of a run that has ended.

    Args:
        run_id: the run's id.
        levels: that it moves from the defaults.
        seed: the run's seed.
        family: whose file of predictions has its own.
        scores: by split.
        times: when it began and ended, seconds since 1970.
    """
    epochs = (
        Epoch(epoch=number, train_loss=1 / number, train_seconds=0.94, dev_seconds=0.5, dev=scores["dev"])
        for number in range(1, EPOCHS + 1)
    )
    return Record(
        run_id=run_id,
        recipe=levels,
        seed=seed,
        status="done",
        protocol="best-dev",
        best_epoch=EPOCHS,
        dev=scores["dev"],
        test=scores["test"],
        epochs=tuple(epochs),
        seconds=Seconds(epoch=0.94, train=2.82, dev=1.5, test=1.0),
        memory=300 << 20,
        family=family,
        predictions=family,
        threads=1,
        stack=1,
        path="plain",
        precision="fp32",
        device="cpu",
        versions=versions(),
        started=times[0],
        ended=times[1],
    )


def plan(study: Study, audit: Audit) -> list[Family]:
    """The families that `finegrid run` would train."""
    settings = study.head.run
    return plan_families(plan_runs(study, audit, "fp32"), capacity(settings, audit).size_of)


def finish(study: Study, audit: Audit) -> Iterator[int]:
    """Write records and predictions of every run. Yields how many runs have ended, family by family."""
    texts, ended = Texts.of(study), 0
    for family in plan(study, audit):
        drawn = [draw_run(texts, run.levels, run.seed) for run in family.runs]
        each = [*zip(family.runs, drawn, strict=True)]
        path = study.files.predictions_of_family(family.family_id)
        save_family(path, {run.run_id: found for run, found in each})
        study.ledger.append(*(record_drawn(run, found, family, texts) for run, found in each))
        ended += len(family.runs)
        yield ended


def record_drawn(run: PlannedRun, found: BySplit, family: Family, texts: Texts) -> Record:
    scores = {split: metrics.summary(said.gold, said.logits, texts.labels) for split, said in found.items()}
    times = (1.75e9, 1.75e9 + 6)
    record = make_up_record(run.run_id, run.levels, run.seed, family.family_id, scores, times)
    return replace(record, stands_for=run.stands_for)
