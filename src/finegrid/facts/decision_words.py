"""A decision in words: the same ones on the terminal, in tables, on the page, in figures and in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finegrid.errors import input_error
from finegrid.facts.verdict import DecisionFacts, FactorFacts, NeedsFacts, VerdictFacts
from finegrid.spelling import Lang, format_duration
from finegrid.statistics.decide import KINDS, Decision, Kind
from finegrid.words import SHARED

# Files say it in English, with a margin that names no unit: so do those that older versions wrote.
RECORDED = {**SHARED["en"], "same": "no difference beyond {margin:g}"}


def decision_words(decision: Decision, margin: float, lang: Lang) -> str:
    """What was decided at a margin (points): ``no difference beyond 0.2 points, use for speed``."""
    return SHARED[lang]["comma"].join(decision_parts(decision, margin, SHARED[lang]))


def decision_parts(decision: Decision, margin: float, words: Mapping[str, str]) -> list[str]:
    """Its kind, and what goes with it."""
    aliases = words["with aliases" if decision.kind == "same" else "or aliases"]
    added = [aliases] * decision.aliased
    added += [words["measurable"]] * decision.measurable + [words["for speed"]] * decision.for_speed
    return [words[decision.kind].format(margin=margin), *added]


def needs_words(needs: NeedsFacts, seeds: int, texts: int, lang: Lang, *, brief: bool = False) -> str:
    """What would settle an open decision, or that it is too small to settle.

    Args:
        needs: seeds, or texts.
        seeds, texts: as many as there are now; no texts where predictions are unknown.
        brief: without what the seeds cost, or how many texts there are.
    """
    words = SHARED[lang]
    if needs["reason"] == "too-small":
        return words["too small" if texts else "too small here"]
    if needs["texts"]:
        need = words["needs texts"].format(texts=needs["texts"])
        aside = words["texts now"].format(now=texts)
    else:
        hours = needs["hours"]
        time = "?" if hours is None else format_duration(3600 * hours)
        need = words["needs seeds"].format(more=(needs["seeds"] or seeds) - seeds)
        aside = words["needs runs"].format(runs=needs["runs"], time=time)
    return need if brief else need + words["in brackets"].format(text=aside)


def factor_words(factor: FactorFacts, verdict: VerdictFacts, lang: Lang) -> str:
    """What was decided on a strategy, and where that is open what would settle it."""
    return SHARED[lang]["comma"].join(factor_parts(factor, verdict, lang))


def factor_parts(factor: FactorFacts, verdict: VerdictFacts, lang: Lang, *, brief: bool = False) -> list[str]:
    """The same in its parts."""
    parts = decision_parts(decision_of(factor["decision"]), verdict["margin"], SHARED[lang])
    needs = factor_needs(factor, verdict, lang, brief=brief)
    return [*parts, needs] if needs else parts


def factor_needs(factor: FactorFacts, verdict: VerdictFacts, lang: Lang, *, brief: bool = False) -> str:
    """What would settle an open decision on a strategy; empty where it is not open.

    Also where it has no interval: then nothing is known of what would settle it.
    """
    needs = factor["needs"]
    if factor["decision"]["kind"] != "open" or factor["low"] is None or needs is None:
        return ""
    return needs_words(needs, verdict["seeds"], verdict["texts"], lang, brief=brief)


def decision_of(facts: DecisionFacts) -> Decision:
    """Of ``verdict --json`` and report.json, where what would settle it stands beside it."""
    return Decision(facts["kind"], facts["measurable"], facts["for_speed"], facts["aliased"])


def recorded_words(decision: Decision, margin: float) -> str:
    """As ``verdict --json``, report.json and screen.json have it."""
    return RECORDED["comma"].join(decision_parts(decision, margin, RECORDED))


def as_recorded(decision: Decision, margin: float) -> dict[str, Any]:
    """As looks.jsonl has it."""
    word = recorded_words(Decision(decision.kind), margin)
    return {"word": word, "measurable": decision.measurable, "for_speed": decision.for_speed}


def from_recorded(recorded: Mapping[str, Any], margin: float) -> Decision:
    """Of looks.jsonl, whose margin is that of the look.

    Raises:
        InputError: a word that no version writes.
    """
    kinds: dict[str, Kind] = {recorded_words(Decision(kind), margin): kind for kind in KINDS}
    if recorded["word"] not in kinds:
        what = f'found the decision "{recorded["word"]}", expected one of {", ".join(kinds)}.'
        raise input_error("the study", "looks.jsonl", what)
    return Decision(kinds[recorded["word"]], recorded["measurable"], recorded["for_speed"])
