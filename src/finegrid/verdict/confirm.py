"""Confirming a verdict: the recommended recipe against the baseline, on seeds (and texts) that chose nothing.

Whatever is chosen as the best of many looks better than it is. A folder ``confirm-<name>`` inside the study
is a small study of its own: two recipes, seeds not used before, and fresh test texts where there are some.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finegrid.atomic import replacing
from finegrid.data.table import DataTable, Split
from finegrid.data.unlabelled import ColumnOptions, UnlabelledTexts, read_texts
from finegrid.errors import InputError, Problem, input_error
from finegrid.metrics import influence
from finegrid.recipe.identity import Levels
from finegrid.results.load import load_results
from finegrid.results.results import Distinct, Results
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import analyse
from finegrid.statistics.outcomes import Outcomes
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.study.toml import format_toml
from finegrid.verdict.diagnose import shared_pretraining

BASELINE, OTHER = "baseline", "recommended"


@dataclass(frozen=True)
class Paired:
    """Recommended less baseline, on the same seeds and texts; points."""

    baseline: float
    recommended: float
    difference: float
    interval: Interval  # 95 %
    seeds: int
    texts: int


@dataclass(frozen=True)
class Confirmation:
    levels: Levels  # what the recommended recipe has that the baseline has not
    before: Paired  # as the study that chose it saw it
    fresh: Paired
    fresh_texts: bool
    shared_encoder: bool  # all seeds have one pre-trained encoder in common

    def as_json(self) -> dict[str, Any]:
        def spelled(paired: Paired) -> dict[str, Any]:
            return {
                "baseline": round(paired.baseline, 6),
                "recommended": round(paired.recommended, 6),
                "difference": round(paired.difference, 6),
                "low": finite(paired.interval.low),
                "high": finite(paired.interval.high),
                "seeds": paired.seeds,
                "texts": paired.texts,
            }

        both = {"study": spelled(self.before), "fresh": spelled(self.fresh)}
        about = {"fresh_texts": self.fresh_texts, "shared_encoder": self.shared_encoder}
        return {"schema": 1, "levels": self.levels, **about, **both}

    def lines(self) -> list[str]:
        """In words."""
        moved = ", ".join(f"{name} = {json.dumps(level)}" for name, level in self.levels.items())
        texts = "fresh texts" if self.fresh_texts else "the study's test texts"
        lines = [
            f"{moved}, against the baseline:",
            f"  in the study, which chose it: {words(self.before)}",
            f"  on seeds not used before, {texts}: {words(self.fresh)}",
        ]
        if self.shared_encoder:
            lines.append("  all these seeds share one pre-trained encoder: intervals leave out its chance")
        return lines


def finite(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def words(paired: Paired) -> str:
    scores = f"{paired.recommended:.2f} against {paired.baseline:.2f}"
    around = f"{paired.interval.low:+.2f} to {paired.interval.high:+.2f}"
    known = np.isfinite(paired.interval.low) and np.isfinite(paired.interval.high)
    seeds = f"{paired.seeds} seed{'s' * (paired.seeds != 1)}"
    return f"{scores}, {paired.difference:+.2f} points ({around if known else 'no interval'}; {seeds})"


def prepare(study: Study, results: Results, chosen: Distinct, count: int, test: Path | None) -> Path:
    """Make the folder of the small study, or find the one that an earlier call made. Returns it.

    Args:
        study: the study that chose.
        results: what it has shown.
        chosen: the recipe to confirm.
        count: how many seeds, from the first that is not used.
        test: a file of fresh labelled texts, or None: the study's own test texts.

    Raises:
        InputError: the baseline is what was chosen, or texts that cannot be used.
    """
    moved = moved_levels(results, chosen)
    if not moved:
        what = "the recommended recipe is the baseline: there is nothing to confirm."
        raise input_error(str(study.folder), "verdict", what)
    table = study.read_table()
    fresh = read_fresh(test, study, table) if test else None
    first = max(max(results.planned_seeds), max(results.seeds)) + 1
    parts = {
        "train": lines_of(table.train, table.labels),
        "dev": lines_of(table.dev, table.labels),
        "test": lines_of(table.test, table.labels) if fresh is None else fresh,
    }
    content = {f"{part}.jsonl": "".join(lines) for part, lines in parts.items()}
    seeds = range(first, first + count)
    content["study.toml"] = settings_text(study, moved, seeds, len(table.train.texts[0]))
    # Named by its content: the same command goes on with what it has begun, until the study has more seeds.
    name = hashlib.sha256("".join(content.values()).encode()).hexdigest()[:8]
    folder = study.folder / f"confirm-{name}"
    if not (folder / "study.toml").exists():
        for name, text in content.items():  # study.toml last: it says all is there
            with replacing(folder / name) as draft:
                draft.write_text(text, encoding="utf-8")
    return folder


def moved_levels(results: Results, chosen: Distinct) -> Levels:
    return {name: level for name, level in chosen.levels.items() if level != results.factors[name][0]}


def read_fresh(path: Path, study: Study, table: DataTable) -> list[str]:
    """Fresh test texts as JSON lines, checked against the study's labels and its own texts."""
    asked = ColumnOptions(header=study.head.data.header, of_study=study.head.data.columns)
    read: UnlabelledTexts = read_texts(path, len(table.train.texts[0]), asked)
    problems = []
    if read.labels is None:
        problems.append(Problem(path.name, "no labels. Expected a label for every text."))
    else:
        unknown = sorted(set(read.labels) - set(table.labels))
        if unknown:
            known_labels = ", ".join(table.labels)
            what = f"labels that the study does not know: {', '.join(unknown[:5])}. Known: {known_labels}."
            problems.append(Problem(path.name, what))
    known = {text for split in (table.train, table.dev, table.test) for text in split.texts}
    again = sum(text in known for text in read.texts)
    if again:
        what = f"{again} of {len(read.texts)} texts are in the study already. Expected texts new to it."
        problems.append(Problem(path.name, what))
    if problems:
        raise InputError("confirm", problems)
    assert read.labels is not None
    return [as_line(text, label) for text, label in zip(read.texts, read.labels, strict=True)]


def lines_of(split: Split, labels: tuple[str, ...]) -> list[str]:
    return [as_line(text, labels[label]) for text, label in zip(split.texts, split.labels, strict=True)]


def as_line(text: tuple[str, ...], label: str) -> str:
    columns = dict(zip(names_of(len(text)), text, strict=True))
    return json.dumps({**columns, "label": label}, ensure_ascii=False) + "\n"


def names_of(parts: int) -> list[str]:
    return ["text"] if parts == 1 else ["text1", "text2"]


def settings_text(study: Study, moved: Levels, seeds: Iterable[int], parts: int) -> str:
    """The small study's study.toml."""
    head = study.head
    run = {name: value for name, value in head.run.model_dump().items() if value is not None}
    names = names_of(parts)
    tables: dict[str, dict[str, object]] = {
        "data": {
            **{part: f"{part}.jsonl" for part in ("train", "dev", "test")},
            "text": names[0] if parts == 1 else names,
            "label": "label",
        },
        "design": {"seeds": list(seeds)},
        "run": run,
        "model": {"name": str(study.checkpoint.folder.resolve())},
    }
    for name, level in study.baseline.levels().items():
        part, field = name.split(".")
        tables.setdefault(part, {})[field] = level
    tables["factors"] = {f'"{name}"': [study.baseline.levels()[name], level] for name, level in moved.items()}
    lines = [f"score = {format_toml(head.score)}", f"protocol = {format_toml(head.protocol)}"]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {format_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def compare(before: Results, chosen: Distinct, folder: Path, fresh_texts: bool) -> Confirmation:
    """Both figures: of the study that chose, and of the runs that chose nothing."""
    fresh = load_results(load_study(folder))
    other = next(
        recipe
        for recipe in fresh.recipes
        if all(recipe.levels[f] == fresh.factors[f][1] for f in recipe.levels)
    )
    return Confirmation(
        moved_levels(before, chosen),
        paired(before, before.recipes[before.baseline], chosen),
        paired(fresh, fresh.recipes[fresh.baseline], other),
        fresh_texts,
        any(shared_pretraining(fresh)),
    )


def paired(results: Results, baseline: Distinct, other: Distinct) -> Paired:
    """Two recipes on the seeds that both have."""
    rows = [results.recipes.index(baseline), results.recipes.index(other)]
    points = results.points("test")[rows]
    both = np.isfinite(points).all(axis=0)
    if not both.any():
        what = "no seed has finished with both recipes. `finegrid status` says what became of them."
        raise input_error(str(results.folder), "runs.jsonl", what)
    found = results.predictions("test")
    values = None
    if found is not None and results.audit is not None:
        predicted = found.predicted[rows][:, both].astype(np.int64)
        values = influence(found.gold, predicted, found.classes, results.score, results.audit.labels)
    factors = {"recipe": [BASELINE, OTHER]}
    outcomes = Outcomes(factors, [{"recipe": BASELINE}, {"recipe": OTHER}], points[:, both], values)
    (effect,) = analyse(outcomes).effects
    ours, theirs = (float(mean) for mean in points[:, both].mean(axis=1))
    texts = 0 if values is None else values.shape[2]
    return Paired(ours, theirs, effect.estimate, effect.plain, int(both.sum()), texts)


def two_rows(folder: Path) -> set[int]:
    """Rows of the small study that are to be trained: the baseline and the recommended recipe."""
    return {1, len(load_study(folder).rows)}


def confirmations(study: Study, results: Results, table: DataTable) -> list[Confirmation]:
    """What earlier calls of `finegrid confirm` have found, as far as it still confirms: seeds that the study
    has trained since have chosen, too.

    Args:
        study: that chose.
        results: what it has shown.
        table: its texts, to tell fresh ones.
    """
    test = "".join(lines_of(table.test, table.labels))
    found = []
    for folder in sorted(study.folder.glob("confirm-*")):
        try:
            small = load_study(folder)
            if set(small.head.design.numbers) & set(results.seeds):
                continue
            moved = {name: levels[1] for name, levels in small.factors.items()}
            chosen = next(r for r in results.recipes if moved_levels(results, r) == moved)
            fresh = (folder / "test.jsonl").read_text(encoding="utf-8") != test
            found.append(compare(results, chosen, folder, fresh))
        except (InputError, OSError, StopIteration):  # unfinished, damaged, or of factors since changed
            continue
    return found
