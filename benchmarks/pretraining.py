"""Tokens per second of `finegrid pretrain` against Hugging Face's Trainer on packed blocks, in one run.

    python benchmarks/pretraining.py [--corpus TEXT] [--batch-tokens 4096] [--rounds 3] [--out figures.json]

Same shape (the embedded checkpoint's), same length, share of hidden tokens and tokens a step, no dropout,
bf16 where the processor has it; for both, the allocator's settings of finegrid's workers. Trainer is
measured with one thread and with all, and its better figure
counts. Contenders take turns, each in a process of its own; ratios are of medians. Tokens are real ones;
neither has padding. On a machine that has other work to do, tokens a second of processor time is the fairer
figure: it leaves out what others took.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median

import psutil
from job import Job
from speed import Entry, measure_, spread

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import cores as available_cores
from finegrid.machine import fastest_precision
from finegrid.study.demo import HEADLINES


def entries(arguments: argparse.Namespace) -> list[Entry]:
    cores = available_cores()
    found = []
    contenders = [("mlm-trainer", threads) for threads in dict.fromkeys((1, cores))]
    for name, threads in [*contenders, ("finegrid-pretrain", cores)]:
        job = Job(
            contender=name,
            checkpoint=str(embedded_checkpoint()),
            titles=str(arguments.corpus),
            batch_size=arguments.batch_tokens,
            frozen=0,
            family=1,
            threads=threads,
            precision=fastest_precision("cpu"),
            seconds=arguments.seconds,
            steps=1,
        )
        found.append(Entry(f"{name}, {threads} threads", "mini", job, 1))
    return found


def report(measured: list[Entry]) -> str:
    ours = measured[-1]
    lines = [
        f"{platform.machine()}, {psutil.cpu_count()} cores, {ours.job.precision}, "
        f"{ours.job.batch_size:,} tokens a step",
        "",
        "| contender | tokens/s | tokens/s of processor time | GiB |",
        "| --- | --- | --- | --- |",
    ]
    for entry in measured:
        lines.append(
            f"| {entry.name} | {spread(entry.tokens_per_second)} | {spread(entry.per_processor)} "
            f"| {median(entry.gib):.2f} |"
        )
    wall, processor = (
        median(getattr(ours, kind)) / max(median(getattr(entry, kind)) for entry in measured[:-1])
        for kind in ("tokens_per_second", "per_processor")
    )
    return "\n".join(
        [*lines, "", f"{wall:.2f} times Trainer's better way; by processor time {processor:.2f}"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=HEADLINES / "train.tsv")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="per contender and round")
    parser.add_argument("--out", type=Path, help="where to keep all figures as JSON")
    arguments = parser.parse_args()
    measured = entries(arguments)
    for _ in range(arguments.rounds):
        for entry in measured:
            measure_(entry)
    print(report(measured))
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(entry) for entry in measured], indent=1))


if __name__ == "__main__":
    main()
