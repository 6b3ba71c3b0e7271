"""The tables of docs/verdicts.md: what finegrid says of every level, of studies side by side.

    python benchmarks/verdicts.py FOLDER [FOLDER ...]

Effects in points against the first level, with 95 % intervals; * where an interval leaves out 0 by itself.
Words rest on intervals that hold for all levels together. Free levels have a table of their own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import finegrid
from finegrid.api.summary import format_effect, name_effect

NOTHING = "–"


def describe(row: dict[str, Any] | None) -> list[str]:
    """Effect and words, of one study."""
    if row is None:
        return [NOTHING, "does nothing"]
    if row["effect"] is None:
        return [NOTHING, row["verdict"] or "cannot move the score"]
    star = "*" if row["low"] > 0 or row["high"] < 0 else ""
    return [format_effect(row) + star, row["verdict"]]


def print_table(studies: list[dict[str, dict[str, Any]]], names: list[str], free: bool) -> None:
    """A line for each level that some study has, in the order of the first that has it."""
    levels = {name: None for study in studies for name, row in study.items() if row["free"] is free}
    if not levels:
        return
    print("| level |", " | | ".join(names), "| |")
    print("| --- |", " | ".join(["---"] * 2 * len(names)), "|")
    for level in levels:
        cells = [cell for study in studies for cell in describe(study.get(level))]
        print(f"| {level} |", " | ".join(cells), "|")
    print()


def main(folders: list[Path]) -> None:
    found = [finegrid.Study.load(folder).verdict() for folder in folders]
    for folder, verdict in zip(folders, found, strict=True):
        if left := verdict.to_json()["missing"]["left"]:
            raise SystemExit(f"{folder}: {left} runs are missing. `finegrid run {folder}` trains them.")
    studies = [{name_effect(row): row for row in verdict.effects} for verdict in found]
    for free in (False, True):
        print_table(studies, [folder.name for folder in folders], free)
    for folder, verdict in zip(folders, found, strict=True):
        print(f"{folder.name}: {verdict.score} on {verdict.texts:,} texts, {verdict.seeds} seeds")
        for role in ("baseline", "recommended"):
            row = next(row for row in verdict.recipes if row[role])
            about = f"on test {row['test']:.2f} ({row['test_low']:.2f} to {row['test_high']:.2f})"
            print(f"  {role}, row {row['rows'][0]}: {about}, expected gain on dev {row['gain']:+.2f}")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
