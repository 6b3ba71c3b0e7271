"""Deciding a screen: once phase 1 has ended, which factors are worth every combination. On dev alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from finegrid.facts.decision_words import recorded_words
from finegrid.planning.phases import phases_lines, screen_lines
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.spelling import Lang, Telling, json_number
from finegrid.statistics.decide import Decision
from finegrid.statistics.effects import Effect, analyse_mains
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.failures import compare_levels
from finegrid.study.load import load_study
from finegrid.study.screen import Screen, ScreenedFactor, save_screen
from finegrid.study.study import Study
from finegrid.verdict.failures import avoid_failing, list_failures
from finegrid.verdict.interim import ALPHA
from finegrid.verdict.outcomes import collect_outcomes
from finegrid.verdict.verdict import choose_margin

INERT = "does nothing: {reason}"  # in screen.json, whose English `in_chinese` knows
ENGLISH = {
    "not over": "phase 1 is not over: of its runs with the study's {seeds} seeds, {waiting} are left or "
    "failed",
    "not over, one seed": "phase 1 is not over: of its runs with the study's one seed, {waiting} are left or "
    "failed",
    "all diverged": "every run of phase 1 has diverged: nothing can be decided",
}
CHINESE = {
    "not over": "第一阶段尚未结束：在研究的 {seeds} 个种子的运行中，有 {waiting} 次待训练或失败",
    "not over, one seed": "第一阶段尚未结束：在研究唯一一个种子的运行中，有 {waiting} 次待训练或失败",
    "all diverged": "第一阶段的每次运行都发散了：无法决定",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def train_phases(
    study: Study,
    train: Callable[[Study], None],
    margin: float | None,
    say: Callable[[Telling], None],
    rows: Collection[int] | None = None,
) -> Study:
    """Train a study. Of a screen in phase 1, then decide what can be decided, and train the added rows.

    Args:
        study: any study.
        train: trains what is still missing of a study.
        margin: points; smaller differences are none. None: `choose_margin`.
        say: is given what was decided, in words of whichever language.
        rows: the only ones that ``train`` trains, after which nothing is decided. None: all.

    Returns:
        The study with the rows that it has in the end.

    Raises:
        InputError: predictions that cannot be read.
    """
    train(study)
    if rows is not None or not study.undecided:
        return study
    say(decide_screen(study, margin))
    study = load_study(study.folder)
    if len(study.rows) > len(study.first_rows):
        train(study)
    return study


def decide_screen(study: Study, margin: float | None) -> Telling:
    """Write ``screen.json`` if all runs of phase 1 have ended, done or diverged.

    Args:
        study: an undecided screen, audited.
        margin: points; smaller differences are none. None: `choose_margin`.

    Returns:
        What was decided, or why nothing was, in words.

    Raises:
        InputError: predictions that cannot be read.
    """
    seeds = study.head.design.numbers
    results = load_results(study).of_seeds(seeds)
    missing = results.missing()
    if waiting := len(missing["left"]) + len(missing["failed"]):
        key = "not over" if len(seeds) > 1 else "not over, one seed"
        return lambda lang: [WORDS[lang][key].format(seeds=len(seeds), waiting=waiting)]
    if not any(True for _ in results.finished()):
        return lambda lang: [WORDS[lang]["all diverged"]]
    margin = choose_margin(results, "dev") if margin is None else margin
    screen = make_screen(study, results, margin)
    save_screen(study.folder, screen)
    after = replace(study, screen=screen)
    return lambda lang: [*screen_lines(screen, lang), *phases_lines(after, results.audit, seeds, lang)]


def make_screen(study: Study, results: Results, margin: float) -> Screen:
    """What dev says of every factor. ``results``: of phase 1 and the study's seeds."""
    assert results.audit is not None
    experiment = Experiment.of(collect_outcomes(results, "dev"))
    judged = analyse_mains(experiment, margin)
    if failures := list_failures(results):
        recipes = [recipe.levels for recipe in results.recipes]
        shares = compare_levels(experiment.families.mains.contrasts, recipes, failures)
        judged = avoid_failing(judged, shares, ALPHA)
    effects = {effect.comparison.factor: effect for effect in judged}
    return Screen(
        asked=study.asked,
        fingerprints=results.audit.fingerprints,
        margin=margin,
        seeds=list(study.head.design.numbers),
        rows=len(study.first_rows),
        factors={
            name: screen_effect(effects[name], margin)
            if name in effects
            else ScreenedFactor(
                level=study.factors[name][1],
                effect=0.0,
                adjusted=(0.0, 0.0),
                decision=INERT.format(reason=results.inert[name]),
                survives=False,
            )
            for name in study.factors
        },
    )


def screen_effect(effect: Effect, margin: float) -> ScreenedFactor:
    """What dev says of a factor, and whether the factor goes on."""
    assert effect.decision is not None  # a main effect
    return ScreenedFactor(
        level=effect.comparison.level,
        effect=json_number(effect.estimate),
        adjusted=(json_number(effect.adjusted.low), json_number(effect.adjusted.high)),
        decision=recorded_words(effect.decision, margin),
        survives=survives(effect.decision),
    )


def survives(decision: Decision) -> bool:
    """What may be of use goes on: what helps, and what is open."""
    return decision.kind in ("use", "open")
