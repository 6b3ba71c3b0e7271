"""Adding seeds until every strategy has its verdict: looks fixed beforehand, the chance of a wrong word split
over them.

Who looks at the results and adds seeds until something shows, finds more than there is. Here the looks are
written into study.toml before the first of them, each decides at its share of the 5 %, and what a look has
decided stays decided (after Pocock, Biometrika 64, 1977; with Bonferroni's shares, which need not know how
looks depend on each other). ``looks.jsonl`` holds one line per look.
"""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finegrid.atomic import replacing
from finegrid.errors import input_error
from finegrid.facts.decision_words import as_recorded, from_recorded
from finegrid.recipe.recipe import Recipe
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.spelling import format_duration
from finegrid.statistics.effects import Effect
from finegrid.study.ledger import Ledger
from finegrid.study.settings import LOOKS
from finegrid.study.study import Study
from finegrid.verdict.verdict import Verdict, judge, key

ALPHA = 0.05


def write_looks(folder: Path, looks: Sequence[int] = LOOKS) -> None:
    """Write the looks into study.toml, where they are not yet: into its ``[design]`` table, or a new one.

    Raises:
        InputError: the design is written in a way that cannot be added to, such as ``design = {seeds = 3}``.
    """
    path = folder / "study.toml"
    text = path.read_text(encoding="utf-8-sig")
    setting = f"looks = {list(looks)}"
    line = f"{setting}  # seeds after which `run --until-decided` looks; do not change them later"
    header = re.search(r"^\[design\][^\n]*$", text, flags=re.MULTILINE)
    if header:
        text = f"{text[: header.end()]}\n{line}{text[header.end() :]}"
    else:
        text = f"{text.rstrip()}\n\n[design]\n{line}\n"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        what = f"found no [design] table to write the looks into. Add {setting} to the design yourself."
        raise input_error(str(folder), "study.toml", what) from None
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def until_decided(
    study: Study,
    train: Callable[[int], None],
    predicted: Callable[[int], float],
    budget: float,
    margin: float,
    say: Callable[[str], None],
) -> str:
    """Train whole seeds, look after each of the planned numbers of them, and stop when that is all.

    Args:
        study: with looks in its design.
        train: trains what is missing of the first so many seeds.
        predicted: seconds that would take.
        budget: seconds of the clock from now on.
        margin: points; smaller differences are none.
        say: what happens, in words.

    Returns:
        Why no more seeds were added.

    Raises:
        InputError: looks were taken with another margin.
    """
    looks = study.head.design.looks
    assert looks is not None
    check_margin(study.folder, margin)
    started = time.monotonic()
    for number, seeds in enumerate(looks):
        left = budget - (time.monotonic() - started)
        needed = predicted(seeds)
        if needed > left or left <= 0:
            return f"the budget is spent: {seeds} seeds would take {format_duration(needed)} more"
        train(seeds)
        verdict = look(study, seeds, margin)
        known = decided(study.folder)
        open_ = [effect for effect in verdict.analysis.effects if effect_is_open(effect, known)]
        say(f"look {number + 1} of {len(looks)}, {seeds} seeds: {len(open_)} open")
        if not open_:
            return f"every strategy has its verdict after {seeds} seeds"
        # A need is a guess from what was seen: only its absence, everywhere, says that seeds cannot help.
        if all(effect.needs is None or effect.needs.seeds is None for effect in open_):
            return "more seeds would not decide what is open: the test texts are the limit"
    return f"that was the last of the planned looks, with {looks[-1]} seeds"


def check_margin(folder: Path, margin: float) -> None:
    """Which differences matter is fixed before the first look, like the looks themselves."""
    taken = {entry["margin"] for entry in recorded(folder)} - {margin}
    if taken:
        what = (
            f"looks were taken with --margin {taken.pop():g}, now asked for: {margin:g}. Go on with that; "
            "`finegrid verdict --margin` judges what has run at any other."
        )
        raise input_error(str(folder), "looks.jsonl", what)


def effect_is_open(effect: Effect, known: Mapping[str, object]) -> bool:
    return effect.decision is not None and key(effect.contrast) not in known


def look(study: Study, seeds: int, margin: float) -> Verdict:
    """Judge the first so many seeds at this look's share of the 5 %, and record what that decides, once."""
    looks = study.head.design.looks or (seeds,)
    results = load_results(study).of_seeds(range(seeds))
    verdict = judge(results, margin, ALPHA / len(looks))
    if seeds not in {entry["seeds"] for entry in recorded(study.folder)}:
        before = decided(study.folder)
        Ledger(study.folder / "looks.jsonl").append(
            {
                "schema": 1,
                "seeds": seeds,
                "alpha": ALPHA / len(looks),
                "margin": margin,
                "decided": {
                    key(effect.contrast): {
                        "decision": as_recorded(effect.decision, margin),
                        "effect": effect.estimate,
                        "adjusted": [effect.adjusted.low, effect.adjusted.high],
                    }
                    for effect in verdict.analysis.effects
                    if effect.decision is not None
                    and effect.decision.kind != "open"
                    and key(effect.contrast) not in before
                },
            }
        )
    return verdict


def settled(results: Results, margin: float) -> Verdict:
    """A verdict that keeps what looks have decided, if there were any; the rest at one look's share.

    What was decided under another margin is judged anew.
    """
    entries = recorded(results.folder)
    if not entries:
        return judge(results, margin)
    verdict = judge(results, margin, entries[-1]["alpha"])
    kept = {name: what for name, what in decided(results.folder).items() if what["margin"] == margin}
    effects = tuple(
        kept_as_decided(effect, kept.get(key(effect.contrast))) for effect in verdict.analysis.effects
    )
    return replace(verdict, analysis=replace(verdict.analysis, effects=effects))


def recommended_recipe(study: Study, margin: float) -> Recipe | None:
    """What the verdict recommends; None where no run has finished."""
    if not any(record["status"] == "done" for record in study.ledger.latest().values()):
        return None
    results = load_results(study)
    index = settled(results, margin).recommended
    if index is None:
        return None
    rows = {row.index: row.recipe for row in study.rows}
    return rows[results.recipes[index].rows[0]]


def kept_as_decided(effect: Effect, what: dict[str, Any] | None) -> Effect:
    if what is None:
        return effect
    low, high = what["adjusted"]
    note = f"decided at the look with {what['seeds']} seeds, by {low:+.2f} to {high:+.2f}"
    decision = from_recorded(what["decision"], what["margin"])
    return replace(effect, decision=decision, notes=(*effect.notes, note))


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The looks that were taken, in their order."""
    path = folder / "looks.jsonl"
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # cut by a crash: that look is taken again
            continue
    return found


def decided(folder: Path) -> dict[str, dict[str, Any]]:
    """By comparison, what the first look that could has decided, with how many seeds and which margin."""
    found: dict[str, dict[str, Any]] = {}
    for entry in recorded(folder):
        for name, what in entry["decided"].items():
            found.setdefault(name, {**what, "seeds": entry["seeds"], "margin": entry["margin"]})
    return found
