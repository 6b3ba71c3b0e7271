"""Whatever a worker and its parent say to each other arrives as it was said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.audits import audit_of

from finegrid.errors import Problem
from finegrid.running.messages import (
    AuditDone,
    AuditJob,
    Broken,
    EpochDone,
    FitDone,
    FitJob,
    Job,
    Problems,
    Ready,
    RecordReady,
    Refused,
    RunToTrain,
    Sent,
    SetAside,
    StepDone,
    Trained,
    TrainJob,
    parse_event,
    parse_job,
)
from finegrid.study.record import Epoch, Record, Scores, Seconds

RUN = RunToTrain("7a", {"freeze.layers": 1, "optimizer.rate": 1e-05, "reinit.pooler": True}, 3)
SCORES: Scores = {"accuracy": 0.1 + 0.2, "f1": {"体育": 0.5}}
RECORD = Record(
    run_id="7a",
    recipe=RUN.levels,
    seed=3,
    status="done",
    dev=SCORES,
    test=SCORES,
    epochs=(Epoch(epoch=1, train_loss=0.1, train_seconds=1.0, dev_seconds=0.5, dev=SCORES),),
    seconds=Seconds(epoch=1.0, train=1.0, dev=0.5, test=0.25),
)
JOBS: tuple[Job, ...] = (
    AuditJob(),
    TrainJob("f0", (RUN, RunToTrain("7b", {}, 3))),
    TrainJob("f0", (RUN,), recompute=True),
    FitJob("fit-7a", RUN, {"model.pooling": "cls"}, {"average.ema": 0.05}, (1, 2), Path("models/best")),
    FitJob("fit-7b", RUN, {}, {}, (), Path("best"), True, "## Study", "titles", "google/electra"),
    FitJob("fit-7a", RUN, {}, {}, (), Path("best"), recompute=True),
)
EVENTS: tuple[Sent, ...] = (
    Ready({"data": "d", "model": "m"}),
    AuditDone(audit_of()),
    StepDone(7),
    EpochDone("7a", 2, 0.1 + 0.2, 0.7),
    EpochDone("7a", 3, None, 0.7),
    RecordReady(RECORD),
    Trained("f0"),
    FitDone(RECORD),
    Problems("study.toml", (Problem("score", "no such score."), Problem("", "体育"))),
    Broken("Traceback:\n  line\n", "ValueError: line"),
    Refused(28, "No space left on device", "state/x"),
    SetAside("state/x", "damaged"),
)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_a_job_arrives_as_it_was_sent(job: Job) -> None:
    assert parse_job(json.dumps(job.to_json())) == job


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_arrives_as_it_was_sent(event: Sent) -> None:
    assert parse_event(json.dumps(event.to_json())) == event


def test_a_line_that_was_cut_is_told_from_one_that_says_nothing_known() -> None:
    line = json.dumps(RECORD.to_json())
    with pytest.raises(json.JSONDecodeError):
        parse_event(line[:-5])
    for parse in (parse_event, parse_job):
        with pytest.raises(ValueError, match=r"no (event|job)"):
            parse('{"event": "gone", "do": "rest"}')
