"""What a budget buys, in words and for programs."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from finegrid.in_chinese import translate
from finegrid.planning.words import count
from finegrid.spelling import UNITS, Lang, format_duration, json_number
from finegrid.statistics.power import POWER
from finegrid.statistics.variance import Components
from finegrid.study.confounding import format_roman
from finegrid.study.fraction import ROMAN
from finegrid.study.toml import format_toml
from finegrid.verdict.budget.budget import MOST_PROBED, BudgetPlan, Candidate, Option
from finegrid.verdict.budget.noise import RECIPES_DISAGREE, RUN_LUCK, SEEDS_DISAGREE
from finegrid.verdict.budget.phrases import say
from finegrid.words import SHARED


def budget_lines(plan: BudgetPlan, applied: bool = False, lang: Lang = "en") -> list[str]:
    """`finegrid plan --budget` in words.

    Args:
        plan: what the budget buys.
        applied: whether it has become the study's plan.
        lang: en or zh.
    """
    time = format_duration(plan.seconds, lang).removesuffix(f" 0 {UNITS[lang][1]}")
    bought = describe_option(plan.chosen, lang) if plan.chosen else say("nothing fits", lang)
    lines = [
        say("budget", lang, time=time, workers=count(plan.status.workers, "worker", lang), option=bought)
    ]
    if plan.chosen:
        lines += detects_lines(plan, plan.chosen, lang)
    lines.append(describe_variances(plan, lang))
    for option in plan.instead if plan.chosen else ():
        points, clarity = describe_points(option, lang), describe_clarity(option.candidate, lang)
        lines.append(
            say("instead", lang, option=describe_option(option, lang), points=points, clarity=clarity)
        )
    if plan.not_compared:
        designs = SHARED[lang]["list comma"].join(translate(design, lang) for design in plan.not_compared)
        lines.append(say("not compared", lang, designs=designs, most=MOST_PROBED))
    if plan.chosen and not applied:
        lines.append(describe_next_step(plan, plan.chosen, lang))
    return lines + [say("warning", lang, warning=warning) for warning in list_warnings(plan, lang)]


def name_design(candidate: Candidate, lang: Lang = "en") -> str:
    if candidate.kind == "full":
        return say("full", lang)
    if candidate.kind == "one-at-a-time":
        return say("one at a time", lang)
    return say("fraction", lang, resolution=format_roman(candidate.reached or 0))


def describe_option(option: Option, lang: Lang = "en") -> str:
    recipes = count(option.candidate.recipes, "distinct recipe", lang)
    seeds = count(len(option.seeds), "seed", lang)
    told = say("option", lang, name=name_design(option.candidate, lang), recipes=recipes, seeds=seeds)
    told += describe_without(option.candidate, lang)
    if not option.left:
        return say("option done", lang, option=told)
    time, runs = format_duration(option.seconds, lang), count(option.left, "run", lang)
    return say("option left", lang, option=told, time=time, runs=runs)


def describe_without(candidate: Candidate, lang: Lang = "en") -> str:
    """What a design leaves out; empty where it varies every factor of the study."""
    left_out = SHARED[lang]["list comma"].join(candidate.without)
    return say("without", lang, factors=left_out) if left_out else ""


def describe_points(option: Option, lang: Lang = "en") -> str:
    if not np.isfinite(option.detects):
        return say("no points", lang)
    return say("points", lang, points=option.detects)


def detects_lines(plan: BudgetPlan, chosen: Option, lang: Lang = "en") -> list[str]:
    """What the chosen design can show, and what more seeds could."""
    if not np.isfinite(chosen.detects):
        why = explain_no_promise(chosen, lang)
        return [say("no points because", lang, points=describe_points(chosen, lang), why=why)]
    floor = chosen.candidate.floor(plan.noise, plan.texts)
    clarity = describe_clarity(chosen.candidate, lang)
    return [
        say("detects", lang, points=chosen.detects, power=100 * POWER, clarity=clarity),
        say("floor", lang, floor=floor, texts=plan.texts),
    ]


def explain_no_promise(option: Option, lang: Lang = "en") -> str:
    if option.candidate.unseen:
        factors = SHARED[lang]["list comma"].join(option.candidate.unseen)
        return say("nothing in its rows", lang, factors=factors)
    return say("no noise" if np.isfinite(option.candidate.size) else "not worked out", lang)


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


def describe_variances(plan: BudgetPlan, lang: Lang = "en") -> str:
    noise, wrong, luck = plan.noise, plan.noise.percent_wrong, estimate_luck(plan)
    runs = count(noise.runs, "finished run", lang)
    if wrong is None:
        return say("measured", lang, runs=runs, seeds=count(noise.seeds, "seed", lang), luck=luck)
    return say(
        "assumed",
        lang,
        wrong=wrong,
        source=say("on dev", lang, runs=runs) if noise.runs else say("a guess", lang),
        seeds=wrong * SEEDS_DISAGREE,
        recipes=wrong * RECIPES_DISAGREE,
        own=RUN_LUCK * wrong,
        luck=luck,
    )


def list_warnings(plan: BudgetPlan, lang: Lang = "en") -> list[str]:
    if plan.chosen is None:
        smallest = plan.smallest
        recipes = count(smallest.candidate.recipes, "distinct recipe", lang)
        name, time = name_design(smallest.candidate, lang), format_duration(smallest.seconds, lang)
        return [say("smallest", lang, name=name, recipes=recipes, time=time)]
    if plan.two_seeds is not None:
        key = "all that fits" if plan.two_seeds > plan.seconds else "one seed fits"
        return [say(key, lang, time=format_duration(plan.two_seeds, lang))]
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
    words += status.offer.named
    return shlex.join(words)


def describe_next_step(plan: BudgetPlan, option: Option, lang: Lang = "en") -> str:
    table = make_design_table(plan, option)
    lines = ", ".join(f"{name} = {format_toml(value)}" for name, value in table.items())
    without = SHARED[lang]["list comma"].join(option.candidate.without)
    key = "to do so without" if without else "to do so"
    return say(key, lang, lines=lines, command=make_command(plan), factors=without)


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
        "without": list(candidate.without),
    }


def components_json(components: Components) -> dict[str, float]:
    """Variances, points squared."""
    names = ("seed", "text", "seed_text")
    return {name: float(part) for name, part in zip(names, components.parts, strict=True)}
