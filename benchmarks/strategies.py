"""What a step of every strategy takes, as a multiple of the baseline's step, in one run.

    python benchmarks/strategies.py                                   # the embedded checkpoint and titles
    python benchmarks/strategies.py --model CHECKPOINT --train train.tsv --batch 32
    python benchmarks/strategies.py --device cuda --precision bf16    # captured steps, as a GPU trains

Every strategy is timed at each of its usual levels, against a family of baseline runs that steps in turn with
it: the median of the ratios of single rounds is told, with the quartiles. Rounds are spread over the steps of
a run, since some strategies take other times late than early. A family is one run by itself, or
four whose products are one; on a GPU both are captured. The last column is the path that the four took. Of
free factors, what following a run's weights adds to a step is told; their passes over dev come with an epoch.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from finegrid.running.process import ALLOCATOR

if os.environ.get("MALLOC_TOP_PAD_") is None:  # as a worker of `finegrid run` has it
    os.execve(
        sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1"}
    )

import numpy as np
import torch

from finegrid.encoders.families import embedded_checkpoint, inspect
from finegrid.machine import processor
from finegrid.recipe.catalogue import usual_levels
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import DEFAULTS, FREE, Recipe
from finegrid.spelling import format_level
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study
from finegrid.study.settings import RunSettings
from finegrid.training.free import FreeScoring
from finegrid.training.loaded import LoadedStudy, prepare_process
from finegrid.training.run import Run
from finegrid.training.train import gather, walk_of

WARM = 4  # rounds that are not counted; of a GPU, those in which a step is captured
MEMBERS = 4
# What a level needs beside itself in order to do something, and levels of factors that name none as usual.
NEEDS: Mapping[str, Levels] = {
    "reinit.pooler": {"model.pooling": "pooler"},
    "augment.kind": {"augment.rate": 0.1},
    "freeze.layers": {"freeze.dropout": False},
    "distil.weight": {"distil.teacher": "columns"},
    "train.only": {"train.rate": 1e-3},
    "child.kind": {"child.share": 0.3},
    "schedule.floor": {"schedule.shape": "cosine"},
    "optimizer.kind": {"schedule.shape": "constant"},
}
OTHERS: Mapping[str, tuple[Level, ...]] = {
    "augment.kind": ("mask", "delete", "swap", "cutoff-token", "cutoff-span"),
    "distil.weight": (0.0, 0.5),
    "pretrain.tokens": (),
    "pretrain.shared": (),
    "training.epochs": (),
}


@dataclass(frozen=True)
class Timed:
    """One strategy at one level.

    Attributes:
        name: what is varied, and how.
        levels: what is moved, with all that the factor needs in order to do something.
        beside: the same without the level itself: what it is compared with.
        free: a free factor, and its levels.
    """

    name: str
    levels: Levels
    beside: Levels
    free: Mapping[str, list[Level]]


def list_timed(layers: int, only: str) -> Iterator[Timed]:
    """Every usual level of every factor whose name begins with ``only``."""
    for factor in DEFAULTS:
        levels = OTHERS.get(factor, usual_levels(factor, layers))
        for level in levels[1:] if factor.startswith(only) else ():
            name = f"{factor} = {format_level(level)}"
            needed = NEEDS.get(factor, {})
            if factor in FREE:
                yield Timed(name, {}, {}, {factor: [levels[0], level]})
            else:
                yield Timed(name, {**needed, factor: level}, needed if factor != "distil.weight" else {}, {})


class Family:
    """Runs that step together, on the path that a study would take."""

    def __init__(self, loaded: LoadedStudy, recipe: Recipe, members: int) -> None:
        self.loaded = loaded
        self.runs = gather(Run(loaded, f"run-{index}", recipe, 0) for index in range(members))
        self.free = FreeScoring(self.runs, lambda runs, split: [])
        self.walk = walk_of(loaded, self.runs)
        for run in self.runs:
            run.progress.epochs.append({"epoch": 1, "train_loss": 0.0, "train_seconds": 0.0})
        self.batches = cycle(list(islice(self.walk.batches(0), 8)))

    def step(self, step: int) -> float:
        """Seconds of one step of all runs."""
        batch = next(self.batches)
        wait_for(self.loaded.device)
        start = time.perf_counter()
        self.walk.step(batch, step)
        self.free.follow_(step)
        wait_for(self.loaded.device)
        return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(loaded: LoadedStudy, timed: Timed, members: int, rounds: int) -> tuple[list[float], str]:
    """Ratios of the strategy's step to the baseline's, round by round, and the path that it took."""
    base = loaded.study.baseline
    following = copy.copy(loaded)
    following.study = replace(loaded.study, free_factors=timed.free)
    first = Family(loaded, base.at(timed.beside), members)
    other = Family(following, base.at(timed.levels), members)
    gc.freeze()
    ratios = []
    for place in range(WARM + rounds):
        in_turn = [first, other] if place % 2 else [other, first]
        step = max(0, place - WARM) * first.runs[0].total_steps // rounds
        seconds = {id(family): family.step(step) for family in in_turn}
        ratios.append(seconds[id(other)] / seconds[id(first)])
    failed = [run.progress.reason for run in other.runs if run.progress.status != "running"]
    path = failed[0] if failed else other.walk.path_of(other.runs[0])
    del first, other
    gc.unfreeze()
    gc.collect()
    return ratios[WARM:], path


def write_study(folder: Path, options: argparse.Namespace) -> Path:
    """A study of the titles, with the probabilities of a made-up teacher beside each."""
    lines = (options.train or HEADLINES / "train.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    labels = sorted({row[1] for row in rows})
    said = np.random.default_rng(0).dirichlet(np.ones(len(labels)), len(rows))
    header = ["text", "label", *(f"probability:{label}" for label in labels)]
    table = [header, *([*row[:2], *map(str, p)] for row, p in zip(rows, said, strict=True))]
    (folder / "train.tsv").write_text("\n".join(map("\t".join, table)) + "\n", encoding="utf-8")
    model = (options.model or embedded_checkpoint()).resolve()
    settings = [
        '[data]\ntrain = "train.tsv"\ntext = "text"\nlabel = "label"',
        f"[model]\nname = {json.dumps(str(model))}\nmax_length = {options.max_length}",
        f"[training]\nbatch_size = {options.batch}",
        '[factors]\n"distil.teacher" = ["", "columns"]',
    ]
    (folder / "study.toml").write_text("\n".join(settings) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--train", type=Path, help="a TSV file with the columns text and label")
    parser.add_argument("--max-length", type=int, default=44)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="factors that begin so")
    parser.add_argument("--stack", type=int, default=MEMBERS, help="runs of the second family; 0: none")
    options = parser.parse_args()
    settings = {"threads": 1, "device": options.device, "precision": options.precision}
    prepare_process(RunSettings.model_validate(settings))
    study = load_study(write_study(Path(tempfile.mkdtemp()), options))
    loaded = {
        members: LoadedStudy(study, RunSettings.model_validate({**settings, "stack": max(stack, members)}))
        for members, stack in ((1, 2 if options.device == "cuda" else 1), (options.stack, options.stack))
        if members
    }
    where = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    print(f"{where}, {options.precision}, {study.checkpoint.folder.name}, batches of {options.batch}\n")
    columns = [
        "strategy",
        *("alone" if members == 1 else f"stack of {members}" for members in loaded),
        "path",
    ]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    own = Timed("the baseline again", {}, {}, {})
    layers = inspect(study.checkpoint.folder).layers
    for timed in [own, *list_timed(layers, options.only)]:
        if study.baseline.at(timed.levels).problems(study.checkpoint):
            continue
        cells = [compare(one, timed, members, options.rounds) for members, one in loaded.items()]
        told = " | ".join(tell(ratios) for ratios, _ in cells)
        print(f"| {timed.name} | {told} | {cells[-1][1]} |", flush=True)


def tell(ratios: list[float]) -> str:
    low, high = np.quantile(ratios, (0.25, 0.75))
    return f"{median(ratios):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
