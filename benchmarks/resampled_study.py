"""What `design.resample` decides that one fixed split leaves open, or takes back, at equal runs: real texts.

    python benchmarks/resampled_study.py OUT headlines                    # the embedded default's headlines
    python benchmarks/resampled_study.py OUT trec-train.tsv trec-test.tsv --model CHECKPOINT

Two studies of the same texts, recipes and seeds are trained: one on a fixed split, one whose seeds draw
splits of their own. Their verdicts stand side by side. Several files are one pool. Running it again goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finegrid.study.demo import HEADLINES
from finegrid.study.toml import format_toml, parse_levels

FACTORS = [
    "freeze.layers=[0, 2]",
    "optimizer.bias_correction=[true, false]",
    "schedule.warmup_ratio=[0.0, 0.1]",
    "reinit.layers=[0, 1]",
    "optimizer.decay_on=['all', 'matrices']",
]
LEVELS = ["optimizer.rate=3e-4", "training.batch_size=32", "training.epochs=4", "model.max_length=64"]


def pool_texts(out: Path, files: Sequence[Path], texts: int | None) -> Path:
    """All rows of the files in one, ``text<TAB>label`` with a header; a random part of them if asked."""
    rows = [
        line
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and line != "text\tlabel"
    ]
    if texts is not None and texts < len(rows):
        kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:texts])
        rows = [rows[place] for place in kept]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "pool.tsv"
    path.write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    return path


def write_study(folder: Path, options: argparse.Namespace, resample: bool) -> Path:
    """A study of the pool with these seeds, on one split or on splits of their own."""
    if (folder / "study.toml").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[str]] = {"model": [f"name = {format_toml(options.model)}"]}
    for name, level in parse_levels(LEVELS + options.set).items():
        part, _, field = name.partition(".")
        tables.setdefault(part, []).append(f"{field} = {format_toml(level)}")
    drawn = [f"resample = {options.splits}"] if resample else []
    lines = [
        f'score = "{options.score}"',
        '[data]\ntrain = "../pool.tsv"',
        f"test_share = {options.test_share}\ndev_share = {options.dev_share}",
        f"[design]\nseeds = {options.splits}\n" + "\n".join(drawn),
        f'[run]\nprecision = "auto"\ndevice = "{options.device}"',
        *(f"[{part}]\n" + "\n".join(fields) for part, fields in tables.items()),
        "[factors]",
    ]
    for factor in options.factors:
        name, _, levels = factor.partition("=")
        lines.append(f'"{name}" = {levels}')
    (folder / "study.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def judge(study: Path) -> Any:
    subprocess.run([sys.executable, "-m", "finegrid", "run", str(study)], check=True, stdout=sys.stderr)
    said = subprocess.run(
        [sys.executable, "-m", "finegrid", "verdict", str(study), "--json"], check=True, capture_output=True
    )
    return json.loads(said.stdout)


def print_side_by_side(fixed: Any, resampled: Any) -> None:
    print("| strategy | fixed split | | every seed its own | |")
    print("| --- | --- | --- | --- | --- |")
    sides = list(zip(fixed["factors"], resampled["factors"], strict=True))
    for one, other in sides:
        cells = [f"{one['factor']} = {json.dumps(one['levels'][1])}"]
        for side in (one, other):
            cells += [f"{side['effect']:+.2f} ({side['low']:+.2f} to {side['high']:+.2f})", side["verdict"]]
        print(f"| {' | '.join(cells)} |")
    kinds = [(one["decision"]["kind"] == "open", other["decision"]["kind"] == "open") for one, other in sides]
    width = [np.mean([side[which]["high"] - side[which]["low"] for side in sides]) for which in (0, 1)]
    decided = [sum(not open_[which] for open_ in kinds) for which in (0, 1)]
    new, lost = sum(a and not b for a, b in kinds), sum(b and not a for a, b in kinds)
    print(f"\ndecided: {decided[0]} and {decided[1]} of {len(kinds)}; newly {new}, taken back {lost}")
    print(f"mean width: {width[0]:.2f} and {width[1]:.2f} points")
    best, choice = resampled["best"], resampled["splits"]["choice"]
    rows, score = best["recommended"]["rows"], best["recommended"]["test"]
    baseline = best["baseline"]["test"]
    print(f"recommended: rows {rows}, {score:.2f}; by each split's dev {choice:.2f}; baseline {baseline:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("files", nargs="+", help="TSV of text and label; or headlines, those of the demo")
    parser.add_argument("--texts", type=int, help="draw so many of them")
    parser.add_argument("--splits", type=int, default=10, help="and seeds")
    parser.add_argument("--model", default="mini-zh")
    parser.add_argument("--score", default="macro-f1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--test-share", type=float, default=0.2)
    parser.add_argument("--dev-share", type=float, default=0.1)
    parser.add_argument("--factors", nargs="+", default=FACTORS, help='"freeze.layers=[0, 2]"')
    parser.add_argument("--set", nargs="*", default=[], help="training.epochs=2: of the baseline")
    options = parser.parse_args()
    files = [
        path
        for name in options.files
        for path in (
            [HEADLINES / f"{part}.tsv" for part in ("train", "dev", "test")]
            if name == "headlines"
            else [Path(name)]
        )
    ]
    pool_texts(options.out, files, options.texts)
    fixed = judge(write_study(options.out / "fixed", options, resample=False))
    resampled = judge(write_study(options.out / "resampled", options, resample=True))
    print_side_by_side(fixed, resampled)


if __name__ == "__main__":
    main()
