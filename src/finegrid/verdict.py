"""A study's verdict: what each strategy is worth, what it costs, and which recipe to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from finegrid import metrics
from finegrid.best import BestSet, best_set
from finegrid.contrasts import Contrast
from finegrid.costs import Cost, costs, surely_less
from finegrid.decide import DO_NOT_USE, INTERACT, USE, Interval, Needs
from finegrid.diagnose import Warning, diagnose
from finegrid.effects import Analysis, Effect, Interaction, analyse, recipe_scores
from finegrid.margin import MARGIN
from finegrid.outcomes import Block, Outcomes
from finegrid.results import Results
from finegrid.screen import Screen
from finegrid.warning_words import told

SCHEMA = 1


@dataclass(frozen=True)
class Verdict:
    """Everything that `finegrid verdict` and the report tell; points in 0 to 100."""

    results: Results
    margin: float
    analysis: Analysis
    seconds: dict[str, Cost]  # by name of the comparison; empty where no seconds are known
    best: BestSet | None
    chosen_on: str  # the split that the best set looked at
    eligible: tuple[int, ...]  # those of the best set that no decision on that split speaks against
    recommended: int | None  # of ``results.recipes``: the cheapest of these
    scores: tuple[tuple[float, Interval], ...]  # of every recipe on test: mean, 95 % interval
    warnings: tuple[Warning, ...]

    def of(self, effect: Effect) -> Cost | None:
        return self.seconds.get(key(effect.contrast))

    def memory(self, effect: Effect) -> float:
        """What a level does to the peak memory of a run, in bytes; nan where it was not probed."""
        weights, memory = effect.contrast.weights, self.results.memory()
        return float(weights @ memory) if weights is not None else np.nan

    def runs(self, needs: Needs) -> int:
        """How many runs more seeds take: every distinct recipe with each."""
        seeds = (needs.seeds or self.analysis.seeds) - self.analysis.seeds
        return len(self.results.recipes) * int(seeds)

    def hours(self, needs: Needs) -> float:
        """Of one worker; nan where seconds are not those of runs."""
        if self.results.seconds_per != "run":
            return np.nan
        known = self.results.run_seconds
        known = known[np.isfinite(known)]
        return float(known.mean() * self.runs(needs) / 3600) if len(known) else np.nan

    def frontier(self) -> list[int]:
        """Recipes that no other one beats in both score (on the split that chooses) and seconds, cheapest
        first."""
        scores = self.results.means(self.chosen_on)
        seconds = self.results.run_seconds
        known = np.flatnonzero(np.isfinite(scores) & np.isfinite(seconds))
        kept: list[int] = []
        for index in sorted(known, key=lambda i: (seconds[i], -scores[i])):
            if not kept or scores[index] > scores[kept[-1]]:
                kept.append(int(index))
        return kept


def key(contrast: Contrast) -> str:
    return " x ".join(f"{one.factor} = {one.level!r}" for one in contrast.comparisons)


def judge(results: Results, margin: float = MARGIN, alpha: float = 0.05) -> Verdict:
    """Analyse what a study has shown so far.

    Args:
        results: of a study or an imported table.
        margin: points; smaller differences are none.
        alpha: chance of any wrong word; of one look, where there are several.

    Raises:
        InputError: predictions that cannot be read.
    """
    test = outcomes_of(results, "test")
    spent = costs(test, results.seconds()) if np.isfinite(results.seconds()).any() else []
    analysis = analyse(test, margin, alpha, surely_less(spent))
    if results.screen is not None:
        effects = tuple(noted(effect, results) for effect in analysis.effects)
        analysis = replace(analysis, effects=effects)
    chosen_on = "dev" if results.audit is not None and results.protocol == "best-dev" else "test"
    choosing = outcomes_of(results, "dev") if chosen_on == "dev" else test
    best = best_set(choosing)
    chosen = analysis if choosing is test else analyse(choosing, margin, alpha)
    eligible = agreeing(results, best, chosen) if best else ()
    return Verdict(
        results=results,
        margin=margin,
        analysis=analysis,
        seconds={key(one.contrast): one for one in spent},
        best=best,
        chosen_on=chosen_on,
        eligible=eligible,
        recommended=cheapest(results, eligible, chosen_on) if best else None,
        scores=tuple(recipe_scores(test)),
        warnings=tuple(diagnose(results)),
    )


def noted(effect: Effect, results: Results) -> Effect:
    """With a note where the effect is not from the full design of a screen's survivors."""
    name, screen = effect.comparison.factor, results.screen
    if screen is None or name in blocks_of(results)[0].given:
        return effect
    if name in screen.survivors:
        why = "does nothing with the dropped factors at their first level"
    else:
        why = f"dropped on dev ({screen.factors[name].decision})"
    note = (
        f"{why}, so measured in the fraction of {screen.rows} rows alone; `finegrid plan` says what such a "
        "fraction measures together"
    )
    return replace(effect, notes=(*effect.notes, note))


def blocks_of(results: Results) -> tuple[Block, ...]:
    """Of a decided screen: every combination of the survivors, and the fraction, which gives the rest."""
    if results.screen is None:
        return ()
    dropped = [name for name in results.factors if name not in results.screen.survivors]
    first = {name: results.factors[name][0] for name in dropped}
    whole = [all(r.levels.get(name, first[name]) == first[name] for name in dropped) for r in results.recipes]
    # A factor may do something only where a dropped one is off its first level.
    shown = {name for r, inside in zip(results.recipes, whole, strict=True) if inside for name in r.levels}
    survivors = tuple(name for name in results.factors if name in shown and name not in dropped)
    fraction = [r.rows[0] <= results.screen.rows for r in results.recipes]
    everything = tuple(results.factors)
    return (
        Block(np.array(whole), survivors, survivors),
        Block(np.array(fraction), everything, everything),
    )


def outcomes_of(results: Results, split: str, score: str | None = None) -> Outcomes:
    """Scores, and what each text contributes to them; of another score than the study's if asked."""
    blocks = blocks_of(results)
    recipes = [recipe.levels for recipe in results.recipes]
    points = results.points(split, score)
    if results.repeats:
        return Outcomes.of_repeats(results.factors, recipes, points)
    found = results.predictions(split)
    if found is None or results.audit is None:
        return Outcomes(results.factors, recipes, points, blocks=blocks)
    finished = np.isfinite(points)
    influence = np.zeros(found.predicted.shape, dtype=np.float32)
    influence[finished] = metrics.influence(
        found.gold,
        found.predicted[finished].astype(np.int64),
        found.classes,
        score or results.score,
        results.audit.labels,
    )
    return Outcomes(results.factors, recipes, points, influence, blocks=blocks)


def agreeing(results: Results, best: BestSet, analysis: Analysis) -> tuple[int, ...]:
    """Those of the best set that have what is to be used, and nothing that is not; all, if there are none.

    With few seeds the set is wide, since single recipes are compared. A factor's effect is the mean over
    all of them, so it may well be clear that some of the set only had luck.
    """

    def agrees(index: int) -> bool:
        levels = results.recipes[index].levels
        for effect in analysis.effects:
            one, word = effect.comparison, effect.decision.word if effect.decision else ""
            level = levels.get(one.factor, one.baseline)
            if (word == DO_NOT_USE and level == one.level) or (word == USE and level == one.baseline):
                return False
        return True

    return tuple(index for index in best.members if agrees(index)) or best.members


def cheapest(results: Results, members: Sequence[int], split: str) -> int:
    """The recipe that takes the fewest seconds; of several, the one with the best mean."""
    means, seconds = results.means(split), np.nan_to_num(results.run_seconds, nan=np.inf)
    return min(members, key=lambda index: (seconds[index], -means[index]))


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What programs read. Points in 0 to 100, seconds per run, bytes; None where something is not known."""
    results, analysis = verdict.results, verdict.analysis
    return {
        "schema": SCHEMA,
        "score": results.score,
        "protocol": results.protocol,
        "margin": verdict.margin,
        "seeds": analysis.seeds,
        "texts": analysis.texts,
        "recipes": len(results.recipes),
        "noise": {"method": analysis.method, "run_sd": number(analysis.run_sd)},
        "holds_at": results.holds_at,
        "seconds_per": results.seconds_per,
        "factors": [factor_json(verdict, effect) for effect in analysis.effects],
        "interactions": [interaction_json(one) for one in analysis.interactions],
        "inert": dict(results.inert),
        "screen": screen_json(results.screen),
        "missing": {status: len(runs) for status, runs in results.missing().items()},
        "best": best_json(verdict),
        "frontier": [recipe_json(verdict, index) for index in verdict.frontier()],
        "warnings": [{"kind": w.kind, **asdict(told(w, "en"))} for w in verdict.warnings],
        "notes": list(results.notes),
    }


def effect_json(effect: Effect) -> dict[str, Any]:
    return {
        "effect": number(effect.estimate),
        "low": number(effect.plain.low),
        "high": number(effect.plain.high),
        "adjusted": [number(effect.adjusted.low), number(effect.adjusted.high)],
        "se": number(effect.se),
        "df": number(effect.df),
        "p": number(effect.p),
        "notes": list(effect.notes),
        "aliases": list(effect.contrast.aliases),
    }


def factor_json(verdict: Verdict, effect: Effect) -> dict[str, Any]:
    one, cost = effect.comparison, verdict.of(effect)
    return {
        "factor": one.factor,
        "levels": [one.baseline, one.level],
        **effect_json(effect),
        "seconds": number(cost.difference) if cost else None,
        "seconds_interval": pair(cost.difference_interval) if cost else None,
        "seconds_ratio": number(cost.ratio) if cost else None,
        "memory": number(verdict.memory(effect)),
        "verdict": str(effect.decision),
        "needs": needs_json(verdict, effect.needs),
    }


def needs_json(verdict: Verdict, needs: Needs | None) -> dict[str, Any] | None:
    if needs is None:
        return None
    return {
        "seeds": needs.seeds,
        "texts": needs.texts,
        "runs": verdict.runs(needs),
        "hours": number(verdict.hours(needs)),
    }


def interaction_json(one: Interaction) -> dict[str, Any]:
    pairs = [(c.factor, c.level, c.baseline) for c in one.effect.contrast.comparisons]
    return {
        "factors": [factor for factor, _, _ in pairs],
        "levels": [[baseline, level] for _, level, baseline in pairs],
        **effect_json(one.effect),
        "verdict": str(one.effect.decision),
        "matters": one.effect.decision is not None and one.effect.decision.word == INTERACT,
        "conditional": [
            {
                "factor": effect.comparison.factor,
                "given": list(effect.contrast.given or ()),
                "effect": number(effect.estimate),
                "low": number(effect.plain.low),
                "high": number(effect.plain.high),
            }
            for effect in one.conditional
        ],
    }


def best_json(verdict: Verdict) -> dict[str, Any] | None:
    best = verdict.best
    if best is None or verdict.recommended is None:
        return None
    return {
        "chosen_on": verdict.chosen_on,
        "noise": best.noise,
        "set": [recipe_json(verdict, index) for index in best.members],
        "eligible": [list(verdict.results.recipes[index].rows) for index in verdict.eligible],
        "rows": sorted(row for index in best.members for row in verdict.results.recipes[index].rows),
        "recommended": recipe_json(verdict, verdict.recommended),
        "baseline": recipe_json(verdict, verdict.results.baseline),
    }


def recipe_json(verdict: Verdict, index: int) -> dict[str, Any]:
    recipe = verdict.results.recipes[index]
    mean, interval = verdict.scores[index]
    return {
        "rows": list(recipe.rows),
        "levels": recipe.levels,
        "test": number(mean),
        "test_interval": pair(interval),
        "seconds": number(float(verdict.results.run_seconds[index])),
    }


def screen_json(screen: Screen | None) -> dict[str, Any] | None:
    """What phase 1 of a screen decided; None of other designs, and before."""
    if screen is None:
        return None
    told = screen.model_dump(include={"margin", "seeds", "rows", "factors"})
    return {"survivors": screen.survivors, **told}


def pair(interval: Interval) -> list[float | None]:
    return [number(interval.low), number(interval.high)]


def number(value: float) -> float | None:
    """JSON has no nan and no infinity."""
    return round(float(value), 6) if np.isfinite(value) else None


def mattering(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Those whose adjusted interval leaves out 0 and is not within the margin."""
    return [one for one in interactions if one.effect.decision and one.effect.decision.word == INTERACT]
