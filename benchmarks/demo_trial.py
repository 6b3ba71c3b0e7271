"""The trial that chose rate, batch size and epochs of the embedded default: baseline recipe, scores on dev.

    python benchmarks/demo_trial.py FOLDER

Trains row 1 of the preset, all strategies off, once per setting, and prints a table. Test is not looked at.
Running it again goes on where it stopped.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from finegrid.audit import load_audit
from finegrid.demo import HEADLINES
from finegrid.study import load_study
from finegrid.table import make_table

# (batch size, epochs, rates)
TRIED = [
    (32, 3, (3e-4, 5e-4, 8e-4)),
    (16, 3, (3e-4, 5e-4, 8e-4)),
    (8, 3, (2e-4,)),
    (8, 4, (1.5e-4,)),
    (16, 4, (2.5e-4, 4e-4, 5e-4)),
    (16, 5, (2.5e-4,)),
]


def finegrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *arguments], check=True, stdout=sys.stderr)


def baseline_on_dev(study: Path, batch_size: int, epochs: int, rate: float) -> float | None:
    """Macro-F1 of the baseline at its best epoch, 0 to 1."""
    if not (study / "study.toml").exists():
        files = [f"--{part}={HEADLINES / part}.tsv" for part in ("train", "dev", "test")]
        settings = [
            f"training.batch_size={batch_size}",
            f"training.epochs={epochs}",
            f"optimizer.rate={rate}",
        ]
        finegrid("init", *files, f"--out={study}", *(f"--set={setting}" for setting in settings))
    finegrid("run", str(study), "--rows=1")
    return make_table(load_study(study), load_audit(study)).rows[0].mean("macro-f1", "dev")


def main(folder: Path) -> None:
    print("| batch size | epochs | rate | macro-f1 on dev |")
    print("| --- | --- | --- | --- |")
    for batch_size, epochs, rates in TRIED:
        for rate in rates:
            score = baseline_on_dev(folder / f"{batch_size}-{epochs}-{rate:g}", batch_size, epochs, rate)
            print(f"| {batch_size} | {epochs} | {rate:g} | {score:.3f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
