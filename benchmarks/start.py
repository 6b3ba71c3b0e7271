"""How much CPU time commands take that should answer at once.

    python benchmarks/start.py                      # a study that is drawn: 32 recipes with three seeds
    python benchmarks/start.py --study my-study     # one that is there
    python benchmarks/start.py --commands verdict --repeats 3

Each command runs in a process of its own; user and system time are added, and the median counts. The first
call of each is left out: it compiles what an installed package comes compiled. A goal is missed where the
last column says so; seconds of a busy machine are longer than those of an idle one. What `finegrid run` takes
until it trains, `benchmarks/first_step.py` measures.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from classes import Size, build

from finegrid.machine import cores, processor

DRAWN = Size(classes=10, factors=5, seeds=3, texts=1000)
GOALS: dict[str, float | None] = {
    "--help": 0.5,
    "status": 0.5,
    "plan": 0.5,
    "table": 0.5,
    "verdict": 1.0,
    "report": None,
}
ALONE = ("--help",)  # take no study


def measure(command: str, study: Path) -> float:
    """Seconds of processors that one call takes."""
    arguments = [sys.executable, "-m", "finegrid", command, *([] if command in ALONE else [str(study)])]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    away = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    process = os.posix_spawn(sys.executable, arguments, environment, file_actions=away)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"finegrid {command}: exit code {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def row(command: str, study: Path, repeats: int) -> str:
    """A line of the table."""
    measure(command, study)
    taken = [measure(command, study) for _ in range(repeats)]
    middle, goal = median(taken), GOALS[command]
    judged = ("", "") if goal is None else (f"{goal:.1f}", "kept" if middle <= goal else "MISSED")
    return f"| `finegrid {command}` | {middle:.2f} | {min(taken):.2f} | {judged[0]} | {judged[1]} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, help="a study's folder; default: one is drawn")
    parser.add_argument("--commands", default=",".join(GOALS), help="with commas between them")
    parser.add_argument("--repeats", type=int, default=10)
    asked = parser.parse_args()
    with TemporaryDirectory() as scratch:
        study = asked.study or build(Path(scratch) / "study", DRAWN)
        print(f"Processor seconds, median of {asked.repeats} calls; {processor()}, {cores()} cores\n")
        print("| command | median | least | goal | |\n| --- | ---: | ---: | ---: | --- |")
        for command in asked.commands.split(","):
            print(row(command, study, asked.repeats), flush=True)


if __name__ == "__main__":
    main()
