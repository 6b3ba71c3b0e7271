"""What ``verdict --json`` holds, and report.json of the verdict: the types of their JSON.

`docs/reference/verdict.schema.json` is generated from them (`scripts/schemas.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.decide import Kind

Points = Annotated[float | None, Field(description="Points of 100; null where it is not known.")]
Seconds = Annotated[float | None, Field(description="Seconds; null where they are not known.")]
Bytes = Annotated[float | None, Field(description="Bytes; null where they are not known.")]
Ends = Annotated[
    list[float | None],
    Field(min_length=2, max_length=2, description="From and to; null where an end is not known."),
]
Pair = Annotated[list[Level], Field(min_length=2, max_length=2)]
Split = Literal["dev", "test"]


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


class NeedsFacts(TypedDict):
    """What would settle an open decision if its estimate stayed as it is: totals, not additions."""

    seeds: Annotated[int | None, Field(description="null where more texts are enough.")]
    texts: Annotated[int | None, Field(description="null where more seeds are enough.")]
    runs: Annotated[int, Field(description="How many more runs these seeds take.")]
    hours: Annotated[float | None, Field(description="What these runs take one worker.")]


class EffectFacts(TypedDict):
    """A difference between means over recipes, with its chance."""

    effect: Points
    low: Annotated[Points, Field(description="The lower end of the 95 % interval.")]
    high: Annotated[Points, Field(description="The upper end of the 95 % interval.")]
    adjusted: Annotated[Ends, Field(description="The interval that the decision rests on, in points.")]
    se: Annotated[Points, Field(description="The standard error.")]
    df: Annotated[float | None, Field(description="Its degrees of freedom.")]
    p: Annotated[float | None, Field(description="Holm's adjusted p-value.")]
    notes: Annotated[list[str], Field(description="What a reader must know of it.")]
    aliases: Annotated[list[str], Field(description="What the design cannot tell it from.")]


class LossFacts(TypedDict):
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
    log_loss: LossFacts | None
    brier: LossFacts | None
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts
    needs: NeedsFacts | None


class ConditionalFacts(TypedDict):
    """The effect of one factor at one level of another."""

    factor: str
    given: Annotated[list[Level], Field(description="The other factor, and its level.")]
    effect: Points
    low: Points
    high: Points


class InteractionFacts(EffectFacts):
    """Half the difference of two effects, and these effects."""

    factors: Annotated[list[str], Field(min_length=2, max_length=2)]
    levels: Annotated[list[Pair], Field(min_length=2, max_length=2)]
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts
    matters: Annotated[bool, Field(description="Whether the two are shown to depend on each other.")]
    conditional: list[ConditionalFacts]


class RecipeFacts(TypedDict):
    """A distinct recipe, by its rows of the design."""

    rows: list[int]
    levels: Levels
    test: Annotated[Points, Field(description="Its mean score on test.")]
    test_interval: Ends
    seconds: Seconds


class BestFacts(TypedDict):
    """The recipes that cannot be told from the best, and the one of them to use."""

    chosen_on: Split
    noise: Annotated[str, Field(description="Where the noise of a run comes from.")]
    set: list[RecipeFacts]
    eligible: Annotated[list[list[int]], Field(description="Rows of those that no decision speaks against.")]
    rows: list[int]
    recommended: RecipeFacts
    baseline: RecipeFacts


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


class WarningFacts(TypedDict):
    """A warning about the study, in English."""

    kind: str
    what: str
    advice: str


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
    screen: ScreenFacts | None
    missing: MissingFacts
    best: BestFacts | None
    frontier: Annotated[list[RecipeFacts], Field(description="The best for their time, cheapest first.")]
    warnings: list[WarningFacts]
    notes: list[str]


class PairedFacts(TypedDict):
    """The recommended recipe less the baseline, on the same seeds and texts, in points."""

    baseline: float
    recommended: float
    difference: float
    low: Points
    high: Points
    seeds: int
    texts: int


class ConfirmedFacts(TypedDict):
    """What `finegrid confirm` has found."""

    schema: Literal[1]
    levels: Annotated[Levels, Field(description="What the recipe has that the baseline has not.")]
    fresh_texts: bool
    shared_encoder: Annotated[bool, Field(description="All seeds have one pre-trained encoder in common.")]
    study: PairedFacts
    fresh: PairedFacts
