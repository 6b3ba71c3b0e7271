"""A study's verdict: what each strategy is worth, what it costs, and which recipe to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finegrid.metrics import MARGIN
from finegrid.results.results import Results
from finegrid.statistics.best import BestSet, best_set
from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.costs import CostEffect, compare_costs, surely_less
from finegrid.statistics.decide import Interval, Needs
from finegrid.statistics.effects import (
    Analysis,
    Effect,
    Interaction,
    analyse,
    analyse_mains,
    score_recipes,
)
from finegrid.statistics.experiment import Experiment
from finegrid.study.scored_label import check_gold
from finegrid.verdict.diagnose import Warning, diagnose
from finegrid.verdict.outcomes import collect_outcomes, find_blocks, measure_influence


@dataclass(frozen=True)
class Verdict:
    """Everything that `finegrid verdict` and the report tell; points in 0 to 100.

    Attributes:
        results: What was judged.
        margin: Points; smaller differences are none.
        test: The study's score on test, ready for further analyses.
        analysis: All effects on it.
        seconds: By name of the comparison; empty where no seconds are known.
        best: None where no run has finished.
        chosen_on: The split that the best set looked at.
        eligible: Of ``results.recipes``, those of the best set that no decision on that split speaks against.
        recommended: Of ``results.recipes``, the cheapest of these.
        scores: Of every recipe on test: mean, 95 % interval.
        warnings: What a reader must know beyond that.
    """

    results: Results
    margin: float
    test: Experiment
    analysis: Analysis
    seconds: dict[str, CostEffect]
    best: BestSet | None
    chosen_on: str
    eligible: tuple[int, ...]
    recommended: int | None
    scores: tuple[tuple[float, Interval], ...]
    warnings: tuple[Warning, ...]

    def of(self, effect: Effect) -> CostEffect | None:
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
    return " x ".join(f"{comparison.factor} = {comparison.level!r}" for comparison in contrast.comparisons)


def judge(results: Results, margin: float = MARGIN, alpha: float = 0.05) -> Verdict:
    """Analyse what a study has shown so far.

    Args:
        results: of a study or an imported table.
        margin: points; smaller differences are none.
        alpha: chance of any wrong word; of one look, where there are several.

    Raises:
        InputError: predictions that cannot be read, or the score is of a label that dev or test lacks.
    """
    check_score_has_texts(results)
    test = Experiment.of(collect_outcomes(results, "test"))
    seconds = results.seconds()
    spent = compare_costs(test, seconds) if np.isfinite(seconds).any() else []
    analysis = analyse(test, margin, alpha, surely_less(spent))
    if results.screen is not None:
        noted = tuple(add_note(effect, results) for effect in analysis.effects)
        analysis = replace(analysis, effects=noted)
    chosen_on = "dev" if results.audit is not None and results.protocol == "best-dev" else "test"
    choosing, effects = test, analysis.effects
    if chosen_on == "dev":
        choosing = test.with_scores(results.points("dev"), measure_influence(results, "dev"))
        effects = analyse_mains(choosing, margin, alpha)
    best = best_set(choosing)
    eligible = keep_agreeing(results, best, effects) if best else ()
    return Verdict(
        results=results,
        margin=margin,
        test=test,
        analysis=analysis,
        seconds={key(cost.contrast): cost for cost in spent},
        best=best,
        chosen_on=chosen_on,
        eligible=eligible,
        recommended=find_cheapest(results, eligible, chosen_on) if best else None,
        scores=tuple(score_recipes(test)),
        warnings=tuple(diagnose(results)),
    )


def check_score_has_texts(results: Results) -> None:
    """Refuse a score that is 0 whatever a run does.

    Raises:
        InputError: it is the F1 of a label that dev or test has no text of, or predictions cannot be read.
    """
    splits = {split: results.predictions(split) for split in ("dev", "test")}
    if results.audit is not None:
        golds = {split: found.gold for split, found in splits.items() if found is not None}
        check_gold(results.score, results.audit.labels, golds, str(results.folder))


def add_note(effect: Effect, results: Results) -> Effect:
    """With a note where the effect is not from the full design of a screen's survivors."""
    name, screen = effect.comparison.factor, results.screen
    if screen is None or name in find_blocks(results)[0].given:
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


def keep_agreeing(results: Results, best: BestSet, effects: Sequence[Effect]) -> tuple[int, ...]:
    """Those of the best set that have what is to be used, and nothing that is not; all, if there are none.

    With few seeds the set is wide, since single recipes are compared. A factor's effect is the mean over
    all of them, so it may well be clear that some of the set only had luck.
    """

    def agrees(index: int) -> bool:
        levels = results.recipes[index].levels
        for effect in effects:
            one, kind = effect.comparison, effect.decision.kind if effect.decision else "open"
            level = levels.get(one.factor, one.baseline)
            if (kind == "avoid" and level == one.level) or (kind == "use" and level == one.baseline):
                return False
        return True

    return tuple(index for index in best.members if agrees(index)) or best.members


def find_cheapest(results: Results, members: Sequence[int], split: str) -> int:
    """The recipe that takes the fewest seconds; of several, the one with the best mean."""
    means, seconds = results.means(split), np.nan_to_num(results.run_seconds, nan=np.inf)
    return min(members, key=lambda index: (seconds[index], -means[index]))


def mattering(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Those whose adjusted interval leaves out 0 and is not within the margin."""
    return [one for one in interactions if one.effect.decision and one.effect.decision.kind == "interact"]
