"""What a budget buys, in words and for programs."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from finegrid.spelling import Lang, count_noun, format_duration, json_number
from finegrid.statistics.power import POWER
from finegrid.statistics.variance import Components
from finegrid.study.confounding import format_roman
from finegrid.study.fraction import ROMAN
from finegrid.study.toml import format_toml
from finegrid.verdict.budget.budget import BudgetPlan, Candidate, Option
from finegrid.verdict.budget.noise import RECIPES_DISAGREE, RUN_LUCK, SEEDS_DISAGREE
from finegrid.verdict.budget.phrases import say
from finegrid.words import SHARED


def budget_lines(plan: BudgetPlan, applied: bool = False) -> list[str]:
    """`finegrid plan --budget` in words. ``applied``: whether it has become the study's plan."""
    workers = plan.status.workers
    within = f"budget {format_duration(plan.seconds).removesuffix(' 0 min')}"
    within += f" with {workers} worker{'s' * (workers != 1)}"
    lines = [f"{within}: {describe_option(plan.chosen)}" if plan.chosen else f"{within}: nothing fits"]
    if plan.chosen:
        lines += detects_lines(plan, plan.chosen)
    lines.append(f"variances: {describe_variances(plan)}")
    for option in plan.instead if plan.chosen else ():
        shows = f"{describe_points(option)}; {describe_clarity(option.candidate)}"
        lines.append(f"instead: {describe_option(option)}: {shows}")
    if plan.not_compared:
        names = ", ".join(plan.not_compared)
        lines.append(f"not compared: {names}: they have rows that were not probed")
    if plan.chosen and not applied:
        lines.append(f"to do so: {describe_next_step(plan, plan.chosen)}")
    return lines + [f"warning: {warning}" for warning in list_warnings(plan)]


def name_design(candidate: Candidate, lang: Lang = "en") -> str:
    if candidate.kind == "full":
        return say("full", lang)
    if candidate.kind == "one-at-a-time":
        return say("one at a time", lang)
    return say("fraction", lang, resolution=format_roman(candidate.reached or 0))


def describe_option(option: Option) -> str:
    name = f"{name_design(option.candidate)} ({count_noun(option.candidate.recipes, 'distinct recipe')})"
    name += f" x {count_noun(len(option.seeds), 'seed')}"
    if not option.left:
        return f"{name}, all done already"
    runs = f"{count_noun(option.left, 'run')} not done yet"
    return f"{name}, predicted {format_duration(option.seconds)} for {runs}"


def describe_points(option: Option) -> str:
    if not np.isfinite(option.detects):
        return "no size of effect can be promised"
    return f"effects of {option.detects:.2f} points or more"


def detects_lines(plan: BudgetPlan, chosen: Option) -> list[str]:
    """What the chosen design can show, and what more seeds could."""
    if not np.isfinite(chosen.detects):
        return [f"{describe_points(chosen)}: {explain_no_promise(chosen)}"]
    floor = chosen.candidate.floor(plan.noise, plan.texts)
    detects = f"detects main {describe_points(chosen)} in {100 * POWER:.0f} % of studies"
    return [
        f"{detects}; {describe_clarity(chosen.candidate)}",
        f"more seeds alone would not get below {floor:.2f} points: the {plan.texts:,} test texts",
    ]


def explain_no_promise(option: Option) -> str:
    if option.candidate.unseen:
        return f"{', '.join(option.candidate.unseen)} does nothing in its rows"
    if not np.isfinite(option.candidate.size):
        return "some main effect cannot be worked out from its rows"
    return "with one seed, nothing is left over that shows the noise of a run"


def describe_clarity(candidate: Candidate, lang: Lang = "en") -> str:
    """What can be told apart."""
    if candidate.unseen:
        return say("not shown", lang, factors=SHARED[lang]["list comma"].join(candidate.unseen))
    if candidate.kind == "one-at-a-time":
        return say("others first", lang)
    main, interactions = candidate.aliased
    if main:
        return say("some aliased", lang, some=main, all=candidate.comparisons)
    return say("main clear" if interactions else "clear", lang)


def estimate_luck(plan: BudgetPlan) -> float:
    """Standard deviation of a run's score between seeds, points."""
    return float(np.sqrt(plan.noise.run.seed + plan.noise.run.seed_text / plan.texts))


def describe_variances(plan: BudgetPlan) -> str:
    noise, wrong = plan.noise, plan.noise.percent_wrong
    runs = count_noun(noise.runs, "finished run")
    if wrong is None:
        source = f"{runs} with {count_noun(noise.seeds, 'seed')} of this ledger"
        return f"from {source}: a run's own luck {estimate_luck(plan):.2f} points"
    source = f"as in {runs} on dev" if noise.runs else "a guess"
    return (
        f"assumed, no two seeds have finished: {wrong:.1f} % of texts wrong ({source}); two seeds of "
        f"a recipe differ in {wrong * SEEDS_DISAGREE:.1f} % of texts, two recipes in "
        f"{wrong * RECIPES_DISAGREE:.1f} %; a run's own luck {RUN_LUCK * wrong:.2f} points "
        f"beyond that, {estimate_luck(plan):.2f} in all. Two finished seeds replace this"
    )


def list_warnings(plan: BudgetPlan) -> list[str]:
    if plan.chosen is None:
        smallest = plan.smallest
        recipes = count_noun(smallest.candidate.recipes, "distinct recipe")
        name = f"{name_design(smallest.candidate)} ({recipes})"
        return [f"the smallest design, {name} x 1 seed, would take {format_duration(smallest.seconds)}."]
    if plan.two_seeds is not None:
        fits = "one seed is all that fits" if plan.two_seeds > plan.seconds else "one seed"
        what = f"{fits}: it shows a run's luck only through what should be no effect"
        return [f"{what}. Two seeds of this design would take {format_duration(plan.two_seeds)}."]
    return []


def make_design_table(plan: BudgetPlan, option: Option) -> dict[str, Any]:
    """The ``[design]`` table of study.toml that makes this the study's plan."""
    design = option.candidate.study.head.design
    fraction = {"resolution": ROMAN[design.resolution]} if design.kind == "fractional" else {}
    whole = isinstance(plan.status.study.head.design.seeds, int)
    return {
        "kind": design.kind,
        **fraction,
        "seeds": len(option.seeds) if whole else list(option.seeds),
    }


def make_command(plan: BudgetPlan) -> str:
    """With the settings that this plan was made with, where study.toml has others."""
    status = plan.status
    planned, written = status.settings, status.study.head.run
    words = ["finegrid", "run", str(status.study.folder)]
    for name in ("device", "precision", "memory"):
        if getattr(planned, name) != getattr(written, name):
            words += [f"--{name}", str(getattr(planned, name))]
    words += ["--workers", str(status.asked_workers)] if status.asked_workers else []
    return shlex.join(words)


def describe_next_step(plan: BudgetPlan, option: Option) -> str:
    table = make_design_table(plan, option)
    lines = ", ".join(f"{name} = {format_toml(value)}" for name, value in table.items())
    return f"--apply writes [design] {lines} into study.toml; then {make_command(plan)}"


def budget_json(plan: BudgetPlan) -> dict[str, Any]:
    """Key ``budget`` of `finegrid plan --json`. Points in 0 to 100; None where nothing can be promised."""
    chosen, noise = plan.chosen, plan.noise
    return {
        "seconds": plan.seconds,
        "workers": plan.status.workers,
        "power": POWER,
        "chosen": option_json(plan, chosen) if chosen else None,
        "instead": [option_json(plan, option) for option in plan.instead],
        "smallest": option_json(plan, plan.smallest),
        "texts": plan.texts,
        "variances": {
            "from": "ledger" if noise.percent_wrong is None else "assumptions",
            "runs": noise.runs,
            "seeds": noise.seeds,
            "percent_wrong": noise.percent_wrong,
            "run": components_json(noise.run),
            "effect": components_json(noise.shared),
            "run_sd": estimate_luck(plan),
        },
        "not_compared": list(plan.not_compared),
        "command": make_command(plan) if chosen else None,
        "warnings": list_warnings(plan),
    }


def option_json(plan: BudgetPlan, option: Option) -> dict[str, Any]:
    candidate = option.candidate
    return {
        "design": make_design_table(plan, option),
        "resolution": candidate.reached,
        "recipes": candidate.recipes,
        "seeds": list(option.seeds),
        "runs_left": option.left,
        "seconds": option.seconds,
        "detects": json_number(option.detects, digits=None),
        "floor": json_number(candidate.floor(plan.noise, plan.texts), digits=None),
        "main_effects_aliased": candidate.aliased[0],
        "interactions_measured": len(candidate.interactions),
        "interactions_aliased": candidate.aliased[1],
        "unseen": list(candidate.unseen),
    }


def components_json(components: Components) -> dict[str, float]:
    """Variances, points squared."""
    names = ("seed", "text", "seed_text")
    return {name: float(part) for name, part in zip(names, components.parts, strict=True)}
