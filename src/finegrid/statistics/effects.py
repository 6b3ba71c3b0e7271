"""What each factor of a study is worth: effects, their chance, and a decision for each.

    experiment = Experiment.of(outcomes)                    # experiment.py: contrasts, noise
    seconds = compare_costs(experiment, seconds_per_run)    # costs.py: effects in seconds (or bytes)
    analysis = analyse(experiment, margin=0.2, faster=surely_less(seconds))
    chosen = best_set(experiment_on_dev)                    # best.py
    smallest = detectable(scale_run(...), ...)              # power.py

`docs/statistics.md` has the model and what it was tested on. Pure functions of arrays: nothing here
knows studies, ledgers or files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finegrid.metrics import MARGIN
from finegrid.statistics.comparisons import Comparison, Contrast
from finegrid.statistics.decide import (
    Ahead,
    Decision,
    Interval,
    Needs,
    adjusted_intervals,
    decide,
    find_needs,
    finest_margin,
    holm,
    mark_aliased,
    p_values,
    plain_interval,
)
from finegrid.statistics.experiment import EffectFamily, Experiment
from finegrid.statistics.twins import find_twins
from finegrid.statistics.variance import Components, Noise


@dataclass(frozen=True)
class Effect:
    """One comparison in numbers; points, and points squared for components.

    Attributes:
        contrast: What is compared: `Comparison`s, weights over recipes, aliases, contexts.
        estimate: nan if the design or the missing runs do not give it.
        se: Its standard error; inf where unknown.
        df: Degrees of freedom of ``se``.
        plain: The 95 % interval of this effect on its own.
        adjusted: The interval that the decision uses (`decide.adjusted_intervals`); that of conditional
            effects is the plain one, they are read with their interaction and have no decision.
        p: Holm's adjusted p-value.
        components: Variances of one seed, one text, one text in one seed.
        decision: None for conditional effects.
        notes: What a reader must know: missing cells, aliases.
    """

    contrast: Contrast
    estimate: float
    se: float
    df: float
    plain: Interval
    adjusted: Interval
    p: float
    components: Components
    decision: Decision | None
    notes: tuple[str, ...]

    @property
    def comparison(self) -> Comparison:
        """Of a main or conditional effect."""
        return self.contrast.comparisons[0]

    @property
    def needs(self) -> Needs | None:
        """What would settle it, if it is open and its noise is known."""
        return self.decision.needs if self.decision else None


@dataclass(frozen=True)
class Interaction:
    """The difference of two effects, and these effects.

    Attributes:
        effect: The interaction itself.
        conditional: The first factor at the baseline and at the other level of the second, then the other
            way round.
    """

    effect: Effect
    conditional: tuple[Effect, ...]


@dataclass(frozen=True)
class Analysis:
    """All effects of a study, and what they rest on.

    Attributes:
        effects: Main effects, in the order of the factors.
        interactions: Of two factors each, in the order of the factors.
        method: Where the noise of a run comes from; see `variance.Noise`.
        run_sd: Standard deviation of one run, points.
        seeds: How many have any run.
        texts: How many were predicted; 0 without predictions: then the sample of test texts is not covered.
        missing: Planned runs without a score, in the seeds that have any run.
        empty: Rows of the recipes without any run.
    """

    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    method: str
    run_sd: float
    seeds: int
    texts: int
    missing: int
    empty: tuple[int, ...]


def analyse(
    experiment: Experiment,
    margin: float = MARGIN,
    alpha: float = 0.05,
    faster: Collection[tuple[str, object]] = (),
) -> Analysis:
    """All effects of a study.

    Args:
        margin: Points; smaller differences are none.
        alpha: Chance of any wrong sign among the main effects, and among the interactions. A plan with
            several looks passes the share of this look.
        faster: ``(factor, level)`` of comparisons that are surely faster (`surely_less`).
    """
    completion, noise = experiment.completion, experiment.main_noise
    planned = completion.seeds * len(experiment.outcomes.recipes)
    return Analysis(
        analyse_mains(experiment, margin, alpha, faster),
        _analyse_interactions(experiment, margin, alpha),
        noise.method,
        noise.run_sd,
        experiment.runs_each,
        noise.texts,
        planned - int(completion.ran.sum()),
        tuple(int(row) for row in np.flatnonzero(~completion.kept)),
    )


def analyse_mains(
    experiment: Experiment,
    margin: float = MARGIN,
    alpha: float = 0.05,
    faster: Collection[tuple[str, object]] = (),
) -> tuple[Effect, ...]:
    """The main effects of an `Analysis`, in the order of the factors; arguments as there."""
    family, noise = experiment.families.mains, experiment.main_noise
    return _judge_family(family, experiment, noise, margin, alpha, faster)


def _analyse_interactions(experiment: Experiment, margin: float, alpha: float) -> tuple[Interaction, ...]:
    families = experiment.families
    products = _judge_family(families.interactions, experiment, experiment.interaction_noise, margin, alpha)
    conditional = iter(
        _judge_family(families.conditional, experiment, experiment.conditional_noise, margin, None)
    )
    return tuple(
        Interaction(product, tuple(next(conditional) for _ in interaction.conditional))
        for interaction, product in zip(families.contrasts.interactions, products, strict=True)
    )


UNKNOWN = Interval(-np.inf, np.inf)


def score_recipes(experiment: Experiment) -> list[tuple[float, Interval]]:
    """Of every recipe: its mean score, and the 95 % interval for other seeds and other texts.

    nan, and an interval without ends, where no run has finished.
    """
    scores = [(np.nan, UNKNOWN)] * len(experiment.outcomes.recipes)
    kept = np.flatnonzero(experiment.completion.kept)
    if len(kept):
        for row, score in zip(kept, _score_places(experiment, range(len(kept))), strict=True):
            scores[row] = score
    return scores


def score_recipe(experiment: Experiment, row: int) -> tuple[float, Interval]:
    """The same of one recipe. Influence values are read of `Experiment.influencing` recipes alone."""
    kept = experiment.completion.kept
    if not kept[row]:
        return np.nan, UNKNOWN
    (score,) = _score_places(experiment, [int(kept[:row].sum())])
    return score


def _score_places(experiment: Experiment, places: Sequence[int]) -> list[tuple[float, Interval]]:
    """Of some recipes, by their places among those that ran."""
    noise, grain = experiment.recipe_noise(places), experiment.outcomes.grain
    means = experiment.filled.score.mean(axis=1)[list(places)]
    return [
        (float(mean), plain_interval(float(mean), float(np.sqrt(variance)), float(df), grain=grain))
        for mean, variance, df in zip(means, noise.variance, noise.df, strict=True)
    ]


def _judge_family(
    family: EffectFamily,
    experiment: Experiment,
    noise: Noise,
    margin: float,
    alpha: float | None,
    faster: Collection[tuple[str, object]] = (),
) -> tuple[Effect, ...]:
    """``noise``: of the given effects of the family. ``alpha`` None: neither adjusted nor decided."""
    if not family.given:
        return tuple(_not_given(one, find_twins(experiment, one)) for one in family.contrasts)
    estimate = family.estimators.weights @ experiment.filled.score.mean(axis=1)
    se, df = np.sqrt(noise.variance), noise.df
    grain = experiment.outcomes.grain
    plain = [plain_interval(*each, grain=grain) for each in zip(estimate, se, df, strict=True)]
    adjusted = plain if alpha is None else adjusted_intervals(estimate, se, df, alpha, grain)
    p = p_values(estimate, se, df)
    p = p if alpha is None else holm(p)
    single = noise.single()
    effects = {}
    for row, number in enumerate(family.given):
        contrast = family.contrasts[number]
        components = Components(*(part[row] for part in single.parts), overlap=single.overlap)
        decision = None
        if alpha is not None:
            main = contrast.comparisons[0]
            fast = len(contrast.comparisons) == 1 and (main.factor, main.level) in faster
            finest = finest_margin(grain, alpha / len(family.given))
            decision = mark_aliased(decide(adjusted[row], margin, fast, finest), contrast)
            if len(contrast.comparisons) == 2 and decision.kind in ("use", "avoid"):
                decision = Decision("interact")
            if decision.kind == "open" and np.isfinite(se[row]):
                share = alpha / len(family.given)
                ahead = Ahead(
                    estimate[row],
                    components,
                    noise.seeds,
                    noise.texts,
                    noise.df_seed[row],
                    share,
                    margin,
                    grain,
                )
                decision = replace(decision, needs=find_needs(ahead))
            elif decision.kind == "open":
                decision = replace(decision, needs=Needs(noise.seeds + 1, None, "unknown-noise"))
        effects[number] = Effect(
            contrast,
            float(estimate[row]),
            float(se[row]),
            float(df[row]),
            plain[row],
            adjusted[row],
            float(p[row]),
            components,
            decision,
            _notes(contrast),
        )
    return tuple(
        effects.get(number) or _not_given(contrast, find_twins(experiment, contrast))
        for number, contrast in enumerate(family.contrasts)
    )


def _not_given(contrast: Contrast, twins: Sequence[str] = ()) -> Effect:
    unknown = np.array(np.nan)
    components = Components(unknown, unknown, unknown)
    decision = None if contrast.given else Decision("open")
    notes = ("not estimable: the runs that finished do not show it",)
    if twins:
        same = " and ".join([contrast.name, *twins])
        notes = (f"not estimable: {same} are the same in every recipe that ran",)
    return Effect(contrast, np.nan, np.inf, 1.0, UNKNOWN, UNKNOWN, 1.0, components, decision, notes)


def _notes(contrast: Contrast) -> tuple[str, ...]:
    notes = []
    if contrast.contexts < contrast.planned:
        lost = contrast.planned - contrast.contexts
        notes.append(
            f"not estimable as defined: {lost} of {contrast.planned} comparisons lack a recipe without any "
            f"finished run; this is the mean of the other {contrast.contexts}"
        )
    if contrast.aliases:
        notes.append(f"aliased: this design cannot tell it from {', '.join(contrast.aliases)}")
    return tuple(notes)
