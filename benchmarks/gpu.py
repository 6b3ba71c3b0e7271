"""finegrid on one GPU: seconds per epoch of 54,000 titles, and the published grid projected from them.

    python benchmarks/gpu.py [--shape base] [--texts 54000] [--epochs 2] [--out gpu.json] [--kernels 30]
    python benchmarks/gpu.py --device cpu --shape mini --texts 64 --batch 16 --family 2 --epochs 1  # dry run

Runs are trained as a worker of ``finegrid run --device cuda`` trains them: a family is one stack, its step a
CUDA graph: on a GPU, a family without one is an error. The first epoch, in which graphs are captured, is
timed by itself. Titles are those of ``--titles``, over and over where they are too few, as the embedded ones
are; the first line of the output says so. The figures to reach, for one H200 at base shape: 2.2 s per epoch
of a full run, 1.2 s per epoch of a run in a frozen family, 35 minutes for the grid. ``--kernels`` tells
where one more step of each family spends its time, ``--rivals`` times the published study's loop (float32)
and Hugging Face's Trainer (bf16, eight loaders) on the same titles before: as it comes, padded to the most
tokens, and so compiled as well. ``--against`` times an earlier finegrid after, on the same card.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from job import Job
from lengths import Entry, checked_out, started
from speed import EPOCHS, LAYERS, TEXTS, ContenderError, flops_per_token, make_base

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import fastest_precision
from finegrid.model.device import peak_memory, reset_peak_memory
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study
from finegrid.study.settings import RunSettings
from finegrid.training.captured import CapturedSteps
from finegrid.training.loaded import LoadedStudy, prepare_process
from finegrid.training.lockstep import Lockstep
from finegrid.training.run import Run, running
from finegrid.training.train import evaluate, gather, predict_split, walk_of

JUDGED = 10_000  # texts of dev, and of test, in the published study
LENGTH = 44
DISTINCT = {0: 16, LAYERS // 2: 16}  # runs of the published grid by frozen layers; half of its rows are inert


TIMED = 200  # steps of a rival
# What a Trainer's user can switch on beside its defaults.
RIVALS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("origin", {"contender": "origin", "precision": "fp32", "steps": 40}),
    ("trainer", {}),
    ("trainer, padded", {"padded": True}),
    ("trainer, padded, compiled", {"padded": True, "compiled": True}),
)


@dataclass(frozen=True)
class Rival:
    name: str
    frozen: int
    tokens_per_second: float
    family: int | None = None  # of an earlier finegrid: so many runs in a stack


def measure_rivals(checkpoint: Path, titles: Path, batch: int, device: str) -> list[Rival]:
    """Every rival in a process of its own; they warm up together, and are timed one after the other."""
    entries = [
        Entry(name, replace(job_of(checkpoint, titles, batch, device, frozen), **changed))
        for frozen in DISTINCT
        for name, changed in RIVALS
    ]
    found = []
    for entry, contenders in started(entries):
        try:
            entry.measure_(contenders)
        except ContenderError as error:  # costs no other figure
            print(f"{entry.name}: {error}", file=sys.stderr)
        else:
            found.append(Rival(entry.name, entry.job.frozen, entry.speeds[0]))
    return found


def job_of(checkpoint: Path, titles: Path, batch: int, device: str, frozen: int) -> Job:
    return Job(
        contender="trainer",
        checkpoint=str(checkpoint),
        titles=str(titles),
        batch_size=batch,
        frozen=frozen,
        family=1,
        threads=4,
        precision="bf16",
        seconds=0.0,
        steps=TIMED,
        device=device,
    )


def measure_past(name: str, tree: Path, job: Job, loads: Sequence[tuple[int, int]]) -> list[Rival]:
    """An earlier finegrid under the same loads, one after the other, by its own benchmarks."""
    found = []
    for frozen, family in loads:
        entry = Entry(name, replace(job, contender="finegrid", frozen=frozen, family=family), tree=tree)
        entry.measure_(entry.start())
        found.append(Rival(name, frozen, entry.speeds[0], family))
    return found


@dataclass(frozen=True)
class Figures:
    """What a family took. Seconds are of one of its runs, for 54,000 titles, or 10,000 to be judged."""

    frozen: int
    family: int
    first_epoch: float  # of the family: with warm-up and capture
    epoch: float
    epoch_spread: tuple[float, float]
    judging: float
    gib: float
    graphs: int  # captured; 0: stepped without, as on a CPU
    tokens_per_second: float  # real ones, of all runs
    tflops: float  # of the encoder's products

    @property
    def kind(self) -> str:
        return f"{self.family} {'six frozen' if self.frozen else 'full'}"

    @property
    def grid_seconds(self) -> float:
        """Of all runs of this kind in the published grid: training, dev every epoch, test once."""
        runs = DISTINCT[self.frozen]
        each = EPOCHS * (self.epoch + self.judging) + self.judging
        return runs * each + (self.first_epoch - self.epoch * self.family) * runs / self.family


def write_titles(path: Path, source: Path, texts: int) -> None:
    """A file of exactly so many titles: those of the source in a random order, over and over."""
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    Random(0).shuffle(lines)
    path.write_text("\n".join([header, *islice(cycle(lines), texts)]) + "\n", encoding="utf-8")


def open_study(arguments: argparse.Namespace, folder: Path) -> LoadedStudy:
    judged = round(arguments.texts * JUDGED / TEXTS)
    for name, texts in (("train", arguments.texts), ("dev", judged), ("test", judged)):
        write_titles(folder / f"{name}.tsv", arguments.titles, texts)
    small = arguments.shape == "mini"
    checkpoint = arguments.model or (embedded_checkpoint() if small else make_base(folder / "base"))
    (folder / "study.toml").write_text(
        '[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\ntest = "test.tsv"\n'
        f"[model]\nname = {json.dumps(str(checkpoint))}\nmax_length = {LENGTH}\n"
        f"[training]\nbatch_size = {arguments.batch}\nepochs = {1 + arguments.epochs}\n"
        '[factors]\n"optimizer.decay_on" = ["all", "matrices"]\n'
    )
    settings = RunSettings.model_validate(
        {
            "device": arguments.device,
            "precision": fastest_precision(arguments.device),
            "family_size": arguments.family,
        }
    )
    prepare_process(settings)
    return LoadedStudy(load_study(folder), settings)


def measure(
    loaded: LoadedStudy, frozen: int, family: int, epochs: int, shape: str, kernels: int = 0
) -> Figures:
    """Train a family for one epoch and ``epochs`` more, and judge it after each."""
    reset_peak_memory(loaded.device)
    recipe = loaded.study.baseline.at({"freeze.layers": frozen})
    runs = gather(Run(loaded, f"run-{index}", recipe, 0) for index in range(family))
    walk = walk_of(loaded, runs) if loaded.device.type == "cuda" else CapturedSteps(loaded, runs)
    trained, judged, step = [], [], 0
    for epoch in range(1 + epochs):
        for run in runs:
            run.progress.epochs.append({"epoch": epoch + 1, "train_loss": 0.0, "train_seconds": 0.0})

        def train(epoch: int = epoch) -> None:
            nonlocal step
            for batch in walk.batches(epoch):
                walk.step(batch, step)
                step += 1
            walk.settle()

        trained.append(seconds(loaded, train))
        judged.append(seconds(loaded, lambda: evaluate(loaded, running(runs))))
        told = [run.progress.reason for run in runs if run.progress.status != "running"]
        if told:
            raise SystemExit(f"a run ended early: {told[0]}")
    seconds(loaded, lambda: predict_split(loaded, runs, "test"))
    if kernels:
        print(f"one step of {family}, {frozen} layers frozen\n{profiled(loaded, walk, kernels)}")
    scale = TEXTS / len(loaded.tokens.train) / family
    own = [scale * one for one in trained[1:]]
    lengths = loaded.tokens.train.lengths.clip(max=LENGTH)
    speed = float(lengths.sum()) * family / median(trained[1:])
    return Figures(
        frozen,
        family,
        trained[0] * TEXTS / len(loaded.tokens.train),
        median(own),
        (min(own), max(own)),
        median(judged[1:]) / len(loaded.tokens.dev) * JUDGED / family,
        peak_memory(loaded.device) / 2**30,
        graphs(walk),
        speed,
        speed * flops_per_token(shape, frozen, family) / 1e12,
    )


def profiled(loaded: LoadedStudy, walk: CapturedSteps | Lockstep, rows: int) -> str:
    """The kernels (on a CPU, the calls) that take most of one step's time, as a table."""
    batch = next(iter(walk.batches(0)))
    with torch.profiler.profile() as profile:
        walk.step(batch, 0)
        seconds(loaded, walk.settle)
    by = "self_cuda_time_total" if loaded.device.type == "cuda" else "self_cpu_time_total"
    return str(profile.key_averages().table(sort_by=by, row_limit=rows, max_name_column_width=100))


def graphs(walk: CapturedSteps | Lockstep) -> int:
    steps = walk.steps.values() if isinstance(walk, CapturedSteps) else ()
    return sum(one.replayed.graph is not None for one in steps)


def seconds(loaded: LoadedStudy, action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    if loaded.device.type == "cuda":
        torch.cuda.synchronize(loaded.device)
    return time.perf_counter() - start


def origin_of(titles: Path, texts: int) -> str:
    """How many titles were trained on, and whether they are as many different ones."""
    known = len(titles.read_text(encoding="utf-8").splitlines()) - 1
    over = (
        f": no more than {known:,} different ones, REPEATED {texts / known:.3g} times"
        if known < texts
        else ""
    )
    return f"{texts:,} titles{over}"


def check_graphs(measured: list[Figures]) -> None:
    """Refuse figures of families that took their steps without CUDA graphs.

    Raises:
        SystemExit: there are some; with exit code 1.
    """
    without = [one.kind for one in measured if one.graphs == 0]
    if without:
        raise SystemExit(
            f"error: families without a CUDA graph: {', '.join(without)}. Expected one or more in each: "
            "these seconds are not what finegrid can do. Where a capture failed, the reason is told above; "
            "otherwise take more --texts, since a shape is captured at its fourth step."
        )


def compared(measured: list[Figures], rivals: list[Rival]) -> list[str]:
    """Every rival's speed, and how many times as fast finegrid's best family of that kind is."""
    lines = [
        "",
        "| runs | contender | real tokens/s | finegrid: times as fast |",
        "| --- | --- | --- | --- |",
    ]
    for rival in rivals:
        same = [one for one in measured if one.frozen == rival.frozen]
        best = max(one.tokens_per_second for one in same if rival.family in (None, one.family))
        kind = "six frozen" if rival.frozen else "full"
        kind += "" if rival.family is None else f", {rival.family} in a stack"
        speed = rival.tokens_per_second
        lines.append(f"| {kind} | {rival.name} | {speed:,.0f} | {best / speed:.1f} |")
    return lines


def report(measured: list[Figures], device: str, titles: str) -> str:
    lines = [
        f"{device}; trained on {titles}; seconds are scaled to {TEXTS:,} titles",
        "",
        "| runs | s per run-epoch | s to judge 10,000 | s of the family's first epoch | real tokens/s "
        "| TFLOP/s of products | GiB | graphs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in measured:
        low, high = one.epoch_spread
        lines.append(
            f"| {one.kind} | {one.epoch:.2f} ({low:.2f} to {high:.2f}) | {one.judging:.2f} "
            f"| {one.first_epoch:.1f} | {one.tokens_per_second:,.0f} | {one.tflops:.2f} | {one.gib:.1f} "
            f"| {one.graphs} |"
        )
    total, named = 0.0, []
    for frozen in DISTINCT:
        best = min((one for one in measured if one.frozen == frozen), key=lambda one: one.grid_seconds)
        total += best.grid_seconds
        named.append(f"{DISTINCT[frozen]} {'six frozen' if frozen else 'full'} in families of {best.family}")
    lines += ["", f"thucnews64, {EPOCHS} epochs, projected ({', '.join(named)}): {total / 60:.1f} minutes"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--shape", default="base", choices=["mini", "base"])
    parser.add_argument("--model", type=Path, help="the folder of a checkpoint, instead of a shape")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--family", type=int, default=8)
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--epochs", type=int, default=2, help="after the first")
    parser.add_argument("--titles", type=Path, default=HEADLINES / "train.tsv")
    parser.add_argument("--out", type=Path, help="where to keep all figures as JSON")
    parser.add_argument("--rivals", action="store_true", help="time origin and Trainer too")
    parser.add_argument("--against", metavar="REF", help="a git commit of finegrid, or a folder of one")
    parser.add_argument("--kernels", type=int, default=0, help="so many, of one step of each family")
    arguments = parser.parse_args()
    measured: list[Figures] = []
    with tempfile.TemporaryDirectory() as scratch:
        loaded = open_study(arguments, Path(scratch))
        about = loaded.study.checkpoint.folder, Path(scratch) / "train.tsv", arguments.batch, arguments.device
        rivals = measure_rivals(*about) if arguments.rivals else []
        keep(arguments.out, rivals, measured)
        loads = (0, 1), (0, arguments.family), (LAYERS // 2, arguments.family)
        for frozen, family in loads:
            load = frozen, family, arguments.epochs, arguments.shape, arguments.kernels
            measured.append(measure(loaded, *load))
            keep(arguments.out, rivals, measured)
        with checked_out(arguments.against) as past:
            if past is not None:
                rivals += measure_past(f"finegrid {arguments.against}", past, job_of(*about, frozen=0), loads)
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "a CPU: a dry run"
    print(report(measured, name, origin_of(arguments.titles, arguments.texts)))
    if rivals:
        print("\n".join(compared(measured, rivals)))
    if arguments.device == "cuda":
        check_graphs(measured)


def keep(out: Path | None, rivals: list[Rival], measured: list[Figures]) -> None:
    """Tell what was measured last, and keep all of it: a GPU's time may end at any moment."""
    found: list[Rival | Figures] = [*rivals, *measured]
    if found:
        print(found[-1], file=sys.stderr, flush=True)
    if out is not None:
        out.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
