"""Runs that end early on dev: until then a run without patience is the same, whoever keeps company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.command_line import Call, records
from support.stacks import kill_and_resume
from support.studies import (
    assert_same_run,
    open_study,
    recipe_of,
    same_tensors,
    save_word_checkpoint,
    train,
    weights,
    without_seconds,
    write_data,
    write_study,
    write_word_study,
)

import finegrid.training.train
from finegrid import metrics
from finegrid.audit.canonical import Canonicaliser
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

EPOCHS, RATE = 8, 0.0025


def patient(loaded: LoadedStudy, patience: int, **levels: Any) -> Recipe:
    levels = {"optimizer__rate": RATE, **levels}
    return recipe_of(loaded, training__epochs=EPOCHS, training__patience=patience, **levels)


def dev_scores(loaded: LoadedStudy, run: Run) -> list[float]:
    name = loaded.study.head.score
    return [metrics.score_of(entry["dev"], name) for entry in run.progress.epochs]


def end_of(scores: list[float], patience: int) -> int:
    """By the book: the first epoch, from 1, at which the last `patience` ones have not beaten the best."""
    for epoch in range(1, len(scores) + 1):
        best = max(scores[:epoch])
        if epoch - (scores.index(best) + 1) >= patience:
            return epoch
    return len(scores)


@pytest.fixture(scope="module")
def loaded(taught: LoadedStudy) -> LoadedStudy:
    """With patience 1 the best epoch is missed there, with 2 it is found."""
    return taught


@pytest.fixture(scope="module")
def whole(loaded: LoadedStudy) -> Run:
    """Of the same seed, trained to its last epoch."""
    return train(loaded, patient(loaded, 0))[0]


@pytest.mark.parametrize("patience", [1, 2])
def test_a_run_ends_where_the_book_says_and_was_the_same_until_then(
    loaded: LoadedStudy, whole: Run, patience: int
) -> None:
    (run,) = train(loaded, patient(loaded, patience))
    scores = dev_scores(loaded, whole)
    end = end_of(scores, patience)

    assert patience < end < EPOCHS and run.progress.status == "done"
    assert without_seconds(run.progress.epochs) == without_seconds(whole.progress.epochs[:end])
    assert run.progress.best_epoch == scores.index(max(scores[:end])) + 1
    assert run.total_steps == whole.total_steps  # by which the rate decays
    if run.progress.best_epoch == whole.progress.best_epoch:
        assert same_tensors(weights(run), weights(whole))
        assert (run.logits["test"] == whole.logits["test"]).all()


def test_both_a_best_epoch_that_is_found_and_one_that_is_missed_are_tried(
    loaded: LoadedStudy, whole: Run
) -> None:
    scores = dev_scores(loaded, whole)
    best = [scores.index(max(scores[: end_of(scores, patience)])) + 1 for patience in (1, 2)]

    assert best[0] != whole.progress.best_epoch == best[1]


def company(loaded: LoadedStudy) -> list[Recipe]:
    """One that never ends early, and two that do at their own times."""
    return [
        patient(loaded, 0),
        patient(loaded, 1),
        patient(loaded, 2, optimizer__bias_correction=False),
    ]


def test_in_a_family_every_run_is_what_it_is_alone(loaded: LoadedStudy) -> None:
    runs = train(loaded, *company(loaded))

    assert len({len(run.progress.epochs) for run in runs}) > 1
    for run in runs[:2]:
        assert_same_run(run, train(loaded, run.recipe)[0])


@pytest.mark.parametrize("captured", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_in_a_stack_those_that_go_on_do_not_notice_who_has_ended(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch, captured: bool
) -> None:
    monkeypatch.setattr(finegrid.training.train, "captures_steps", lambda loaded, runs: captured)
    loaded = open_study(write_study(tmp_path, bert), stack=3)
    with_patience = train(loaded, *company(loaded))
    without = train(loaded, *(recipe.at({"training.patience": 0}) for recipe in company(loaded)))

    assert_same_run(with_patience[0], without[0])
    for run, twin in zip(with_patience, without, strict=True):
        end = len(run.progress.epochs)
        patience = run.recipe.training.patience
        assert end == (end_of(dev_scores(loaded, twin), patience) if patience else EPOCHS)
        assert without_seconds(run.progress.epochs) == without_seconds(twin.progress.epochs[:end])
        if run.progress.best_epoch == twin.progress.best_epoch:
            assert (run.logits["test"] == twin.logits["test"]).all()


@pytest.mark.parametrize("after", [4, 8])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    loaded: LoadedStudy, tmp_path: Path, after: int
) -> None:
    straight = train(loaded, patient(loaded, 1, optimizer__rate=0.0035))[0]

    assert len(straight.progress.epochs) == 3  # of three steps each
    assert_same_run(kill_and_resume(loaded, straight.recipe, tmp_path, after), straight)


def test_patience_that_can_end_nothing_is_inert(loaded: LoadedStudy) -> None:
    canonicaliser = Canonicaliser(loaded, 0)
    reduced = {patience: canonicaliser.reduce(patient(loaded, patience)) for patience in (6, 7, 99)}

    assert "training.patience" not in reduced[6].inert and reduced[6].levels["training.patience"] == 6
    for patience in (7, 99):
        why = reduced[patience].inert["training.patience"]
        assert why == "8 epochs are over before it could end a run"
    assert "training.patience" not in patient(loaded, 0).moved()


def test_the_last_epoch_of_a_run_that_ends_early_is_not_asked_for(loaded: LoadedStudy) -> None:
    checkpoint = loaded.study.checkpoint
    (problem,) = patient(loaded, 2, posthoc__epoch="last").problems(checkpoint)

    assert problem.where == '"training.patience" + "posthoc.epoch"'
    assert patient(loaded, 0, posthoc__epoch="last").problems(checkpoint) == []
    assert patient(loaded, 2, average__last=3).problems(checkpoint) == []


def test_runs_with_patience_share_a_family_but_not_a_price() -> None:
    plain, moved = Recipe(), Recipe().at({"training.patience": 2})

    assert plain.priced_levels() == moved.priced_levels()
    assert moved.timed_levels() == {"training.patience": 2} != plain.timed_levels()


@pytest.mark.slow
def test_every_reader_takes_runs_of_fewer_epochs_than_are_planned(tmp_path: Path, call: Call) -> None:
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    levels: dict[str, list[object]] = {"training.patience": [0, 1], "schedule.warmup_ratio": [0.0, 0.1]}
    folder = write_word_study(
        tmp_path / "study", Path("../model"), levels, recipe={"training.epochs": 6}, design="seeds = 2"
    )
    plan = call("plan", folder, "--probe")
    assert "training.patience = 1: may end before the last epoch; nothing else" in plan.stdout
    assert "rates decay by the planned 6 epochs" in plan.stdout
    assert call("run", folder).returncode == 0
    done = records(folder)
    assert {len(one["epochs"]) for one in done if "training.patience" not in one["recipe"]} == {6}
    assert min(len(one["epochs"]) for one in done) < 6
    for command in (
        ("table", folder),
        ("status", folder),
        ("verdict", folder),
        ("report", folder),
        ("report", folder, "--format", "md"),
        ("export", folder, "--to", "csv", "--out", tmp_path / "csv"),
    ):
        told = call(*command)
        assert told.returncode == 0, told.stderr
    assert "training.patience = 1" in call("verdict", folder).stdout
