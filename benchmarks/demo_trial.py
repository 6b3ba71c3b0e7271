"""The trial that chose rate, batch size and epochs of the embedded default: baseline recipe, scores on dev.

    python benchmarks/demo_trial.py FOLDER

Makes one study per pair of batch size and epochs under FOLDER, with the rate as its factor, runs what is
missing, and prints a table. Test is not looked at.
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
    (16, 4, (2.5e-4, 4e-4, 5e-4)),
    (16, 5, (2.5e-4,)),
    (8, 3, (2e-4,)),
    (8, 4, (1.5e-4,)),
]


def run_study(folder: Path, batch_size: int, epochs: int, rates: tuple[float, ...]) -> list[float | None]:
    """The best dev score of each rate."""
    if not (folder / "study.toml").exists():
        folder.mkdir(parents=True)
        files = [f'{part} = "{(HEADLINES / part).as_posix()}.tsv"' for part in ("train", "dev", "test")]
        training = f"epochs = {epochs}\nbatch_size = {batch_size}"
        factors = f'"optimizer.rate" = {list(rates)}'
        text = "\n".join(
            [
                *["[data]", *files],
                *["[model]", 'name = "mini-zh"', "max_length = 44"],
                *["[training]", training],
                *["[factors]", factors],
            ]
        )
        (folder / "study.toml").write_text(text + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "finegrid", "run", str(folder)], check=True, stdout=sys.stderr)
    study = load_study(folder)
    return [row.mean("macro-f1", "dev") for row in make_table(study, load_audit(folder)).rows]


def main(folder: Path) -> None:
    print("| batch size | epochs | rate | macro-f1 on dev |")
    print("| --- | --- | --- | --- |")
    for batch_size, epochs, rates in TRIED:
        scores = run_study(folder / f"batch{batch_size}-epochs{epochs}", batch_size, epochs, rates)
        for rate, score in zip(rates, scores, strict=True):
            print(f"| {batch_size} | {epochs} | {rate:g} | {score:.4f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
