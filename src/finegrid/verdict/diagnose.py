"""The closed list of warnings about a study, each with its evidence. Their words: `diagnose_words`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from finegrid import metrics
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe, find_unfair
from finegrid.results.results import Distinct, Results
from finegrid.spelling import format_level
from finegrid.statistics.outcomes import complete
from finegrid.strategies.seams import SharedChance
from finegrid.study.record import Record
from finegrid.study.scored_label import count_gold
from finegrid.verdict.undertrained import Undertrained

Kind = Literal[
    "unfinished",
    "gaps",
    "no-results",
    "unconnected",
    "diverged",
    "failed",
    "degenerate",
    "still-rising",
    "one-epoch",
    "one-seed",
    "unplanned-seeds",
    "best-test",
    "shared-pretraining",
    "shared-teacher",
    "mixed",
    "engine-paths",
    "never-clipped",
    "always-clipped",
    "identical",
    "no-pseudo-labels",
    "few-gold-texts",
    "one-rate",
]
# Of a draw of chance that all seeds share, what warns of it.
SHARED: Mapping[SharedChance, Kind] = {"pretraining": "shared-pretraining", "teacher": "shared-teacher"}
LEAST_GOLD = 30  # texts of a label: of fewer, an F1 is too coarse to show that nothing differs
NAMED = 6  # runs that are named; of more, the number
CLIPPED: Mapping[Kind, float] = {"never-clipped": 0.0, "always-clipped": 1.0}  # shares of steps


@dataclass(frozen=True)
class Warning:
    """One of the closed list.

    Attributes:
        kind: Which.
        values: The evidence, by the names that its words have for it.
    """

    kind: Kind
    values: Mapping[str, str | int | float]


def diagnose(results: Results, undertrained: Undertrained | None = None) -> list[Warning]:
    """All warnings about what a study has shown so far.

    Args:
        results: of a study or an imported table.
        undertrained: what is known of a baseline that was still rising.
    """
    checks = (
        unfinished,
        unconnected,
        ended_badly,
        degenerate,
        few_seeds,
        unplanned_seeds,
        chosen_on_test,
        shared_chance,
        mixed,
        unlike_paths,
        clipped,
        identical,
        few_gold_texts,
        at_one_rate,
    )
    found = [warning for check in checks for warning in check(results)]
    return [*([] if undertrained is None else [rising(undertrained)]), *found]


def unfinished(results: Results) -> Iterator[Warning]:
    left = results.missing()["left"]
    if left:
        total = len(results.recipes) * len(results.seeds)
        if results.audit is not None:
            yield Warning("unfinished", {"left": len(left), "total": total, "folder": str(results.folder)})
        elif results.repeats:
            rows = ", ".join(str(row) for row, _ in left[:NAMED]) + ", ..." * (len(left) > NAMED)
            yield Warning("no-results", {"count": len(left), "rows": rows})
        else:
            yield Warning("gaps", {"left": len(left), "total": total})


def unconnected(results: Results) -> Iterator[Warning]:
    """Recipes whose seeds none of those that are compared has: they cannot be compared with them."""
    if results.repeats:
        return
    ran = np.isfinite(results.points("test"))
    apart = np.flatnonzero(ran.any(axis=1) & ~complete(ran).kept)
    if len(apart):
        rows = [str(results.recipes[index].rows[0]) for index in apart]
        told = ", ".join(rows[:NAMED]) + ", ..." * (len(rows) > NAMED)
        yield Warning("unconnected", {"count": len(rows), "rows": told})


def ended_badly(results: Results) -> Iterator[Warning]:
    missing = results.missing()
    kinds: tuple[Kind, ...] = ("diverged", "failed")
    for kind in kinds:
        if runs := missing[kind]:
            yield Warning(kind, {"count": len(runs), "runs": name_runs(runs)})


def name_runs(runs: list[tuple[int, int]]) -> str:
    """The first few of some ``(row, seed)``."""
    first = ", ".join(f"row {row} seed {seed}" for row, seed in runs[:NAMED])
    return f"{first}, ... ({len(runs)})" if len(runs) > NAMED else first


def degenerate(results: Results) -> Iterator[Warning]:
    if results.audit is None:
        return
    floor = 100 * metrics.score_of(results.audit.majority["dev"], results.score)
    low = np.argwhere(results.points("dev") <= floor)
    if len(low):
        runs = [(results.recipes[r].rows[0], results.seeds[s]) for r, s in low]
        yield Warning("degenerate", {"count": len(runs), "runs": name_runs(runs)})


def rising(undertrained: Undertrained) -> Warning:
    """The baseline was still getting better when it stopped: a verdict may not hold for longer training."""
    values: dict[str, str | int | float] = {"epochs": undertrained.epochs}
    values["factors"] = ", ".join(f"`{factor}`" for factor in undertrained.factors)
    rise = undertrained.rise
    if rise is None:
        return Warning("one-epoch", values)
    return Warning("still-rising", {**values, "last": rise.last, "curves": rise.curves, "gain": rise.gain})


def few_seeds(results: Results) -> Iterator[Warning]:
    seeds = np.isfinite(results.points("test")).any(axis=0).sum()
    if results.audit is not None and seeds == 1:
        runs, known = 2 * len(results.recipes), results.run_seconds[np.isfinite(results.run_seconds)]
        took = float(runs * known.mean())  # seconds
        yield Warning("one-seed", {"folder": str(results.folder), "runs": runs, "took": took})


def unplanned_seeds(results: Results) -> Iterator[Warning]:
    """Who looks, and then adds seeds until something shows, finds more than there is."""
    ran = {seed for recipe in results.recipes for seed in recipe.records}
    added = sorted(ran - set(results.planned_seeds))
    if added:
        yield Warning("unplanned-seeds", {"seeds": ", ".join(map(str, added))})


def chosen_on_test(results: Results) -> Iterator[Warning]:
    if results.protocol == "best-test":
        yield Warning("best-test", {})


def shared_chance(results: Results) -> Iterator[Warning]:
    """What all seeds have in common does not show what chance does in making it."""
    recipes = (results.blank.at(recipe.run) for recipe in results.recipes if recipe.run)
    shared = {one for recipe in recipes for one in recipe.shares_chance}
    yield from (Warning(kind, {}) for one, kind in SHARED.items() if one in shared)


def at_one_rate(results: Results) -> Iterator[Warning]:
    """Each optimizer needs a rate of its own."""
    recipes = (results.blank.at(recipe.run) for recipe in results.recipes if recipe.run is not None)
    if kinds := find_unfair(recipes):
        yield Warning("one-rate", {"kinds": ", ".join(kinds)})


def mixed(results: Results) -> Iterator[Warning]:
    for name in ("device", "precision", "threads", "stack"):
        known = [getattr(record, name) for _, record in results.finished()]
        if name == "stack":
            known = [size or 1 for size in known]  # older ones do not tell
        values = sorted({str(value) for value in known if value is not None})
        if len(values) > 1:
            yield Warning("mixed", {"name": name, "values": ", ".join(values)})


def unlike_paths(results: Results) -> Iterator[Warning]:
    """Levels of one factor that the engine stepped in unlike ways: their seconds price the engine as well."""
    for factor, levels in results.factors.items():
        paths: dict[Level, set[str]] = {level: set() for level in levels}
        for (recipe, _), record in results.finished():
            level = results.recipes[recipe].levels.get(factor)
            if level is not None and record.path is not None:  # older records do not tell
                paths[level].add(record.path)
        ways = {level: " and ".join(sorted(those)) for level, those in paths.items() if those}
        if len(set(ways.values())) > 1:
            told = ", ".join(f"{format_level(level)} by {way}" for level, way in ways.items())
            yield Warning("engine-paths", {"factor": factor, "ways": told})


def clipped(results: Results) -> Iterator[Warning]:
    """Recipes that clip no step do nothing by it; and those that clip every one, little."""
    for kind, share in CLIPPED.items():
        if rows := [results.recipes[recipe].rows[0] for recipe in recipes_clipping(results, share)]:
            yield Warning(kind, {"rows": ", ".join(map(str, rows))})


def recipes_clipping(results: Results, share: float) -> list[int]:
    """Numbers of the recipes that clip, all of whose runs have clipped this share of their steps."""
    shares: dict[int, list[float]] = {}
    for (recipe, _), record in results.finished():
        if record.clipped is not None:  # it clips
            shares.setdefault(recipe, []).append(record.clipped)
    return sorted(recipe for recipe, those in shares.items() if all(one == share for one in those))


def identical(results: Results) -> Iterator[Warning]:
    """Distinct recipes that predict the very same: some level does nothing, whatever the audit says.

    Where a recipe has clipped no step, that is why, and told already. Where runs part after the epoch that
    both keep, as rates do that fall at the end alone, the level does something. With another seed than the
    audit's, a teacher may be sure of no text: nothing then comes of pseudo-labels.
    """
    seen: dict[tuple[int, str, str], list[Distinct]] = {}
    unclipped = recipes_clipping(results, 0.0)
    for (recipe, seed), digest in results.digests().items():
        if recipe in unclipped:
            continue
        record = results.recipes[recipe].records.get(results.seeds[seed])
        key = seed, digest, "" if record is None else describe_later(record)
        seen.setdefault(key, []).append(results.recipes[recipe])
    for (seed, *_), recipes in seen.items():
        if len(recipes) > 1:
            taught = any(asks_a_teacher(recipe, results.blank) for recipe in recipes)
            kind: Kind = "no-pseudo-labels" if taught else "identical"
            rows = ", ".join(str(recipe.rows[0]) for recipe in recipes)
            yield Warning(kind, {"rows": rows, "seed": results.seeds[seed]})


def asks_a_teacher(recipe: Distinct, blank: Recipe) -> bool:
    """Whether its runs take texts that a teacher of their seed is sure of. ``blank``: of the study."""
    return blank.at(recipe.run).unlabelled is not None


def describe_later(record: Record) -> str:
    """What a run's epochs were like after the one that it keeps, but for seconds."""
    later = [epoch for epoch in record.epochs if epoch.epoch > (record.best_epoch or 0)]
    return json.dumps([(epoch.train_loss, epoch.dev) for epoch in later], sort_keys=True)


def few_gold_texts(results: Results) -> Iterator[Warning]:
    """The score is the F1 of a label that few test texts have."""
    found = results.predictions("test")
    if found is None or results.audit is None:
        return
    count = count_gold(results.score, results.audit.labels, found.gold)
    if count is not None and count < LEAST_GOLD:
        label = results.score.partition(":")[2]
        yield Warning("few-gold-texts", {"count": count, "least": LEAST_GOLD, "label": label})
