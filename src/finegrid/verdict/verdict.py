"""A study's verdict: what each strategy is worth, what it costs, and which recipe to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from finegrid.losses import Loss
from finegrid.metrics import MARGIN, MOST_MARGIN, TOLERANCE
from finegrid.recipe.identity import Levels
from finegrid.results.results import Results
from finegrid.spelling import format_level
from finegrid.statistics.best import BestSet, best_set
from finegrid.statistics.comparisons import Comparison, Contrast
from finegrid.statistics.costs import CostEffect, compare_costs, surely_less
from finegrid.statistics.decide import Decision, Interval, finest_margin, plain_interval
from finegrid.statistics.effects import (
    Analysis,
    Effect,
    Interaction,
    analyse,
    score_recipes,
)
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.failures import find_risky
from finegrid.statistics.ladder import Ladder, compare_levels
from finegrid.statistics.many_to_one import ManyToOne, compare_with
from finegrid.statistics.posterior import find_posterior
from finegrid.statistics.recommend import Recommendation, recommend
from finegrid.study.scored_label import check_gold
from finegrid.verdict.calibration import measure_calibration
from finegrid.verdict.context import Condition, LocalEffect, find_conditions, find_local_effects
from finegrid.verdict.diagnose import Warning, diagnose
from finegrid.verdict.ensembles import Ensemble, score_ensembles
from finegrid.verdict.failures import StudyFailures, avoid_failing, find_failures
from finegrid.verdict.free import FreeVerdict, judge_free
from finegrid.verdict.outcomes import (
    collect_outcomes,
    count_points,
    find_blocks,
    mean_points,
    measure_influence,
)
from finegrid.verdict.splits import DrawnSplits, describe_splits
from finegrid.verdict.undertrained import Undertrained, find_undertrained


@dataclass(frozen=True)
class Waiting:
    """Runs that are missing.

    Attributes:
        left: Not trained yet. Those that failed were.
        runs: Of the plan.
    """

    left: int
    runs: int


@dataclass(frozen=True)
class Verdict:
    """Everything that `finegrid verdict` and the report tell; points in 0 to 100.

    Attributes:
        results: What was judged.
        margin: Points; smaller differences are none.
        test: The study's score on test, ready for further analyses.
        analysis: All effects on it.
        alpha: Chance of any wrong word.
        seconds: By name of the comparison; empty where no seconds are known.
        best: None where no run has finished.
        chosen_on: The split that chose.
        recommendation: What to use, and what else could be; None where the baseline has no run, or nothing
            tells how far two runs of one recipe differ.
        conditions: Of the strategies that are shown to depend on another one: what was decided at either
            level of that one.
        at_baseline, at_recommended: By comparison, what it does there, on test.
        scores: Of every recipe on test: mean, 95 % interval; as they are told, within what a score can be.
        ladders: Of every factor of three levels or more: the best one.
        warnings: What a reader must know beyond that.
        failures: Runs that failed to learn; None where there are none.
        against_baseline: Every recipe less the baseline, on test.
        splits: Where every seed has a split of its own of the texts.
        calibration: Main effects on log loss and Brier score of test; they decide nothing.
        free: Levels that were scored in every run; None where there are none.
        undertrained: The baseline was still rising; None where it had levelled out, or nothing tells.
    """

    results: Results
    margin: float
    test: Experiment
    analysis: Analysis
    alpha: float
    seconds: dict[str, CostEffect]
    best: BestSet | None
    chosen_on: str
    recommendation: Recommendation | None
    scores: tuple[tuple[float, Interval], ...]
    warnings: tuple[Warning, ...]
    against_baseline: ManyToOne
    conditions: Mapping[Comparison, tuple[Condition, ...]] = field(default_factory=dict)
    at_baseline: Mapping[Comparison, LocalEffect | None] = field(default_factory=dict)
    at_recommended: Mapping[Comparison, LocalEffect | None] = field(default_factory=dict)
    failures: StudyFailures | None = None
    ladders: tuple[Ladder, ...] = ()
    splits: DrawnSplits | None = None
    calibration: Mapping[Loss, tuple[Effect, ...]] = field(default_factory=dict)
    free: FreeVerdict | None = None
    undertrained: Undertrained | None = None

    @property
    def waiting(self) -> Waiting | None:
        """Runs of the plan that nobody has trained yet; None where there are none, and of tables."""
        results = self.results
        if results.audit is None or results.repeats or not (left := len(results.missing()["left"])):
            return None
        return Waiting(left, len(results.recipes) * len(results.seeds))

    @cached_property
    def ensembles(self) -> tuple[Ensemble, ...]:
        """The seeds' models together, of baseline and recommended recipe; none while runs are missing.

        Raises:
            InputError: predictions that cannot be read.
        """
        rows = (self.results.baseline, self.recommended)
        return () if self.waiting else score_ensembles(self.results, [row for row in rows if row is not None])

    @property
    def recommended(self) -> int | None:
        """Of ``results.recipes``. Where nothing is known, what there is is kept; None if that has no run."""
        if self.best is None:
            return None
        if self.recommendation is not None:
            return self.recommendation.recommended.recipe
        baseline = self.results.baseline
        return baseline if self.test.completion.kept[baseline] else None

    @property
    def eligible(self) -> tuple[int, ...]:
        """Recipes that could be recommended: hardly worse than the baseline."""
        if self.recommendation is None:
            return () if self.recommended is None else (self.recommended,)
        allowed = np.flatnonzero(self.recommendation.allowed)
        return tuple(int(row) for row in allowed)

    def of(self, effect: Effect) -> CostEffect | None:
        return self.seconds.get(key(effect.contrast))

    def memory(self, effect: Effect) -> float:
        """What a level does to the peak memory of a run, in bytes; nan where it was not probed."""
        weights, memory = effect.contrast.weights, self.results.memory()
        return float(weights @ memory) if weights is not None else np.nan

    def runs_of_seeds(self, seeds: int) -> int:
        """How many runs more seeds take: every distinct recipe with each."""
        return len(self.results.recipes) * int(seeds)

    def hours_of_runs(self, runs: int) -> float:
        """Of one worker; nan where seconds are not those of runs."""
        if self.results.seconds_per != "run":
            return np.nan
        known = self.results.run_seconds
        known = known[np.isfinite(known)]
        return float(known.mean() * runs / 3600) if len(known) else np.nan

    def frontier(self) -> list[int]:
        """Recipes of which more is expected than of any that takes no longer, fewest seconds first."""
        if self.recommendation is None:
            return []
        return [expected.recipe for expected in self.recommendation.frontier]

    def smallest_margin(self, effect: Effect) -> float:
        """The smallest margin, in points, that these test texts could show, however many seeds there are."""
        analysis = self.analysis
        if not analysis.texts or not np.isfinite(effect.se):
            return np.nan
        share = self.alpha / len(analysis.effects)
        left = float(np.sqrt(effect.components.variance(np.inf, analysis.texts)))  # with runs without end
        of_texts = plain_interval(0.0, left, np.inf, share)
        return max(of_texts.high, finest_margin(self.test.outcomes.grain, share))

    def decision_for(self, effect: Effect, levels: Levels) -> Decision | None:
        """What was decided on a strategy in a recipe: at its level of the strategy that it depends on."""
        for condition in self.conditions.get(effect.comparison, ()):
            factor, level = condition.given
            if levels.get(factor) == level:
                return condition.decision
        return effect.decision

    def against_words(self) -> list[tuple[Effect, Decision]]:
        """Strategies that the recommended recipe does not use as the table tells.

        The table is about test, and about the mean over all recipes; the recommendation is about dev, and one
        recipe. `at_recommended` says what the strategy does there.
        """
        if self.recommended is None:
            return []
        levels = self.results.recipes[self.recommended].levels
        found = []
        for effect in self.analysis.effects:
            one, decision = effect.comparison, self.decision_for(effect, levels)
            level = levels.get(one.factor, one.baseline)
            if decision and (
                (decision.kind == "avoid" and level == one.level)
                or (decision.kind == "use" and level == one.baseline)
            ):
                found.append((effect, decision))
        return found


def key(contrast: Contrast) -> str:
    return " x ".join(f"{comparison.factor} = {comparison.level!r}" for comparison in contrast.comparisons)


def judge(
    results: Results,
    margin: float | None = None,
    alpha: float = 0.05,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Analyse what a study has shown so far.

    Args:
        results: of a study or an imported table.
        margin: points; smaller differences are none. None: `choose_margin`.
        alpha: chance of any wrong word; of one look, where there are several.
        tolerance: points that a recommended recipe may lose against the baseline.

    Raises:
        InputError: predictions that cannot be read, or the score is of a label that dev or test lacks.
    """
    check_score_has_texts(results)
    margin = choose_margin(results) if margin is None else margin
    test = Experiment.of(collect_outcomes(results, "test"))
    seconds = results.seconds()
    spent = compare_costs(test, seconds) if np.isfinite(seconds).any() else []
    analysis = analyse(test, margin, alpha, surely_less(spent))
    if results.is_nested("test") and results.audit is not None:  # texts are in the splits, not beside them
        analysis = replace(analysis, texts=results.audit.sizes["test"])
    if results.screen is not None or results.merged:
        noted = tuple(add_note(effect, results) for effect in analysis.effects)
        analysis = replace(analysis, effects=noted)
    chosen_on = "dev" if results.audit is not None and results.protocol == "best-dev" else "test"
    choosing = test
    if chosen_on == "dev":
        influence, splits = measure_influence(results, "dev"), results.splits("dev")
        choosing = test.with_scores(count_points(results, "dev"), influence, splits=splits)
    failures = find_failures(results, test, margin, alpha)
    undertrained = find_undertrained(results, margin)
    if failures:
        analysis = tell_failures(analysis, failures, alpha)
    posterior, risky = find_posterior(choosing), None
    if failures:  # of runs that learned, since what is not risky hardly fails
        posterior = find_posterior(Experiment.of(collect_outcomes(results, chosen_on, failures.runs.failed)))
        risky = find_risky(failures.cells)
    verdict = Verdict(
        results=results,
        margin=margin,
        test=test,
        analysis=analysis,
        alpha=alpha,
        seconds={key(cost.contrast): cost for cost in spent},
        best=best_set(choosing),
        chosen_on=chosen_on,
        recommendation=recommend(posterior, results.baseline, results.run_seconds, tolerance, risky)
        if posterior
        else None,
        scores=tuple(tell_score(results, *score) for score in score_recipes(test)),
        ladders=compare_levels(test, alpha),
        warnings=tuple(diagnose(results, undertrained)),
        failures=failures,
        against_baseline=compare_with(test, results.baseline, margin, alpha),
        splits=describe_splits(results),
        calibration=measure_calibration(results, test),
        free=judge_free(results, margin, alpha),
        undertrained=undertrained,
    )
    return add_context(verdict)


def choose_margin(results: Results, split: str = "test") -> float:
    """A tenth of the baseline's error, from 0.2 to 0.5 points: what is too small to matter to anybody.

    It follows from the task, never from how little a small test set could show.
    """
    scale, score = results.scale, mean_points(results, split)[results.baseline]
    best = scale.to_points(np.array(scale.low if scale.lower_is_better else scale.high))
    tenth = (float(best) - score) / 10 if np.isfinite(score) and np.isfinite(best) else MARGIN
    return round(min(max(float(tenth), MARGIN), MOST_MARGIN), 2)


def add_context(verdict: Verdict) -> Verdict:
    """With what each strategy does where it is used."""
    comparisons = [effect.comparison for effect in verdict.analysis.effects]
    rows = [row for row in (verdict.results.baseline, verdict.recommended) if row is not None]
    local: dict[int, dict[Comparison, LocalEffect | None]] = {}
    if verdict.test.completion.kept.any():
        levels = [verdict.results.recipes[row].levels for row in rows]
        effects = find_local_effects(verdict.test, levels, comparisons)
        for row, of_row in zip(rows, effects, strict=True):
            local[row] = dict(zip(comparisons, of_row, strict=True))
    return replace(
        verdict,
        conditions=find_conditions(
            verdict.analysis, verdict.margin, verdict.alpha, verdict.test.outcomes.grain
        ),
        at_baseline=local.get(verdict.results.baseline, {}),
        at_recommended={} if verdict.recommended is None else local.get(verdict.recommended, {}),
    )


def tell_failures(analysis: Analysis, failures: StudyFailures, alpha: float) -> Analysis:
    """With what failing runs decide. A run's own luck is that of runs that learned."""
    return replace(
        analysis,
        effects=avoid_failing(analysis.effects, failures.levels, alpha),
        method=failures.learned.method,
        run_sd=failures.learned.run_sd,
    )


def tell_score(results: Results, mean: float, interval: Interval) -> tuple[float, Interval]:
    """A score in points as the study or table tells it, its interval cut where no score can be."""
    return results.scale.to_told(mean), Interval(*results.scale.tell_range(interval.low, interval.high))


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
    """With a note where nothing can be compared, or not in the full design of a screen's survivors."""
    compared = effect.comparison
    merged = next(
        (m for m in results.merged if (m.factor, m.level) == (compared.factor, compared.level)), None
    )
    if merged is not None:
        why = f" ({merged.reason})" if merged.reason else ""
        same = f"{format_level(merged.level)} and {format_level(merged.other)} are one run here{why}"
        return replace(effect, notes=(f"not estimable: {same}",))
    name, screen = compared.factor, results.screen
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


def mattering(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Those whose adjusted interval leaves out 0 and is not within the margin."""
    return [one for one in interactions if one.effect.decision and one.effect.decision.kind == "interact"]
