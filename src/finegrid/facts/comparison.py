"""What ``compare --json`` holds, and report.json of a comparison: the types of their JSON.

`docs/reference/compare.schema.json` is generated from them (`scripts/schemas.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from finegrid.facts.verdict import DecisionFacts, Ends, EstimateFacts, NeedsFacts, NoiseFacts, Points


class LossFacts(TypedDict):
    """A loss of probabilities; lower is better. It is told beside the score, and never decides."""

    mean: float
    mean_interval: Ends
    difference: Annotated[
        float | None, Field(description="Less the baseline's; null of the baseline, or if it has none.")
    ]
    difference_interval: Annotated[Ends | None, Field(description="95 %, paired by text.")]


class SystemFacts(TypedDict):
    """A system and its score."""

    system: str
    files: list[str]
    score: Points
    interval: Annotated[Ends, Field(description="95 %.")]
    runs: Annotated[list[float | None], Field(description="The score of each file, in points.")]
    in_best_set: Annotated[bool, Field(description="Whether it cannot be told from the best.")]
    log_loss: Annotated[LossFacts | None, Field(description="Nats; null without probabilities.")]
    brier: Annotated[LossFacts | None, Field(description="0 to 2, summed over classes.")]


class DifferenceFacts(EstimateFacts):
    """A system less the baseline, with the decision."""

    system: str
    verdict: Annotated[str, Field(description="The decision in English, for people.")]
    decision: DecisionFacts
    needs: NeedsFacts | None


class RemarkWords(TypedDict):
    """What was found in the files, and what it means or asks for."""

    what: str
    advice: str


class RemarkFacts(TypedDict):
    """Something of the files that a reader must know, in both languages."""

    kind: str
    en: RemarkWords
    zh: RemarkWords


class CompareFacts(TypedDict):
    """Systems compared by their predictions. Points are 0 to 100; null stands for what is not known."""

    schema: Literal[1]
    score: str
    margin: Annotated[float, Field(description="Points; smaller differences are none.")]
    gold: Annotated[str, Field(description="The file that the gold labels are from.")]
    texts: int
    labels: Annotated[list[str], Field(description="Of gold, then those that are only predicted.")]
    baseline: Annotated[str, Field(description="The system that the others are compared with.")]
    covers: Annotated[
        Literal["texts", "runs and texts", "seeds and texts"],
        Field(description="What intervals cover: other texts; and other runs, or other shared seeds."),
    ]
    noise: NoiseFacts
    systems: list[SystemFacts]
    differences: list[DifferenceFacts]
    remarks: list[RemarkFacts]
