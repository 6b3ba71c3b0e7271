"""What to use, in words: the same sentences on the terminal, in Markdown and on the page."""

from __future__ import annotations

from finegrid.facts.decision_words import decision_of, decision_words
from finegrid.facts.verdict import (
    AgainstFacts,
    AlternativeFacts,
    BestFacts,
    ExpectedFacts,
    LocalFacts,
    RecipeFacts,
    VerdictFacts,
)
from finegrid.recipe.identity import Levels
from finegrid.spelling import Lang, format_duration, format_level
from finegrid.words import SHARED


def headline(verdict: VerdictFacts, lang: Lang) -> str:
    """What to use, and its row of the table; empty where nothing can be said yet."""
    best = verdict["best"]
    if best is None:
        return ""
    key = "r keep" if best["keep_baseline"] else "r use"
    return SHARED[lang][key].format(**named(best["recommended"], verdict, lang))


def reasons(verdict: VerdictFacts, lang: Lang) -> list[str]:
    """How sure that is, and what else could be used: sentences."""
    best, words = verdict["best"], SHARED[lang]
    if best is None:
        return []
    found = [_why(best, verdict, lang)]
    if not best["keep_baseline"]:
        found.append(words["r chosen" if best["chosen_on"] == "dev" else "r chosen on test"])
    if best["cheaper"] is not None:
        found.append(_say_cheaper(best["cheaper"], best, verdict, lang))
    return [*found, *(_say_against(one, verdict, lang) for one in best["against_words"])]


def _why(best: BestFacts, verdict: VerdictFacts, lang: Lang) -> str:
    words, expected, tempting = SHARED[lang], best["expected"], best["tempting"]
    if expected is None:
        return words["r unknown"]
    split = words[best["chosen_on"]]
    if not best["keep_baseline"]:
        return words["r expected"].format(split=split, **gained(expected, best["tolerance"], lang))
    if tempting is None:
        return words["r none better"]
    return words["r tempting"].format(
        split=split,
        **named(tempting["recipe"], verdict, lang),
        **gained(tempting["expected"], best["tolerance"], lang),
    )


def _say_cheaper(cheaper: AlternativeFacts, best: BestFacts, verdict: VerdictFacts, lang: Lang) -> str:
    saved, whole = cheaper["seconds_saved"] or 0.0, best["recommended"]["seconds"] or 1.0
    return SHARED[lang]["r cheaper"].format(
        time=format_duration(saved),
        share=f"{100 * saved / whole:.0f} %",
        **named(cheaper["recipe"], verdict, lang),
        **gained(cheaper["expected"], best["tolerance"], lang),
    )


def _say_against(one: AgainstFacts, verdict: VerdictFacts, lang: Lang) -> str:
    words, local = SHARED[lang], one["at_recommended"]
    said = {
        "factor": one["factor"],
        "level": format_level(one["level"]),
        "word": decision_words(decision_of(one["decision"]), verdict["margin"], lang),
        "effect": format_signed(one["effect"]),
    }
    if local is None:
        return words["r against unknown"].format(**said)
    effect, interval = format_signed(local["effect"]), between(local, lang)
    return words["r against"].format(local=effect, interval=interval, **said)


def named(recipe: RecipeFacts, verdict: VerdictFacts, lang: Lang) -> dict[str, object]:
    """A recipe by what it has that the baseline has not, and by its first row."""
    return {"levels": moved_words(recipe["levels"], verdict, lang), "row": recipe["rows"][0]}


def moved_words(levels: Levels, verdict: VerdictFacts, lang: Lang) -> str:
    """``reinit.layers = 6, freeze.layers = 6``; of the baseline, that it is the baseline."""
    best, words = verdict["best"], SHARED[lang]
    baseline = best["baseline"]["levels"] if best else {}
    first = {factor["factor"]: factor["levels"][0] for factor in verdict["factors"]} | baseline
    moved = [
        f"{name} = {format_level(level)}" for name, level in levels.items() if level != first.get(name, level)
    ]
    return words["comma"].join(moved) or words["the baseline"]


def gained(expected: ExpectedFacts, tolerance: float, lang: Lang) -> dict[str, object]:
    return {
        "gain": format_signed(expected["gain"]),
        "interval": between(expected, lang),
        "chance": format_chance(expected["chance_worse"]),
        "tolerance": tolerance,
    }


def between(ends: ExpectedFacts | LocalFacts, lang: Lang) -> str:
    low, high = format_signed(ends["low"]), format_signed(ends["high"])
    return SHARED[lang]["interval"].format(low=low, high=high)


def format_signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.2f}"


def format_chance(chance: float) -> str:
    """In whole percent, never 0 or 100."""
    if chance < 0.005:
        return "< 1 %"
    return "> 99 %" if chance > 0.995 else f"{100 * chance:.0f} %"
