"""The trial that chose rate, batch size and epochs of the embedded default: baseline recipe, scores on dev.

    python benchmarks/demo_trial.py FOLDER

Trains row 1 of the preset, all strategies off, with three seeds per setting, and prints a table. One seed
says little: without warmup this checkpoint may sit on a plateau for epochs, and a rounding decides whether it
does. Test is not looked at. Running it again goes on where it stopped.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import mean

from finegrid.results.table import make_table
from finegrid.study.audit_file import load_audit
from finegrid.study.demo import HEADLINES
from finegrid.study.load import load_study

SEEDS = 3
# (batch size, epochs, rates, precision)
TRIED = [
    (32, 4, (3e-4, 5e-4), "auto"),
    (32, 8, (2e-4, 3e-4), "auto"),
    (16, 4, (2e-4,), "auto"),
]


def finegrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "finegrid", *arguments], check=True, stdout=sys.stderr)


def baseline_on_dev(study: Path, batch_size: int, epochs: int, rate: float, precision: str) -> list[float]:
    """Macro-F1 of the baseline at its best epoch, 0 to 1, one per seed."""
    if not (study / "study.toml").exists():
        files = [f"--{part}={HEADLINES / part}.tsv" for part in ("train", "dev", "test")]
        settings = [
            f"training.batch_size={batch_size}",
            f"training.epochs={epochs}",
            f"optimizer.rate={rate}",
        ]
        asked = [f"--set={setting}" for setting in settings]
        finegrid("init", *files, "--as-published", f"--out={study}", *asked)
    finegrid("run", str(study), "--rows=1", f"--seeds={SEEDS}", f"--precision={precision}")
    return make_table(load_study(study), load_audit(study)).rows[0].scores("macro-f1", "dev")


def main(folder: Path) -> None:
    print("| batch size | epochs | rate | precision | macro-f1 on dev: mean | by seed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch_size, epochs, rates, precision in TRIED:
        for rate in rates:
            study = folder / f"{batch_size}-{epochs}-{rate:g}-{precision}"
            scores = baseline_on_dev(study, batch_size, epochs, rate, precision)
            each = ", ".join(f"{score:.3f}" for score in scores)
            print(
                f"| {batch_size} | {epochs} | {rate:g} | {precision} | {mean(scores):.3f} | {each} |",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
