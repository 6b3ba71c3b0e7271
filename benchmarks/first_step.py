"""How long `finegrid run` takes until the first step of training, the first and the second time on a machine.

    python benchmarks/first_step.py                                    # the embedded checkpoint and titles
    python benchmarks/first_step.py --train train.tsv --model FOLDER   # yours: a column text, a column label
    python benchmarks/first_step.py --train train.tsv --model FOLDER --device cuda

Every study is new. It has the 64 recipes of preset thucnews64, and the first 7,000 texts of the file.
In each round the user's cache is empty at first. Then come a study of the same texts with more seeds, one of
other texts (each with its words in reverse order), and one with another rate. Seconds are from the start of
the command to the word of the first step, by the clock, and of processors: of the command and of the worker
that made the step.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from finegrid.machine import cores, processor
from finegrid.user_cache import VARIABLE

TITLES = Path(__file__).parents[1] / "src" / "finegrid" / "assets" / "headlines" / "train.tsv"
KINDS = ("first time", "same texts, more seeds", "other texts", "another rate")
UNTIL = "--until-step"  # asks this program for `run_until_step`
RATE = "0.00007"


def run_until_step(folder: str, device: str, started: float) -> None:
    """Be `finegrid run` until a step of training is told; then print what that took, and end all."""
    from finegrid.cli.app import main
    from finegrid.running.progress.show import Show

    def told(show: Show, family: object, steps: int) -> None:
        clock = time.time() - started
        here = psutil.Process()
        own, *workers = (sum(one.cpu_times()[:2]) for one in (here, *here.children()))
        spent = own + max(workers)
        os.write(sys.stdout.fileno(), f"\nfirst step {clock} {spent}\n".encode())
        os._exit(0)  # workers end with their parent

    Show.stepped = told  # type: ignore[method-assign, assignment]
    sys.argv = ["finegrid", "run", folder, "--device", device]
    main()


def measure(folder: Path, device: str, cache: Path) -> tuple[float, float]:
    """Seconds by the clock, and of processors, until the first step."""
    command = [sys.executable, __file__, UNTIL, str(folder), device, str(time.time())]
    told = subprocess.run(command, env={**os.environ, VARIABLE: str(cache)}, capture_output=True)
    lines = [line.split() for line in told.stdout.decode().splitlines() if line.startswith("first step")]
    if not lines:
        raise SystemExit(f"finegrid run {folder}: no step\n{told.stderr.decode()}")
    return float(lines[0][2]), float(lines[0][3])


def read_texts(path: Path, count: int) -> list[tuple[str, str]]:
    """The first texts of a file, and their labels."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    names = header.split("\t")
    rows = [line.split("\t") for line in lines[:count]]
    return [(row[names.index("text")], row[names.index("label")]) for row in rows]


def mix_titles(count: int) -> list[tuple[str, str]]:
    """More titles than there are: halves of two of one class."""
    titles: dict[str, list[str]] = {}
    for text, label in read_texts(TITLES, 1500):
        titles.setdefault(label, []).append(text)
    mixed = {}
    for label, own in titles.items():
        for first in own:
            for second in own[: 2 * count // 1500 + 2]:
                mixed[first[: len(first) // 2] + second[len(second) // 2 :]] = label
    return [*mixed.items()][:: max(1, len(mixed) // count)][:count]


def turn(text: str) -> str:
    """Other words in other places, and as many of them."""
    words = text.split()
    return " ".join(reversed(words)) if len(words) > 1 else text[::-1]


def init_study(folder: Path, texts: list[tuple[str, str]], model: str, seeds: int, rate: str = "") -> None:
    """Write texts and ``study.toml``."""
    train = folder.with_suffix(".tsv")
    lines = [f"{text}\t{label}" for text, label in texts]
    train.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    asked = {"--train": train, "--text": "text", "--label": "label", "--model": model, "--out": folder}
    asked |= {"--preset": "thucnews64", "--seeds": seeds}
    command = [
        sys.executable,
        "-m",
        "finegrid",
        "init",
        *(str(one) for pair in asked.items() for one in pair),
    ]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    settings = folder / "study.toml"
    content = settings.read_text(encoding="utf-8")
    if rate:
        content = re.sub(r"(?m)^rate = \S+", f"rate = {rate}", content, count=1)
    settings.write_text(content, encoding="utf-8")


def run_round(home: Path, texts: list[tuple[str, str]], model: str, device: str) -> list[tuple[float, float]]:
    """Seconds of each of `KINDS`."""
    turned = [(turn(text), label) for text, label in texts]
    studies = [(texts, 1, ""), (texts, 3, ""), (turned, 1, ""), (texts, 1, RATE)]
    found = []
    for number, (read, seeds, rate) in enumerate(studies):
        init_study(folder := home / f"study-{number}", read, model, seeds, rate)
        found.append(measure(folder, device, home / "cache"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, help="texts with a header; default: titles that are mixed")
    parser.add_argument("--texts", type=int, default=7000, help="how many of them")
    parser.add_argument("--model", default="mini-zh", help="a checkpoint's folder")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    texts = read_texts(asked.train, asked.texts) if asked.train else mix_titles(asked.texts)
    rounds = []
    for _ in range(asked.rounds):
        with TemporaryDirectory() as home:
            rounds.append(run_round(Path(home), texts, asked.model, asked.device))
    print(f"{len(texts):,} texts, {asked.device}, median of {asked.rounds} rounds; ", end="")
    print(f"{processor()}, {cores()} cores\n")
    print("| study | s by the clock | least | s of processors | least |\n| --- | ---: | ---: | ---: | ---: |")
    for kind, found in zip(KINDS, zip(*rounds, strict=True), strict=True):
        clock, spent = zip(*found, strict=True)
        told = (median(clock), min(clock), median(spent), min(spent))
        print(f"| {kind} | {' | '.join(f'{seconds:.1f}' for seconds in told)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [UNTIL]:
        run_until_step(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        main()
