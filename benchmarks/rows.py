"""What holding only the rows that occur saves: memory and seconds of a family, with them and with all.

    python benchmarks/rows.py [--width 384] [--runs 4] [--texts 2000] [--steps 6]

The encoder has XLM-R's table of words, 250,002 rows, and two layers of its kind, of random values. Texts are
of words drawn as languages have them: the n-th in proportion to 1 / n. Every case is measured in a process of
its own, on one core, and both make the same losses.
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
from statistics import median
from typing import Any

import numpy as np

from finegrid.machine import processor
from finegrid.running.process import ALLOCATOR

WORDS = 250_002
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
GIB = 2**30
LENGTH = 24  # words of a text


def write_checkpoint(folder: Path, width: int) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=WORDS,
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(folder)
    words = [*SPECIALS, *(f"w{number}" for number in range(WORDS - len(SPECIALS)))]
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(SPECIALS)
    names = ["bos_token", "pad_token", "eos_token", "unk_token", "mask_token"]
    roles = dict(zip(names, SPECIALS, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    return folder


def write_study(folder: Path, checkpoint: Path, texts: int) -> None:
    draw = np.random.default_rng(0)
    shares = 1 / np.arange(1, WORDS - len(SPECIALS) + 1)
    order = draw.permutation(len(shares))  # frequent words lie anywhere in the table
    for part, count in {"train": texts, "dev": texts // 10, "test": texts // 10}.items():
        words = order[draw.choice(len(shares), (count, LENGTH), p=shares / shares.sum())]
        lines = [
            f"{' '.join(f'w{word}' for word in row)}\t{'ab'[number % 2]}" for number, row in enumerate(words)
        ]
        (folder / f"{part}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    (folder / "study.toml").write_text(
        '[data]\ntrain = "train.tsv"\ndev = "dev.tsv"\ntest = "test.tsv"\n'
        f"[model]\nname = {json.dumps(str(checkpoint))}\nmax_length = 32\n"
        '[factors]\n"optimizer.decay_on" = ["all", "matrices"]\n',
        encoding="utf-8",
    )


def measure(folder: Path, every_row: bool, runs: int, steps: int) -> dict[str, Any]:
    """Step a family; in a process of its own."""
    from finegrid.audit.costs import member_memory
    from finegrid.model.device import peak_memory, reset_peak_memory
    from finegrid.study.load import load_study
    from finegrid.study.settings import RunSettings
    from finegrid.training.loaded import LoadedStudy, prepare_process
    from finegrid.training.run import Run
    from finegrid.training.train import gather

    settings = RunSettings(threads=1)
    prepare_process(settings)
    loaded = LoadedStudy(load_study(folder), settings)
    loaded.every_row = every_row
    recipe = loaded.study.baseline
    reset_peak_memory(loaded.device)
    before = peak_memory(loaded.device)
    family = gather(Run(loaded, f"run-{number}", recipe, 0) for number in range(runs))
    seconds, losses = [], []
    for step, batch in enumerate(loaded.training_batches(recipe, 0, 0)):
        if step == steps + 1:
            break
        began = time.perf_counter()
        losses = [run.step(batch, step) for run in family]
        seconds.append(time.perf_counter() - began)
    for run in family:  # as an epoch's end keeps them
        run.best_weights = {name: p.detach().clone() for name, p in run.trained().items()}
    table = family[0].table.weight
    return {
        "rows": len(table),
        "seconds": median(seconds[1:]),
        "before": before,
        "peak": peak_memory(loaded.device),
        "member": member_memory(family[0]),
        "table": member_memory(family[0])
        // sum(p.numel() for p in family[0].trained().values())
        * table.numel(),
        "losses": losses,
    }


def report(cases: list[dict[str, Any]], width: int, runs: int) -> str:
    lines = [
        f"{WORDS:,} x {width}, {runs} runs, on {processor()}, one core",
        "",
        "| rows held | s a step of the family | peak GiB | before the family | a run | of it the table |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        sizes = " | ".join(f"{case[name] / GIB:.2f}" for name in ("peak", "before", "member", "table"))
        lines.append(f"| {case['rows']:,} | {case['seconds']:.3f} | {sizes} |")
    every, some = cases
    share = some["rows"] / every["rows"]
    lines += [
        "",
        f"rows {100 * share:.2f} %, memory of the tables {100 * some['table'] / every['table']:.2f} %, "
        f"seconds {every['seconds'] / some['seconds']:.1f} times as few; losses equal to the last bit: "
        f"{every['losses'] == some['losses']}",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--measure", choices=["every", "some"], help=argparse.SUPPRESS)
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.study, given.measure == "every", given.runs, given.steps)))
        return
    with tempfile.TemporaryDirectory(prefix="finegrid-rows-") as made:
        folder = Path(made)
        (folder / "model").mkdir()
        write_study(folder, write_checkpoint(folder / "model", given.width), given.texts)
        numbers = ["--runs", str(given.runs), "--steps", str(given.steps), "--study", str(folder)]
        cases = []
        for case in ("every", "some"):
            command = [sys.executable, __file__, "--measure", case, *numbers]
            environment = {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1"}  # as workers have it
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            cases.append(json.loads(done.stdout.splitlines()[-1]))
    print(report(cases, given.width, given.runs))


if __name__ == "__main__":
    main()
