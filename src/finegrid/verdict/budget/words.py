"""What a budget buys, in words and for programs."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from finegrid.spelling import format_duration
from finegrid.statistics.power import POWER
from finegrid.statistics.variance import Components
from finegrid.study.confounding import roman
from finegrid.study.fraction import ROMAN
from finegrid.verdict.budget.budget import BudgetPlan, Option, Sight
from finegrid.verdict.budget.noise import RECIPES_DISAGREE, RUN_LUCK, SEEDS_DISAGREE, parts_of


def budget_lines(plan: BudgetPlan) -> list[str]:
    """`finegrid plan --budget` in words."""
    workers = plan.status.workers
    budget = format_duration(plan.seconds).removesuffix(" 0 min")
    within = f"budget {budget} with {workers} worker{'s' * (workers != 1)}"
    lines = [f"{within}: {told(plan.chosen)}" if plan.chosen else f"{within}: nothing fits"]
    if plan.chosen:
        lines += detects_lines(plan, plan.chosen)
    lines.append(f"variances: {variance_words(plan)}")
    for option in plan.instead if plan.chosen else ():
        lines.append(f"instead: {told(option)}: {points_words(option)}; {clear_words(option.sight)}")
    lines += [f"not compared: {name}: some of its rows have not been probed" for name in plan.not_compared]
    if plan.chosen:
        lines.append(f"to do so: {to_do(plan, plan.chosen)}")
    return lines + [f"warning: {warning}" for warning in warnings(plan)]


def design_words(sight: Sight) -> str:
    if sight.kind == "full":
        return "full design"
    if sight.kind == "one-at-a-time":
        return "one at a time"
    return f"fraction of resolution {roman(sight.reached or 0)}"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def told(option: Option) -> str:
    name = f"{design_words(option.sight)} ({counted(option.sight.recipes, 'distinct recipe')})"
    name += f" x {counted(len(option.seeds), 'seed')}"
    if not option.left:
        return f"{name}, all done already"
    return (
        f"{name}, predicted {format_duration(option.seconds)} for {counted(option.left, 'run')} not done yet"
    )


def points_words(option: Option) -> str:
    if not np.isfinite(option.detects):
        return "no size of effect can be promised"
    return f"effects of {option.detects:.2f} points or more"


def detects_lines(plan: BudgetPlan, chosen: Option) -> list[str]:
    """What the chosen design can show, and what more seeds could."""
    if not np.isfinite(chosen.detects):
        return [f"{points_words(chosen)}: {why_nothing(chosen)}"]
    floor = chosen.sight.floor(plan.spread, plan.texts)
    return [
        f"detects main {points_words(chosen)} in {100 * POWER:.0f} % of studies; {clear_words(chosen.sight)}",
        f"more seeds alone would not get below {floor:.2f} points: the {plan.texts:,} test texts",
    ]


def why_nothing(option: Option) -> str:
    if option.sight.unseen:
        return f"{', '.join(option.sight.unseen)} does nothing in its rows"
    if not np.isfinite(option.sight.size):
        return "some main effect cannot be worked out from its rows"
    return "with one seed, nothing is left over that shows the noise of a run"


def clear_words(sight: Sight) -> str:
    """What can be told apart."""
    if sight.unseen:
        return f"does not show {', '.join(sight.unseen)}"
    if sight.kind == "one-at-a-time":
        return "each with all other factors at their first level, interactions not measured"
    if sight.aliased[0]:
        return f"{sight.aliased[0]} of {sight.comparisons} main effects measured together with interactions"
    if sight.aliased[1]:
        return "main effects clear, but some interactions of two measured together"
    return "main effects and interactions of two clear of each other"


def luck(plan: BudgetPlan) -> float:
    """Standard deviation of a run's score between seeds, points."""
    return float(np.sqrt(plan.spread.run.seed + plan.spread.run.seed_text / plan.texts))


def variance_words(plan: BudgetPlan) -> str:
    spread = plan.spread
    if spread.error is None:
        found = f"{counted(spread.runs, 'finished run')} with {counted(spread.seeds, 'seed')} of this ledger"
        return f"from {found}: a run's own luck {luck(plan):.2f} points"
    source = f"as in {counted(spread.runs, 'finished run')} on dev" if spread.runs else "a guess"
    return (
        f"assumed, no two seeds have finished: {spread.error:.1f} % of texts wrong ({source}); two seeds of "
        f"a recipe differ in {spread.error * SEEDS_DISAGREE:.1f} % of texts, two recipes in "
        f"{spread.error * RECIPES_DISAGREE:.1f} %; a run's own luck {RUN_LUCK * spread.error:.2f} points "
        f"beyond that, {luck(plan):.2f} in all. Two finished seeds replace this"
    )


def warnings(plan: BudgetPlan) -> list[str]:
    if plan.chosen is None:
        smallest = plan.smallest
        name = f"{design_words(smallest.sight)} ({counted(smallest.sight.recipes, 'distinct recipe')})"
        return [f"the smallest design, {name} x 1 seed, would take {format_duration(smallest.seconds)}."]
    if plan.two_seeds is not None:
        fits = "one seed is all that fits" if plan.two_seeds > plan.seconds else "one seed"
        what = f"{fits}: it shows a run's luck only through what should be no effect"
        return [f"{what}. Two seeds of this design would take {format_duration(plan.two_seeds)}."]
    return []


def design_table(plan: BudgetPlan, option: Option) -> dict[str, Any]:
    """The ``[design]`` table of study.toml that makes this the study's plan."""
    design = option.sight.study.head.design
    fraction = {"resolution": ROMAN[design.resolution]} if design.kind == "fractional" else {}
    whole = isinstance(plan.status.study.head.design.seeds, int)
    return {
        "kind": design.kind,
        **fraction,
        "seeds": len(option.seeds) if whole else list(option.seeds),
    }


def command(plan: BudgetPlan) -> str:
    """With the settings that this plan was made with, where study.toml has others."""
    status = plan.status
    mine, theirs = status.settings, status.study.head.run
    words = ["finegrid", "run", str(status.study.folder)]
    for name in ("device", "precision", "memory"):
        if getattr(mine, name) != getattr(theirs, name):
            words += [f"--{name}", str(getattr(mine, name))]
    words += ["--workers", str(status.asked_workers)] if status.asked_workers else []
    return shlex.join(words)


def to_do(plan: BudgetPlan, option: Option) -> str:
    table = design_table(plan, option)
    lines = ", ".join(
        f"{name} = " + (f'"{value}"' if isinstance(value, str) else f"{value}")
        for name, value in table.items()
    )
    return f"in study.toml, [design] {lines}; then {command(plan)}"


def budget_json(plan: BudgetPlan) -> dict[str, Any]:
    """Key ``budget`` of `finegrid plan --json`. Points in 0 to 100; None where nothing can be promised."""
    chosen, spread = plan.chosen, plan.spread
    return {
        "seconds": plan.seconds,
        "workers": plan.status.workers,
        "power": POWER,
        "chosen": option_json(plan, chosen) if chosen else None,
        "instead": [option_json(plan, option) for option in plan.instead],
        "smallest": option_json(plan, plan.smallest),
        "texts": plan.texts,
        "variances": {
            "from": "ledger" if spread.error is None else "assumptions",
            "runs": spread.runs,
            "seeds": spread.seeds,
            "percent_wrong": spread.error,
            "run": components_json(spread.run),
            "effect": components_json(spread.shared),
            "run_sd": luck(plan),
        },
        "not_compared": list(plan.not_compared),
        "command": command(plan) if chosen else None,
        "warnings": warnings(plan),
    }


def option_json(plan: BudgetPlan, option: Option) -> dict[str, Any]:
    sight = option.sight
    return {
        "design": design_table(plan, option),
        "resolution": sight.reached,
        "recipes": sight.recipes,
        "seeds": list(option.seeds),
        "runs_left": option.left,
        "seconds": option.seconds,
        "detects": finite(option.detects),
        "floor": finite(sight.floor(plan.spread, plan.texts)),
        "main_effects_aliased": sight.aliased[0],
        "interactions_measured": sight.interactions,
        "interactions_aliased": sight.aliased[1],
        "unseen": list(sight.unseen),
    }


def components_json(one: Components) -> dict[str, float]:
    """Variances, points squared."""
    names = ("seed", "text", "seed_text")
    return {name: float(part) for name, part in zip(names, parts_of(one), strict=True)}


def finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
