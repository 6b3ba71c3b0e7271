"""Several studies on one GPU at once: seconds side by side, against one after the other.

    python benchmarks/sharing.py [--device cuda] [--studies 2] [--shape base] [--texts 2000] [--rounds 3]
    python benchmarks/sharing.py --device cpu --shape mini --texts 64 --rounds 1      # dry run

Each study is a folder and a `finegrid run --workers 1` of its own, on the first GPU that may be used; so two
workers share it, which one `finegrid run` never does. Rounds of both kinds take turns. Seconds are from the
first family's start to the last one's end; one after the other, without the time that processes take to
start, which is told beside. *Ratio* is side by side over one after the other: at 1 sharing saves nothing,
below 1 one worker leaves the GPU idle. Predictions of both must be the same to the last bit, which is
checked. With `--device cpu` each study has one thread, and two have two cores: that shows that the benchmark
runs, and says nothing of GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from speed import make_base

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import VISIBLE, fastest_precision, gpus, processor
from finegrid.model.device import name_gpu
from finegrid.study.demo import HEADLINES
from finegrid.study.load import read_study
from finegrid.study.predictions import read_run

FACTORS = '"reinit.layers" = [0, 1]\n"schedule.warmup_ratio" = [0.0, 0.1]'


@dataclass(frozen=True)
class Took:
    """Seconds that some studies took."""

    trained: float  # from the first family's start to the last one's end
    in_all: float  # with processes that start


def write_titles(folder: Path, texts: int) -> None:
    """Embedded headlines, in a random order, and again where they are too few."""
    header, *lines = (HEADLINES / "train.tsv").read_text(encoding="utf-8").splitlines()
    Random(0).shuffle(lines)
    for part, count in (("train", texts), ("dev", max(32, texts // 5)), ("test", max(32, texts // 5))):
        chosen = [lines[number % len(lines)] for number in range(count)]
        (folder / f"{part}.tsv").write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")


def write_study(folder: Path, checkpoint: Path, given: argparse.Namespace, seed: int) -> Path:
    """A study of four recipes and one seed, and its audit."""
    folder.mkdir()
    (folder / "study.toml").write_text(
        '[data]\ntrain = "../train.tsv"\ndev = "../dev.tsv"\ntest = "../test.tsv"\n'
        f"[model]\nname = {json.dumps(str(checkpoint))}\nmax_length = 44\n"
        f"[training]\nbatch_size = {given.batch}\nepochs = {given.epochs}\n"
        f"[design]\nseeds = [{seed}]\n[factors]\n{FACTORS}\n"
        f'[run]\ndevice = "{given.device}"\nprecision = "{fastest_precision(given.device)}"\nthreads = 1\n'
    )
    wait_for([start("plan", str(folder), "--probe")])
    return folder


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """The command line, with one GPU."""
    environment = {**os.environ, VISIBLE: gpus()[0]} if gpus() else {**os.environ}
    line = [sys.executable, "-m", "finegrid", *arguments]
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Raises SystemExit: a command has failed."""
    for process in processes:
        if process.wait():
            raise SystemExit(f"error: {' '.join(map(str, process.args))}: exit code {process.returncode}")  # type: ignore[arg-type]


def forget(folder: Path) -> None:
    """Put a study back to where nothing has run."""
    (folder / "runs.jsonl").unlink(missing_ok=True)
    for name in ("predictions", "states"):
        shutil.rmtree(folder / name, ignore_errors=True)


def span_of(folders: Sequence[Path]) -> float:
    """Seconds from the first family's start to the last one's end."""
    records = [record for folder in folders for record in read_study(folder).ledger]
    if bad := [record.reason for record in records if not record.done]:
        raise SystemExit(f"error: a run has failed: {bad[0]}")
    return max(record.ended or 0.0 for record in records) - min(record.started or 0.0 for record in records)


def train_in_turn(folders: Sequence[Path]) -> Took:
    began = perf_counter()
    for folder in folders:
        wait_for([start("run", str(folder), "--workers", "1")])
    return Took(sum(span_of([folder]) for folder in folders), perf_counter() - began)


def train_at_once(folders: Sequence[Path]) -> Took:
    began = perf_counter()
    wait_for([start("run", str(folder), "--workers", "1") for folder in folders])
    return Took(span_of(folders), perf_counter() - began)


def read_all(folders: Sequence[Path]) -> list[bytes]:
    """What all runs predict, for comparing bits."""
    found = []
    for folder in folders:
        study = read_study(folder)
        for record in sorted(study.ledger, key=lambda record: record.run_id):
            by_split = read_run(folder, record)
            found += [by_split[split].logits.tobytes() for split in ("dev", "test")]
    return found


def measure(folders: Sequence[Path], rounds: int) -> tuple[list[Took], list[Took], bool]:
    """Both ways in turn, and whether they predict the same to the last bit."""
    apart: list[Took] = []
    together: list[Took] = []
    first, same = None, True
    for _ in range(rounds):
        for train, found in ((train_in_turn, apart), (train_at_once, together)):
            for folder in folders:
                forget(folder)
            found.append(train(folders))
            told = read_all(folders)
            same = same and first in (None, told)
            first = told
    return apart, together, same


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--studies", type=int, default=2)
    parser.add_argument("--shape", choices=("base", "mini"), default="base")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        write_titles(home, given.texts)
        checkpoint = embedded_checkpoint() if given.shape == "mini" else make_base(home / "base")
        folders = [write_study(home / f"study-{n}", checkpoint, given, n) for n in range(given.studies)]
        apart, together, same = measure(folders, given.rounds)
    report(given, apart, together, same)


def report(given: argparse.Namespace, apart: list[Took], together: list[Took], same: bool) -> None:
    device = processor() if given.device == "cpu" else name_gpu_here()
    print(f"{given.studies} studies of 4 runs, {given.texts:,} texts, {given.shape} shape, on {device}.")
    print("| | trained, s | with start, s |\n| --- | ---: | ---: |")
    for name, found in (("one after the other", apart), ("side by side", together)):
        trained, in_all = (median(one) for one in ([t.trained for t in found], [t.in_all for t in found]))
        print(f"| {name} | {trained:.1f} | {in_all:.1f} |")
    ratios = [both.trained / each.trained for each, both in zip(apart, together, strict=True)]
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds)")
    print(f"predictions are {'the same to the last bit' if same else 'NOT the same'}")
    if not same:
        raise SystemExit(1)


def name_gpu_here() -> str:
    import torch

    return name_gpu(torch.device("cuda"))


if __name__ == "__main__":
    main()
