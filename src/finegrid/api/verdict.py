"""A verdict as a value: what to use, what each strategy is worth, and every recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

from finegrid.api.showing import html_line, wrap
from finegrid.api.summary import effect_lines, effects_html
from finegrid.api.table import Table
from finegrid.export.effects import make_effects_table
from finegrid.export.frame import Frame, FrameColumn, make_category, make_factor
from finegrid.export.tables import name_factors
from finegrid.facts.recommendation_words import headline, reasons
from finegrid.facts.report import ReportRecipe
from finegrid.facts.verdict import BestFacts, VerdictFacts
from finegrid.recipe.identity import Level
from finegrid.report.facts.recipes import recipe_facts
from finegrid.spelling import format_level
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict as Judged


@dataclass(frozen=True)
class Recommendation:
    """The recipe to use. Points of 100; None where something is not known.

    Attributes:
        levels: Of every factor that the study varies.
        rows: Of the study's table that are this recipe.
        keep_baseline: Whether it is the baseline: nothing else is safe enough.
        gain: What is expected of it against the baseline, on ``chosen_on``.
        gain_low: From here to ``gain_high`` with a probability of 95 %.
        gain_high: The upper end.
        chance_worse: That it loses more than ``tolerance`` points against the baseline.
        tolerance: Points.
        test: Its mean score on test; not corrected for the choice.
        test_low: The lower end of its 95 % interval.
        test_high: The upper end.
        seconds: Of a run (of an imported table perhaps of an epoch).
        chosen_on: dev, or test where there is no dev.
        words: The same in sentences: what to use, then how sure that is.
    """

    levels: Mapping[str, Level]
    rows: tuple[int, ...]
    keep_baseline: bool
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    chance_worse: float | None
    tolerance: float
    test: float | None
    test_low: float | None
    test_high: float | None
    seconds: float | None
    chosen_on: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, best: BestFacts, words: Sequence[str]) -> Recommendation:
        recipe, expected = best["recommended"], best["expected"]
        low, high = recipe["test_interval"]
        return cls(
            levels=dict(recipe["levels"]),
            rows=tuple(recipe["rows"]),
            keep_baseline=best["keep_baseline"],
            gain=None if expected is None else expected["gain"],
            gain_low=None if expected is None else expected["low"],
            gain_high=None if expected is None else expected["high"],
            chance_worse=None if expected is None else expected["chance_worse"],
            tolerance=best["tolerance"],
            test=recipe["test"],
            test_low=low,
            test_high=high,
            seconds=recipe["seconds"],
            chosen_on=best["chosen_on"],
            words=tuple(words),
        )


@dataclass(frozen=True, repr=False)
class Verdict:
    """What each strategy is worth, what it costs, and which recipe to use. Points of 100.

    Attributes:
        score: That is analysed, such as ``macro-f1``.
        margin: Points; smaller differences are none.
        seeds: How many there are.
        texts: Of test; 0 without predictions.
        recommendation: None as long as no run of the baseline has finished.
        effects: A row per level of every strategy: ``effect`` in points, its interval (``low``, ``high``),
            the interval that the decision rests on (``adjusted_low``, ``adjusted_high``), ``decision`` (use,
            avoid, same, open), ``verdict`` in words, ``would_settle``, ``seconds``, and more.
        recipes: A row per distinct recipe, in the order of the design.
        warnings: What limits this study, and what to do about it.
    """

    score: str
    margin: float
    seeds: int
    texts: int
    recommendation: Recommendation | None
    effects: Table
    recipes: Table
    warnings: tuple[str, ...]
    _facts: VerdictFacts = field(compare=False)

    @classmethod
    def of(cls, judged: Judged, name: str) -> Verdict:
        facts = as_json(judged)
        best, words = facts["best"], [headline(facts, "en"), *reasons(facts, "en")]
        factors = {factor: list(levels) for factor, levels in judged.results.factors.items()}
        return cls(
            score=facts["score"],
            margin=facts["margin"],
            seeds=facts["seeds"],
            texts=facts["texts"],
            recommendation=None if best is None else Recommendation.of(best, words),
            effects=Table((make_effects_table(name, facts),)),
            recipes=Table((make_recipes_table(recipe_facts(judged), factors, facts),)),
            warnings=(
                *(f"{one['what']}. {one['advice']}" for one in facts["warnings"]),
                *judged.results.unfit,
            ),
            _facts=facts,
        )

    def to_json(self) -> dict[str, Any]:
        """What `finegrid verdict --json` prints."""
        return cast(dict[str, Any], deepcopy(self._facts))

    def lines(self) -> list[str]:
        """What to use, in sentences, and what limits the study."""
        told = self.recommendation.words if self.recommendation else ("no run has finished yet",)
        return [*told, *(f"warning: {warning}" for warning in self.warnings)]

    def _title(self) -> str:
        return f"{self.score}, effects in points; differences within {self.margin:g} points count as none"

    def __str__(self) -> str:
        return wrap([*self.lines(), "", self._title(), *effect_lines(self.effects)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first, *others = self.lines()
        told = html_line(first, "strong") + "".join(map(html_line, others))
        return f"<div>{told}{html_line(self._title())}{effects_html(self.effects)}</div>"


def make_recipes_table(
    recipes: Sequence[ReportRecipe], factors: Mapping[str, Sequence[Level]], verdict: VerdictFacts
) -> Frame:
    """A line per distinct recipe: its levels, its scores in points, and how it stands to the baseline."""
    names = name_factors(list(factors))
    against = {tuple(one["rows"]): one for one in verdict["against_baseline"]}
    compared = [against.get(tuple(recipe["rows"])) for recipe in recipes]

    def number(name: str, values: Sequence[float | None]) -> FrameColumn:
        return FrameColumn(name, "number", values)

    return Frame(
        (
            FrameColumn("recipe", "whole", [recipe["rows"][0] for recipe in recipes]),
            FrameColumn("rows", "wholes", [recipe["rows"] for recipe in recipes]),
            *(
                make_level(names[factor], [recipe["levels"].get(factor) for recipe in recipes], levels)
                for factor, levels in factors.items()
            ),
            number("dev", [recipe["dev"] for recipe in recipes]),
            number("test", [recipe["test"] for recipe in recipes]),
            number("test_low", [recipe["test_interval"][0] for recipe in recipes]),
            number("test_high", [recipe["test_interval"][1] for recipe in recipes]),
            number("seconds", [recipe["seconds"] for recipe in recipes]),
            number("gain", [recipe["gain"] for recipe in recipes]),
            number("chance_worse", [recipe["chance_worse"] for recipe in recipes]),
            number("against_baseline", [None if one is None else one["effect"] for one in compared]),
            number("adjusted_low", [None if one is None else one["adjusted"][0] for one in compared]),
            number("adjusted_high", [None if one is None else one["adjusted"][1] for one in compared]),
            FrameColumn("verdict", "text", [None if one is None else one["verdict"] for one in compared]),
            *(
                FrameColumn(name, "truth", [bool(recipe[name]) for recipe in recipes])
                for name in ("baseline", "recommended", "in_best_set", "on_frontier")
            ),
        )
    )


def make_level(name: str, values: Sequence[Level | None], levels: Sequence[Level]) -> FrameColumn:
    """A factor; empty in recipes that do not have it, as where it does nothing."""
    if None not in values:
        return make_factor(name, [value for value in values if value is not None], levels)
    words = make_factor(name, list(levels), levels)
    if words.kind == "category":
        return make_category(name, [None if v is None else format_level(v) for v in values], words.categories)
    return FrameColumn(name, words.kind, values)
