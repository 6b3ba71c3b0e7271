"""How long `finegrid verdict` and `finegrid report` take, and how much memory, with hundreds of classes.

    python benchmarks/classes.py OUT                                          # 1,000 classes, 24 runs
    python benchmarks/classes.py OUT --classes 50 --factors 6 --seeds 3       # 64 recipes with three seeds

Nothing is trained: texts, ledger, audit and predictions are drawn, and written as a study writes them. A
class is taken for one that is like it, rare classes more often than common ones. Each command is called in a
process of its own; the median of several calls counts. A folder that is there already is timed as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from finegrid.machine import cores, processor

FACTORS = {
    "optimizer.bias_correction": [True, False],
    "schedule.warmup_ratio": [0.0, 0.1],
    "freeze.layers": [0, 2],
    "reinit.layers": [0, 1],
    "optimizer.decay_on": ["all", "matrices"],
    "training.epochs": [3, 4],
}
WORTH = (0.04, 0.01, -0.02, 0.0, 0.005, 0.01)  # of a moved level: share of texts
COMMANDS = {"verdict": ["verdict"], "report": ["report"]}
EPOCHS = 3


@dataclass(frozen=True)
class Size:
    """Of a study.

    Attributes:
        factors: Of two levels each, all combinations; the first of `FACTORS`.
        texts: Of dev, and of test.
        label: What a class is called; it is given its number.
    """

    classes: int = 1000
    factors: int = 3
    seeds: int = 3
    texts: int = 10_000
    label: str = "intent {:04d}"

    @property
    def labels(self) -> list[str]:
        return [self.label.format(number) for number in range(self.classes)]


def draw_gold(size: Size, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """``[count]``: a text of every class at the least, and of the first classes many more."""
    share = 1 / (10 + np.arange(size.classes))
    more = random.choice(size.classes, count - size.classes, p=share / share.sum())
    gold: NDArray[np.int64] = random.permutation(np.concatenate([np.arange(size.classes), more]))
    return gold


def write_texts(path: Path, size: Size, gold: NDArray[np.int64]) -> None:
    labels = size.labels
    lines = [
        f"{path.stem} text {row} about topic {number}\t{labels[number]}" for row, number in enumerate(gold)
    ]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")


def write_study(folder: Path, size: Size) -> None:
    """Texts and ``study.toml``."""
    folder.mkdir(parents=True)
    for number, part in enumerate(("train", "dev", "test")):
        random = np.random.default_rng([0, number])
        write_texts(folder / f"{part}.tsv", size, draw_gold(size, size.texts, random))
    factors = list(FACTORS.items())[: size.factors]
    settings = [
        '[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\ntest = "test.tsv"\ntext = "text"\nlabel = "label"',
        '[model]\nname = "mini-zh"',
        f"[design]\nseeds = {size.seeds}",
        "[factors]",
        *(f'"{name}" = {json.dumps(levels)}' for name, levels in factors),
    ]
    (folder / "study.toml").write_text("\n".join(settings) + "\n", encoding="utf-8")


def build(folder: Path, size: Size) -> Path:
    """A study folder whose runs all have ended."""
    # A finegrid of before, which may be timed on a folder that is there, cannot write what this one writes.
    from finegrid import metrics
    from finegrid.data.table import fingerprint_tables
    from finegrid.machine import machine, versions
    from finegrid.planning.runs import PlannedRun, plan_runs
    from finegrid.recipe.identity import ENGINE
    from finegrid.study.audit_file import Audit, RowAudit, save_audit
    from finegrid.study.load import load_study
    from finegrid.study.prediction_file import RunPredictions, save_family
    from finegrid.study.record import Epoch, Record, Seconds

    write_study(folder, size)
    study = load_study(folder)
    (table,) = study.read_tables(keep_split=False)
    splits = {"dev": table.dev, "test": table.test}
    commonest = np.bincount(table.train.labels).argmax()
    always = np.zeros((1, size.classes), dtype=np.float32)
    always[0, commonest] = 1.0
    audit = Audit(
        engine=ENGINE,
        fingerprints={"data": fingerprint_tables([table])},
        labels=list(table.labels),
        sizes={"train": len(table.train), "dev": len(table.dev), "test": len(table.test)},
        tokens={"mean": 8.0, "longest": 12.0, "share_of_texts_cut": 0.0},
        majority={
            name: metrics.summary(of.labels, np.repeat(always, len(of), axis=0), table.labels)
            for name, of in splits.items()
        },
        warnings=list(table.warnings),
        rows=[RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={}) for row in study.rows],
        costs=[],
        versions=versions(),
        machine=machine(),
    )
    save_audit(folder, audit)

    def predict(run: PlannedRun) -> dict[str, RunPredictions]:
        moved = [name in run.levels for name in list(FACTORS)[: size.factors]]
        right = 0.8 + sum(worth for worth, is_moved in zip(WORTH, moved, strict=False) if is_moved)
        return {
            split: RunPredictions(
                of.labels, draw_logits(of.labels, size, right, [run.seed, number, *moved]), of.ids
            )
            for number, (split, of) in enumerate(splits.items())
        }

    for run in plan_runs(study, audit, "fp32"):
        found = predict(run)
        save_family(study.files.predictions_of_family(run.run_id), {run.run_id: found})
        dev, test = (metrics.summary(of.gold, of.logits, table.labels) for of in found.values())
        study.ledger.append(
            Record(
                run_id=run.run_id,
                recipe=run.levels,
                stands_for=run.stands_for,
                seed=run.seed,
                status="done",
                protocol="best-dev",
                best_epoch=EPOCHS,
                dev=dev,
                test=test,
                epochs=tuple(
                    Epoch(epoch=number, train_loss=1 / number, train_seconds=60.0, dev_seconds=5.0, dev=dev)
                    for number in range(1, EPOCHS + 1)
                ),
                seconds=Seconds(epoch=60.0, train=180.0, dev=15.0, test=5.0),
                predictions=run.run_id,
                device="cpu",
                precision="fp32",
                threads=1,
            )
        )
    return folder


def draw_logits(
    gold: NDArray[np.int64], size: Size, right: float, seed: list[int | bool]
) -> NDArray[np.float32]:
    """``[texts, classes]``: about ``right`` of the texts are, and the others go to a class beside theirs."""
    hard = np.random.default_rng([9, len(gold)]).standard_normal(len(gold))  # for every run alike
    random = np.random.default_rng([int(part) for part in seed])
    rare = gold / size.classes - 0.5
    skill = np.quantile(hard, right) - hard - rare + 0.5 * random.standard_normal(len(gold))
    beside = (gold ^ 1) % size.classes
    elsewhere = np.where(random.random(len(gold)) < 0.2, random.integers(0, size.classes, len(gold)), beside)
    logits = random.standard_normal((len(gold), size.classes), dtype=np.float32)
    texts = np.arange(len(gold))
    logits[texts, gold] += 8 + skill.astype(np.float32)
    logits[texts, elsewhere] += (8 - skill).astype(np.float32) * (elsewhere != gold)
    return logits


def measure(folder: Path, command: list[str]) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processors, and MiB at the most, of one call."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "finegrid", command[0], str(folder), *command[1:]], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"finegrid {command[0]}: exit code {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the study's folder: some GB of predictions go there")
    parser.add_argument("--classes", type=int, default=Size.classes)
    parser.add_argument("--factors", type=int, default=Size.factors, choices=range(1, len(FACTORS) + 1))
    parser.add_argument("--seeds", type=int, default=Size.seeds)
    parser.add_argument("--texts", type=int, default=Size.texts)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    size = Size(asked.classes, asked.factors, asked.seeds, asked.texts)
    if not (asked.out / "runs.jsonl").exists():
        build(asked.out, size)
    runs = 2**size.factors * size.seeds
    print(
        f"{runs} runs, {size.classes:,} classes, {size.texts:,} test texts; {processor()}, {cores()} cores\n"
    )
    print("| command | seconds | processor seconds | MiB |\n| --- | ---: | ---: | ---: |")
    for name, command in COMMANDS.items():
        calls = [measure(asked.out, command) for _ in range(asked.repeats)]
        wall, busy, memory = (median(each) for each in zip(*calls, strict=True))
        print(f"| {name} | {wall:.1f} | {busy:.1f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
