"""What a worker and its parent send each other: jobs to the worker, events to the parent, as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from finegrid.errors import Problem
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.identity import Levels
from finegrid.spelling import Telling
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record, parse_record


@dataclass(frozen=True)
class RunToTrain:
    """One run of a job."""

    run_id: str
    levels: Levels  # that differ from the defaults, inert ones left out
    seed: int

    @classmethod
    def of(cls, run: PlannedRun) -> RunToTrain:
        return cls(run.run_id, run.levels, run.seed)

    def to_json(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "levels": self.levels, "seed": self.seed}


@dataclass(frozen=True)
class AuditJob:
    """Audit the study, and further recipes."""

    others: tuple[Levels, ...] = ()  # of each such recipe, the levels that it moves from the defaults

    def to_json(self) -> dict[str, Any]:
        return {"do": "audit", "others": list(self.others)}


@dataclass(frozen=True)
class TrainJob:
    """Train a family, write its predictions, and send its records."""

    family: str
    runs: tuple[RunToTrain, ...]
    recompute: bool = False  # layers are computed twice, and not kept

    def to_json(self) -> dict[str, Any]:
        return {
            "do": "train",
            "family": self.family,
            "runs": [run.to_json() for run in self.runs],
            "recompute": self.recompute,
        }


@dataclass(frozen=True)
class FitJob:
    """Train one run, and keep its model."""

    family: str  # the name of its state
    run: RunToTrain
    recipe: Levels  # as it was asked for
    free: Levels  # free factors that it is to be kept at
    stands_for: tuple[int, ...]  # rows of the table that are this run
    out: Path
    onnx: bool = False  # whether the model is kept as ONNX, too
    about: str = ""  # what its card says of the study, in Markdown
    title: str = ""  # the study's name
    hub_id: str | None = None  # of the checkpoint, where it is the hub's
    recompute: bool = False  # as of `TrainJob`

    def to_json(self) -> dict[str, Any]:
        return {
            "do": "fit",
            "family": self.family,
            "run": self.run.to_json(),
            "recipe": self.recipe,
            "free": self.free,
            "stands_for": list(self.stands_for),
            "out": str(self.out),
            "onnx": self.onnx,
            "about": self.about,
            "title": self.title,
            "hub_id": self.hub_id,
            "recompute": self.recompute,
        }


Job = AuditJob | TrainJob | FitJob


def parse_job(line: str) -> Job:
    """The inverse of ``to_json``.

    Raises:
        ValueError: no job, or the line was cut.
    """
    match content := json.loads(line):
        case {"do": "audit", "others": others}:
            return AuditJob(tuple(others))
        case {"do": "train", "family": family, "runs": runs}:
            return TrainJob(family, tuple(RunToTrain(**run) for run in runs), content["recompute"])
        case {"do": "fit", "run": run, "out": out}:
            rows = tuple(content["stands_for"])
            levels = content["recipe"], content["free"]
            card = content["onnx"], content["about"], content["title"], content["hub_id"]
            named = RunToTrain(**run), *levels, rows, Path(out)
            return FitJob(content["family"], *named, *card, content["recompute"])
    raise ValueError(f"no job: {line!r}")


@dataclass(frozen=True)
class Ready:
    """The worker has loaded data and model. What breaks from here on is the family's affair."""

    fingerprints: Mapping[str, str]  # of the data and the model, as it found them
    contents: Mapping[str, str] = field(default_factory=dict)  # of the files that levels name
    gpu: str = ""  # what its maker calls the one that it computes on; empty on a CPU

    def to_json(self) -> dict[str, Any]:
        told = {"fingerprints": dict(self.fingerprints), "contents": dict(self.contents)}
        return {"event": "ready", **told, "gpu": self.gpu}


@dataclass(frozen=True)
class AuditDone:
    """An `AuditJob` has ended."""

    audit: Audit

    def to_json(self) -> dict[str, Any]:
        return {"event": "audit", "audit": self.audit.model_dump()}


@dataclass(frozen=True)
class StepDone:
    """The family goes on. Not sent for every step."""

    done: int  # steps of the family, those before a crash included

    def to_json(self) -> dict[str, Any]:
        return {"event": "step", "done": self.done}


@dataclass(frozen=True)
class EpochDone:
    """A run was scored on dev after an epoch."""

    run_id: str
    epoch: int
    loss: float | None  # mean over its batches
    dev: float  # the study's score

    def to_json(self) -> dict[str, Any]:
        return {
            "event": "epoch",
            "run_id": self.run_id,
            "epoch": self.epoch,
            "loss": self.loss,
            "dev": self.dev,
        }


@dataclass(frozen=True)
class RecordReady:
    """A run of a `TrainJob` has ended, and its predictions are written."""

    record: Record  # but for the rows that it stands for

    def to_json(self) -> dict[str, Any]:
        return {"event": "record", "record": self.record.to_json()}


@dataclass(frozen=True)
class Trained:
    """A `TrainJob` has ended; all its records were sent before."""

    family: str

    def to_json(self) -> dict[str, Any]:
        return {"event": "trained", "family": self.family}


@dataclass(frozen=True)
class FitDone:
    """A `FitJob` has ended; its model is kept if the run is done."""

    record: Record  # but for the rows that it stands for

    def to_json(self) -> dict[str, Any]:
        return {"event": "fitted", "record": self.record.to_json()}


@dataclass(frozen=True)
class Problems:
    """The worker cannot use what the user gave it, and ends."""

    source: str
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        problems = [[problem.where, problem.what] for problem in self.problems]
        return {"event": "problems", "source": self.source, "problems": problems}


@dataclass(frozen=True)
class Broken:
    """The worker ends with a traceback: a bug, or a machine that has too little memory."""

    traceback: str
    reason: str  # in one line

    def to_json(self) -> dict[str, Any]:
        return {"event": "broken", "traceback": self.traceback, "reason": self.reason}


@dataclass(frozen=True)
class Refused:
    """The system refuses what no run can do without, such as room on a disk; the worker ends."""

    number: int | None  # of the error, as `errno` has it
    said: str
    path: str | None  # of the file

    @classmethod
    def of(cls, error: OSError) -> Refused:
        path = None if error.filename is None else os.fsdecode(error.filename)
        return cls(error.errno, error.strerror or str(error), path)

    def to_json(self) -> dict[str, Any]:
        return {"event": "refused", "number": self.number, "said": self.said, "path": self.path}


@dataclass(frozen=True)
class SetAside:
    """A saved state that nothing can go on from was set aside; the runs begin anew."""

    file: str  # relative to the study's folder
    reason: str  # a key of the words of `unfit`

    def to_json(self) -> dict[str, Any]:
        return {"event": "set aside", "file": self.file, "reason": self.reason}


@dataclass(frozen=True)
class Ended:
    """The worker is no more, however it ended. The parent says so to itself."""

    code: int  # of its exit; less than 0: of the signal


@dataclass(frozen=True)
class Lost:
    """The worker is gone, and its family is not to blame: its node died, or answers no more."""

    why: str  # in English


@dataclass(frozen=True)
class TurnedAway:
    """The worker would have worked on a node that is unlike the others."""

    node: str
    why: str  # in English


@dataclass(frozen=True)
class Hint:
    """What is to be said to whoever watches."""

    telling: Telling


@dataclass(frozen=True)
class ClusterLost:
    """Nobody can be reached any more."""

    why: str  # in English


Fatal = Problems | Refused | Broken  # what a worker says before it ends
Sent = Ready | AuditDone | StepDone | EpochDone | RecordReady | Trained | FitDone | SetAside | Fatal
OfPlace = Lost | TurnedAway | Hint | ClusterLost  # what the place where workers work says of them
Event = Sent | Ended | OfPlace


RECORD = '{"event": "record", "record": '  # how `RecordReady` begins, as `Channel` writes it


def parse_event(line: str) -> Sent:
    """The inverse of ``to_json``.

    Raises:
        ValueError: no event, or the line was cut.
    """
    if line.startswith(RECORD):  # most of what workers say: it is read once
        with suppress(ValueError):
            return RecordReady(parse_record(line.rstrip()[len(RECORD) : -1]))
    match json.loads(line):
        case {"event": "ready", "fingerprints": fingerprints, "contents": contents, "gpu": gpu}:
            return Ready(fingerprints, contents, gpu)
        case {"event": "audit", "audit": audit}:
            return AuditDone(Audit.model_validate(audit))
        case {"event": "step", "done": done}:
            return StepDone(done)
        case {"event": "epoch", "run_id": run_id, "epoch": epoch, "loss": loss, "dev": score}:
            return EpochDone(run_id, epoch, loss, score)
        case {"event": "record", "record": record}:
            return RecordReady(Record.from_json(record))
        case {"event": "trained", "family": family}:
            return Trained(family)
        case {"event": "fitted", "record": record}:
            return FitDone(Record.from_json(record))
        case {"event": "problems", "source": source, "problems": problems}:
            return Problems(source, tuple(Problem(where, what) for where, what in problems))
        case {"event": "refused", "number": number, "said": said, "path": path}:
            return Refused(number, said, path)
        case {"event": "set aside", "file": file, "reason": reason}:
            return SetAside(file, reason)
        case {"event": "broken", "traceback": traceback, "reason": reason}:
            return Broken(traceback, reason)
    raise ValueError(f"no event: {line!r}")


class Channel:
    """Events to the parent. Owns the real stdout: whatever a library prints goes to stderr instead."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: Sent) -> None:
        self._out.write(json.dumps(event.to_json(), ensure_ascii=True) + "\n")
        self._out.flush()
