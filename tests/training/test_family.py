"""Families, resuming, and what becomes of runs that go wrong: equal bit for bit, whoever kept company."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.rarity import rare
from support.studies import (
    assert_same_run,
    open_study,
    put_strategies,
    recipe_of,
    same_tensors,
    train,
    weights,
    without_seconds,
    write_study,
)
from torch import Tensor

import finegrid.training.state
import finegrid.training.train
from finegrid import metrics
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Batch, Packed
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import Criterion, Outputs
from finegrid.strategies.seams import Setting, Strategy
from finegrid.training.evaluate import Logits
from finegrid.training.free import FreeScoring
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run, RunProgress
from finegrid.training.state import StateFile
from finegrid.training.train import predict_split, train_family

EPOCHS, STEPS = 3, 3  # per epoch


def four(loaded: LoadedStudy, **levels: Any) -> list[Recipe]:
    """Four recipes that freeze the same two layers, unless told otherwise."""
    frozen: dict[str, Any] = {"freeze__layers": 2, "training__epochs": EPOCHS, **levels}
    return [
        recipe_of(loaded, **frozen),
        recipe_of(loaded, **frozen, reinit__layers=2),
        recipe_of(loaded, **frozen, optimizer__bias_correction=False),
        recipe_of(loaded, **frozen, schedule__warmup_ratio=0.3, optimizer__decay_on="matrices"),
    ]


def eight(loaded: LoadedStudy, **levels: Any) -> list[Recipe]:
    """As many as a family has by default, unlike in all that its members may be unlike in."""
    more: list[dict[str, Any]] = [
        {"reinit__pooler": True, "optimizer__rate": 1e-3},
        {"optimizer__weight_decay": 0.5},
        {"reinit__layers": 1, "optimizer__bias_correction": False, "optimizer__decay_on": "matrices"},
        {"schedule__warmup_ratio": 0.5, "optimizer__rate": 4e-3},
    ]
    return [*four(loaded, **levels), *(recipe_of(loaded, **levels, **own) for own in more)]


def assert_same_alone(loaded: LoadedStudy, recipes: list[Recipe]) -> None:
    """The recipes as one family, and each as a family of one, bit for bit."""
    for run, recipe in zip(train(loaded, *recipes), recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize(
    ("pooling", "frozen", "dropout"),
    [
        ("pooler", 2, True),
        pytest.param("first-last-mean", 0, True, marks=pytest.mark.slow),
        pytest.param("first-last-mean", 2, True, marks=pytest.mark.slow),
        pytest.param("pooler", 2, False, marks=pytest.mark.slow),
    ],
)
def test_a_family_of_eight_is_eight_families_of_one(
    loaded: LoadedStudy, pooling: str, frozen: int, dropout: bool
) -> None:
    levels = {"model__pooling": pooling, "freeze__layers": frozen, "freeze__dropout": dropout}

    assert_same_alone(loaded, eight(loaded, **levels, training__epochs=2))


@pytest.mark.slow
def test_a_family_of_eight_is_eight_families_of_one_in_bf16(loaded: LoadedStudy) -> None:
    half = open_study(loaded.study.folder, precision="bf16")

    assert_same_alone(half, eight(half, freeze__layers=2, training__epochs=2))


def test_a_family_keeps_one_copy_of_what_it_freezes(loaded: LoadedStudy) -> None:
    first, *others = train(loaded, *four(loaded, training__epochs=1))
    ours = dict(first.model.named_parameters())
    for run in others:
        for name, p in run.model.named_parameters():
            assert (p is ours[name]) == (not p.requires_grad), name


def test_members_of_a_family_do_end_up_different(loaded: LoadedStudy) -> None:
    runs = train(loaded, *four(loaded))

    assert not any(same_tensors(weights(a), weights(b)) for a, b in pairwise(runs))


def test_the_order_in_a_family_does_not_matter(loaded: LoadedStudy) -> None:
    recipes = four(loaded, training__epochs=1)
    for run, twin in zip(train(loaded, *recipes), reversed(train(loaded, *reversed(recipes))), strict=True):
        assert_same_run(run, twin)


class Killed(Exception):
    """Stands for the end of the process."""


def start(loaded: LoadedStudy, recipes: list[Recipe], seed: int = 0) -> list[Run]:
    return [Run(loaded, f"run-{index}", recipe, seed) for index, recipe in enumerate(recipes)]


def killed_at(loaded: LoadedStudy, recipes: list[Recipe], state: Path, step: int) -> None:
    def on_step(done: int) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        train_family(loaded, start(loaded, recipes), StateFile(state, save_after_seconds=0), on_step)


KILLS = (1, STEPS, STEPS + 1, 2 * STEPS, 2 * STEPS + 2, 3 * STEPS)  # one is enough where test chooses


@pytest.mark.parametrize(
    ("protocol", "kill"),
    rare(
        [*(("best-dev", kill) for kill in KILLS), ("best-test", 2 * STEPS + 2)],
        [*(("best-dev", kill) for kill in KILLS[:3]), ("best-test", 2 * STEPS + 2)],
    ),
)
def test_resumed_runs_end_as_if_they_had_not_been_killed(
    tmp_path: Path, bert: Path, loaded: LoadedStudy, kill: int, protocol: str
) -> None:
    if protocol == "best-test":
        loaded = open_study(write_study(tmp_path / "study", bert, head='protocol = "best-test"'))
    recipes, state = four(loaded)[:2], tmp_path / "family.safetensors"
    straight = train(loaded, *recipes)

    killed_at(loaded, recipes, state, kill)
    resumed = start(loaded, recipes)
    steps: list[int] = []
    train_family(loaded, resumed, StateFile(state, 0), steps.append)

    # A kill at the last step of an epoch comes before its state is saved.
    assert steps[0] == (kill - 1) // STEPS * STEPS + 1
    assert steps[-1] == EPOCHS * STEPS
    for run, twin in zip(resumed, straight, strict=True):
        assert_same_run(run, twin)


def test_a_run_may_be_killed_in_every_epoch(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipes, state = [recipe_of(loaded, training__epochs=EPOCHS)], tmp_path / "family.safetensors"
    for kill in (2, STEPS + 2, 2 * STEPS + 2):
        killed_at(loaded, recipes, state, kill)
    resumed = start(loaded, recipes)
    train_family(loaded, resumed, StateFile(state, 0))

    assert_same_run(resumed[0], train(loaded, *recipes)[0])


def test_a_state_saved_after_the_last_epoch_leaves_only_the_test_texts(
    loaded: LoadedStudy, tmp_path: Path
) -> None:
    recipes, state = four(loaded)[:2], tmp_path / "family.safetensors"
    finished = start(loaded, recipes)
    train_family(loaded, finished, StateFile(state, 0))
    again = start(loaded, recipes)
    steps: list[int] = []
    train_family(loaded, again, StateFile(state, 0), steps.append)

    assert steps == []
    for run, twin in zip(again, finished, strict=True):
        assert_same_run(run, twin)


def test_those_that_a_crash_left_without_a_record_go_on(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipes, state = four(loaded), tmp_path / "family.safetensors"
    killed_at(loaded, recipes, state, 2 * STEPS + 1)
    runs = start(loaded, recipes)[1:]
    steps: list[int] = []
    train_family(loaded, runs, StateFile(state, 1e9), steps.append)

    assert steps[0] == 2 * STEPS + 1
    for run, recipe in zip(runs, recipes[1:], strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.slow
def test_a_state_of_other_runs_is_not_taken(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipes, state = four(loaded), tmp_path / "family.safetensors"
    killed_at(loaded, recipes[:3], state, 2 * STEPS + 1)
    runs = start(loaded, recipes)
    steps: list[int] = []
    train_family(loaded, runs, StateFile(state, 1e9), steps.append)

    assert steps[0] == 1
    for run, recipe in zip(runs, recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


def test_a_state_made_with_other_threads_is_not_taken(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipes, state = [recipe_of(loaded)], tmp_path / "family.safetensors"
    first = StateFile(state, 0, {"threads": "1"})
    train_family(loaded, start(loaded, recipes), first)
    steps: list[int] = []
    train_family(loaded, start(loaded, recipes), StateFile(state, 1e9, {"threads": "2"}), steps.append)

    assert steps[0] == 1


@pytest.mark.parametrize("how", ["empty", "cut", "other", "without metadata", "metadata of another version"])
def test_a_damaged_state_is_not_taken(loaded: LoadedStudy, tmp_path: Path, how: str) -> None:
    from safetensors.torch import save_file

    recipes, state = [recipe_of(loaded)], tmp_path / "family.safetensors"
    killed_at(loaded, recipes, state, STEPS + 1)
    if how == "without metadata":
        save_file({"a": torch.zeros(2)}, state)
    elif how == "metadata of another version":
        save_file({"a": torch.zeros(2)}, state, {"epochs_done": "1", "runs": '{"run-0": {"steps": 5}}'})
    else:
        content = state.read_bytes()
        state.write_bytes({"empty": b"", "cut": content[:-100], "other": b"something else"}[how])
    runs = start(loaded, recipes)
    train_family(loaded, runs, StateFile(state, 1e9))

    assert_same_run(runs[0], train(loaded, *recipes)[0])


def test_nothing_is_saved_before_enough_work_is_done(loaded: LoadedStudy, tmp_path: Path) -> None:
    state = tmp_path / "family.safetensors"
    train_family(loaded, start(loaded, [recipe_of(loaded)]), StateFile(state, save_after_seconds=1000))

    assert not state.exists()


def poison_(run: Run) -> None:
    """Make the next loss not a number."""
    with torch.no_grad():
        run.model.get_parameter("head.linear.bias").fill_(float("nan"))


@pytest.mark.parametrize(
    "ill", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_diverged_run_leaves_the_others_of_its_family_alone(loaded: LoadedStudy, ill: int) -> None:
    recipes = four(loaded)
    runs: list[Run] = []

    def on_step(done: int) -> None:
        if done == STEPS + 1:
            poison_(runs[ill])

    runs += start(loaded, recipes)
    train_family(loaded, runs, StateFile(loaded.study.folder / "nowhere", 1e9), on_step)

    assert runs[ill].progress.status == "diverged"
    assert runs[ill].progress.reason == f"the loss was nan at step {STEPS + 2} of {EPOCHS * STEPS}"
    for index in {0, 1, 2, 3} - {ill}:
        assert_same_run(runs[index], train(loaded, recipes[index])[0])


def test_a_rate_far_too_high_ends_as_diverged_or_done_but_never_as_an_error(loaded: LoadedStudy) -> None:
    (run,) = train(loaded, recipe_of(loaded, optimizer__rate=1.0, optimizer__bias_correction=False))

    assert run.progress.status in ("diverged", "done")
    assert all(np.isfinite(logits).all() for logits in run.logits.values())


def test_predictions_that_are_not_finite_are_a_divergence(loaded: LoadedStudy) -> None:
    runs: list[Run] = []

    def on_step(done: int) -> None:
        if done == STEPS:
            poison_(runs[0])

    runs += start(loaded, [recipe_of(loaded)])
    train_family(loaded, runs, StateFile(loaded.study.folder / "nowhere", 1e9), on_step)

    assert runs[0].progress.status == "diverged"
    assert "dev prediction was not finite after epoch 1" in runs[0].progress.reason


def test_test_predictions_that_are_not_finite_are_a_divergence(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(loaded: LoadedStudy, runs: Sequence[Run], split: str) -> list[Logits]:
        logits = predict_split(loaded, runs, split)
        if split == "test":
            logits[0][3, 1] = np.inf
        return logits

    monkeypatch.setattr(finegrid.training.train, "predict_split", broken)
    (run,) = train(loaded, recipe_of(loaded))

    assert run.progress.status == "diverged"


class Broken(Strategy):
    """Breaks at one seam, after some steps."""

    acts = True

    def __init__(self, seam: str) -> None:
        self.seam, self.steps = seam, 0

    def step(self, seam: str) -> None:
        if seam == self.seam:
            self.steps += 1
            if self.steps > STEPS:
                raise ZeroDivisionError("by mistake")

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        def add_nothing(outputs: Outputs) -> Tensor:
            self.step("criterion")
            return torch.zeros(len(outputs.labels))

        return replace(criterion, add=(add_nothing,))

    def more_gradients(self, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        self.step("more_gradients")

    def change_gradients_(self, gradients: list[Tensor]) -> None:
        self.step("change_gradients_")


@pytest.mark.parametrize(
    "seam",
    [
        "criterion",
        pytest.param("more_gradients", marks=pytest.mark.slow),
        pytest.param("change_gradients_", marks=pytest.mark.slow),
    ],
)
def test_a_strategy_that_raises_fails_its_run_and_no_other(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, seam: str
) -> None:
    recipes = four(loaded)
    runs: list[Run] = []
    alone = [train(loaded, recipe)[0] for recipe in recipes]
    broken, every = Broken(seam), Recipe.strategies.fget  # type: ignore[attr-defined]
    put_strategies(monkeypatch, lambda recipe: every(recipe) + [broken] * (recipe == recipes[2]))
    runs += start(loaded, recipes)
    train_family(loaded, runs, StateFile(loaded.study.folder / "nowhere", 1e9))

    assert [run.progress.status for run in runs] == ["done", "done", "failed", "done"]
    assert runs[2].progress.reason == "ZeroDivisionError: by mistake"
    for index in (0, 1, 3):
        assert_same_run(runs[index], alone[index])


def test_a_family_of_which_nobody_is_left_ends(loaded: LoadedStudy) -> None:
    runs: list[Run] = []

    def on_step(done: int) -> None:
        for run in runs:
            poison_(run)

    runs += start(loaded, four(loaded)[:2])
    train_family(loaded, runs, StateFile(loaded.study.folder / "nowhere", 1e9), on_step)

    assert {run.progress.status for run in runs} == {"diverged"}


def judged(loaded: LoadedStudy, epochs: list[dict[str, Logits]]) -> Run:
    run = Run(loaded, "run", recipe_of(loaded), 0)
    for number, logits in enumerate(epochs, start=1):
        run.progress.epochs.append({"epoch": number, "train_loss": 0.0, "train_seconds": 0.0})
        run.judge(logits)
    return run


def right(loaded: LoadedStudy, split: str, correct: int) -> Logits:
    """Logits that get the first ``correct`` texts right."""
    labels = getattr(loaded.tokens, split).labels
    predicted = np.where(np.arange(len(labels)) < correct, labels, (labels + 1) % 3)
    logits: Logits = np.eye(3, dtype=np.float32)[predicted]
    return logits


def test_ties_go_to_the_earliest_epoch(loaded: LoadedStudy) -> None:
    run = judged(loaded, [{"dev": right(loaded, "dev", n)} for n in (3, 9, 9, 5, 9)])

    assert run.progress.best_epoch == 2
    assert len(run.progress.epochs) == 5


def test_the_first_epoch_is_taken_whatever_it_scores(loaded: LoadedStudy) -> None:
    run = judged(loaded, [{"dev": right(loaded, "dev", 0)}])

    assert (run.progress.best_epoch, run.progress.best_score) == (1, 0.0)
    assert run.best_weights and "dev" in run.logits


def test_best_dev_never_looks_at_test(loaded: LoadedStudy) -> None:
    dev = [{"dev": right(loaded, "dev", n), "test": right(loaded, "test", 15 - n)} for n in (3, 9, 5)]

    assert judged(loaded, dev).progress.best_epoch == 2


def test_best_test_chooses_on_test(tmp_path: Path, bert: Path) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert, head='protocol = "best-test"'))
    both = [{"dev": right(loaded, "dev", 15 - n), "test": right(loaded, "test", n)} for n in (3, 9, 5)]
    run = judged(loaded, both)
    assert run.progress.best_epoch == 2
    assert np.array_equal(run.logits["dev"], both[1]["dev"])

    (run,) = train(loaded, recipe_of(loaded, training__epochs=EPOCHS))
    scores = [entry["test"]["macro-f1"] for entry in run.progress.epochs]
    assert run.progress.best_epoch == scores.index(max(scores)) + 1
    assert run.scores("test", run.logits["test"]) == run.progress.epochs[run.progress.best_epoch - 1]["test"]


@pytest.mark.parametrize("score", ["macro-f1", "accuracy", "mcc", "f1:y"])
def test_the_studys_score_chooses_the_epoch(tmp_path: Path, bert: Path, score: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert, head=f'score = "{score}"'))
    (run,) = train(loaded, recipe_of(loaded, training__epochs=4, optimizer__rate=1e-2))
    scores = [metrics.score_of(entry["dev"], score) for entry in run.progress.epochs]

    assert run.progress.best_epoch == scores.index(max(scores)) + 1
    assert run.progress.best_score == max(scores)


@pytest.mark.parametrize("frozen", [0, 2])
def test_test_predictions_are_those_of_the_best_epoch(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, frozen: int
) -> None:
    """Predicting test once, with restored weights, equals predicting whenever dev improves."""
    at_the_time: list[Logits] = []
    judge = finegrid.training.train.evaluate

    def evaluate(loaded: LoadedStudy, runs: Sequence[Run], free: FreeScoring) -> None:
        judge(loaded, runs, free)
        at_the_time.extend(predict_split(loaded, runs, "test"))

    monkeypatch.setattr(finegrid.training.train, "evaluate", evaluate)
    (run,) = train(loaded, recipe_of(loaded, training__epochs=5, optimizer__rate=1e-2, freeze__layers=frozen))

    assert len(at_the_time) == 5 and 0 < run.progress.best_epoch < 5  # not the last: something was restored
    assert np.array_equal(run.logits["test"], at_the_time[run.progress.best_epoch - 1])
    assert not np.array_equal(run.logits["test"], at_the_time[-1])


def test_training_learns(loaded: LoadedStudy) -> None:
    (run,) = train(loaded, recipe_of(loaded, training__epochs=8, optimizer__rate=5e-3))
    losses = [entry["train_loss"] for entry in run.progress.epochs]

    assert losses[-1] < 0.9 * losses[0]


def test_train_loss_is_the_mean_over_steps(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    stepped = Run.step

    def step(self: Run, batch: Batch, step: int) -> float:
        losses.append(stepped(self, batch, step))
        return losses[-1]

    monkeypatch.setattr(Run, "step", step)
    (run,) = train(loaded, recipe_of(loaded))

    found = [entry["train_loss"] for entry in run.progress.epochs]
    assert found == pytest.approx([np.mean(losses[:STEPS]), np.mean(losses[STEPS:])])


def test_progress_survives_json(loaded: LoadedStudy) -> None:
    import json
    from dataclasses import asdict

    (run,) = train(loaded, recipe_of(loaded))
    back = RunProgress(**json.loads(json.dumps(asdict(run.progress), allow_nan=False)))

    assert back == run.progress
    assert without_seconds(back.epochs) == without_seconds(run.progress.epochs)


def test_what_takes_long_to_save_is_saved_less_often(
    loaded: LoadedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds of saving are a twentieth of 200, not of the 30 that were asked for."""
    now = [0.0]
    monkeypatch.setattr("finegrid.training.state.time.monotonic", lambda: now[0])

    def slow(*arguments: Any) -> None:
        now[0] += 10
        save_file(*arguments)

    monkeypatch.setattr(finegrid.training.state, "save_file", slow)
    (run,) = start(loaded, [recipe_of(loaded)])
    state, saved = StateFile(tmp_path / "state", 30), []
    for epoch in range(1, 12):
        now[0] += 29
        before = now[0]
        state.save([run], epoch)
        saved += [epoch] if now[0] > before else []

    assert saved == [2, 9]
