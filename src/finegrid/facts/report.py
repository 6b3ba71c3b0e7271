"""What report.json holds: the types of its JSON.

`docs/reference/report.schema.json` is generated from them (`scripts/schemas.py`). Strings of the user's files
are in it as they are: whoever shows them escapes them.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Literal,
    NotRequired,  # pydantic reads no other before Python 3.12
)

from pydantic import Field
from typing_extensions import TypedDict

from finegrid.facts.comparison import CompareFacts
from finegrid.facts.verdict import (
    Bytes,
    ConfirmedFacts,
    Ends,
    MissingFacts,
    Points,
    RecipeFacts,
    VerdictFacts,
)
from finegrid.recipe.identity import Level, Levels

Status = Literal["done", "left", "diverged", "failed"]
WhyNoTexts = Literal["imported", "no-runs", "data-gone", "data-changed"]


class RunCounts(MissingFacts):
    """How many runs were planned, and what became of them."""

    planned: int
    done: int


class TwinFacts(TypedDict):
    """What an effect is measured together with; no factors: the mean."""

    effect: list[str]
    sign: int


class AliasFacts(TypedDict):
    """An effect that the design cannot tell from others."""

    effect: list[str]
    measured_with: list[TwinFacts]


class DesignFacts(TypedDict):
    """Which combinations are run."""

    kind: str
    resolution: Annotated[int | None, Field(description="Of a fraction.")]
    aliases: list[AliasFacts]


class StateFacts(TypedDict):
    """How much of what was planned is there."""

    runs: RunCounts
    rows: int
    recipes: int
    seeds: list[int]
    repeats: Annotated[bool, Field(description="Whether the seeds are just repeats of the same rows.")]
    design: Annotated[DesignFacts | None, Field(description="null of a table from elsewhere.")]
    factors: Annotated[dict[str, list[Level]], Field(description="Without those that do nothing here.")]
    undecided_screen: bool
    looks: Annotated[int, Field(description="Interim analyses that were planned and have been made.")]


class WarningWords(TypedDict):
    """What was found, and what to do."""

    what: str
    advice: str


class Caution(TypedDict):
    """A warning about the study, in both languages."""

    kind: str
    en: WarningWords
    zh: WarningWords


class RunFacts(TypedDict):
    """One run of a recipe."""

    seed: int
    status: Status
    test: NotRequired[Points]
    dev: NotRequired[Points]
    best_epoch: NotRequired[int | None]
    reason: NotRequired[Annotated[str | None, Field(description="Why it is not done.")]]


class ReportRecipe(RecipeFacts):
    """A distinct recipe with its runs."""

    moved: Annotated[Levels, Field(description="What it has that the baseline has not.")]
    dev: Points
    memory: Annotated[Bytes, Field(description="The peak of a process that trains one such run.")]
    baseline: bool
    in_best_set: bool
    eligible: bool
    recommended: bool
    on_frontier: bool
    runs: list[RunFacts]


class CurveFacts(TypedDict):
    """How a finished run went, epoch by epoch."""

    row: int
    seed: int
    best_epoch: int | None
    dev: list[Points]
    loss: list[float | None]


class ClassFacts(TypedDict):
    """The recommended recipe on one class, in points."""

    label: str
    texts: int
    f1: Points
    f1_interval: Ends
    precision: Points
    recall: Points


class ConfusedPair(TypedDict):
    """One class that is taken for another."""

    gold: str
    said: str
    texts: Annotated[float, Field(description="Mean per run.")]
    share: Annotated[float, Field(description="Of the texts of the true class, 0 to 1.")]


class ClassesFacts(TypedDict):
    """The recommended recipe class by class. Of many classes figures and tables show some."""

    rows: list[int]
    seeds: int
    all: Annotated[int, Field(description="How many classes there are.")]
    classes: Annotated[list[ClassFacts], Field(description="Every class, in the order of the labels.")]
    common: Annotated[
        list[str], Field(description="Those that are shown since most test texts have them; of few, all.")
    ]
    lowest: Annotated[list[str], Field(description="Those that are shown since their F1 is the lowest.")]
    labels: Annotated[
        list[str],
        Field(description="Of the confusion table: all, or of many those of the largest confusions."),
    ]
    confusion: Annotated[
        list[list[float]],
        Field(description="Mean texts per run: a row per label, a column per answer."),
    ]
    pairs: Annotated[list[ConfusedPair], Field(description="The largest confusions, the largest first.")]


class TextFacts(TypedDict):
    """A test text."""

    row: Annotated[int, Field(description="Of the user's file, counted from 1.")]
    text: Annotated[list[str], Field(description="One piece, or two; long ones are cut.")]
    gold: str


class WrongText(TextFacts):
    """One that the recommended recipe gets wrong."""

    said: str
    probability: float | None
    seeds_wrong: int
    seeds: int


class DisputedText(TextFacts):
    """One on which runs do not agree."""

    answers: Annotated[dict[str, int], Field(description="How many runs give which answer.")]
    runs: int


class TextsFacts(TypedDict):
    """Texts to look at."""

    wrong: list[WrongText]
    disputed: list[DisputedText]


class PairsFacts(TypedDict):
    """One recipe less another, on the same seeds and texts: 1 and 2, 1 and 3, ..., 2 and 3, ...

    Not corrected for the choice of a pair.
    """

    difference: list[Points]
    low: Annotated[list[Points], Field(description="The lower end of the plain 95 % interval.")]
    high: Annotated[list[Points], Field(description="The upper end of the plain 95 % interval.")]
    better: Annotated[
        list[int],
        Field(
            description="Test texts that the first gets right in more of its runs; empty without predictions."
        ),
    ]
    worse: Annotated[list[int], Field(description="In fewer.")]


class DifferingText(TextFacts):
    """A test text that some recipes get right more often than others."""

    said: Annotated[
        list[int | None],
        Field(description="Recipe by recipe the answer of most runs: its place among the answers."),
    ]
    right: Annotated[list[int | None], Field(description="Recipe by recipe: percent of its runs.")]


class DetailsFacts(TypedDict):
    """What can be looked up of single recipes, and of any two of them."""

    rows: Annotated[
        list[int],
        Field(
            description="The first row of each recipe: of many the best, the baseline, the recommended one."
        ),
    ]
    labels: Annotated[
        list[str], Field(description="Of the confusion tables: all, or of many the most confused ones.")
    ]
    classes: Annotated[int, Field(description="How many there are; 0 without predictions.")]
    confusion: Annotated[
        list[list[list[int]]],
        Field(description="Of each recipe, texts over all its runs: a row per label, a column per answer."),
    ]
    pairs: PairsFacts
    answers: Annotated[list[str], Field(description="Labels that the texts name by their place here.")]
    texts: Annotated[list[DifferingText], Field(description="Those that recipes differ on most.")]
    differing: Annotated[int, Field(description="On how many texts recipes differ.")]


class DataFacts(TypedDict):
    """The data, and what was checked in them."""

    files: dict[str, str]
    sizes: dict[str, int]
    labels: list[str]
    tokens: Annotated[
        dict[str, float], Field(description="Of train: mean, median, percentile_99, longest, shares.")
    ]
    majority: Annotated[dict[str, float], Field(description="Percent right by split, always answering it.")]
    checks: list[str]
    findings: list[str]


class CardFacts(TypedDict):
    """What `finegrid explain` says of a strategy."""

    part: str
    factors: Annotated[list[str], Field(description="Those that are varied here.")]
    text: str


class CheckpointFacts(TypedDict):
    """The model that all runs start from."""

    name: str
    family: str
    layers: int


class ProtocolFacts(TypedDict):
    """How it was done."""

    protocol: Annotated[str | None, Field(description="null of a table from elsewhere.")]
    score: str
    study_toml: str | None
    checkpoint: CheckpointFacts | None
    machine: dict[str, str]
    fingerprints: dict[str, str]
    engine: int | None
    versions: list[dict[str, str]]
    device: list[str]
    processor: Annotated[list[str], Field(description="GPUs, and processors of a cluster, that trained")]
    precision: list[str]
    threads: list[int]
    stack: list[int]


class CommandFacts(TypedDict):
    """Commands for a shell."""

    report: str
    verdict: NotRequired[str]
    fit: NotRequired[str]
    confirm: NotRequired[str]
    run: NotRequired[str]


class Facts(TypedDict):
    """Everything that a report says. Points are 0 to 100; null stands for what is not known."""

    schema: Literal[1]
    finegrid: Annotated[str, Field(description="The version that wrote it.")]
    made: Annotated[str, Field(description="When, in UTC.")]
    name: Annotated[str, Field(description="The study's folder.")]
    kind: Annotated[
        Literal["imported", "study", "comparison"],
        Field(
            description="What was judged: a table from elsewhere, runs of finegrid, or files of predictions."
        ),
    ]
    title: str | None
    note: Annotated[str | None, Field(description="What study.toml says to readers; plain text.")]
    source: Annotated[str | None, Field(description="The file of a table from elsewhere.")]
    state: StateFacts
    verdict: VerdictFacts
    warnings: list[Caution]
    confirmed: list[ConfirmedFacts]
    recipes: Annotated[list[ReportRecipe], Field(description="In the order of the design.")]
    curves: list[CurveFacts]
    classes: Annotated[ClassesFacts | None, Field(description="null without predictions.")]
    texts: Annotated[TextsFacts | None, Field(description="null where none can be shown.")]
    why_no_texts: WhyNoTexts | None
    details: DetailsFacts
    data: Annotated[DataFacts | None, Field(description="null of a table from elsewhere.")]
    cards: list[CardFacts]
    protocol: ProtocolFacts
    commands: CommandFacts
    comparison: NotRequired[CompareFacts]
