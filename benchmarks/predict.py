"""Peak memory and time of ``finegrid predict`` on few texts and on many.

A model of one layer, 16 wide, so that reading and writing weigh, not the encoder. Each call is a process of
its own, and its peak is the system's VmHWM: what `wait4` counts has the parent's own peak in it. Linux only.

    python benchmarks/predict.py --few 10000 --many 1000000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from finegrid.encoders.families import inspect
from finegrid.inference.fitted import Fitted
from finegrid.inference.keep import write_model
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.streams import Streams

WORDS = [f"w{number}" for number in range(1000)]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LABELS = ["a", "b", "c", "d"]
# Runs `finegrid predict`, and ends with its own peak in KiB and its seconds.
CHILD = """
import re, sys, time
from pathlib import Path
from finegrid.cli.app import app
try:
    app(["predict", *sys.argv[1:]])
finally:
    peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]
    print(peak, time.process_time(), file=sys.stderr)
"""
KINDS = ("csv", "jsonl", "parquet")


def make_model(folder: Path) -> Path:
    """A kept model whose head nobody has trained."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(SPECIALS) + len(WORDS), max_position_embeddings=64, **sizes)
    checkpoint, out = folder / "checkpoint", folder / "model"
    BertModel(config).save_pretrained(checkpoint)
    vocabulary = {word: number for number, word in enumerate([*SPECIALS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    fitted = Fitted.model_validate(
        {
            "labels": LABELS,
            "pooling": "cls",
            "max_length": 64,
            "texts": 1,
            "run_id": "0",
            "columns": ["text", "label"],
            "recipe": {},
            "seed": 0,
            "stands_for": [],
            "best_epoch": 1,
            "score": "macro-f1",
            "protocol": "best-dev",
            "dev": {},
            "test": {},
            "precision": "fp32",
            "threads": 1,
            "device": "cpu",
            "fingerprints": {},
            "versions": {},
        }
    )
    encoder = Checkpoint(inspect(checkpoint)).encoder
    out.mkdir()
    write_model(Classifier(encoder, len(LABELS), "cls", Streams(0)), checkpoint, fitted, out)
    return out


def write_texts(path: Path, count: int) -> Path:
    """Short texts, half of them unlike any other, each with a number and a label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw = np.random.default_rng(0)
    texts = [" ".join(WORDS[n] for n in row) for row in draw.integers(0, len(WORDS), (count, 4))]
    labels = draw.choice(LABELS, count)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"id": np.arange(count), "text": texts, "label": labels}), path)
    elif path.suffix == ".jsonl":
        rows = (
            f'{{"id": {n}, "text": "{t}", "label": "{y}"}}\n'
            for n, (t, y) in enumerate(zip(texts, labels, strict=True))
        )
        path.write_text("".join(rows))
    else:
        lines = (f"{n},{t},{y}\n" for n, (t, y) in enumerate(zip(texts, labels, strict=True)))
        path.write_text("id,text,label\n" + "".join(lines))
    return path


def measure(model: Path, texts: Path, out: Path) -> tuple[float, float, float]:
    """Peak MiB, seconds of the processor, and seconds."""
    started = time.monotonic()
    command = [sys.executable, "-c", CHILD, str(model), str(texts), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, busy = done.stderr.split()[-2:]
    return int(peak) / 1024, float(busy), time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["csv"], choices=KINDS)
    asked = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = Path(place)
        model = make_model(folder)
        for kind in asked.kinds:
            peaks = []
            for count in (asked.few, asked.many):
                texts = write_texts(folder / f"texts.{kind}", count)
                peak, busy, seconds = measure(model, texts, folder / f"out.{kind}")
                peaks.append(peak)
                took = f"{busy:.1f} s of CPU, {seconds:.1f} s"
                print(f"{kind} {count:>9,} texts: peak {peak:4.0f} MiB, {took}", flush=True)
            print(f"{kind}: {peaks[1] - peaks[0]:.0f} MiB more", flush=True)


if __name__ == "__main__":
    main()
