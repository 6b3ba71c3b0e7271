"""What each factor of a study is worth: effects, their chance, and a decision for each.

    seconds = costs(outcomes, seconds_per_run)    # costs.py: main effects in seconds (or bytes)
    analysis = analyse(outcomes, margin=0.2, faster=surely_less(seconds))
    chosen = best_set(outcomes_on_dev)            # best.py
    smallest = detectable(of_run(...), ...)       # finegrid.statistics.power

`docs/statistics.md` has the model and what it was tested on. Pure functions of arrays: nothing here
knows studies, ledgers or files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finegrid.metrics import MARGIN
from finegrid.statistics.contrasts import (
    Comparison,
    Contrast,
    interaction_contrasts,
    main_contrasts,
    residual_basis,
    weights_of,
)
from finegrid.statistics.decide import (
    Ahead,
    Decision,
    Interval,
    Needs,
    adjusted_intervals,
    decide,
    find_needs,
    holm,
    p_values,
    plain_interval,
)
from finegrid.statistics.outcomes import Filled, Floats, Outcomes, fill
from finegrid.statistics.variance import Components, Noise, between_seeds, one_seed


@dataclass(frozen=True)
class Effect:
    """One comparison in numbers; points, and points squared for components.

    Attributes:
        contrast: What is compared: `Comparison`s, weights over recipes, aliases, contexts.
        estimate: nan if the design or the missing runs do not give it.
        plain: The 95 % interval of this effect on its own.
        adjusted: The interval that the decision uses (`decide.adjusted_intervals`); that of conditional
            effects is the plain one, they are read with their interaction and have no decision.
        p: Holm's adjusted p-value.
        one: Variances of one seed, one text, one text in one seed.
        notes: What a reader must know: missing cells, aliases.
    """

    contrast: Contrast
    estimate: float
    se: float
    df: float
    plain: Interval
    adjusted: Interval
    p: float
    one: Components
    decision: Decision | None
    notes: tuple[str, ...]

    @property
    def comparison(self) -> Comparison:
        """Of a main or conditional effect."""
        return self.contrast.comparisons[0]

    @property
    def needs(self) -> Needs | None:
        """What would settle it, if it is open and something would."""
        return self.decision.needs if self.decision else None


@dataclass(frozen=True)
class Interaction:
    """Half the difference of two effects, and the effects.

    Attributes:
        conditional: The first factor at the baseline and at the other level of the second, then the other
            way round.
    """

    effect: Effect
    conditional: tuple[Effect, ...]


@dataclass(frozen=True)
class Analysis:
    """Attributes:
    effects, interactions: In the order of the factors.
    method: Where the noise of a run comes from; see `variance.Noise`.
    run_sd: Standard deviation of one run, points.
    seeds, texts: texts is 0 without predictions: then the sample of test texts is not covered.
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
    outcomes: Outcomes,
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
    filled = fill(outcomes)
    of = (outcomes.factors, outcomes.recipes, filled.kept, outcomes.blocks)
    mains = main_contrasts(*of)
    crossed = interaction_contrasts(*of)
    families = [
        mains,
        [one.contrast for one in crossed],
        [each for one in crossed for each in one.conditional],
    ]
    chance = _Chance(outcomes, filled, families)
    effects, products, conditional = (
        _effects(family, filled, chance.of(family), margin, alpha if number < 2 else None, faster)
        for number, family in enumerate(families)
    )
    interactions, start = [], 0
    for one, product in zip(crossed, products, strict=True):
        stop = start + len(one.conditional)
        interactions.append(Interaction(product, tuple(conditional[start:stop])))
        start = stop
    noise = chance.of(mains)
    planned = filled.seeds * len(outcomes.recipes)
    return Analysis(
        tuple(effects),
        tuple(interactions),
        noise.method,
        noise.run_sd,
        filled.seeds,
        noise.texts,
        planned - int(filled.ran.sum()),
        tuple(int(row) for row in np.flatnonzero(~filled.kept)),
    )


class _Chance:
    """Where noise comes from: several seeds, or what stands in for them."""

    def __init__(self, outcomes: Outcomes, filled: Filled, families: Sequence[list[Contrast]]) -> None:
        self.filled = filled
        self.reference, _ = weights_of([*families[0], *families[1]], filled)
        basis = residual_basis(outcomes.factors, outcomes.recipes, filled.kept)
        self.leftover = basis[filled.kept]
        self.repeats = None if outcomes.repeats is None else outcomes.repeats[filled.kept]

    def of(self, family: list[Contrast]) -> Noise:
        """Of the contrasts that are given."""
        return self.of_weights(weights_of(family, self.filled)[0])

    def of_weights(self, weights: Floats) -> Noise:
        """``weights``: ``[effects, kept recipes]``."""
        if self.filled.seeds > 1:
            return between_seeds(self.filled, weights)
        return one_seed(self.filled, weights, self.leftover, self.reference, self.repeats)


def recipe_scores(outcomes: Outcomes) -> list[tuple[float, Interval]]:
    """Of every recipe: its mean score, and the 95 % interval for other seeds and other texts.

    nan, and an interval without ends, where no run has finished.
    """
    filled = fill(outcomes)
    nothing = (np.nan, Interval(-np.inf, np.inf))
    found = [nothing] * len(outcomes.recipes)
    if not filled.kept.any():
        return found
    of = (outcomes.factors, outcomes.recipes, filled.kept, outcomes.blocks)
    mains = main_contrasts(*of)
    products = [one.contrast for one in interaction_contrasts(*of)]
    noise = _Chance(outcomes, filled, [mains, products]).of_weights(np.eye(len(filled.score)))
    each = zip(np.flatnonzero(filled.kept), filled.score.mean(axis=1), noise.variance, noise.df, strict=True)
    for row, mean, variance, df in each:
        found[row] = (float(mean), plain_interval(float(mean), float(np.sqrt(variance)), float(df)))
    return found


def _effects(
    family: list[Contrast],
    filled: Filled,
    noise: Noise,
    margin: float,
    alpha: float | None,
    faster: Collection[tuple[str, object]],
) -> list[Effect]:
    """``alpha`` None: neither adjusted nor decided."""
    weights, given = weights_of(family, filled)
    if not given:
        return [_not_given(contrast) for contrast in family]
    estimate = weights @ filled.score.mean(axis=1)
    se, df = np.sqrt(noise.variance), noise.df
    plain = [plain_interval(*each) for each in zip(estimate, se, df, strict=True)]
    adjusted = plain if alpha is None else adjusted_intervals(estimate, se, df, alpha)
    p = p_values(estimate, se, df)
    p = p if alpha is None else holm(p)
    single = noise.single()
    effects = {}
    for row, number in enumerate(given):
        contrast = family[number]
        one = Components(*(part[row] for part in (single.seed, single.text, single.seed_text)))
        decision = None
        if alpha is not None:
            main = contrast.comparisons[0]
            fast = len(contrast.comparisons) == 1 and (main.factor, main.level) in faster
            decision = decide(adjusted[row], margin, fast)
            if len(contrast.comparisons) == 2 and decision.kind in ("use", "avoid"):
                decision = Decision("interact")
            if decision.kind == "open" and np.isfinite(se[row]):
                share = alpha / len(given)
                ahead = Ahead(estimate[row], one, noise.seeds, noise.texts, noise.df_seed[row], share, margin)
                decision = replace(decision, needs=find_needs(ahead))
        effects[number] = Effect(
            contrast,
            float(estimate[row]),
            float(se[row]),
            float(df[row]),
            plain[row],
            adjusted[row],
            float(p[row]),
            one,
            decision,
            _notes(contrast),
        )
    return [effects.get(number) or _not_given(contrast) for number, contrast in enumerate(family)]


def _not_given(contrast: Contrast) -> Effect:
    nothing = Interval(-np.inf, np.inf)
    unknown = np.array(np.nan)
    one = Components(unknown, unknown, unknown)
    decision = None if contrast.given else Decision("open")
    notes = ("not estimable: the runs that finished do not show it",)
    return Effect(contrast, np.nan, np.inf, 1.0, nothing, nothing, 1.0, one, decision, notes)


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
