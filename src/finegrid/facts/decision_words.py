"""A decision in words: the same ones on the terminal, in tables, on the page, in figures and in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from finegrid.errors import input_error
from finegrid.facts.verdict import (
    DecisionFacts,
    EnsembleFacts,
    FactorFacts,
    FailingFacts,
    LadderFacts,
    NeedsFacts,
    VerdictFacts,
)
from finegrid.spelling import Lang, format_duration, format_level
from finegrid.statistics.decide import KINDS, Decision, Failing, Kind
from finegrid.statistics.repeats import REPEATS
from finegrid.words import SHARED

# Files say it in English, with a margin that names no unit: so do those that older versions wrote.
RECORDED = {**SHARED["en"], "same": "no difference beyond {margin:g}"}


@dataclass(frozen=True)
class ToldWord:
    """A decision in words: the word that its kind gives a colour to, and what goes with it."""

    kind: Kind
    word: str
    rest: str = ""


def told_word(kind: Kind, parts: list[str], lang: Lang) -> ToldWord:
    comma = SHARED[lang]["comma"]
    return ToldWord(kind, parts[0], "".join(comma + part for part in parts[1:]))


def decision_words(decision: Decision, margin: float, lang: Lang) -> str:
    """What was decided at a margin (points): ``no difference beyond 0.2 points, use for speed``."""
    return SHARED[lang]["comma"].join(decision_parts(decision, margin, SHARED[lang]))


def decision_parts(decision: Decision, margin: float, words: Mapping[str, str]) -> list[str]:
    """Its kind, and what goes with it."""
    if decision.waiting:
        return [words["not yet"]]
    aliases = words["with aliases" if decision.kind == "same" else "or aliases"]
    added = [aliases] * decision.aliased
    added += [words["measurable"]] * decision.measurable + [words["for speed"]] * decision.for_speed
    because = [] if decision.because is None else [failing_words(decision.because, words)]
    word = words[decision.kind].format(margin=margin)
    if decision.at_epochs is not None:
        word = words["at epochs"].format(word=word, epochs=epochs_words(decision.at_epochs, words))
        added.append(words["maybe speed" if decision.kind == "use" else "may change"])
    return [word, *because, *added]


def epochs_words(epochs: int, words: Mapping[str, str]) -> str:
    """``2 epochs``."""
    return words["one epoch" if epochs == 1 else "epochs"].format(epochs=epochs)


def failing_words(counts: Failing, words: Mapping[str, str]) -> str:
    """``diverges in 16 of 48 runs, all with a = 1 (baseline: 0 of 48)``."""
    kinds = {0: "does not learn", counts.failed: "diverges"}
    said = words[kinds.get(counts.diverged, "fails")].format(failed=counts.failed, runs=counts.runs)
    if counts.given is not None:
        factor, level = counts.given
        said += words["all with"].format(factor=factor, level=format_level(level))
    there = words["of the baseline"].format(failed=counts.baseline_failed, runs=counts.baseline_runs)
    return said + words["in brackets"].format(text=there)


def needs_words(
    needs: NeedsFacts,
    seeds: int,
    texts: int,
    lang: Lang,
    *,
    brief: bool = False,
    method: str = "",
    imported: bool = False,
) -> str:
    """What would settle an open decision, or that it is too small to settle.

    Args:
        needs: seeds, or texts.
        seeds, texts: as many as there are now; no texts where predictions are unknown.
        brief: without what the seeds cost, or how many texts there are.
        method: where the noise of a run comes from (`statistics.variance.Noise`).
        imported: of a table from elsewhere, in which nothing can be trained.
    """
    words = SHARED[lang]
    if needs["reason"] == "too-small":
        return words["too small" if texts else "too small here"]
    if imported:
        key = "needs any repeats" if needs["reason"] == "unknown-noise" else "needs repeats"
        return words[key].format(more=(needs["seeds"] or seeds) - seeds)
    if method == REPEATS and not needs["texts"]:
        return words["needs more of each"].format(more=(needs["seeds"] or seeds) - seeds)
    if needs["texts"]:
        need = words["needs texts"].format(texts=needs["texts"])
        aside = words["texts now"].format(now=texts)
    else:
        hours = needs["hours"]
        key = "needs seeds"
        if needs["reason"] == "unknown-noise":
            key = "needs second seed" if seeds == 1 else "needs another seed"
        need = words[key].format(more=(needs["seeds"] or seeds) - seeds)
        if hours is None:
            return need
        aside = words["needs runs"].format(runs=needs["runs"], time=format_duration(3600 * hours, lang))
    return need if brief else need + words["in brackets"].format(text=aside)


def factor_words(factor: FactorFacts, verdict: VerdictFacts, lang: Lang) -> str:
    """What was decided on a strategy, and where that is open what would settle it."""
    return SHARED[lang]["comma"].join(factor_parts(factor, verdict, lang))


def factor_parts(factor: FactorFacts, verdict: VerdictFacts, lang: Lang, *, brief: bool = False) -> list[str]:
    """The same in its parts."""
    if conditions := condition_words(factor, verdict["margin"], lang):
        return [conditions]
    parts = decision_parts(decision_of(factor["decision"]), verdict["margin"], SHARED[lang])
    needs = factor_needs(factor, verdict, lang, brief=brief)
    return [*parts, needs] if needs else parts


def factor_told(factor: FactorFacts, verdict: VerdictFacts, lang: Lang) -> tuple[ToldWord, ...]:
    """The words of `factor_words`, for who colours them: one for each condition, else a single one."""
    if condition_words(factor, verdict["margin"], lang):
        return tuple(
            ToldWord(one["decision"]["kind"], word)
            for one, word in zip(
                factor["conditions"], conditions_told(factor, verdict["margin"], lang), strict=True
            )
        )
    parts = factor_parts(factor, verdict, lang)
    return (told_word(factor["decision"]["kind"], parts, lang),)


def condition_words(factor: FactorFacts, margin: float, lang: Lang) -> str:
    """What holds at either level of the strategy that it depends on; empty where that is the same."""
    if len({one["decision"]["kind"] for one in factor["conditions"]}) < 2:
        return ""
    return SHARED[lang]["list semi"].join(conditions_told(factor, margin, lang))


def conditions_told(factor: FactorFacts, margin: float, lang: Lang) -> list[str]:
    """Every condition in words."""
    return [
        SHARED[lang]["condition"].format(
            word=decision_words(decision_of(one["decision"]), margin, lang),
            factor=one["given"][0],
            level=format_level(one["given"][1]),
        )
        for one in factor["conditions"]
    ]


def factor_needs(factor: FactorFacts, verdict: VerdictFacts, lang: Lang, *, brief: bool = False) -> str:
    """What would settle an open decision on a strategy; empty where it is not open.

    Also where it has no interval and further runs would give none, as where no runs compare its levels.
    """
    needs = factor["needs"]
    unknown = factor["low"] is None and not (needs and needs["reason"] == "unknown-noise")
    if factor["decision"]["kind"] != "open" or unknown or needs is None:
        return ""
    return needs_words(
        needs,
        verdict["seeds"],
        verdict["texts"],
        lang,
        brief=brief,
        method=verdict["noise"]["method"],
        imported=verdict["imported"],
    )


def bundle_lines(verdict: VerdictFacts, lang: Lang) -> list[str]:
    """What every level of a factor that is a bundle sets."""
    words = SHARED[lang]
    return [
        words["bundle" if settings else "bundle off"].format(
            factor=factor,
            level=level,
            settings=words["list comma"].join(f"{n} = {format_level(v)}" for n, v in settings.items()),
        )
        for factor, levels in verdict.get("bundles", {}).items()
        for level, settings in levels.items()
    ]


def ladder_words(ladder: LadderFacts, lang: Lang) -> str:
    """Which level of a factor is best, by how much, and how sure that is."""
    words = SHARED[lang]
    low, high = ladder["interval"]
    around = ""
    if low is not None and high is not None:
        ends = words["interval"].format(low=f"{low:+.2f}", high=f"{high:+.2f}")
        around = words["in brackets"].format(text=ends)
    said = words["ladder"].format(
        factor=ladder["factor"],
        best=format_level(ladder["best"]),
        next=format_level(ladder["runner_up"]),
        difference=f"{ladder['difference'] or 0.0:.2f}",
        interval=around,
    )
    others = [level for level in ladder["contenders"] if level != ladder["best"]]
    listed = words["list comma"].join(map(format_level, others))
    return words["ladder open" if others else "ladder clear"].format(told=said, levels=listed)


def ensemble_words(ensemble: EnsembleFacts, lang: Lang) -> str:
    """What the models of a recipe's seeds score together, and what that costs."""
    words = SHARED[lang]
    (low, high), (worst, most) = ensemble["interval"], ensemble["gain_interval"]
    return words["ensemble"].format(
        models=ensemble["models"],
        row=ensemble["rows"][0],
        score=f"{ensemble['score'] or 0.0:.2f}",
        interval=words["interval"].format(low=f"{low or 0.0:.2f}", high=f"{high or 0.0:.2f}"),
        gain=f"{ensemble['gain'] or 0.0:+.2f}",
        gain_interval=words["interval"].format(low=f"{worst or 0.0:+.2f}", high=f"{most or 0.0:+.2f}"),
    )


def decision_of(facts: DecisionFacts) -> Decision:
    """Of ``verdict --json`` and report.json, where what would settle it stands beside it."""
    because = facts.get("because")
    counts = failing_of(because) if because else None
    return Decision(
        facts["kind"],
        facts["measurable"],
        facts["for_speed"],
        facts["aliased"],
        because=counts,
        waiting=facts.get("waiting", False),
        at_epochs=facts.get("at_epochs"),
    )


def failing_json(counts: Failing) -> FailingFacts:
    return {
        "failed": counts.failed,
        "diverged": counts.diverged,
        "runs": counts.runs,
        "baseline_failed": counts.baseline_failed,
        "baseline_runs": counts.baseline_runs,
        "given": list(counts.given) if counts.given else None,
    }


def failing_of(facts: FailingFacts) -> Failing:
    given = facts["given"]
    return Failing(
        facts["failed"],
        facts["diverged"],
        facts["runs"],
        facts["baseline_failed"],
        facts["baseline_runs"],
        (str(given[0]), given[1]) if given else None,
    )


def recorded_words(decision: Decision, margin: float) -> str:
    """As ``verdict --json``, report.json and screen.json have it."""
    return RECORDED["comma"].join(decision_parts(decision, margin, RECORDED))


class RecordedDecision(TypedDict):
    """A decision as looks.jsonl has it."""

    word: str
    measurable: bool
    for_speed: bool
    because: NotRequired[FailingFacts]


def as_recorded(decision: Decision, margin: float) -> RecordedDecision:
    """As looks.jsonl has it."""
    word = recorded_words(Decision(decision.kind), margin)
    found: RecordedDecision = {
        "word": word,
        "measurable": decision.measurable,
        "for_speed": decision.for_speed,
    }
    return found if decision.because is None else {**found, "because": failing_json(decision.because)}


def from_recorded(recorded: Mapping[str, Any], margin: float) -> Decision:
    """Of looks.jsonl, whose margin is that of the look.

    Raises:
        InputError: a word that no version writes.
    """
    kinds: dict[str, Kind] = {recorded_words(Decision(kind), margin): kind for kind in KINDS}
    if recorded["word"] not in kinds:
        what = f'found the decision "{recorded["word"]}", expected one of {", ".join(kinds)}.'
        raise input_error("the study", "looks.jsonl", what)
    because = failing_of(recorded["because"]) if "because" in recorded else None
    kind = kinds[recorded["word"]]
    return Decision(kind, recorded["measurable"], recorded["for_speed"], because=because)
