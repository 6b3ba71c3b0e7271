"""Decisions that cannot stand as they are: while runs are missing, or the baseline was still rising."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from finegrid.statistics.decide import Decision
from finegrid.statistics.effects import Effect
from finegrid.verdict.verdict import Verdict

Change = Callable[[Decision], Decision]
NOT_YET = Decision("open", waiting=True)


def qualify(verdict: Verdict) -> Verdict:
    """The verdict with words that say what they hold for, and none while runs of the plan are missing.

    A verdict that is read again and again while runs come in is sooner or later lucky. So it says what it has
    measured, and nothing of what to use, until every run of the plan has ended. Runs that failed have ended:
    nothing says that they ever succeed.
    """
    if verdict.waiting is not None:
        waiting = change_decisions(verdict, lambda decision: NOT_YET)
        return replace(waiting, best=None, recommendation=None, conditions={}, ladders=(), at_recommended={})
    return limit_to_epochs(verdict)


def limit_to_epochs(verdict: Verdict) -> Verdict:
    """With words that say after how many epochs, where the baseline was still rising then."""
    if verdict.undertrained is None:
        return verdict
    epochs = verdict.undertrained.epochs
    return change_decisions(verdict, lambda decision: limit_to(decision, epochs))


def limit_to(decision: Decision, epochs: int) -> Decision:
    """The same, said of so many epochs. That runs fail, or that nothing is known, is no matter of speed."""
    conditional = decision.kind in ("use", "avoid", "same") and decision.because is None
    return replace(decision, at_epochs=epochs) if conditional else decision


def change_decisions(verdict: Verdict, change: Change) -> Verdict:
    """With all its decisions changed."""

    def of(effect: Effect) -> Effect:
        return effect if effect.decision is None else replace(effect, decision=change(effect.decision))

    analysis, free, against = verdict.analysis, verdict.free, verdict.against_baseline
    if free is not None:
        levels = tuple(
            level if level.effect is None else replace(level, effect=of(level.effect))
            for level in free.levels
        )
        effects = tuple(map(of, free.analysis.effects))
        free = replace(free, levels=levels, analysis=replace(free.analysis, effects=effects))
    return replace(
        verdict,
        analysis=replace(
            analysis,
            effects=tuple(map(of, analysis.effects)),
            interactions=tuple(replace(one, effect=of(one.effect)) for one in analysis.interactions),
        ),
        against_baseline=replace(
            against,
            differences=tuple(
                one if one is None else replace(one, decision=change(one.decision))
                for one in against.differences
            ),
        ),
        conditions={
            name: tuple(replace(one, decision=change(one.decision)) for one in those)
            for name, those in verdict.conditions.items()
        },
        free=free,
    )
