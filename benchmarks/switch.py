"""What one switch of the engine does to scores of the embedded checkpoint, with it and without it.

    python benchmarks/switch.py precision FOLDER [--seeds 8]        # bf16 against fp32
    python benchmarks/switch.py freeze.dropout FOLDER [--seeds 8]   # frozen layers without dropout, and with
    python benchmarks/switch.py precision FOLDER --titles DIR       # on THUCNews titles, by recipe

All are rows of `thucnews64`. Both switches share the runs of FOLDER/bf16. Pairs have recipe, seed, data order
and dropout masks in common. The interval is Student's over the seeds, of the mean over recipes: seeds are
blocks. Running it again goes on where it stopped.

For precision the 16 recipes are those with bias correction. Without it some runs sit on a plateau for epochs,
and a rounding, whatever its cause, decides which: such a pair may differ by 40 points, and says little about
precision. For frozen dropout they are the 16 that freeze.

DIR holds THUCNews titles as train.tsv, dev.tsv and test.tsv: 10,000 are trained on, two epochs of 64 at 5e-4,
and 10,000 tested; four recipes, one seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from checkpoint import small_dev
from scipy import stats

from finegrid.results.table import make_table
from finegrid.study.audit_file import load_audit
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study


@dataclass(frozen=True)
class Side:
    """One level of a switch: how its study is made, and how it is run."""

    name: str
    precision: str = "bf16"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switch:
    off: Side
    on: Side
    recipes: Mapping[str, object]  # levels of the rows compared; copies by the pooler are left out


BF16 = Side("bf16")
FP32 = Side("fp32", precision="fp32")
SWITCHES = {
    "precision": Switch(FP32, BF16, {"optimizer.bias_correction": True}),
    "freeze.dropout": Switch(
        BF16, Side("silenced", settings=("freeze.dropout=false",)), {"freeze.layers": 6}
    ),
}
TITLES = ("training.epochs=2", "training.batch_size=64", "optimizer.rate=5e-4")
TITLES_TRAINED = 10_000
TITLES_RECIPES = {"optimizer.decay_on": "all", "reinit.layers": 0}  # a quarter of the switch's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("switch", choices=SWITCHES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--titles", type=Path, metavar="DIR")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    switch = SWITCHES[given.switch]
    pair = (switch.off, switch.on)
    if given.titles is None:
        sides = [scores(on_headlines(given.folder, side), side, switch.recipes, given.seeds) for side in pair]
        print_over_seeds(*(points for _, points in sides))
    else:
        studies = {side: on_titles(given.folder, side, given.titles) for side in pair}
        sides = [
            scores(study, side, {**switch.recipes, **TITLES_RECIPES}, 1) for side, study in studies.items()
        ]
        print_by_recipe(sides[0][0], *(points for _, points in sides))


def finegrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *arguments], check=True, stdout=sys.stderr)


def on_headlines(folder: Path, side: Side) -> Path:
    """A side's study of the embedded data set, at the demo's settings; made where it is missing."""
    study = folder / side.name
    if not (study / "study.toml").exists():
        init(study, {part: HEADLINES / f"{part}.tsv" for part in ("train", "dev", "test")}, side.settings)
    return study


def on_titles(folder: Path, side: Side, titles: Path) -> Path:
    study = folder / f"titles-{side.name}"
    if not (study / "study.toml").exists():
        files = {"train": titles / "train.tsv", "dev": small_dev(titles, folder), "test": titles / "test.tsv"}
        init(study, files, (*TITLES, *side.settings))
        toml = study / "study.toml"
        text = toml.read_text(encoding="utf-8")
        offered = "# train_size = 1000 "  # a line of the template
        assert offered in text
        toml.write_text(text.replace(offered, f"train_size = {TITLES_TRAINED} # "), encoding="utf-8")
    return study


def init(study: Path, files: Mapping[str, Path], settings: tuple[str, ...]) -> None:
    named = [f"--{part}={path}" for part, path in files.items()]
    finegrid(
        "init", *named, "--as-published", f"--out={study}", *(f"--set={setting}" for setting in settings)
    )


def scores(
    study: Path, side: Side, recipes: Mapping[str, object], seeds: int
) -> tuple[list[int], dict[str, np.ndarray]]:
    """Train what is missing. Returns the rows, and points ``[rows, seeds]`` of dev and test."""
    rows = [
        row.index
        for row in load_study(study).rows
        if recipes.items() <= row.levels.items() and not row.levels["reinit.pooler"]
    ]
    options = [f"--rows={','.join(map(str, rows))}", f"--seeds={seeds}", f"--precision={side.precision}"]
    finegrid("run", str(study), *options)
    table = make_table(load_study(study), load_audit(study)).rows
    return rows, {
        part: 100 * np.array([table[row - 1].scores("macro-f1", part)[:seeds] for row in rows])
        for part in ("dev", "test")
    }


def print_over_seeds(off: Mapping[str, np.ndarray], on: Mapping[str, np.ndarray]) -> None:
    print(
        "| split | recipes x seeds | off | on | on - off, points | 90 % interval | sd of a pair | largest |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for part in off:
        change = on[part] - off[part]
        recipes, seeds = change.shape
        print(
            f"| {part} | {recipes} x {seeds} | {off[part].mean():.2f} | {on[part].mean():.2f} "
            f"| {spelled(change.mean(axis=0))} | {change.std(ddof=1):.2f} | {np.abs(change).max():.1f} |"
        )


def print_by_recipe(rows: list[int], off: Mapping[str, np.ndarray], on: Mapping[str, np.ndarray]) -> None:
    print("| row | off | on | on - off, points | 90 % interval over rows |")
    print("| --- | --- | --- | --- | --- |")
    change = on["test"] - off["test"]
    for row, before, after, points in zip(rows, off["test"], on["test"], change, strict=True):
        print(f"| {row} | {before[0]:.2f} | {after[0]:.2f} | {points[0]:+.2f} | |")
    print(f"| mean | {off['test'].mean():.2f} | {on['test'].mean():.2f} | {spelled(change[:, 0])} |")


def spelled(changes: np.ndarray) -> str:
    """Their mean and its 90 % interval, as two cells."""
    reach = stats.t.ppf(0.95, len(changes) - 1) * changes.std(ddof=1) / np.sqrt(len(changes))
    return f"{changes.mean():+.2f} | {changes.mean() - reach:+.2f} to {changes.mean() + reach:+.2f}"


if __name__ == "__main__":
    main()
