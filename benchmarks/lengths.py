"""finegrid's speed and memory for texts of several lengths, against Hugging Face's Trainer, in one run.

    python benchmarks/lengths.py [--lengths 128 256 512] [--shape base] [--batch 32] [--rounds 3]
    python benchmarks/lengths.py --device cuda --lengths 128 256 512 --against 4de0b36 --compiled
    python benchmarks/lengths.py --device cuda --shape modernbert --lengths 2048 --batch 8

Contenders take turns, each in processes of its own, for several rounds; medians are quoted, with minimum
and maximum, and the median of the rounds' ratios. Tokens are real ones, padding not counted. Every text is
some of the embedded headlines, one after the other, as many as it takes to a length that is drawn: the
exponential of a normal number with ``--sigma`` around the logarithm of ``--median`` times the most tokens,
cut there. With ``--median 3`` nearly all are cut, and Trainer pads next to nothing. ``--texts`` (a TSV file
with a header, text and label) takes others.

Trainer is at its best: sdpa, padded to the longest of a batch, fused AdamW, bf16 where finegrid uses it; on
CPUs as one process on all cores and as one on each, on a GPU with four loaders, with ``--compiled`` also by
torch.compile. It needs accelerate. ``--against REF`` also times finegrid as it was at a git commit, by its
own benchmarks. On a GPU finegrid trains whole epochs as ``gpu.py`` does, after a first one in which steps are
captured, and its memory is what it takes for evaluation too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from job import Job
from speed import (
    WORDS,
    Contender,
    ContenderError,
    figures_of,
    make_base,
    planned,
    save_untrained,
    spread,
    start_contenders,
    wait_for,
)

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import cores, fastest_precision
from finegrid.study.demo import HEADLINES

ROOT = Path(__file__).parents[1]
TEXTS = {"cpu": 640, "cuda": 6400}


@dataclass
class Entry:
    """A contender at one length, and what it reached, round after round."""

    name: str
    job: Job
    workers: int = 1
    tree: Path | None = None  # of an earlier version of finegrid
    speeds: list[float] = field(default_factory=list)  # real tokens a second
    per_processor: list[float] = field(default_factory=list)  # of its time; on CPUs
    gib: list[float] = field(default_factory=list)  # of one process; on a GPU, of its memory

    def start(self) -> list[Contender]:
        program: tuple[str, ...] = ()
        environment: dict[str, str] = {}
        if self.tree is not None or (self.job.contender == "finegrid" and self.job.device == "cuda"):
            tree = self.tree or ROOT
            program = (str(Path(__file__).parent / "by_version.py"), str(tree))
            paths = [str(tree / "src"), os.environ.get("PYTHONPATH", "")]
            environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return start_contenders(self.job, self.workers, program, environment)

    def measure_(self, contenders: list[Contender]) -> None:
        """Take the figures of its processes once they are ready."""
        wait_for(contenders)
        figures = figures_of(contenders)
        self.speeds.append(sum(own["tokens"] / own["seconds"] for own in figures))
        if self.job.device == "cpu":  # what else the machine does counts less in it
            self.per_processor.append(median(own["tokens"] / own["processor"] for own in figures))
        self.gib.append(max(own["bytes"] for own in figures) / 2**30)


def started(entries: list[Entry]) -> Iterator[tuple[Entry, list[Contender]]]:
    """Each with its processes. On a GPU all start at once, and wait for their turn: starts take longest.

    A process that waits computes nothing, and counts its own memory alone.
    """
    at_once = len(entries) if entries[0].job.device == "cuda" else 1
    for first in range(0, len(entries), at_once):
        warming = [(entry, entry.start()) for entry in entries[first : first + at_once]]
        for _, contenders in warming:
            with suppress(ContenderError):  # which its own turn tells
                wait_for(contenders)
        yield from warming


def write_texts(path: Path, texts: int, length: int, share: float, sigma: float) -> None:
    """Headlines in a row, to lengths that are drawn. A Chinese character is about a token."""
    lines = (HEADLINES / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    headlines = [line.split("\t") for line in lines]
    draw = np.random.default_rng(0)
    wanted = np.exp(draw.normal(np.log(share * length), sigma, texts)).clip(4, 1.2 * length)
    rows = ["text\tlabel"]
    for count in wanted:
        text, label = "", headlines[draw.integers(len(headlines))][1]
        while len(text) < count:
            text += headlines[draw.integers(len(headlines))][0]
        rows.append(f"{text[: int(count)]}\t{label}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@contextmanager
def checked_out(ref: str | None) -> Iterator[Path | None]:
    """The tree of a git commit, for as long; or the folder that already holds one."""
    if ref is None or Path(ref).is_dir():
        yield Path(ref).resolve() if ref else None
        return
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), ref], check=True, capture_output=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True, capture_output=True)


def entries(
    arguments: argparse.Namespace, checkpoint: str, texts: str, length: int, past: Path | None
) -> list[Entry]:
    """Every contender at one length, as its users would run it here."""
    device, available = arguments.device, cores()
    job = Job(
        contender="finegrid",
        checkpoint=checkpoint,
        titles=texts,
        batch_size=arguments.batch,
        frozen=0,
        family=1,
        threads=1,
        precision=arguments.precision,
        seconds=arguments.seconds,
        steps=1 if device == "cpu" else arguments.steps,
        device=device,
        length=length,
    )
    # A checkpoint that transformers computes (ModernBERT) joins by ``--model``: nothing here knows families.
    own = Entry("finegrid", job)
    if device == "cpu" and arguments.workers is None:
        plan = planned("finegrid", arguments.shape, job)
        own = Entry("finegrid", plan.job, plan.workers)
    elif device == "cpu":
        own.workers = arguments.workers
    found = [own]
    if arguments.against:
        found.append(
            replace(own, name=f"finegrid {arguments.against}", tree=past, speeds=[], per_processor=[], gib=[])
        )
    for workers in dict.fromkeys((1, own.workers if device == "cpu" else 1)):
        theirs = replace(job, contender="trainer", threads=available // workers)
        found.append(Entry(f"trainer x{workers}", theirs, workers))
    if arguments.compiled:
        found.append(Entry("trainer compiled", replace(found[-1].job, compiled=True), found[-1].workers))
    return found


def report(measured: dict[int, list[Entry]], about: str) -> str:
    lines = [
        about,
        "",
        "| texts up to | contender | processes x threads | real tokens/s | of processor time "
        "| GiB of one process |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for length, own in measured.items():
        for entry in own:
            lines.append(
                f"| {length} | {entry.name} | {entry.workers} x {entry.job.threads} "
                f"| {spread(entry.speeds)} | {spread(entry.per_processor) if entry.per_processor else ''} "
                f"| {spread(entry.gib, '{:.2f}')} |"
            )
    lines += [
        "",
        "| texts up to | finegrid against | times as fast | by processor time | times its memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for length, (ours, *others) in measured.items():
        for entry in others:
            fast, cheap = (ratios(*pair) for pair in both(ours, entry))
            memory = median(ours.gib) / median(entry.gib)
            lines.append(f"| {length} | {entry.name} | {fast} | {cheap} | {memory:.2f} |")
    return "\n".join(lines)


def both(ours: Entry, theirs: Entry) -> list[tuple[list[float], list[float]]]:
    return [(ours.speeds, theirs.speeds), (ours.per_processor, theirs.per_processor)]


def ratios(ours: list[float], theirs: list[float]) -> str:
    """Of rounds: the machine may have been busy with something else in one of them."""
    found = [a / b for a, b in zip(ours, theirs, strict=False)]
    return spread(found, "{:.2f}") if found else ""


def describe(arguments: argparse.Namespace) -> str:
    """The processor or GPU, and what was trained on."""
    if arguments.device == "cuda":
        import torch

        name = torch.cuda.get_device_name()
    else:
        told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        names = [line.split(":", 1)[1].strip() for line in told.splitlines() if line.startswith("model name")]
        name = f"{names[0] if names else 'a processor'}, {cores()} cores"
    kind = arguments.model or arguments.shape
    drawn = f"median {arguments.median:g} of the most tokens, sigma {arguments.sigma:g}"
    origin = f"texts of {arguments.texts}" if arguments.texts else f"headlines in a row, {drawn}"
    return f"{name}; {kind}, batch {arguments.batch}, {arguments.precision}; {origin}"


def checkpoint_of(arguments: argparse.Namespace, scratch: Path) -> str:
    if arguments.model:
        return str(arguments.model)
    makers = {"base": make_base, "modernbert": make_modernbert}
    make = makers.get(arguments.shape)
    return str(make(scratch / arguments.shape) if make else embedded_checkpoint())


def make_modernbert(folder: Path) -> Path:
    """A checkpoint of ModernBERT-base's shape with random weights, and the embedded tokeniser."""
    from transformers import ModernBertConfig, ModernBertModel

    first = dict.fromkeys(("bos_token_id", "cls_token_id"), 2)
    roles = {"pad_token_id": 0, **first, "eos_token_id": 3, "sep_token_id": 3}
    config = ModernBertConfig(vocab_size=WORDS, **roles)
    return save_untrained(folder, lambda: ModernBertModel(config))


def keep(out: Path | None, measured: dict[int, list[Entry]]) -> None:
    """All figures so far, as JSON: a GPU's time may end at any moment."""
    if out is not None:
        kept: dict[str, Any] = {str(key): [asdict(entry) for entry in own] for key, own in measured.items()}
        out.write_text(json.dumps(kept, indent=1))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--shape", default="base", choices=["mini", "base", "modernbert"])
    parser.add_argument("--model", help="a checkpoint, instead of a shape")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="as finegrid would choose, by default")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, help="of finegrid on CPUs; as it plans them, by default")
    parser.add_argument("--against", metavar="REF", help="a git commit of finegrid, or a folder of one")
    parser.add_argument("--compiled", action="store_true", help="Trainer also by torch.compile")
    parser.add_argument("--median", type=float, default=0.5, help="of lengths, in parts of the most tokens")
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--texts", help="a TSV file, instead of headlines in a row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="per contender and round, on CPUs")
    parser.add_argument("--steps", type=int, default=100, help="the same on a GPU")
    parser.add_argument("--out", type=Path, help="where to keep all figures as JSON")
    arguments = parser.parse_args()
    arguments.precision = arguments.precision or fastest_precision(arguments.device)
    return arguments


def main() -> None:
    arguments = read_arguments()
    measured: dict[int, list[Entry]] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        past = stack.enter_context(checked_out(arguments.against))
        checkpoint = checkpoint_of(arguments, scratch)
        for length in arguments.lengths:
            texts = scratch / f"{length}.tsv"
            write_texts(texts, TEXTS[arguments.device], length, arguments.median, arguments.sigma)
            measured[length] = entries(arguments, checkpoint, arguments.texts or str(texts), length, past)
        stack.enter_context(suppress(KeyboardInterrupt))  # what has been measured is worth printing
        for number in range(arguments.rounds):
            for length, own in measured.items():
                for entry, contenders in started(own):
                    try:
                        entry.measure_(contenders)
                    except ContenderError as error:
                        print(f"{length}, {entry.name}: {error}", file=sys.stderr, flush=True)
                        continue
                    told = f"round {number + 1}: {length}, {entry.name}: {entry.speeds[-1]:,.0f} tokens/s"
                    print(f"{told}, {entry.gib[-1]:.2f} GiB", file=sys.stderr, flush=True)
                    keep(arguments.out, measured)
    done = {length: [entry for entry in own if entry.speeds] for length, own in measured.items()}
    print(report({length: own for length, own in done.items() if own}, describe(arguments)))


if __name__ == "__main__":
    main()
