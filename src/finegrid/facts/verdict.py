"""What ``verdict --json`` holds, and report.json of the verdict: the types of their JSON.

`docs/reference/verdict.schema.json` is generated from them (`scripts/schemas.py`).
"""

from __future__ import annotations

from typing import (
    Annotated,
    Literal,
    NotRequired,  # pydantic reads no other before Python 3.12
)

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.decide import Kind, Reason

Points = Annotated[float | None, Field(description="Points of 100; null where it is not known.")]
Seconds = Annotated[float | None, Field(description="Seconds; null where they are not known.")]
Bytes = Annotated[float | None, Field(description="Bytes; null where they are not known.")]
Ends = Annotated[
    list[float | None],
    Field(min_length=2, max_length=2, description="From and to; null where an end is not known."),
]
Pair = Annotated[list[Level], Field(min_length=2, max_length=2)]
Split = Literal["dev", "test"]


class FailingFacts(TypedDict):
    """How many runs fail to learn at a level, and at the first level in the recipes it is compared with."""

    failed: Annotated[int, Field(description="Diverged, or ended without having learned.")]
    diverged: Annotated[int, Field(description="Of these.")]
    runs: Annotated[int, Field(description="That are done or diverged.")]
    baseline_failed: int
    baseline_runs: int
    given: Annotated[
        list[Level] | None,
        Field(description="A factor and its level that all failing recipes have; null if there is none."),
    ]


class DecisionFacts(TypedDict):
    """What was decided: on the adjusted interval, at the margin."""

    kind: Annotated[
        Kind,
        Field(
            description="use, avoid: surely better, surely worse. same: no difference beyond the margin. "
            "open: none of these. interact: two strategies depend on each other."
        ),
    ]
    measurable: Annotated[bool, Field(description="Of same: zero lies outside the interval all the same.")]
    for_speed: Annotated[bool, Field(description="Of same: it is surely faster.")]
    aliased: Annotated[
        bool,
        Field(
            description="Of use, avoid and same of a strategy: the design cannot tell it from its aliases, "
            "so this holds for their sum."
        ),
    ]
    because: NotRequired[
        Annotated[FailingFacts, Field(description="Of avoid: runs surely fail more often, if that is why.")]
    ]
    waiting: NotRequired[
        Annotated[bool, Field(description="Of open: because runs of the plan are missing; else absent.")]
    ]
    at_epochs: NotRequired[
        Annotated[
            int,
            Field(
                description="Of use, avoid and same: it is said of so many epochs, after which the baseline "
                "was still rising, so it may be speed and not quality; else absent."
            ),
        ]
    ]


class NeedsFacts(TypedDict):
    """What would settle an open decision if its estimate stayed as it is: totals, not additions."""

    reason: Annotated[
        Reason,
        Field(
            description="feasible: these seeds or these texts would. unknown-noise: nothing is known yet of "
            "how far runs differ, and these seeds would tell. too-small: the effect is too small to settle "
            "with these texts, and nothing is told of what would."
        ),
    ]
    seeds: Annotated[int | None, Field(description="null where more texts are enough, or it is too small.")]
    texts: Annotated[int | None, Field(description="null where more seeds are enough, or it is too small.")]
    runs: Annotated[int, Field(description="How many more runs these seeds take.")]
    hours: Annotated[float | None, Field(description="What these runs take one worker.")]


class EstimateFacts(TypedDict):
    """A difference, with its chance."""

    effect: Points
    low: Annotated[Points, Field(description="The lower end of the 95 % interval.")]
    high: Annotated[Points, Field(description="The upper end of the 95 % interval.")]
    adjusted: Annotated[Ends, Field(description="The interval that the decision rests on, in points.")]
    se: Annotated[Points, Field(description="The standard error.")]
    df: Annotated[float | None, Field(description="Its degrees of freedom.")]
    p: Annotated[float | None, Field(description="Holm's adjusted p-value.")]


class EffectFacts(EstimateFacts):
    """A difference between means over recipes."""

    notes: Annotated[list[str], Field(description="What a reader must know of it.")]
    aliases: Annotated[list[str], Field(description="What the design cannot tell it from.")]


class LocalFacts(TypedDict):
    """What a level does in one recipe; posterior."""

    effect: Points
    low: Annotated[Points, Field(description="From here to high with a probability of 95 %.")]
    high: Points


class ConditionFacts(TypedDict):
    """What was decided on a strategy at one level of another one."""

    given: Annotated[list[Level], Field(description="The other factor, and its level.")]
    effect: Points
    low: Points
    high: Points
    decision: DecisionFacts


class LossEffectFacts(TypedDict):
    """What a level does to how sure the models are; lower is better. It decides nothing."""

    effect: Annotated[float | None, Field(description="Log loss in nats; Brier score, 0 to 2.")]
    low: Annotated[float | None, Field(description="The lower end of the plain 95 % interval.")]
    high: Annotated[float | None, Field(description="The upper end of the plain 95 % interval.")]


class SplitsFacts(TypedDict):
    """Splits of a pool of texts, where every seed draws its own."""

    seen: Annotated[int, Field(description="How many have finished runs.")]
    of: Annotated[int, Field(description="How many there are.")]
    test_per_train: Annotated[float, Field(description="Test texts over training texts of a split.")]
    choice: Annotated[
        Points,
        Field(
            description="Mean over splits of the test score of the recipe that the split's own dev scores "
            "choose; null where test has a file of its own."
        ),
    ]
    choice_interval: Ends


class FactorFacts(EffectFacts):
    """A level of a factor against the factor's first level."""

    factor: str
    levels: Annotated[Pair, Field(description="The first level, and the one that is compared with it.")]
    seconds: Annotated[Seconds, Field(description="What the level adds to a run (or an epoch).")]
    seconds_interval: Ends | None
    seconds_ratio: Annotated[float | None, Field(description="Of geometric means; 1 is equal.")]
    memory: Annotated[Bytes, Field(description="What the level adds to a run's peak memory.")]
    log_loss: LossEffectFacts | None
    brier: LossEffectFacts | None
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts
    needs: NeedsFacts | None
    conditions: Annotated[
        list[ConditionFacts],
        Field(description="Where it is shown to depend on another strategy: what holds at either level."),
    ]
    at_baseline: Annotated[LocalFacts | None, Field(description="What it does in the baseline.")]
    at_recommended: Annotated[LocalFacts | None, Field(description="What it does in the recommended recipe.")]
    smallest_margin: Annotated[
        Points, Field(description="The smallest margin that these test texts could show.")
    ]


class ConditionalFacts(TypedDict):
    """The effect of one factor at one level of another."""

    factor: str
    given: Annotated[list[Level], Field(description="The other factor, and its level.")]
    effect: Points
    low: Points
    high: Points


class InteractionFacts(EffectFacts):
    """The difference of two effects, and these effects."""

    factors: Annotated[list[str], Field(min_length=2, max_length=2)]
    levels: Annotated[list[Pair], Field(min_length=2, max_length=2)]
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts
    matters: Annotated[bool, Field(description="Whether the two are shown to depend on each other.")]
    conditional: list[ConditionalFacts]


class LadderFacts(TypedDict):
    """A factor of three levels or more: which level is best, and how sure that is."""

    factor: str
    levels: Annotated[list[Level], Field(description="Those that the runs compare, best first.")]
    effects: Annotated[list[Points], Field(description="Of each against the factor's first level.")]
    best: Level
    runner_up: Level
    difference: Annotated[Points, Field(description="The best level less the runner-up.")]
    interval: Annotated[Ends, Field(description="Of it: 95 %, over all pairs of levels together.")]
    clear: Annotated[bool, Field(description="Whether the best level is surely better than all others.")]
    contenders: Annotated[list[Level], Field(description="Levels that cannot be told from the best.")]


class EnsembleFacts(TypedDict):
    """The models of all seeds of a recipe together: the mean of their probabilities, on test."""

    rows: list[int]
    models: Annotated[int, Field(description="One a seed: a prediction costs so many times one of them.")]
    score: Points
    interval: Annotated[Ends, Field(description="Of it: 95 %, of other texts and these very models.")]
    gain: Annotated[Points, Field(description="On the mean score of the models one by one.")]
    gain_interval: Annotated[Ends, Field(description="Of the gain, as the interval.")]


class RecipeFacts(TypedDict):
    """A distinct recipe, by its rows of the design."""

    rows: list[int]
    levels: Levels
    test: Annotated[Points, Field(description="Its mean score on test, as the study or table tells it.")]
    test_interval: Ends
    seconds: Seconds
    gain: Annotated[Points, Field(description="Expected against the baseline; posterior.")]
    chance_worse: Annotated[
        float | None,
        Field(description="Probability that it is worse than the baseline by more than the tolerance."),
    ]


class ExpectedFacts(TypedDict):
    """What is expected of one recipe less another, points; posterior."""

    gain: Points
    low: Annotated[Points, Field(description="From here to high with a probability of 95 %.")]
    high: Points
    chance_worse: Annotated[
        float, Field(description="Probability that it is worse by more than the tolerance.")
    ]


class AlternativeFacts(TypedDict):
    """A recipe that is not recommended, and what is expected of it."""

    recipe: RecipeFacts
    expected: ExpectedFacts
    seconds_saved: Annotated[Seconds, Field(description="Against the recommended recipe.")]


class AgainstFacts(TypedDict):
    """A strategy that the recommended recipe does not use as its word tells."""

    factor: str
    level: Level
    decision: DecisionFacts
    effect: Annotated[Points, Field(description="The mean over recipes that the word rests on.")]
    at_recommended: LocalFacts | None


class AgainstBaselineFacts(TypedDict):
    """A distinct recipe less the baseline, on the same seeds and test texts."""

    rows: list[int]
    levels: Levels
    effect: Points
    low: Annotated[Points, Field(description="The lower end of the 95 % interval.")]
    high: Annotated[Points, Field(description="The upper end of the 95 % interval.")]
    adjusted: Annotated[
        Ends,
        Field(description="The interval that holds together with those of all other recipes, in points."),
    ]
    se: Annotated[Points, Field(description="The standard error.")]
    df: Annotated[float | None, Field(description="Its degrees of freedom.")]
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts


class BestFacts(TypedDict):
    """The recipe to use, what speaks for it, and the recipes that cannot be told from the best."""

    chosen_on: Split
    noise: Annotated[str, Field(description="Where the noise of a run comes from.")]
    set: list[RecipeFacts]
    eligible: Annotated[
        list[list[int]], Field(description="Rows of those that could be recommended: hardly worse.")
    ]
    rows: list[int]
    recommended: RecipeFacts
    baseline: RecipeFacts
    keep_baseline: Annotated[bool, Field(description="Whether what is recommended is the baseline.")]
    tolerance: Annotated[float, Field(description="Points that a recommended recipe may lose.")]
    whole: Annotated[
        bool,
        Field(
            description="Whether interactions of three and more factors were looked at: up to 512 recipes."
        ),
    ]
    expected: Annotated[
        ExpectedFacts | None,
        Field(description="Of the recommended recipe against the baseline; null where noise is unknown."),
    ]
    tempting: Annotated[
        AlternativeFacts | None,
        Field(description="The recipe of which most is expected, where that is not safe enough."),
    ]
    cheaper: Annotated[
        AlternativeFacts | None,
        Field(description="Takes less time, and loses least; against the recommended recipe."),
    ]
    against_words: Annotated[
        list[AgainstFacts],
        Field(description="Strategies that the recommended recipe does not use as their word tells."),
    ]


class ScreenedFacts(TypedDict):
    """What the first phase of a screen decided of one factor, on dev."""

    level: Level
    effect: Points
    adjusted: Ends
    decision: Annotated[str, Field(description="In English, for people.")]
    survives: bool


class ScreenFacts(TypedDict):
    """What the first phase of a screen decided."""

    survivors: list[str]
    margin: float
    seeds: list[int]
    rows: int
    factors: dict[str, ScreenedFacts]


class NoiseFacts(TypedDict):
    """A run's own luck."""

    method: Annotated[str, Field(description="Where it is estimated from.")]
    run_sd: Annotated[Points, Field(description="The standard deviation of one run.")]


class MissingFacts(TypedDict):
    """Planned runs without a score."""

    left: int
    diverged: int
    failed: int


class CutFacts(TypedDict):
    """The gap in the scores that tells runs that learned from those that did not, in points."""

    points: Annotated[float, Field(description="The middle of the gap.")]
    low: Annotated[float, Field(description="The lowest score below it.")]
    high: Annotated[float, Field(description="The highest score below it.")]
    lowest_learned: float
    typical: Annotated[float, Field(description="The median of the runs above it.")]


class FailingGroupFacts(TypedDict):
    """Runs of a level, or of a cell of two factors, against all others."""

    levels: Levels
    failed: int
    runs: int
    others_failed: int
    others: int
    p: Annotated[float, Field(description="Fisher's exact test, two-sided.")]
    p_adjusted: Annotated[float, Field(description="Holm's, over all groups looked at.")]
    looked_at: Annotated[int, Field(description="How many groups these were.")]


class FailedRunsFacts(TypedDict):
    """Runs that failed in one way, and where."""

    kind: Literal["diverged", "unlearned"]
    failed: int
    runs: int
    groups: Annotated[
        list[FailingGroupFacts],
        Field(description="That stand out: the most telling one, that of the runs outside it, and so on."),
    ]


class LevelFailuresFacts(FailingFacts):
    """A level against its factor's first level: runs that fail, and the effect among those that learned."""

    factor: str
    levels: Pair
    p: Annotated[float, Field(description="Fisher's exact test, two-sided.")]
    p_adjusted: Annotated[float, Field(description="Holm's, over all levels.")]
    learned: Annotated[Points, Field(description="The effect among runs that learned. It decides nothing.")]
    learned_interval: Annotated[Ends, Field(description="Its 95 % interval.")]


class RecipeFailuresFacts(TypedDict):
    """How often a recipe fails, as far as its own runs and those of its cell tell."""

    rows: list[int]
    failed: int
    runs: int
    cell: Annotated[Levels | None, Field(description="The group that stands out and that it is in.")]
    chance_rare: Annotated[float, Field(description="Posterior probability of a rate below 5 %.")]
    risky: Annotated[bool, Field(description="Whether that is below 90 %.")]


class FailuresFacts(TypedDict):
    """Runs that failed to learn."""

    split: Annotated[Split, Field(description="Whose scores tell that a run did not learn.")]
    definition: Annotated[str, Field(description="Of not having learned, in English, for people.")]
    majority: Annotated[
        Points, Field(description="The majority class's score on test: what a diverged run counts.")
    ]
    cut: Annotated[CutFacts | None, Field(description="null where no run ended without having learned.")]
    kinds: list[FailedRunsFacts]
    levels: list[LevelFailuresFacts]
    groups: Annotated[
        list[FailingGroupFacts],
        Field(description="Every level and cell of two factors with a failed run, the most telling first."),
    ]
    recipes: Annotated[
        list[RecipeFailuresFacts], Field(description="Those that had a failed run, or are in such a cell.")
    ]


class FreeLevelFacts(EstimateFacts):
    """A level of a free factor against its first; both were scored in every run.

    The difference is null where the level cannot move the score. Its chances are adjusted among free factors.
    """

    factor: str
    levels: Annotated[Pair, Field(description="The first level, and the one that is compared with it.")]
    decision: Annotated[
        DecisionFacts | None, Field(description="null where the level cannot move the score.")
    ]
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    needs: NeedsFacts | None
    log_loss: LossEffectFacts | None
    brier: LossEffectFacts | None
    dev_passes: Annotated[int, Field(description="How often it predicts dev beside the run, at most.")]
    test_passes: Annotated[int, Field(description="How often it predicts test beside the run, at most.")]
    copies: Annotated[int, Field(description="Copies of the weights that it keeps, at most.")]
    dev_looks: Annotated[
        float | None,
        Field(description="Of a soup: how often dev was scored to choose its members, mean over runs."),
    ]


class FreeVerdictFacts(TypedDict):
    """What free factors are worth: their own noise, and their own share of chance."""

    levels: list[FreeLevelFacts]
    runs: Annotated[int, Field(description="That were scored at all levels.")]
    lacking: Annotated[int, Field(description="That have finished, but were not.")]
    left_out: Annotated[int, Field(description="Recipes that contradict a level; their runs do not count.")]
    seeds: int
    method: Annotated[str, Field(description="Where the noise is estimated from.")]
    seconds: Annotated[Seconds, Field(description="What scoring takes beside a run, at all levels.")]


class WarningFacts(TypedDict):
    """A warning about the study, in English."""

    kind: str
    what: str
    advice: str


class WaitingFacts(TypedDict):
    """Runs of the plan that were not trained yet: until they are, nothing is decided or recommended."""

    left: int
    runs: Annotated[int, Field(description="Of the plan.")]


class UndertrainedFacts(TypedDict):
    """The baseline was still rising at its last epoch, or had only one."""

    epochs: int
    last: Annotated[int | None, Field(description="Seeds that are best at it; null of one epoch.")]
    curves: Annotated[int | None, Field(description="Of so many; null of one epoch.")]
    gain: Annotated[
        Points, Field(description="Of the last epoch over the best one before, on dev; null of one epoch.")
    ]
    factors: Annotated[
        list[str], Field(description="Lines for [factors] of study.toml that would tell speed from quality.")
    ]


class VerdictFacts(TypedDict):
    """What each strategy is worth, what it costs, and which recipe to use."""

    schema: Literal[1]
    score: str
    protocol: str
    margin: Annotated[float, Field(description="Points; smaller differences are none.")]
    seeds: int
    texts: Annotated[int, Field(description="Test texts; 0 without predictions.")]
    splits: SplitsFacts | None
    recipes: Annotated[int, Field(description="How many distinct ones.")]
    noise: NoiseFacts
    holds_at: Annotated[Levels, Field(description="What every recipe has in common.")]
    seconds_per: Literal["run", "epoch"]
    factors: list[FactorFacts]
    interactions: list[InteractionFacts]
    inert: Annotated[dict[str, str], Field(description="Factors that do nothing here, and why.")]
    bundles: NotRequired[
        Annotated[
            dict[str, dict[str, Levels]],
            Field(description="By factor and level, what it sets; absent where no factor is a bundle."),
        ]
    ]
    screen: ScreenFacts | None
    missing: MissingFacts
    waiting: Annotated[
        WaitingFacts | None, Field(description="While this is not null, best is, and all decisions are open.")
    ]
    undertrained: UndertrainedFacts | None
    best: BestFacts | None
    frontier: Annotated[list[RecipeFacts], Field(description="The best for their time, cheapest first.")]
    warnings: list[WarningFacts]
    notes: list[str]
    failures: Annotated[
        FailuresFacts | None, Field(description="Runs that failed to learn; null where none did.")
    ]
    ladders: Annotated[list[LadderFacts], Field(description="Of factors with three levels or more.")]
    ensembles: Annotated[
        list[EnsembleFacts],
        Field(description="Of the recommended recipe and the baseline, where they have two models or more."),
    ]
    imported: Annotated[bool, Field(description="Whether this is a table from elsewhere.")]
    lower_is_better: Annotated[
        bool,
        Field(
            description="Of scores, as of errors and losses. Effects above 0 are improvements all the same."
        ),
    ]
    score_digits: Annotated[int, Field(description="Digits after the point that a score is told with.")]
    score_widest: Annotated[
        Points,
        Field(
            description="An interval of a score that is wider than this says that too little has run; null "
            "where it is not known what a score can be, and where systems are compared."
        ),
    ]
    against_baseline: Annotated[
        list[AgainstBaselineFacts], Field(description="Every other recipe, in the order of the design.")
    ]
    free: Annotated[
        FreeVerdictFacts | None,
        Field(description="Free factors, which are scored in every run; null where there are none."),
    ]


class PairedFacts(TypedDict):
    """The recommended recipe less the baseline, on the same seeds and texts, in points."""

    baseline: float
    recommended: float
    difference: float
    low: Points
    high: Points
    seeds: int
    texts: int
    baseline_diverged: Annotated[int, Field(description="Runs that count with the majority class's score.")]
    recommended_diverged: int


class ConfirmedFacts(TypedDict):
    """What `finegrid confirm` has found."""

    schema: Literal[1]
    levels: Annotated[Levels, Field(description="What the recipe has that the baseline has not.")]
    fresh_texts: bool
    shared_encoder: Annotated[bool, Field(description="All seeds have one pre-trained encoder in common.")]
    shared_teacher: Annotated[bool, Field(description="All seeds learn from one teacher.")]
    study: PairedFacts
    fresh: PairedFacts
