"""Records that read well, and tell what no run can have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finegrid.study.record import Epoch, Record, Scores, Seconds
from finegrid.study.runs_on_file import find_misfit

SCORES: Scores = {"macro-f1": 0.5, "accuracy": 0.5, "mcc": -0.5, "f1": {"a": 0.5, "b": 0.5}}
EPOCH = Epoch(epoch=1, train_loss=1.0, train_seconds=2.0, dev_seconds=1.0, dev=SCORES)
RUN = Record(
    run_id="a",
    seed=0,
    status="done",
    best_epoch=1,
    dev=SCORES,
    test=SCORES,
    epochs=(EPOCH,),
    seconds=Seconds(train=2.0),
)


def why(record: Record) -> str:
    return find_misfit(record, {}, 0, ["a", "b"], "macro-f1")


def test_a_record_of_a_run_fits_also_where_an_epoch_has_no_scores() -> None:
    assert why(RUN) == ""
    assert why(replace(RUN, epochs=(replace(EPOCH, dev=None),))) == ""


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (replace(RUN, seconds=Seconds(train=1e308)), "seconds: no time"),
        (replace(RUN, seconds=Seconds(train=-1.0)), "seconds: no time"),
        (replace(RUN, epochs=(replace(EPOCH, dev_seconds=1e308),)), "seconds: no time"),
        (
            replace(RUN, epochs=(replace(EPOCH, dev={"macro-f1": 1e308}),)),
            "epochs.dev: macro-f1 is no number",
        ),
        (replace(RUN, epochs=(replace(EPOCH, dev={"accuracy": 1.0}),)), "epochs.dev: macro-f1 is missing"),
        (replace(RUN, test={**SCORES, "mcc": -2.0}), "test: mcc is no number from -1 to 1"),
    ],
)
def test_scores_and_times_that_no_run_has_are_no_records(record: Record, told: str) -> None:
    assert why(record).startswith(told)
