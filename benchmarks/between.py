"""Where the time of a training step on a processor goes: with the compiled library, and by torch alone.

    python benchmarks/between.py [--shapes mini base] [--batches 32 256] [--rounds 3]

One run, one thread, processor seconds, in processes that take turns: medians over the steps of all rounds.
Of a step with the library: its matrix products; the library; the optimizer; conversions (weights to bf16,
gradients to float32); all else, most of it Python. Parts are shares of steps under torch's profiler. *Bound*:
the products alone, at the rate of products of 2048 x 2048, as a share of the step, too.

``--levers`` measures instead what a step takes where one part of the library is left to torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from contender import PRODUCTS, Inside, finegrid
from job import Job
from speed import flops_per_token, make_base, product_rate

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import fastest_precision
from finegrid.model.kernels import plain
from finegrid.model.kernels.compiling import VARIABLE
from finegrid.model.kernels.operations import kernels
from finegrid.running.process import ALLOCATOR
from finegrid.study.demo import HEADLINES
from finegrid.user_cache import OFF

# Parts of the library, and its functions.
LEVERS = {
    "attention, with its masks": ("attend",),
    "residual, dropout and LayerNorm, with masks": ("join", "join_backward"),
    "the gradient of GELU, with the sum for its bias": ("activate", "activate_backward"),
    "sums for biases of queries, keys and values": ("sum_tokens",),
}
PARTS = ("products", "library", "optimizer", "conversions", "rest")
CONVERSIONS = ("copy_", "cat")
WARM, PROFILED = 3, 5


def measure(job: Job, left: str) -> dict[str, Any]:
    """Seconds of every step, its real tokens, and the parts' shares of them. ``left``: a lever for torch."""
    native = kernels(torch.device("cpu"))
    for name in LEVERS.get(left, ()):
        setattr(native, name, getattr(plain, name))
    step = finegrid(job, Inside())
    for _ in range(WARM):
        step()
    seconds: list[float] = []
    tokens = 0
    while sum(seconds) < job.seconds or len(seconds) < job.steps:
        start = time.process_time()
        tokens += int(step())
        seconds.append(time.process_time() - start)
    spent = timed_library()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        start = time.perf_counter()
        for _ in range(PROFILED):
            step()
        whole = time.perf_counter() - start
    for event in profile.key_averages():
        name = event.key.split("::")[-1]
        part = "products" if name in PRODUCTS else "optimizer" if name == "_fused_adamw_" else ""
        part = "conversions" if name in CONVERSIONS else part
        if part:
            spent[part] += event.self_cpu_time_total / 1e6
    shares = {part: spent[part] / whole for part in PARTS[:-1]}
    return {"seconds": seconds, "tokens": tokens, "shares": shares | {"rest": 1 - sum(shares.values())}}


def timed_library() -> dict[str, float]:
    """Lets calls of the library add up their seconds, if there is one."""
    spent = dict.fromkeys(PARTS, 0.0)
    native = kernels(torch.device("cpu"))
    for name in () if native is None else native.ARGUMENTS:
        function = getattr(native.library(), f"finegrid_{name}")

        def timed(*arguments: Any, function: Any = function) -> None:
            start = time.perf_counter()
            function(*arguments)
            spent["library"] += time.perf_counter() - start

        setattr(native.library(), f"finegrid_{name}", timed)
    return spent


def ask(job: Job, kernels: str | None, left: str = "") -> dict[str, Any]:
    """What `measure` finds in a process of its own."""
    environment = {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    if kernels is not None:
        environment[VARIABLE] = kernels
    command = [sys.executable, __file__, "--job", json.dumps(asdict(job)), "--left", left]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["mini", "base"], choices=["mini", "base"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 256])
    parser.add_argument("--precisions", nargs="+", default=[fastest_precision("cpu")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of steps in a round")
    parser.add_argument("--levers", action="store_true", help="what each part of the library gives")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--left", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(Job(**json.loads(arguments.job)), arguments.left)))
        return
    columns = ["step", "torch's operations, ms", "with the library, ms", "times", *PARTS, "bound"]
    if arguments.levers:
        columns = ["step", "with the library, ms", *(f"without {name}, ms" for name in LEVERS)]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    with tempfile.TemporaryDirectory() as scratch:
        for shape, batch_size, precision in product(
            arguments.shapes, arguments.batches, arguments.precisions
        ):
            checkpoint = str(embedded_checkpoint() if shape == "mini" else make_once(Path(scratch) / "base"))
            job = Job(
                contender="finegrid",
                checkpoint=checkpoint,
                titles=str(HEADLINES / "train.tsv"),
                batch_size=batch_size,
                frozen=0,
                family=1,
                threads=1,
                precision=precision,
                seconds=arguments.seconds,
                steps=4,
            )
            name = f"{shape}, batch {batch_size}, {precision}"
            if arguments.levers:
                print(levers_of(name, job, arguments.rounds), flush=True)
                continue
            rounds = [(ask(job, OFF), ask(job, None)) for _ in range(arguments.rounds)]
            print(line_of(name, shape, precision, rounds), flush=True)


def levers_of(name: str, job: Job, rounds: int) -> str:
    """A row of the table of levers."""
    seconds: dict[str, list[float]] = {left: [] for left in ("", *LEVERS)}
    for _ in range(rounds):
        for left, own in seconds.items():
            own += ask(job, None, left)["seconds"]
    return f"| {name} | {' | '.join(f'{1000 * median(own):.1f}' for own in seconds.values())} |"


def make_once(folder: Path) -> Path:
    return folder if folder.exists() else make_base(folder)


def line_of(
    name: str, shape: str, precision: str, rounds: list[tuple[dict[str, Any], dict[str, Any]]]
) -> str:
    """A row of the table."""
    plainly, ours = ([s for found in each for s in found["seconds"]] for each in zip(*rounds, strict=True))
    tokens = sum(found["tokens"] for _, found in rounds)
    rate = product_rate({"bf16": "bfloat16", "fp32": "float32"}[precision], 1) * 1e12
    bound = (
        tokens * flops_per_token(shape, 0, 1) / rate / sum(ours)
    )  # of all, the last batch of epochs as well
    shares = [median(found["shares"][part] for _, found in rounds) for part in PARTS]
    cells = [
        name,
        f"{1000 * median(plainly):.1f}",
        f"{1000 * median(ours):.1f}",
        f"{median(plainly) / median(ours):.2f}",
        *(f"{share:.0%}" for share in shares),
        f"{bound:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
