"""A verdict in three lines, for the end of a command: what to use, how sure that is, what to do next."""

from __future__ import annotations

from pathlib import Path

from finegrid.facts.recommendation_words import headline, speed_or_quality, why
from finegrid.facts.verdict import VerdictFacts
from finegrid.next_words import Step, next_line
from finegrid.results.load import any_results
from finegrid.spelling import Lang
from finegrid.study.folder import StudyFolder
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict

ENGLISH = {"nothing": "nothing is decided: the baseline has no finished run"}
CHINESE = {"nothing": "尚不能下结论：基线还没有完成的运行"}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
ENOUGH_SEEDS = 3  # to ask for where one has run: fewer tell little of how far runs differ


def tell_briefly(folder: Path, margin: float | None = None, lang: Lang = "en") -> list[str]:
    """`brief_lines` of a study as its files stand.

    Raises:
        InputError: a study that has not been started, or files that cannot be read.
    """
    return brief_lines(with_interim_decisions(any_results(folder), margin), folder, lang)


def tells_nothing(folder: Path) -> bool:
    """Whether the runs of a study show nothing of how far runs differ, so that they decide nothing.

    Raises:
        InputError: files that cannot be read.
    """
    verdict = with_interim_decisions(any_results(folder))
    decisions = [effect.decision for effect in verdict.analysis.effects if effect.decision]
    return verdict.recommendation is None and all(decision.kind == "open" for decision in decisions)


def brief_lines(verdict: Verdict, folder: Path, lang: Lang = "en") -> list[str]:
    """At most three lines. While runs are missing they say how many, and no word of a decision.

    Args:
        verdict: of the study, qualified, as `finegrid verdict` has it.
        folder: as the user has named it: the commands are for it.
        lang: en or zh.
    """
    words, facts = WORDS[lang], as_json(verdict)
    if verdict.waiting is not None:
        return [headline(facts, lang), next_line("go on", folder, lang)]
    if verdict.best is None or verdict.recommended is None:
        return [words["nothing"], next_line("look", folder, lang)]
    next_ = next_line(find_next(verdict, facts), folder, lang, ENOUGH_SEEDS)
    return [headline(facts, lang), how_sure(facts, lang), next_]


def how_sure(facts: VerdictFacts, lang: Lang) -> str:
    """The expected gain and the chance to lose; and what makes both doubtful."""
    sentences = [why(facts, lang), speed_or_quality(facts, lang)]
    return ("" if lang == "zh" else " ").join(filter(None, sentences))


def find_next(verdict: Verdict, facts: VerdictFacts) -> Step:
    """Which command helps most now."""
    best = facts["best"]
    if verdict.waiting is not None:
        return "go on"
    if best is None:
        return "look"
    if verdict.recommendation is None:
        return "second seed"
    if not best["keep_baseline"]:
        return "confirm"
    decided = all(effect.decision and effect.decision.kind != "open" for effect in verdict.analysis.effects)
    too_small = all(
        factor["needs"] is None or factor["needs"]["reason"] == "too-small" for factor in facts["factors"]
    )
    can_add = verdict.results.screen is None and verdict.results.audit is not None
    return "verdict" if decided or too_small or not can_add else "add seeds"


def after_verdict(verdict: Verdict, facts: VerdictFacts, folder: Path, lang: Lang) -> str:
    """The last line of `finegrid verdict`: what it did not say itself."""
    step: Step = "report"
    if verdict.results.audit is not None:
        step = find_next(verdict, facts)
        step = "report" if step == "verdict" else step
        if step == "confirm" and StudyFolder(folder).confirmations:
            step = "fit"
    return next_line(step, folder, lang, ENOUGH_SEEDS)
