"""What a step has in memory at once, and what it takes: whole, recomputed, in portions, and both.

    python benchmarks/memory.py [--batch 32] [--length 256] [--micro 8] [--precision fp32] [--threads 1]
                                [--layers 12] [--width 768] [--steps 2] [--device cpu]

A BERT of BERT-base's shape with fresh weights reads made-up texts, all of one length. Each way has a process
of its own, that a worker of `finegrid run` is like; its first step, which makes Adam's moments, is not timed.
*Peak* is of the process (of a GPU: what torch has reserved), *start* before the first step. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from finegrid.encoders.families import embedded_checkpoint
from finegrid.running.process import ALLOCATOR

GIB = 2**30
CHARACTERS = "的一是在不了有和人这中大为上个国我以要他"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--micro", type=int, default=8)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # micro-batch and recomputation of a way
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given, int(given.one[0]), given.one[1] == "True")))
        return
    head = "| texts at once | layers | start, GiB | peak, GiB | s a step |"
    print(f"{given.batch} texts of {given.length} tokens, {given.precision}, {given.device}\n\n{head}")
    print("| --- | --- | --- | --- | --- |")
    for micro in (0, given.micro):
        for recompute in (False, True):
            asked = [sys.executable, __file__, *sys.argv[1:], "--one", str(micro), str(recompute)]
            environment = {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": str(given.threads)}
            told = subprocess.run(asked, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(told.stdout.splitlines()[-1])
            cells = [f"{found[name] / GIB:.2f}" for name in ("start", "peak")]
            way = "computed twice" if recompute else "kept"
            print(f"| {micro or given.batch} | {way} | {' | '.join(cells)} | {found['seconds']:.2f} |")


def measure(given: argparse.Namespace, micro: int, recompute: bool) -> dict[str, float]:
    from finegrid.model.device import peak_memory, reset_peak_memory
    from finegrid.study.load import load_study
    from finegrid.study.settings import RunSettings
    from finegrid.training.loaded import LoadedStudy, prepare_process
    from finegrid.training.run import Run

    with tempfile.TemporaryDirectory() as home:
        about = {"threads": given.threads, "precision": given.precision, "device": given.device}
        settings = RunSettings.model_validate({**about, "recompute": recompute})
        prepare_process(settings)
        loaded = LoadedStudy(load_study(write_study(Path(home), given, micro)), settings)
        run = Run(loaded, "run", loaded.study.baseline, 0)
        reset_peak_memory(loaded.device)
        start, seconds = peak_memory(loaded.device), []
        for step, batch in enumerate(loaded.training_batches(run.recipe, 0, 0)):
            began = time.perf_counter()
            run.step(batch, step)
            seconds.append(time.perf_counter() - began)
        return {"start": start, "peak": peak_memory(loaded.device), "seconds": float(np.mean(seconds[1:]))}


def write_study(home: Path, given: argparse.Namespace, micro: int) -> Path:
    """A study whose training texts are as many batches as steps are asked for, and one more."""
    import torch
    import transformers

    torch.manual_seed(0)
    source = str(embedded_checkpoint())
    config = transformers.AutoConfig.from_pretrained(source)
    config.hidden_size, config.intermediate_size = given.width, 4 * given.width
    config.num_hidden_layers, config.num_attention_heads = given.layers, given.width // 64
    config.max_position_embeddings = max(512, given.length)
    transformers.AutoModel.from_config(config).save_pretrained(str(home / "model"))
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(str(home / "model"))
    draw = np.random.default_rng(0)
    for part, texts in {"train": (given.steps + 1) * given.batch, "dev": 4, "test": 4}.items():
        lines = ["text\tlabel"]
        for row in range(texts):
            lines.append("".join(draw.choice([*CHARACTERS], 2 * given.length)) + f"\t{'ab'[row % 2]}")
        (home / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (home / "study.toml").write_text(
        '[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\ntest = "test.tsv"\n'
        f'[model]\nname = "model"\nmax_length = {given.length}\n'
        f"[training]\nbatch_size = {given.batch}\nmicro_batch = {micro}\n"
        '[factors]\n"optimizer.decay_on" = ["all", "matrices"]\n'
    )
    return home


if __name__ == "__main__":
    main()
