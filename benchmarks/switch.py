"""What one switch of the engine does to scores: 16 recipes of the embedded default, with it and without it.

    python benchmarks/switch.py precision FOLDER [SEEDS]        # bf16 against fp32
    python benchmarks/switch.py freeze.dropout FOLDER [SEEDS]   # frozen layers without dropout, and with

Pairs have recipe, seed, data order and dropout masks in common. The interval is Student's over the seeds, of
the mean over recipes: seeds are blocks. Running it again goes on where it stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from finegrid.audit import load_audit
from finegrid.demo import HEADLINES
from finegrid.study import load_study
from finegrid.table import make_table

HALF = 6
Factors = dict[str, list[object]]
FACTORS: dict[str, Factors] = {
    "precision": {"freeze.layers": [0, HALF]},
    "freeze.dropout": {"optimizer.decay_on": ["all", "matrices"]},
}
COMMON: Factors = {
    "optimizer.bias_correction": [True, False],
    "reinit.layers": [0, HALF],
    "schedule.warmup_ratio": [0.0, 0.1],
}
# The switch on and off: settings of the baseline, and options of `finegrid run`.
SWITCHES: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "precision": {"on": ([], ["--precision=bf16"]), "off": ([], ["--precision=fp32"])},
    "freeze.dropout": {
        "on": ([f"freeze.layers={HALF}", "freeze.dropout=false"], []),
        "off": ([f"freeze.layers={HALF}", "freeze.dropout=true"], []),
    },
}


def finegrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *arguments], check=True, stdout=sys.stderr)


def scores(study: Path, switch: str, side: str, seeds: int) -> dict[str, np.ndarray]:
    """Train what is missing. Returns points ``[recipes, seeds]`` on dev and test."""
    settings, options = SWITCHES[switch][side]
    if not (study / "study.toml").exists():
        files = [f"--{part}={HEADLINES / part}.tsv" for part in ("train", "dev", "test")]
        finegrid("init", *files, f"--out={study}", *(f"--set={setting}" for setting in settings))
        levels = {**COMMON, **FACTORS[switch]}
        lines = [f'"{name}" = {json.dumps(values)}' for name, values in levels.items()]
        text = (study / "study.toml").read_text(encoding="utf-8")
        text = text.replace('preset = "thucnews64"\n', "")
        text = text.replace("[factors]\n", "\n".join(["[factors]", *lines, ""]))
        (study / "study.toml").write_text(text, encoding="utf-8")
    finegrid("run", str(study), f"--seeds={seeds}", *options)
    rows = make_table(load_study(study), load_audit(study)).rows
    return {part: 100 * np.array([row.scores("macro-f1", part) for row in rows]) for part in ("dev", "test")}


def main(switch: str, folder: Path, seeds: int = 8) -> None:
    on, off = (scores(folder / side, switch, side, seeds) for side in ("on", "off"))
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
