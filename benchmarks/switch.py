"""What one switch of the engine does to scores: 16 recipes of the embedded default, with it and without it.

    python benchmarks/switch.py precision FOLDER [SEEDS]        # bf16 against fp32
    python benchmarks/switch.py freeze.dropout FOLDER [SEEDS]   # frozen layers without dropout, and with

All are rows of `thucnews64`; both commands share the runs of FOLDER/bf16. Pairs have recipe, seed, data order
and dropout masks in common. The interval is Student's over the seeds, of the mean over recipes: seeds are
blocks. Running it again goes on where it stopped.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from finegrid.audit import load_audit
from finegrid.demo import HEADLINES
from finegrid.study import load_study
from finegrid.table import make_table

# The study of each side: settings of its baseline, and options of `finegrid run`.
SIDES: dict[str, tuple[list[str], list[str]]] = {
    "bf16": ([], ["--precision=bf16"]),
    "fp32": ([], ["--precision=fp32"]),
    "without-dropout": (["freeze.dropout=false"], ["--precision=bf16"]),
}
# The sides on and off, and a level: its 16 rows are compared, without copies by the pooler.
SWITCHES: dict[str, tuple[str, str, str, object]] = {
    "precision": ("bf16", "fp32", "optimizer.decay_on", "all"),
    "freeze.dropout": ("without-dropout", "bf16", "freeze.layers", 6),
}


def finegrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *arguments], check=True, stdout=sys.stderr)


def prepared(folder: Path, side: str) -> Path:
    """The study folder of one side, made where it is missing."""
    if not (folder / side / "study.toml").exists():
        files = [f"--{part}={HEADLINES / part}.tsv" for part in ("train", "dev", "test")]
        settings = [f"--set={setting}" for setting in SIDES[side][0]]
        finegrid("init", *files, f"--out={folder / side}", *settings)
    return folder / side


def scores(study: Path, side: str, factor: str, level: object, seeds: int) -> dict[str, np.ndarray]:
    """Train what is missing of the rows at this level. Returns points ``[recipes, seeds]`` of dev, test."""
    rows = [
        row.index
        for row in load_study(study).rows
        if row.levels[factor] == level and not row.levels["reinit.pooler"]
    ]
    options = [f"--rows={','.join(map(str, rows))}", f"--seeds={seeds}", *SIDES[side][1]]
    finegrid("run", str(study), *options)
    table = make_table(load_study(study), load_audit(study)).rows
    return {
        part: 100 * np.array([table[row - 1].scores("macro-f1", part)[:seeds] for row in rows])
        for part in ("dev", "test")
    }


def main(switch: str, folder: Path, seeds: int = 8) -> None:
    first, second, factor, level = SWITCHES[switch]
    on, off = (scores(prepared(folder, side), side, factor, level, seeds) for side in (first, second))
    print("| split | recipes x seeds | off | on | on - off, points | 90 % interval | largest of one run |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for part in ("dev", "test"):
        change = on[part] - off[part]
        by_seed = change.mean(axis=0)
        error = by_seed.std(ddof=1) / np.sqrt(seeds)
        reach = stats.t.ppf(0.95, seeds - 1) * error
        low, high = by_seed.mean() - reach, by_seed.mean() + reach
        print(
            f"| {part} | {change.shape[0]} x {seeds} | {off[part].mean():.2f} | {on[part].mean():.2f} "
            f"| {by_seed.mean():+.2f} | {low:+.2f} to {high:+.2f} | {np.abs(change).max():.1f} |"
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:4]))
