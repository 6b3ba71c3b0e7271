"""Every strategy on the terminal: a table where its width carries one, else a block of two or three lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.text import Text

from finegrid.errors import visible
from finegrid.facts.decision_words import ToldWord, factor_told
from finegrid.facts.free_words import free_cost, free_cost_head, free_loss, free_told
from finegrid.facts.verdict import FreeVerdictFacts, VerdictFacts
from finegrid.spelling import Lang, format_change, format_level, format_points, seconds_digits
from finegrid.statistics.decide import Interval
from finegrid.terminal import align, fold_lines
from finegrid.verdict.context import LocalEffect
from finegrid.verdict.verdict import Verdict
from finegrid.words import SHARED

TABLE_WIDTH = 110  # columns; below, no table of seven columns can be read
LEAST_WORDS = 26  # columns of a table's last one
STYLES = {"use": "bold green", "avoid": "bold red", "same": "cyan", "open": "yellow", "interact": "magenta"}


@dataclass(frozen=True)
class Told:
    """What is told of one level.

    Attributes:
        name: Of the level.
        words: What was decided, each with what its colour says.
        effect, plain: The estimate and its 95 % interval; empty where the score cannot move.
        cells: By their heads, whatever else; empty ones are left out of a block.
        costs: The same for what it costs, which a block has beside the effect.
    """

    name: str
    words: tuple[ToldWord, ...]
    effect: str
    plain: str
    cells: dict[str, str]
    costs: dict[str, str]


def strategy_lines(verdict: Verdict, facts: VerdictFacts, lang: Lang, width: int) -> list[Text]:
    """One row or block per level of every factor."""
    words = SHARED[lang]
    seconds = words[f"s per {verdict.results.seconds_per}"]
    told = []
    for effect, factor in zip(verdict.analysis.effects, facts["factors"], strict=True):
        compared, cost = effect.comparison, verdict.of(effect)
        change = format_change(cost.difference, seconds_digits(cost.difference)) if cost else ""
        told.append(
            Told(
                f"{compared.factor} = {format_level(compared.level)}",
                factor_told(factor, facts, lang),
                format_points(effect.estimate),
                format_interval(effect.plain, lang),
                {
                    words["adjusted"]: format_interval(effect.adjusted, lang),
                    words["as recommended"]: format_local(verdict.at_recommended.get(compared), lang),
                },
                {seconds: change, words["memory"]: format_mebibytes(verdict.memory(effect))},
            )
        )
    return lay_out(told, seconds, lang, width)


def free_level_lines(facts: VerdictFacts, free: FreeVerdictFacts, lang: Lang, width: int) -> list[Text]:
    """One row or block per level of every free factor."""
    words, told = SHARED[lang], []
    for level in free["levels"]:
        moves = level["decision"] is not None
        ends = [Interval(*ends_of(pair)) for pair in ((level["low"], level["high"]), level["adjusted"])]
        plain, adjusted = (format_interval(one, lang) if moves else "" for one in ends)
        told.append(
            Told(
                f"{level['factor']} = {format_level(level['levels'][1])}",
                free_told(level, facts, lang),
                format_points(np.nan if level["effect"] is None else level["effect"]) if moves else "",
                plain,
                {
                    words["adjusted"]: adjusted,
                    words["log loss"]: free_loss(level["log_loss"], lang),
                    words["brier"]: free_loss(level["brier"], lang),
                    free_cost_head(lang): free_cost(level, lang),
                },
                {},
            )
        )
    return lay_out(told, "", lang, width)


def lay_out(told: Sequence[Told], seconds: str, lang: Lang, width: int, head: str = "strategy") -> list[Text]:
    """As a table, where the terminal is wide enough for it."""
    if width >= TABLE_WIDTH and (table := in_columns(told, lang, width, head)):
        return [Text(), *table, Text()]
    return [
        Text(),
        *fold_lines((line for one in told for line in in_block(one, seconds, lang)), width),
        Text(),
    ]


def in_columns(told: Sequence[Told], lang: Lang, width: int, head: str) -> list[Text] | None:
    """None where the last column, the words, had too little room."""
    words = SHARED[lang]
    heads = [words.get(head, head), words["effect"], words["plain"]]
    heads += [name for one in told[:1] for name in (*one.cells, *one.costs)]
    each = [(one.name, one.effect, one.plain, *one.cells.values(), *one.costs.values()) for one in told]
    filled = [place for place in range(len(heads)) if place < 3 or any(cells[place] for cells in each)]
    rows = [[*(Text(heads[place], style="bold") for place in filled), Text(words["verdict"], style="bold")]]
    for one, cells in zip(told, each, strict=True):
        rows.append([*(Text(visible(cells[place])) for place in filled), styled(one.words, lang)])
    return align(rows, [place > 0 for place in range(len(filled))], width, LEAST_WORDS)


def in_block(one: Told, seconds: str, lang: Lang) -> Iterator[Text]:
    """The name with the words; below, the numbers."""
    words = SHARED[lang]
    yield (
        Text(visible(one.name), style="bold")
        .append(words["colon"], "bold")
        .append_text(styled(one.words, lang))
    )
    known = one.plain not in ("", "?")
    around = words["in brackets"].format(text=f"{words['plain']} {one.plain}") if known else ""
    first = [headed(words["effect"], one.effect) + around] if one.effect else []
    for head, change in one.costs.items():
        if change:
            after = lang == "en" and head == seconds  # +0.5 s per run
            first.append(f"{change} {head}" if after else headed(head, change))
    then = [headed(head, cell) for head, cell in one.cells.items() if cell not in ("", "?")]
    yield from (Text(visible("  " + words["comma"].join(parts))) for parts in (first, then) if parts)


def headed(head: str, cell: str) -> str:
    return f"{head} {cell}"


def styled(told: Sequence[ToldWord], lang: Lang) -> Text:
    """What was decided, in its colours."""
    line = Text()
    for place, one in enumerate(told):
        if place:
            line.append(SHARED[lang]["list semi"])
        line.append(visible(one.word), STYLES[one.kind])
        line.append(visible(one.rest))
    return line


def ends_of(pair: Sequence[float | None]) -> tuple[float, float]:
    """Where nothing is known, from -inf to inf."""
    low, high = pair
    return -np.inf if low is None else low, np.inf if high is None else high


def format_interval(interval: Interval, lang: Lang) -> str:
    ends = {"low": format_points(interval.low), "high": format_points(interval.high)}
    return SHARED[lang]["interval"].format(**ends) if interval.is_known else "?"


def format_local(local: LocalEffect | None, lang: Lang) -> str:
    """What a strategy does in one recipe; empty where that is not known."""
    if local is None:
        return ""
    around = SHARED[lang]["in brackets"].format(text=format_interval(local.interval, lang))
    return format_points(local.effect) + around


def format_mebibytes(value: float) -> str:
    return f"{round(value / 2**20) + 0:+,d} MiB" if np.isfinite(value) else ""
