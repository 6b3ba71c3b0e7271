"""The closed list of warnings about a study, each with its evidence and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from finegrid import metrics
from finegrid.results import Results, read_predictions
from finegrid.study import BEST_TEST


@dataclass(frozen=True)
class Warning:
    kind: str  # for programs: one word or two, in kebab case
    what: str  # what was found, with figures
    advice: str


def diagnose(results: Results) -> list[Warning]:
    """All warnings about what a study has shown so far."""
    checks = (
        unfinished,
        ended_badly,
        degenerate,
        rising,
        few_seeds,
        unplanned_seeds,
        chosen_on_test,
        mixed,
        identical,
    )
    return [warning for check in checks for warning in check(results)]


def unfinished(results: Results) -> Iterator[Warning]:
    left = results.missing()["left"]
    if left:
        total = len(results.recipes) * len(results.seeds)
        yield Warning(
            "unfinished",
            f"{len(left)} of {total} runs have not been trained",
            f"`finegrid run {results.folder}` trains them; until then, intervals rest on what is there.",
        )


def ended_badly(results: Results) -> Iterator[Warning]:
    advice = {
        "diverged": "A recipe that diverges is not comparable by its mean. Try a lower optimizer.rate.",
        "failed": "Look into logs/ of the study folder; `finegrid run` tries them again.",
    }
    for status, what_to_do in advice.items():
        runs = results.missing()[status]
        if runs:
            named = ", ".join(f"row {row} seed {seed}" for row, seed in runs[:6])
            more = f" and {len(runs) - 6} more" if len(runs) > 6 else ""
            yield Warning(status, f"{len(runs)} runs {status}: {named}{more}", what_to_do)


def degenerate(results: Results) -> Iterator[Warning]:
    if results.audit is None:
        return
    floor = 100 * metrics.score_of(results.audit.majority["dev"], results.score)
    low = np.argwhere(results.points("dev") <= floor)
    if len(low):
        named = ", ".join(f"row {results.recipes[r].rows[0]} seed {results.seeds[s]}" for r, s in low[:6])
        yield Warning(
            "degenerate",
            f"{len(low)} runs are no better on dev than always naming the majority class: {named}",
            "They learned nothing, and pull every effect they are part of. Try a lower optimizer.rate, "
            "warmup, or more epochs.",
        )


def rising(results: Results) -> Iterator[Warning]:
    """The baseline was still getting better when it stopped: a verdict may not hold for longer training."""
    curves = [
        [100 * metrics.score_of(epoch["dev"], results.score) for epoch in record["epochs"]]
        for (recipe, _), record in results.finished()
        if recipe == results.baseline and len(record.get("epochs", [])) > 1
    ]
    last = [curve for curve in curves if int(np.argmax(curve)) == len(curve) - 1]
    if curves and 2 * len(last) > len(curves):
        gain = float(np.mean([curve[-1] - max(curve[:-1]) for curve in last]))
        yield Warning(
            "still-rising",
            f"the baseline is best at its last epoch with {len(last)} of {len(curves)} seeds "
            f"({gain:+.2f} points over the best epoch before, on dev)",
            "Strategies that learn faster look better than they will after more epochs. Raise "
            "training.epochs.",
        )


def few_seeds(results: Results) -> Iterator[Warning]:
    seeds = np.isfinite(results.points("test")).any(axis=0).sum()
    if results.audit is not None and seeds == 1:
        yield Warning(
            "one-seed",
            "only one seed has run: what a strategy does and the luck of a run can hardly be told apart",
            f"`finegrid run {results.folder} --seeds 3`.",
        )


def unplanned_seeds(results: Results) -> Iterator[Warning]:
    """Who looks, and then adds seeds until something shows, finds more than there is."""
    ran = {seed for recipe in results.recipes for seed in recipe.records}
    added = sorted(ran - set(results.planned_seeds))
    if added:
        yield Warning(
            "unplanned-seeds",
            f"seeds {', '.join(map(str, added))} are not in study.toml: they were added later",
            "If they were added after a look at the results, intervals are too narrow. `run --until-decided` "
            "adds seeds at looks fixed beforehand.",
        )


def chosen_on_test(results: Results) -> Iterator[Warning]:
    if results.protocol == "best-test":
        yield Warning(
            "best-test", BEST_TEST, "Compare recipes with each other, not with other people's scores."
        )


def mixed(results: Results) -> Iterator[Warning]:
    for name in ("device", "precision", "threads", "stack"):
        known = [{"stack": 1, **record} for _, record in results.finished()]  # older ones do not tell
        values = sorted({str(record[name]) for record in known if name in record})
        if len(values) > 1:
            yield Warning(
                "mixed",
                f"runs differ in {name}: {', '.join(values)}",
                "Their last digits differ, and their seconds cannot be compared.",
            )


def identical(results: Results) -> Iterator[Warning]:
    """Distinct recipes that predict the very same: some level does nothing, whatever the audit says."""
    if results.audit is None:
        return
    seen: dict[tuple[int, str], list[int]] = {}
    for (recipe, seed), record in results.finished():
        digest = hashlib.sha256()
        for split in ("dev", "test"):
            digest.update(read_predictions(results.folder, record["run_id"], split).logits.tobytes())
        seen.setdefault((seed, digest.hexdigest()), []).append(results.recipes[recipe].rows[0])
    for (seed, _), rows in seen.items():
        if len(rows) > 1:
            named = ", ".join(map(str, rows))
            yield Warning(
                "identical",
                f"rows {named} predict the same to the last bit with seed {results.seeds[seed]}",
                "They differ in a level that does nothing, and the audit has not seen it. Please report it.",
            )
