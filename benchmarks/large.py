"""What reading takes with large files and with many runs: seconds and memory of commands.

    python benchmarks/large.py OUT                    # 2,000,000 short texts, asked: 60 s and 4 GiB together
    python benchmarks/large.py OUT --texts 200000 --format jsonl
    python benchmarks/large.py OUT --runs             # 4,096 rows x 5 seeds, 1,000 test texts: 20,480 runs
    python benchmarks/large.py OUT --runs --factors 8 --seeds 3

Of many texts, `finegrid init` and `finegrid plan` are timed. Texts are drawn from embedded headlines, cut and
mixed so that nearly all differ. Of many runs, `finegrid status`, `verdict` and `report`; nothing is trained:
see many_runs.py. A study of them that is there already is timed as it is. On a machine that does other work,
seconds of the processor tell more than those of the clock. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from many_runs import FACTORS, finish, write_study

from finegrid.machine import processor
from finegrid.study.audit_file import load_audit
from finegrid.study.demo import HEADLINES


def draw_texts(count: int) -> Iterator[tuple[str, str]]:
    """Two halves of two headlines, and the label of the first."""
    rows = [row.split("\t") for row in (HEADLINES / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    chance = random.Random(0)
    for number in range(count):
        (first, label), (second, _) = chance.choice(rows), chance.choice(rows)
        yield f"{first[: len(first) // 2]}{second[len(second) // 2 :]}{number % 1000}", label


def write_texts(path: Path, count: int) -> None:
    if path.suffix == ".parquet":
        texts, labels = zip(*draw_texts(count), strict=True)
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
        return
    with path.open("w", encoding="utf-8") as file:
        if path.suffix != ".jsonl":
            file.write("text\tlabel\n")
        for text, label in draw_texts(count):
            row = {"text": text, "label": label}
            file.write(
                f"{json.dumps(row, ensure_ascii=False)}\n"
                if path.suffix == ".jsonl"
                else f"{text}\t{label}\n"
            )


def measure(*arguments: str | Path) -> tuple[float, float, float]:
    """Seconds, seconds of the processor and peak GiB of a finegrid command; what it says goes to stderr."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "finegrid", *map(str, arguments)], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"finegrid {arguments[0]} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="a folder for the files; the study in it is made anew")
    parser.add_argument("--texts", type=int, default=2_000_000)
    parser.add_argument("--format", default="tsv", choices=("tsv", "jsonl", "parquet"))
    parser.add_argument("--init", nargs="*", default=[], help="further words for init, such as near-twins")
    parser.add_argument(
        "--runs", action="store_true", help="time the commands that read a study of many runs"
    )
    parser.add_argument("--factors", type=int, default=len(FACTORS), help="of two levels each, in full")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.runs:
        time_runs(options.out, options.factors, options.seeds)
        return
    path = options.out / f"texts-{options.texts}.{options.format}"
    if not path.exists():
        write_texts(path, options.texts)
    study = options.out / "study"
    shutil.rmtree(study, ignore_errors=True)
    more = [f"--{word}" for word in options.init]
    print(f"{options.texts:,} texts of {path.stat().st_size / 2**20:,.0f} MiB")
    print_table([("init", "--train", path, "--out", study, *more), ("plan", study)])


def time_runs(out: Path, factors: int, seeds: int) -> None:
    """Make a study all of whose runs have ended, if it is not there, and time who reads it."""
    study = out / f"runs-{factors}-{seeds}"
    if not (study / "made").exists():
        made = write_study(study, seeds, factors)
        audit = load_audit(study)
        assert audit is not None
        for ended in finish(made, audit):
            if ended % 2048 == 0:
                print(f"{ended:,} runs", file=sys.stderr, flush=True)
        (study / "made").touch()
    print(f"{2**factors:,} rows x {seeds} seeds, on {processor()}")
    print_table([("status", study), ("verdict", study), ("report", study)])


def print_table(commands: Sequence[tuple[str | Path, ...]]) -> None:
    print("| command | s | s of the processor | GiB |\n| --- | --- | --- | --- |")
    for command in commands:
        seconds, busy, memory = measure(*command)
        print(f"| {command[0]} | {seconds:.1f} | {busy:.1f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
