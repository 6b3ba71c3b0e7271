"""What a checkpoint is worth: fine-tuned on THUCNews titles and the embedded headlines, beside the same shape
from scratch and naive Bayes.

    python benchmarks/checkpoint.py CHECKPOINT FOLDER --titles DIR [--only draws headlines titles]

DIR holds THUCNews titles as train.tsv, dev.tsv and test.tsv (54,000 / 10,000 / 10,000). Three tasks:

- titles: all 54,000, 5 epochs, tested on 10,000;
- draws: 1,000 of them, 100 per class, five draws, tested on the same 10,000; dev is 1,000 titles;
- headlines: the embedded data set, three seeds.

Of the rates in `TASKS` dev chooses one per task, by its mean over draws or seeds, for checkpoint and scratch
apart. Running it again goes on where it stopped. Prints a Markdown table: macro-F1 on test, mean, and the
standard deviation over draws or seeds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from naive_bayes import naive_bayes

from finegrid.results.table import make_table
from finegrid.study.audit_file import load_audit
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study
from finegrid.study.study import Study

DEV_TITLES = 1000


@dataclass(frozen=True)
class Task:
    rates: tuple[float, ...]
    epochs: int
    batch_size: int
    draws: int  # studies, each with its own training titles
    seeds: int  # of every study
    train_size: int | None = None


TASKS = {
    "draws": Task((3e-4, 8e-4), 10, 16, draws=5, seeds=1, train_size=1000),
    "headlines": Task((5e-4, 1e-3), 4, 32, draws=1, seeds=3),
    "titles": Task((5e-4,), 5, 64, draws=1, seeds=1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--titles", type=Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    models = {"checkpoint": given.checkpoint.resolve(), "scratch": from_scratch(given.checkpoint, folder)}
    print(
        "| task | training texts | naive Bayes | from scratch | checkpoint |\n| --- | --- | --- | --- | --- |"
    )
    for name in given.only:
        data = HEADLINES if name == "headlines" else given.titles
        if data is None:
            parser.error(f"{name} needs --titles")
        studies = {model: prepare(folder / model, name, path, data) for model, path in models.items()}
        bayes = [100 * naive_bayes(study.read_table())["test"] for study in studies["checkpoint"]]
        texts = f"{len(studies['checkpoint'][0].read_table().train):,}"
        found = {model: spelled(scores(studies[model])) for model in models}
        cells = [found["scratch"], found["checkpoint"]]
        print(f"| {name} | {texts} | {spelled(bayes)} | {' | '.join(cells)} |", flush=True)


def from_scratch(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint of the same shape and vocabulary, with fresh weights."""
    place = folder / "models" / "scratch"
    if not (place / "config.json").exists():
        import torch
        import transformers

        torch.manual_seed(0)
        config = transformers.AutoConfig.from_pretrained(str(checkpoint))
        transformers.AutoModel.from_config(config).save_pretrained(str(place))
        transformers.AutoTokenizer.from_pretrained(str(checkpoint)).save_pretrained(str(place))
    return place


def prepare(folder: Path, name: str, model: Path, data: Path) -> list[Study]:
    """The studies of a task, made where they are missing."""
    task = TASKS[name]
    studies = []
    for draw in range(task.draws):
        place = folder / f"{name}-{draw}"
        if not (place / "study.toml").exists():
            place.mkdir(parents=True, exist_ok=True)
            dev = small_dev(data, place) if task.train_size else data / "dev.tsv"
            (place / "study.toml").write_text(settings(task, model, data, dev, draw), encoding="utf-8")
        studies.append(load_study(place))
    return studies


def settings(task: Task, model: Path, data: Path, dev: Path, draw: int) -> str:
    # A study varies something. The pooler gets no gradient here, so with one rate its two levels are one run.
    factor = (
        f'"optimizer.rate" = {list(task.rates)}' if len(task.rates) > 1 else '"reinit.pooler" = [false, true]'
    )
    drawn = f"train_size = {task.train_size}\nsplit_seed = {draw}\n" if task.train_size else ""
    return f"""finegrid = 1
[data]
train = {json.dumps(str(data / "train.tsv"))}
dev = {json.dumps(str(dev))}
test = {json.dumps(str(data / "test.tsv"))}
{drawn}[model]
name = {json.dumps(str(model))}
pooling = "first-last-mean"
max_length = 44
[schedule]
warmup_ratio = 0.1
[training]
epochs = {task.epochs}
batch_size = {task.batch_size}
[optimizer]
rate = {task.rates[0]}
[factors]
{factor}
[design]
seeds = {task.seeds}
[run]
precision = "auto"
"""


def small_dev(data: Path, folder: Path) -> Path:
    """Every tenth title of dev: who has 1,000 training texts has no 10,000 to choose epochs by."""
    lines = (data / "dev.tsv").read_text(encoding="utf-8").splitlines()
    step = (len(lines) - 1) // DEV_TITLES
    small = folder / "dev.tsv"
    small.write_text("\n".join([lines[0], *lines[1::step]]) + "\n", encoding="utf-8")
    return small


def scores(studies: Sequence[Study]) -> list[float]:
    """Points on test of every draw and seed, at the rate that dev prefers over all of them."""
    found: dict[str, list[np.ndarray]] = {"dev": [], "test": []}
    for study in studies:
        subprocess.run(
            [sys.executable, "-m", "finegrid", "run", str(study.folder)], check=True, stdout=sys.stderr
        )
        rows = make_table(study, load_audit(study.folder)).rows
        for split, each in found.items():
            each.append(100 * np.array([row.scores("macro-f1", split) for row in rows]))
    dev, test = (np.concatenate(found[split], axis=1) for split in ("dev", "test"))  # [rates, draws x seeds]
    best = int(dev.mean(axis=1).argmax())
    print(f"rate {studies[0].rows[best].levels} of {dev.mean(axis=1).round(2)} on dev", file=sys.stderr)
    return [float(value) for value in test[best]]


def spelled(points: Sequence[float]) -> str:
    mean = f"{np.mean(points):.1f}"
    return mean if len(points) == 1 else f"{mean} (sd {np.std(points, ddof=1):.1f}, {len(points)})"


if __name__ == "__main__":
    main()
