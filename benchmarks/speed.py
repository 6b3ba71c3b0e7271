"""finegrid's speed against the published study's loop and Hugging Face's Trainer, in one run.

    python benchmarks/speed.py [--shapes mini base] [--batches 32 256] [--rounds 3] [--best] [--out FILE]

Contenders take turns, each in processes of its own, for several rounds; medians are quoted, with minimum and
maximum, and ratios last. Tokens are real ones, padding not counted. Titles come from ``--titles`` (a TSV file
with a header), by default the embedded headlines. ``base`` is BERT-base's shape with random weights.

With ``--best``, Trainer also batches texts of about one length, and so is compiled as well: whatever its user
can switch on. Compiling (``torch.compile``) is over before it is timed.

finegrid has the workers and families that ``finegrid run`` would plan here for a study of 54,000 titles. The
settings of the allocator that it gives its workers are given to all contenders: their users might set them.
On a GPU: ``benchmarks/gpu.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Any

import psutil
from contender import plan
from job import Job

from finegrid.encoders.families import embedded_checkpoint
from finegrid.machine import cores as available_cores
from finegrid.running.process import ALLOCATOR
from finegrid.study.demo import HEADLINES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONTENDERS = ["origin", "trainer", "finegrid"]
LAYERS = 12
WORDS = 21128  # of BERT-base for Chinese
# What a Trainer's user can switch on beside its defaults.
WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("", {}),
    (" grouped", {"grouped": True}),
    (" grouped, compiled", {"grouped": True, "compiled": True}),
)
EPOCHS, TEXTS = 32, 54_000  # of the published grid: for families, and for the projection


@dataclass
class Entry:
    """One contender under one load: how it is run, and what it reached, round after round."""

    name: str
    shape: str
    job: Job
    workers: int
    tokens_per_second: list[float] = field(default_factory=list)
    per_processor: list[float] = field(default_factory=list)  # tokens a second of processor time
    gib: list[float] = field(default_factory=list)  # of one process, above what it had after its imports
    outside: list[float] = field(default_factory=list)  # share outside forward, backward and optimizer
    products: list[float] = field(default_factory=list)

    @property
    def load(self) -> str:
        return f"{self.shape}, batch {self.job.batch_size}, {'six frozen' if self.job.frozen else 'full'}"


def make_base(folder: Path) -> Path:
    """A checkpoint of BERT-base's shape with random weights, and the embedded tokeniser."""
    from transformers import BertConfig, BertModel

    return save_untrained(folder, lambda: BertModel(BertConfig(vocab_size=WORDS)))


def save_untrained(folder: Path, make: Callable[[], PreTrainedModel]) -> Path:
    """Random weights, the same every time, and the embedded tokeniser."""
    import shutil

    import torch

    torch.manual_seed(0)
    make().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(embedded_checkpoint() / name, folder / name)
    return folder


def product_rate(dtype: str, threads: int) -> float:
    """TFLOP/s of large matrix products on all cores, in a process of its own."""
    program = (
        "import time, torch\n"
        f"torch.set_num_threads({threads})\n"
        f"a, b = (torch.randn(2048, 2048, dtype=torch.{dtype}) for _ in 'ab')\n"
        "linear = torch.ops.mkldnn._linear_pointwise if torch.backends.mkldnn.is_available() else None\n"
        "f = (lambda: linear(a, b, None, 'none', [], '')) if linear else (lambda: a @ b.t())\n"
        "f(); times = []\n"
        "for _ in range(9):\n"
        "    start = time.perf_counter(); f(); times.append(time.perf_counter() - start)\n"
        "print(2 * 2048 ** 3 / sorted(times)[4] / 1e12)"
    )
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout)


def measure_(entry: Entry) -> None:
    """One round: all workers of the contender at once."""
    contenders = start_contenders(entry.job, entry.workers)
    wait_for(contenders)
    figures = figures_of(contenders)
    entry.tokens_per_second.append(sum(f["tokens"] / f["seconds"] for f in figures))
    entry.per_processor.append(median(f["tokens"] / f["processor"] for f in figures))
    entry.gib.append(median(f["bytes"] for f in figures) / 2**30)
    entry.outside.append(median(f.get("outside", 0.0) for f in figures))
    entry.products.append(median(f["products"] for f in figures))


class ContenderError(SystemExit):
    """A contender did not start, or ended without figures. Where nobody catches it, the benchmark ends."""


@dataclass
class Contender:
    """A process that trains, and what it writes on stderr."""

    process: subprocess.Popen[str]
    errors: IO[str]

    @cached_property
    def ready(self) -> str:
        """The line that it writes once it is warm; empty where it ended before."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def told(self, line: str) -> str:
        """The line, where it is one.

        Raises:
            ContenderError: there is none.
        """
        if line:
            return line
        self.process.wait()
        self.errors.seek(0)
        last = "".join(self.errors.readlines()[-12:])
        assert isinstance(self.process.args, list)
        raise ContenderError(f"no figures: {shlex.join(self.process.args)}\n{last}")


def start_contenders(
    job: Job,
    workers: int,
    program: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> list[Contender]:
    """So many processes of a contender: of ``contender.py``, or of another program."""
    own = program or (str(Path(__file__).parent / "contender.py"),)
    command = [sys.executable, *own, json.dumps(asdict(job))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job.threads))
    fixed = {**ALLOCATOR, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    started = []
    for _ in range(workers):
        errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **threads, **fixed, **(environment or {})},
        )
        started.append(Contender(process, errors))
    return started


def wait_for(contenders: Sequence[Contender]) -> None:
    """Wait until all are ready. Raises `ContenderError`."""
    for one in contenders:
        one.told(one.ready)


def figures_of(contenders: Sequence[Contender]) -> list[dict[str, float]]:
    """What contenders, which are ready, reach at once. Raises `ContenderError`."""
    for one in contenders:
        assert one.process.stdin is not None
        one.process.stdin.write("go\n")
        one.process.stdin.flush()
    lines = [one.told(one.process.communicate()[0]) for one in contenders]
    for one in contenders:
        one.errors.close()
    return [json.loads(line.splitlines()[0]) for line in lines]


def entries(arguments: argparse.Namespace, checkpoints: dict[str, str], bf16: bool) -> list[Entry]:
    """Every contender under every load, as its users would run it on this machine."""
    cores = available_cores()
    fast = "bf16" if bf16 else "fp32"
    found = []
    for shape, batch_size, frozen in product(arguments.shapes, arguments.batches, (0, LAYERS // 2)):
        job = Job(
            contender="origin",
            checkpoint=checkpoints[shape],
            titles=arguments.titles,
            batch_size=batch_size,
            frozen=frozen,
            family=1,
            threads=cores,
            precision="fp32",
            seconds=arguments.seconds,
            steps=1,
        )
        if "origin" in arguments.contenders:
            found.append(Entry("origin", shape, job, 1))
        # A Trainer's user may run one process on all cores, or one on each: both are measured.
        for workers in (1, cores) if "trainer" in arguments.contenders else ():
            theirs = replace(job, contender="trainer", precision=fast, threads=cores // workers)
            found += [
                Entry(f"trainer x{workers}{name}", shape, replace(theirs, **switched), workers)
                for name, switched in (WAYS if arguments.best else WAYS[:1])
            ]
        if "finegrid" in arguments.contenders:
            ours = replace(job, contender="finegrid", precision=fast, threads=1)
            found.append(planned("finegrid", shape, ours))
            if bf16:
                found.append(planned("finegrid fp32", shape, replace(ours, precision="fp32")))
    return found


def planned(name: str, shape: str, job: Job) -> Entry:
    """finegrid with the workers and families of ``finegrid run``; probed in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        workers, family = pool.submit(plan, job, TEXTS).result()
    return Entry(name, shape, replace(job, family=family), workers)


def spread(values: list[float], style: str = "{:,.0f}") -> str:
    low, middle, high = (style.format(f(values)) for f in (min, median, max))
    return f"{middle} ({low} to {high})"


def flops_per_token(shape: str, frozen: int, family: int) -> float:
    """Of the encoder's linear layers: twice a weight forward, four times backward; attention is left out."""
    width = 192 if shape == "mini" else 768
    layer = 12 * width * width
    trained = 6 * layer * (LAYERS - frozen)
    return trained + 2 * layer * frozen / family


def gib_by_hand(entry: Entry, mean_tokens: float) -> float:
    """What a worker cannot do without: weights, copies, gradients, moments, and one run's activations."""
    width, words = (192, 8192) if entry.shape == "mini" else (768, WORDS)
    job, half = entry.job, 2 if entry.job.precision == "bf16" else 4
    layer = 12 * width * width + 13 * width
    embeddings = (words + 512 + 4) * width
    trained = layer * (LAYERS - job.frozen) + (0 if job.frozen else embeddings)
    frozen = layer * LAYERS + embeddings - trained
    weights = 16 * trained * job.family + 4 * frozen
    copies = 12 * width * width * LAYERS * half if half == 2 else 3 * width * width * LAYERS * half
    # Of a token and layer, in the compute type: two inputs, queries, keys, values, context, and twice four
    # widths; in float32 two sums; two masks of a byte; of attention, padded to 8 tokens, float32 and a mask.
    attention = width // 64 * 8 * (mean_tokens // 8 + 1) * 5
    activations = (LAYERS - job.frozen) * (width * (14 * half + 8 + 2) + attention)
    return (weights + copies + activations * job.batch_size * mean_tokens) / 2**30


def report(measured: list[Entry], rates: dict[str, float], mean_tokens: float) -> str:
    lines = [
        f"{platform.machine()}, {psutil.cpu_count()} cores; products: "
        + ", ".join(f"{rate:.2f} TFLOP/s in {dtype}" for dtype, rate in rates.items()),
        "",
        "| load | contender | processes x threads | real tokens/s | s per epoch of 54,000 "
        "| GiB a process (by hand) | products | of bf16 rate | outside |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for e in measured:
        speed, ours = median(e.tokens_per_second), e.name.startswith("finegrid")
        reached = speed * flops_per_token(e.shape, e.job.frozen, e.job.family) / rates["bfloat16"] / 1e12
        lines.append(
            f"| {e.load} | {e.name} | {e.workers} x {e.job.threads}"
            f"{f', families of {e.job.family}' if e.job.family > 1 else ''} "
            f"| {spread(e.tokens_per_second)} | {TEXTS * mean_tokens / speed:,.1f} | {median(e.gib):.2f}"
            f"{f' ({gib_by_hand(e, mean_tokens):.2f})' if ours else ''} | {median(e.products):.0%} "
            f"| {reached:.0%} | {f'{median(e.outside):.1%}' if ours else ''} |"
        )
    if len({e.job.contender for e in measured}) == len(CONTENDERS):
        lines += ["", *ratios(measured, mean_tokens)]
    return "\n".join(lines)


def ratios(measured: list[Entry], mean_tokens: float) -> list[str]:
    """Tokens per second against the others under the same load, and the whole grid as a projection."""
    speeds = {(e.load, e.name): median(e.tokens_per_second) for e in measured}
    lines = ["| load | times origin | times trainer (its best way) |", "| --- | --- | --- |"]
    for load, name in speeds:
        if name.startswith("finegrid"):  # measured last of its load: the others are there
            rival = max(v for (other, n), v in speeds.items() if other == load and n.startswith("trainer"))
            ours, theirs = speeds[load, name], speeds[load, "origin"]
            lines.append(f"| {load}, {name} | {ours / theirs:.1f} | {ours / rival:.1f} |")
    lines.append("")
    for shape, batch_size in dict.fromkeys((e.shape, e.job.batch_size) for e in measured):
        hours = {}
        kinds = [f"{shape}, batch {batch_size}, {kind}" for kind in ("full", "six frozen")]
        if (kinds[-1], "finegrid") not in speeds:
            continue
        for name, runs in (("origin", 32), ("finegrid", 16)):  # of each kind; half of our rows are inert
            tokens = EPOCHS * TEXTS * mean_tokens
            hours[name] = sum(runs * tokens / speeds[kind, name] for kind in kinds) / 3600
        lines.append(
            f"thucnews64, {shape}, batch {batch_size}, {EPOCHS} epochs of training, projected: origin "
            f"{hours['origin']:,.0f} h, finegrid {hours['finegrid']:,.1f} h: "
            f"{hours['origin'] / hours['finegrid']:.1f} times"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["mini", "base"], choices=["mini", "base"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 256])
    parser.add_argument(
        "--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS, help="ratios take all"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="per contender, load and round")
    parser.add_argument("--best", action="store_true", help="Trainer in all its ways")
    parser.add_argument("--titles", default=str(HEADLINES / "train.tsv"))
    parser.add_argument("--out", type=Path, help="where to keep all figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        checkpoints = {"mini": str(embedded_checkpoint())}
        if "base" in arguments.shapes:
            checkpoints["base"] = str(make_base(Path(scratch) / "base"))
        cores = available_cores()
        rates = {dtype: product_rate(dtype, cores) for dtype in ("float32", "bfloat16")}
        measured = entries(arguments, checkpoints, rates["bfloat16"] > 1.2 * rates["float32"])
        with suppress(KeyboardInterrupt):  # what has been measured is worth printing
            for number in range(arguments.rounds):
                for entry in measured:
                    start = time.monotonic()
                    try:
                        measure_(entry)
                    except ContenderError as error:  # costs no other figure
                        print(f"{entry.load}, {entry.name}: {error}", file=sys.stderr)
                        continue
                    print(
                        f"round {number + 1}: {entry.load}, {entry.name}: "
                        f"{entry.tokens_per_second[-1]:,.0f} tokens/s ({time.monotonic() - start:.0f} s)",
                        file=sys.stderr,
                        flush=True,
                    )
                    keep(arguments.out, rates, measured)
    measured = [entry for entry in measured if entry.tokens_per_second]
    print(report(measured, rates, mean_tokens(arguments.titles)))


def keep(path: Path | None, rates: dict[str, float], measured: list[Entry]) -> None:
    """All figures so far, as JSON."""
    if path is not None:
        kept: dict[str, Any] = {"rates": rates, "entries": [asdict(entry) for entry in measured]}
        path.write_text(json.dumps(kept, indent=1))


def mean_tokens(titles: str) -> float:
    """Tokens of a title, special ones counted, cut to 44."""
    from contender import read_titles
    from transformers import AutoTokenizer

    texts, _ = read_titles(titles)
    tokenizer = AutoTokenizer.from_pretrained(embedded_checkpoint())
    lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=Job.length)["input_ids"]]
    return sum(lengths) / len(lengths)


if __name__ == "__main__":
    main()
