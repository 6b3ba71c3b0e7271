"""One run that has ended, as the ledger keeps it: a line of ``runs.jsonl``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter

from finegrid import metrics
from finegrid.machine import Device, Precision
from finegrid.recipe.identity import Levels
from finegrid.study.parsing import parse_strictly
from finegrid.study.settings import Protocol

SCHEMA = 1
LARGEST_SEED = 2**63
FILE_NAME = r"^[0-9a-f]{12}$"  # the record may be a stranger's, and must lead nowhere else
Status = Literal["done", "diverged", "failed"]
State = Literal["done", "diverged", "failed", "left"]  # of a planned run; left: it has no record
EnginePath = Literal["plain", "stack", "graph"]
# ``macro-f1``, ``accuracy`` and ``mcc``, and under ``f1`` that of every label; a table's have other names.
Scores = Mapping[str, float | Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Wall-clock seconds of a run."""

    pretrain: Annotated[float | None, Field(description="pre-training the encoder, if it was")] = None
    epoch: Annotated[float | None, Field(description="training, mean of its epochs; null if none ended")] = (
        None
    )
    train: Annotated[float, Field(description="training, all epochs")] = 0.0
    dev: Annotated[float, Field(description="predicting dev, after every epoch")] = 0.0
    test: Annotated[float, Field(description="predicting test, once")] = 0.0
    free: Annotated[
        float | None, Field(description="scoring the levels of free factors; not of the run itself")
    ] = None

    @property
    def total(self) -> float:
        """Of the whole run, as it is without free factors."""
        return sum((self.pretrain or 0.0, self.train, self.dev, self.test))

    def to_json(self) -> dict[str, float | None]:
        pretrain = {} if self.pretrain is None else {"pretrain": self.pretrain}
        free = {} if self.free is None else {"free": self.free}
        own = {"epoch": self.epoch, "train": self.train, "dev": self.dev, "test": self.test}
        return {**pretrain, **own, **free}


@dataclass(frozen=True, kw_only=True)
class FreeScores:
    """What a run scores at one level of a free factor."""

    best_epoch: Annotated[int, Field(description="from 1, chosen by itself; 0 if no prediction was finite")]
    dev: Annotated[Scores, Field(description="at that epoch, 0 to 1")] = field(default_factory=dict)
    test: Annotated[Scores, Field(description="at that epoch, 0 to 1")] = field(default_factory=dict)
    temperature: Annotated[float | None, Field(description="that logits were divided by, if they were")] = (
        None
    )
    members: Annotated[tuple[int, ...], Field(description="epochs that a soup is the mean of")] = ()
    dev_looks: Annotated[
        int | None, Field(description="of a soup: how often dev was scored to choose its members")
    ] = None

    def to_json(self) -> dict[str, Any]:
        content = {
            "best_epoch": self.best_epoch,
            "dev": self.dev,
            "test": self.test,
            "temperature": self.temperature,
            "members": list(self.members) or None,
            "dev_looks": self.dev_looks,
        }
        return {name: value for name, value in content.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a run."""

    epoch: Annotated[int, Field(description="from 1")]
    train_loss: Annotated[float | None, Field(description="mean over its batches")] = None
    train_seconds: Annotated[float | None, Field(description="training")] = None
    dev_seconds: Annotated[float | None, Field(description="predicting dev (and test) after it")] = None
    dev: Annotated[Scores | None, Field(description="0 to 1; absent if not finite")] = None
    test: Annotated[Scores | None, Field(description="of the protocol best-test")] = None

    def score(self, split: str, name: str) -> float:
        """One score of this epoch, 0 to 1 (mcc: from -1); NaN where predictions were not finite."""
        scores = {"dev": self.dev, "test": self.test}[split]
        return metrics.score_of(scores, name) if scores else math.nan

    def to_json(self) -> dict[str, Any]:
        content = {
            "epoch": self.epoch,
            "train_loss": self.train_loss,
            "train_seconds": self.train_seconds,
            "dev_seconds": self.dev_seconds,
            "dev": self.dev,
            "test": self.test,
        }
        return {name: value for name, value in content.items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Epoch:
        return cls(
            epoch=content["epoch"],
            train_loss=content.get("train_loss"),
            train_seconds=content.get("train_seconds"),
            dev_seconds=content.get("dev_seconds"),
            dev=content.get("dev"),
            test=content.get("test"),
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run that has ended. What older versions did not write down is None, or empty."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    schema: Annotated[Literal[1], Field(description="of this format")] = 1
    run_id: Annotated[str, Field(description="hash of all that decides on the result")]
    recipe: Annotated[
        Levels, Field(description="levels that differ from the defaults, inert ones left out")
    ] = field(default_factory=dict)
    seed: int
    status: Status
    reason: Annotated[str | None, Field(description="why it is not done")] = None
    protocol: Annotated[Protocol | None, Field(description="which split chose the epoch")] = None
    best_epoch: Annotated[int | None, Field(description="from 1; 0 if there is none")] = None
    dev: Annotated[Scores, Field(description="at the best epoch, 0 to 1; empty if not done")] = field(
        default_factory=dict
    )
    test: Annotated[Scores, Field(description="at the best epoch, 0 to 1; empty if not done")] = field(
        default_factory=dict
    )
    epochs: Annotated[tuple[Epoch, ...], Field(description="those that have ended")] = ()
    free: Annotated[
        Mapping[str, FreeScores],
        Field(description="levels of free factors that the run was scored at, such as average.ema=0.05"),
    ] = field(default_factory=dict)
    seconds: Annotated[
        Seconds | None,
        Field(description="empty of a run whose worker died"),
        BeforeValidator(lambda told: None if told == {} else told),
    ] = None
    clipped: Annotated[float | None, Field(description="share of steps whose gradients were clipped")] = None
    memory: Annotated[int | None, Field(description="peak bytes of the process while its family trained")] = (
        None
    )
    family: Annotated[str | None, Field(description="of runs that were trained together")] = None
    predictions: Annotated[
        str | None,
        Field(
            pattern=FILE_NAME,
            description="name of the file in predictions/ that has what it predicts, with the runs of its "
            "family; null: the run has a file of its own, or none",
        ),
    ] = None
    threads: int | None = None
    stack: Annotated[int | None, Field(description="runs whose products were one, at most")] = None
    path: Annotated[EnginePath | None, Field(description="how the engine stepped it")] = None
    recomputed: Annotated[
        bool | None, Field(description="whether layers were computed twice, and not kept: the same bits")
    ] = None
    precision: Precision | None = None
    device: Device | None = None
    versions: Annotated[Mapping[str, str], Field(description="of libraries")] = field(default_factory=dict)
    started: Annotated[float | None, Field(description="seconds since 1970")] = None
    ended: Annotated[float | None, Field(description="seconds since 1970")] = None
    node: Annotated[str | None, Field(description="of a cluster: the machine that trained it")] = None
    processor: Annotated[
        str | None, Field(description="of a cluster's machine; the GPU, wherever one trained it")
    ] = None
    stands_for: Annotated[tuple[int, ...], Field(description="rows of the table that are this run")] = ()

    @property
    def done(self) -> bool:
        return self.status == "done"

    def scores(self, split: str) -> Scores:
        """All scores at the best epoch; empty if the run is not done."""
        return {"dev": self.dev, "test": self.test}[split]

    def score(self, split: str, name: str) -> float:
        """One score at the best epoch, 0 to 1 (mcc: from -1).

        Raises:
            KeyError: the run is not done, or has no such score.
        """
        return metrics.score_of(self.scores(split), name)

    def at_free(self, key: str) -> Record:
        """The same run as it is scored at a level of a free factor."""
        own = self.free[key]
        return replace(self, best_epoch=own.best_epoch, dev=own.dev, test=own.test)

    def to_json(self) -> dict[str, Any]:
        """As the ledger has it, keys in their order. What is None, and unknown rows, are left out."""
        content = {
            "schema": self.schema,
            "run_id": self.run_id,
            "recipe": self.recipe,
            "seed": self.seed,
            "status": self.status,
            "reason": self.reason,
            "protocol": self.protocol,
            "best_epoch": self.best_epoch,
            "dev": self.dev,
            "test": self.test,
            "epochs": [epoch.to_json() for epoch in self.epochs],
            "free": {key: scores.to_json() for key, scores in self.free.items()} or None,
            "seconds": {} if self.seconds is None else self.seconds.to_json(),
            "clipped": self.clipped,
            "memory": self.memory,
            "family": self.family,
            "predictions": self.predictions,
            "threads": self.threads,
            "stack": self.stack,
            "path": self.path,
            "recomputed": self.recomputed,
            "precision": self.precision,
            "device": self.device,
            "versions": self.versions,
            "started": self.started,
            "ended": self.ended,
            "node": self.node,
            "processor": self.processor,
            "stands_for": list(self.stands_for) or None,
        }
        return {name: value for name, value in content.items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Record:
        """Read what `to_json` of any version has made.

        Raises:
            ValueError: as `parse_record`.
        """
        return parse_record(json.dumps(content))


def parse_record(line: str | bytes) -> Record:
    """Read a line of any version; keys that nobody knows are left out.

    Raises:
        ValueError: it is no record, in words: what stands where, and what was expected.
    """
    record = parse_strictly(Record, line)
    if not record.run_id:
        raise ValueError("run_id: found nothing")
    if not 0 <= record.seed < LARGEST_SEED:
        raise ValueError("seed: found a number that no run has")
    return record


def status_of(word: str) -> Status:
    """How a run has ended.

    Raises:
        ValueError: it has not.
    """
    for status in STATUSES:
        if word == status:
            return status
    raise ValueError(f"found {word!r}, expected {', '.join(STATUSES)}")


STATUSES: Sequence[Status] = get_args(Status)


def record_schema() -> dict[str, Any]:
    """The JSON schema of a line of ``runs.jsonl``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(Record).json_schema(),
        "title": "A line of runs.jsonl",
    }
