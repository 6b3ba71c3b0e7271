"""Records that read well, and tell what no run can have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finegrid.study.record import Epoch, FreeScores, Record, Scores, Seconds
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


FREE = FreeScores(best_epoch=1, dev=SCORES, test=SCORES)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (replace(RUN, seed=1), "seed: found 1, but the run has 0"),
        (replace(RUN, recipe={"clip.norm": 1.0}), "recipe: not that of its run"),
        (replace(RUN, started=-1.0), "started: no time since 1970"),
        (replace(RUN, ended=1e308), "ended: no time since 1970"),
        (replace(RUN, epochs=(replace(EPOCH, epoch=0),)), "epochs: found a number below 1"),
        (replace(RUN, best_epoch=None), "best_epoch: found none, but the run is done"),
        (replace(RUN, best_epoch=0), "best_epoch: found none, but the run is done"),
        (replace(RUN, dev={}), "dev: "),
        (replace(RUN, dev={**SCORES, "f1": {"a": 0.5, "c": 0.5}}), "dev: f1 is not of the study's labels"),
        (replace(RUN, free={"k": replace(FREE, test={})}), "free.k.test: "),
    ],
)
def test_a_record_of_another_run_or_half_of_one_says_what_does_not_fit(record: Record, told: str) -> None:
    assert why(record).startswith(told)


def test_a_run_that_has_not_ended_well_needs_no_scores() -> None:
    for status in ("failed", "diverged"):
        assert why(Record(run_id="a", seed=0, status=status)) == ""


def test_a_record_may_leave_its_recipe_out_and_a_free_level_have_no_finite_prediction() -> None:
    assert find_misfit(RUN, {"clip.norm": 1.0}, 0, ["a", "b"], "macro-f1") == ""
    assert why(replace(RUN, free={"k": FREE, "none": FreeScores(best_epoch=0)})) == ""


def test_the_first_thing_that_does_not_fit_is_told() -> None:
    assert why(replace(RUN, seed=1, best_epoch=None)).startswith("seed: ")
