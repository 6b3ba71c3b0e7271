"""What stacking saves: seconds of a run's step in stacks of several sizes, in turn, on one core.

    python benchmarks/stacking.py [--batches 16 32] [--precisions fp32 bf16] [--sizes 1 2 4 8] [--rounds 15]

Size 1 is the ordinary step of runs that walk in lockstep. Titles and checkpoint are the embedded ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from itertools import cycle, islice, product
from pathlib import Path
from statistics import median

from finegrid.running.process import ALLOCATOR

if os.environ.get("MALLOC_TOP_PAD_") is None:  # as a worker of `finegrid run` has it
    os.execve(
        sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1"}
    )

from finegrid.encoders.families import embedded_checkpoint
from finegrid.model.packing.batches import Batch
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study
from finegrid.study.settings import RunSettings
from finegrid.training.loaded import LoadedStudy, prepare_process
from finegrid.training.lockstep import share_prefix, stack_up
from finegrid.training.run import Run
from finegrid.training.train import gather

WARM = 4


class Family:
    """Runs that step in stacks of one size."""

    def __init__(self, loaded: LoadedStudy, frozen: int, members: int, size: int) -> None:
        recipe = loaded.study.baseline.at({"freeze.layers": frozen})
        self.runs = gather(Run(loaded, f"run-{index}", recipe, 0) for index in range(members))
        self.stacks, self.single = stack_up(self.runs, size)
        self.seconds: list[float] = []

    def step(self, batch: Batch, step: int) -> None:
        start = time.perf_counter()
        shared, _ = share_prefix(self.runs, batch, step)
        for stack in self.stacks:
            losses = stack.backward(shared, step).tolist()
            for run, loss in zip(stack.runs, losses, strict=True):
                run.check(loss, step)
                run.update(step)
        for run in self.single:
            run.step(shared, step)
        self.seconds.append((time.perf_counter() - start) / len(self.runs))


def open_study(batch_size: int, precision: str) -> LoadedStudy:
    folder = Path(tempfile.mkdtemp())
    (folder / "study.toml").write_text(
        f"[data]\ntrain = {json.dumps(str((HEADLINES / 'train.tsv').resolve()))}\n"
        f"[model]\nname = {json.dumps(str(embedded_checkpoint()))}\nmax_length = 44\n"
        f"[training]\nbatch_size = {batch_size}\n"
        '[factors]\n"optimizer.decay_on" = ["all", "matrices"]\n'
    )
    settings = RunSettings.model_validate({"threads": 1, "precision": precision})
    prepare_process(settings)
    return LoadedStudy(load_study(folder), settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 32])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--frozen", nargs="+", type=int, default=[0, 6])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    members = max(arguments.sizes)
    print("| batch | precision | frozen | stack of | ms a run's step | of those alone |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch_size, precision in product(arguments.batches, arguments.precisions):
        loaded = open_study(batch_size, precision)
        for frozen in arguments.frozen:
            families = {size: Family(loaded, frozen, members, size) for size in arguments.sizes}
            gc.freeze()
            recipe = families[arguments.sizes[0]].runs[0].recipe
            batches = list(islice(loaded.training_batches(recipe, 0, 0), 8))
            for step, batch in enumerate(islice(cycle(batches), WARM + arguments.rounds)):
                for family in families.values():
                    family.step(batch, step)
            alone = median(families[arguments.sizes[0]].seconds[WARM:])
            for size, family in families.items():
                own = family.seconds[WARM:]
                print(
                    f"| {batch_size} | {precision} | {frozen} | {size} "
                    f"| {1e3 * median(own):.1f} ({1e3 * min(own):.1f} to {1e3 * max(own):.1f}) "
                    f"| {median(own) / alone:.2f} |",
                    flush=True,
                )
            del families
            gc.unfreeze()
            gc.collect()


if __name__ == "__main__":
    main()
