"""Deciding a screen: once phase 1 has ended, which factors are worth every combination. On dev alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finegrid.planning.phases import phases_lines, screen_lines
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.statistics.decide import DO_NOT_USE, Decision, Interval
from finegrid.statistics.effects import Effect, analyse
from finegrid.study.screen import Screen, ScreenedFactor, save_screen
from finegrid.study.study import Study
from finegrid.verdict.outcomes import outcomes_of

INERT = "does nothing: {reason}"


def decide_screen(study: Study, margin: float) -> list[str]:
    """Write ``screen.json`` if all runs of phase 1 have ended, done or diverged.

    Args:
        study: an undecided screen, audited.
        margin: points; smaller differences are none.

    Returns:
        What was decided, or why nothing was, in words.

    Raises:
        InputError: predictions that cannot be read.
    """
    seeds = study.head.design.numbers
    results = load_results(study).of_seeds(seeds)
    missing = results.missing()
    if waiting := len(missing["left"]) + len(missing["failed"]):
        of = "the study's one seed" if len(seeds) == 1 else f"the study's {len(seeds)} seeds"
        return [f"phase 1 is not over: of its runs with {of}, {waiting} are left or failed"]
    if not any(True for _ in results.finished()):
        return ["every run of phase 1 has diverged: nothing can be decided"]
    screen = screen_of(study, results, margin)
    save_screen(study.folder, screen)
    after = replace(study, screen=screen)
    return [*screen_lines(screen), *phases_lines(after, results.audit, seeds)]


def screen_of(study: Study, results: Results, margin: float) -> Screen:
    """What dev says of every factor. ``results``: of phase 1 and the study's seeds."""
    assert results.audit is not None
    effects = {
        effect.comparison.factor: effect for effect in analyse(outcomes_of(results, "dev"), margin).effects
    }
    return Screen(
        asked=study.asked,
        fingerprints=results.audit.fingerprints,
        margin=margin,
        seeds=list(study.head.design.numbers),
        rows=len(study.first_rows),
        factors={
            name: screened_effect(effects[name])
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


def screened_effect(effect: Effect) -> ScreenedFactor:
    assert effect.decision is not None  # a main effect
    return ScreenedFactor(
        level=effect.comparison.level,
        effect=known(effect.estimate),
        adjusted=ends(effect.adjusted),
        decision=str(effect.decision),
        survives=survives(effect.decision),
    )


def survives(decision: Decision) -> bool:
    """What may be of use goes on: what helps, and what is open."""
    return decision.word != DO_NOT_USE and not decision.is_none


def ends(interval: Interval) -> tuple[float | None, float | None]:
    return known(interval.low), known(interval.high)


def known(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
