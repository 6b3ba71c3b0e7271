"""Free factors: many ways to score a run, in one training that none of them changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from support.stacks import draw_by_counter_
from support.studies import (
    assert_same_run,
    open_study,
    recipe_of,
    train,
    weights,
    write_study,
)
from torch import Tensor

import finegrid.training.train
from finegrid.inference.fitted import load_fitted
from finegrid.inference.keep import fitted_of, keep, load_model, title_model
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import DEFAULTS, FREE, Recipe
from finegrid.running.records import record_of
from finegrid.strategies.scoring import Moving, Scoring, Snapshots
from finegrid.study.free import key_of_free
from finegrid.training.adjusting import fit_temperature
from finegrid.training.averages import LatestSnapshots, MovingAverage, follow_
from finegrid.training.captured import CapturedSteps
from finegrid.training.evaluate import Logits, predict
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.scorer import Choice, Scorer
from finegrid.training.state import StateFile
from finegrid.training.train import predict_split, train_family

LEVELS: list[Levels] = [
    {"average.ema": 0.3},
    {"average.ema": 0.9},
    {"average.last": 2},
    {"average.lawa": 0.8},
    {"average.soup": 3},
    {"posthoc.epoch": "last"},
    {"posthoc.tau": 1.0},
    {"posthoc.temperature": "dev"},
    {"average.ema": 0.3, "posthoc.epoch": "last", "posthoc.tau": 0.5, "posthoc.temperature": "dev"},
]
EPOCHS, STEPS = 4, 3


def scorings(*levels: Levels) -> dict[str, Scoring]:
    return {key_of_free(one): Recipe().at(one).scoring for one in levels or LEVELS}


def unlike(loaded: LoadedStudy, **levels: Any) -> Recipe:
    """A recipe whose best epoch is not its last: only then does choosing one matter."""
    return recipe_of(loaded, **{"training__epochs": EPOCHS, "optimizer__rate": 1e-2, **levels})


def train_free(
    loaded: LoadedStudy, *recipes: Recipe, free: Mapping[str, Scoring] | None = None, seed: int = 0
) -> list[Run]:
    runs = [
        Run(loaded, f"run-{i}", one, seed, scorings() if free is None else free)
        for i, one in enumerate(recipes)
    ]
    return train_family(loaded, runs, StateFile(loaded.study.folder / "nowhere", 1e9))


def scorer_of(run: Run) -> Scorer:
    assert run.progress.status == "done", run.progress.reason
    assert run.scorer is not None
    return run.scorer


def choices_of(run: Run) -> dict[str, Choice]:
    return scorer_of(run).choices


def outcome(run: Run) -> dict[str, Any]:
    """All that a record keeps of the levels, as bits."""
    return {
        key: (
            one.best_epoch,
            one.temperature,
            sorted(one.members),
            one.looks,
            {split: z.tobytes() for split, z in one.logits.items()},
        )
        for key, one in choices_of(run).items()
    }


@pytest.fixture(scope="module")
def scored(loaded: LoadedStudy) -> Run:
    """A run that was scored at all levels."""
    (run,) = train_free(loaded, unlike(loaded))
    return run


def test_every_free_factor_is_scored_here() -> None:
    assert {name for levels in LEVELS for name in levels} == FREE < DEFAULTS.keys()


def test_free_factors_move_no_run() -> None:
    for levels in LEVELS:
        recipe = Recipe().at(levels)
        assert recipe.moved() == {} == recipe.priced_levels() and recipe.acting == Recipe().acting
        assert recipe.free_levels() == levels and recipe.scoring != Scoring() == Recipe().scoring


def test_a_run_is_the_same_with_and_without_them(loaded: LoadedStudy, scored: Run) -> None:
    (plain,) = train(loaded, unlike(loaded))

    assert 0 < scored.progress.best_epoch < EPOCHS  # not the last: something was chosen
    assert_same_run(plain, scored)


def test_the_levels_differ(scored: Run) -> None:
    """But for the soup, here of the best epoch alone."""
    found = {key: one.logits["test"].tobytes() for key, one in choices_of(scored).items()}

    assert len(set(found.values())) == len(LEVELS)
    assert [key for key, z in found.items() if z == scored.logits["test"].tobytes()] == ["average.soup=3"]


# Which epoch, and which weights


def ends(loaded: LoadedStudy, recipe: Recipe) -> list[dict[str, Tensor]]:
    """Weights after every step of a run, the initial ones first."""
    run = Run(loaded, "run", recipe, 0)
    seen = [{name: p.detach().clone() for name, p in run.trained().items()}]
    for epoch in range(recipe.training.epochs):
        for batch in loaded.training_batches(recipe, 0, epoch):
            run.step(batch, len(seen) - 1)
            seen.append({name: p.detach().clone() for name, p in run.trained().items()})
    return seen


@pytest.fixture(scope="module")
def seen(loaded: LoadedStudy) -> list[dict[str, Tensor]]:
    return ends(loaded, unlike(loaded))


def predict_with(loaded: LoadedStudy, own: Mapping[str, Tensor], split: str) -> Logits:
    run = Run(loaded, "run", unlike(loaded), 0)
    for name, p in run.trained().items():
        p.data.copy_(own[name])
    return predict_split(loaded, [run], split)[0]


def test_a_level_that_changes_nothing_is_the_run_itself(loaded: LoadedStudy) -> None:
    (run,) = train_free(loaded, unlike(loaded), free={"same": Scoring()})
    same = choices_of(run)["same"]

    assert same.best_epoch == run.progress.best_epoch
    assert all(np.array_equal(same.logits[split], run.logits[split]) for split in ("dev", "test"))


def test_the_last_epoch_counts_whatever_dev_says(
    loaded: LoadedStudy, scored: Run, seen: list[dict[str, Tensor]]
) -> None:
    last = choices_of(scored)["posthoc.epoch=last"]

    assert last.best_epoch == EPOCHS
    for split in ("dev", "test"):
        assert np.array_equal(last.logits[split], predict_with(loaded, seen[-1], split))


def mean64(each: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {n: torch.stack([own[n].double() for own in each]).mean(dim=0).float() for n in each[0]}


def test_the_last_epochs_are_averaged_to_the_bit(
    loaded: LoadedStudy, scored: Run, seen: list[dict[str, Tensor]]
) -> None:
    """The mean in float64 of the weights at the ends of two epochs; dev chooses which two."""
    own = choices_of(scored)["average.last=2"]
    expected = mean64([seen[STEPS * epoch] for epoch in (own.best_epoch - 1, own.best_epoch)])

    assert own.best_epoch > 1 and own.weights is not None
    assert all(torch.equal(own.weights[name], t) for name, t in expected.items())
    assert np.array_equal(own.logits["test"], predict_with(loaded, expected, "test"))


def test_an_average_chooses_its_epoch_by_itself(loaded: LoadedStudy, seen: list[dict[str, Tensor]]) -> None:
    (run,) = train_free(loaded, unlike(loaded), free=scorings({"average.last": 2}))
    means = [mean64(seen[STEPS * max(1, e - 1) : STEPS * e + 1 : STEPS]) for e in range(1, EPOCHS + 1)]
    scores = [run.scores("dev", predict_with(loaded, mean, "dev"))[loaded.study.head.score] for mean in means]

    assert choices_of(run)["average.last=2"].best_epoch == 1 + int(np.argmax(scores))
    assert 1 + int(np.argmax(scores)) != run.progress.best_epoch


def test_a_moving_average_lags_behind_linear_motion_by_its_closed_form() -> None:
    p = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    average = MovingAverage(Moving(0.25), {"p": p}, steps=40)
    average.decay_at = lambda step: average.decay  # type: ignore[method-assign]  # without the warm-up form
    d, v = 1 - 1 / 10, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for step in range(30):
        p.data += v
        follow_([average], step)

    assert average.decay == pytest.approx(d)
    lag = p.detach() - average.means["p"]
    torch.testing.assert_close(lag, v * d * (1 - d**30) / (1 - d))


def test_a_moving_average_is_a_plain_mean_until_its_window_is_full() -> None:
    """So that the random head is not in it."""
    p = torch.nn.Parameter(torch.full((1,), 99.0))
    average = MovingAverage(Moving(0.5), {"p": p}, steps=20)
    for step in range(9):
        p.data.fill_(step)
        follow_([average], step)
        assert float(average.means["p"]) == pytest.approx(step / 2)

    assert average.decay == pytest.approx(0.9) == average.decay_at(9) == average.decay_at(19)


def test_a_moving_average_follows_every_step_of_a_run(
    loaded: LoadedStudy, scored: Run, seen: list[dict[str, Tensor]]
) -> None:
    own = choices_of(scored)["average.ema=0.3"]
    decay = 1 - 1 / (0.3 * EPOCHS * STEPS)
    mean = dict(seen[0])
    for step, after in enumerate(seen[1 : STEPS * own.best_epoch + 1]):
        d = min(decay, step / (step + 1))
        mean = {name: d * t + (1 - d) * after[name] for name, t in mean.items()}

    assert own.weights is not None
    for name, t in mean.items():
        torch.testing.assert_close(own.weights[name], t, rtol=1e-5, atol=1e-6)
    assert np.array_equal(own.logits["test"], predict_with(loaded, own.weights, "test"))


def test_snapshots_are_taken_evenly_and_the_latest_five_count() -> None:
    p = torch.nn.Parameter(torch.zeros(1))
    average = LatestSnapshots(Snapshots(0.5), {"p": p}, steps=40)
    found = []
    for step in range(40):
        p.data.fill_(step + 1)
        follow_([average], step)
        mean = average.mean()
        found.append(None if mean is None else float(mean["p"]))

    assert found[2] is None and found[3] == 4 and found[7] == 6  # every fourth
    assert found[39] == np.mean([24, 28, 32, 36, 40])


def test_a_soup_of_one_epoch_is_the_best_epoch(loaded: LoadedStudy) -> None:
    (run,) = train_free(loaded, unlike(loaded), free=scorings({"average.soup": 1}))
    soup = choices_of(run)["average.soup=1"]

    assert soup.members == [run.progress.best_epoch] and soup.looks == EPOCHS
    assert all(np.array_equal(soup.logits[split], run.logits[split]) for split in ("dev", "test"))


def test_a_soup_takes_epochs_best_first_as_long_as_dev_does_not_fall(
    loaded: LoadedStudy, scored: Run, seen: list[dict[str, Tensor]]
) -> None:
    name = loaded.study.head.score
    scores = [entry["dev"][name] for entry in scored.progress.epochs]
    ranking = sorted(range(1, EPOCHS + 1), key=lambda epoch: (-scores[epoch - 1], epoch))[:3]
    members, best = ranking[:1], scores[ranking[0] - 1]
    for epoch in ranking[1:]:
        mean = mean64([seen[STEPS * one] for one in [*members, epoch]])
        score = scored.scores("dev", predict_with(loaded, mean, "dev"))[name]
        if score >= best:
            members, best = [*members, epoch], score
    soup = choices_of(scored)["average.soup=3"]

    assert soup.members == members and soup.best_score == best
    assert soup.looks == EPOCHS + 2  # every epoch once to order them, and two that tried to join


def test_weights_are_kept_no_longer_than_a_level_may_need_them(scored: Run) -> None:
    assert len(scorer_of(scored).ends) <= EPOCHS
    (run,) = train_free(scored.loaded, unlike(scored.loaded), free=scorings({"posthoc.tau": 1.0}))
    assert len(scorer_of(run).ends) == 1
    (run,) = train_free(scored.loaded, unlike(scored.loaded), free=scorings({"average.ema": 0.3}))
    assert scorer_of(run).ends == {}


# What becomes of logits


def test_class_shares_are_taken_off_the_logits(loaded: LoadedStudy) -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    scorer = Scorer(scorings({"posthoc.tau": 2.0}), {}, 1, labels, 4)
    z = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    pi = np.array([0.6, 0.3, 0.1, 0.6])  # the last has no text, and is not favoured for it

    lowered = scorer.lower("posthoc.tau=2.0", {"dev": z})["dev"]

    np.testing.assert_allclose(lowered, z - 2 * np.log(pi), rtol=1e-5, atol=1e-6)
    assert (lowered.argmax(axis=1) != z.argmax(axis=1)).any()


def test_class_shares_are_those_of_the_texts_that_the_run_has_seen(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, texts__extra="extra.tsv")
    run = Run(loaded, "run", recipe, 0, scorings({"posthoc.tau": 1.0}))
    counts = np.bincount(loaded.training_texts(recipe).labels)

    assert run.scorer is not None
    np.testing.assert_allclose(np.exp(run.scorer.shares), counts / counts.sum(), rtol=1e-6)
    assert len(loaded.training_texts(recipe)) > len(loaded.tokens.train)


def test_sizes_of_classes_are_corrected_once(loaded: LoadedStudy) -> None:
    for twice in ({"loss.weights": "balanced"}, {"loss.prior_tau": 1.0}):
        recipe = Recipe().at({**twice, "posthoc.tau": 1.0})

        (problem,) = recipe.problems(loaded.study.checkpoint)
        assert "do it twice" in problem.what and not Recipe().at(twice).problems(loaded.study.checkpoint)


def test_class_shares_come_off_before_dev_chooses(loaded: LoadedStudy, scored: Run) -> None:
    own = choices_of(scored)["posthoc.tau=1.0"]

    assert own.best_score == scored.scores("dev", own.logits["dev"])[loaded.study.head.score]


def test_the_temperature_makes_devs_log_loss_smallest() -> None:
    draw = np.random.default_rng(0)
    z, gold = draw.standard_normal((200, 3)).astype(np.float32), draw.integers(0, 3, 200)
    z[np.arange(200), gold] += 1

    def loss(temperature: float) -> float:
        logs = torch.log_softmax(torch.from_numpy(z).double() / temperature, dim=1)
        return -float(logs[torch.arange(200), torch.from_numpy(gold)].mean())

    best = fit_temperature(z, gold)

    assert 0.05 < best < 20 and loss(best) < min(loss(best * 1.01), loss(best / 1.01))
    assert fit_temperature(10 * z, gold) == pytest.approx(10 * best)
    right = np.eye(3, dtype=np.float32)[gold]
    assert fit_temperature(right, gold) == 0.05 and fit_temperature(-right, gold) == 20


def test_a_temperature_changes_no_answer(loaded: LoadedStudy, scored: Run) -> None:
    own = choices_of(scored)["posthoc.temperature=dev"]

    assert own.temperature is not None and own.best_epoch == scored.progress.best_epoch
    for split in ("dev", "test"):
        np.testing.assert_allclose(own.logits[split] * own.temperature, scored.logits[split], rtol=1e-5)


# Other weights are put back


def test_other_weights_are_worn_and_the_very_own_put_back(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", unlike(loaded), 0, scorings({"average.ema": 0.3}))
    scorer, before = run.scorer, {name: p.data_ptr() for name, p in run.trained().items()}
    assert scorer is not None
    zeros = {name: torch.zeros_like(p) for name, p in run.trained().items()}

    def wear_and_fail() -> None:
        with scorer.wearing(zeros):
            assert all(not p.any() for p in run.trained().values())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        wear_and_fail()
    assert {name: p.data_ptr() for name, p in run.trained().items()} == before
    assert all(not t.any() for t in zeros.values())


def test_before_the_first_step_averages_are_the_initial_weights(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", unlike(loaded), 0, scorings())
    assert run.scorer is not None
    for averaging, average in run.scorer.averages.items():
        mean = run.scorer.mean(averaging, 1)
        if isinstance(average, MovingAverage):
            assert mean is not None
            assert all(torch.equal(mean[name], p) for name, p in run.trained().items())
        else:
            assert mean is None


# On every path, and after a crash


def family_of(loaded: LoadedStudy, **levels: Any) -> list[Recipe]:
    return [
        unlike(loaded, **levels),
        unlike(loaded, **levels, reinit__layers=2),
        unlike(loaded, **levels, schedule__warmup_ratio=0.3),
    ]


@pytest.mark.parametrize("frozen", rare([0, 2], [2]))
def test_a_family_is_scored_as_its_runs_alone(loaded: LoadedStudy, frozen: int) -> None:
    recipes = family_of(loaded, freeze__layers=frozen)
    together = train_free(loaded, *recipes)

    for run, recipe in zip(together, recipes, strict=True):
        (alone,) = train_free(loaded, recipe)
        assert outcome(run) == outcome(alone)


def test_a_run_that_diverges_leaves_the_scores_of_the_others(loaded: LoadedStudy) -> None:
    recipe = unlike(loaded)
    wild, tame = (Run(loaded, name, recipe, 0, scorings()) for name in ("wild", "tame"))
    wild.model.get_parameter("head.linear.bias").data.fill_(np.nan)
    train_family(loaded, [wild, tame], StateFile(loaded.study.folder / "nowhere", 1e9))

    assert wild.progress.status == "diverged"
    assert outcome(tame) == outcome(train_free(loaded, recipe)[0])


@pytest.mark.parametrize("captured", [False, True])
def test_stacked_and_captured_runs_are_scored_as_alone(
    loaded: LoadedStudy, bert: Path, tmp_path: Path, captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding, which steps magnify: averages of one epoch are compared."""
    stacked = open_study(write_study(tmp_path, bert), stack=4)
    free = scorings({"average.ema": 0.3}, {"average.lawa": 0.8}, {"posthoc.tau": 1.0})
    mild = {"training__epochs": 1, "optimizer__rate": 1e-4}
    recipes = [unlike(loaded, **mild), unlike(loaded, **mild, reinit__layers=2)]
    if captured:
        monkeypatch.setattr(finegrid.training.train, "walk_of", CapturedSteps)
    together = train_free(stacked, *recipes, free=free)
    without = train(stacked, *recipes)
    monkeypatch.undo()

    for place, (run, recipe) in enumerate(zip(together, recipes, strict=True)):
        assert run.progress.path == "stack"
        assert_same_run(run, without[place])
        alone = Run(loaded, "run", recipe, 0, free)
        if captured:
            draw_by_counter_([alone])
        train_family(loaded, [alone], StateFile(loaded.study.folder / "nowhere", 1e9))
        for key, choice in choices_of(run).items():
            expected = choices_of(alone)[key].logits["test"]
            np.testing.assert_allclose(choice.logits["test"], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("killed_after", [5, EPOCHS * STEPS])
def test_killed_and_resumed_to_the_same_bits(
    loaded: LoadedStudy, scored: Run, tmp_path: Path, killed_after: int
) -> None:
    """Also where it was killed right before the last epoch's dev, with all epochs but one saved."""
    state = StateFile(tmp_path / "state", 0.0)

    def on_step(done: int) -> None:
        if done == killed_after:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        train_family(loaded, [Run(loaded, "run-0", unlike(loaded), 0, scorings())], state, on_step)
    resumed = Run(loaded, "run-0", unlike(loaded), 0, scorings())
    train_family(loaded, [resumed], state)

    assert outcome(resumed) == outcome(scored)
    assert_same_run(resumed, scored)


def test_what_ended_is_scored_from_its_state_alone(loaded: LoadedStudy, scored: Run, tmp_path: Path) -> None:
    """The state of the last epoch has all weights that soups and test predictions still need."""
    state = StateFile(tmp_path / "state", 0.0)
    train_family(loaded, [Run(loaded, "run-0", unlike(loaded), 0, scorings())], state)
    again = Run(loaded, "run-0", unlike(loaded), 0, scorings())
    train_family(loaded, [again], state, lambda done: pytest.fail("a step was made"))

    assert outcome(again) == outcome(scored)


def test_a_state_without_averages_is_not_gone_on_from(loaded: LoadedStudy, tmp_path: Path) -> None:
    """Averages begin with the run: from the middle on they would be others."""
    state = StateFile(tmp_path / "state", 0.0)
    train_family(loaded, [Run(loaded, "run-0", unlike(loaded), 0)], state)
    steps: list[int] = []
    run = Run(loaded, "run-0", unlike(loaded), 0, scorings())
    train_family(loaded, [run], state, steps.append)

    assert len(steps) == EPOCHS * STEPS


def test_a_state_has_the_weights_that_train(loaded: LoadedStudy, tmp_path: Path) -> None:
    """Not those that a level wears."""
    from safetensors.torch import load_file

    state = StateFile(tmp_path / "state", 0.0)
    (run,) = train_family(
        loaded, [Run(loaded, "run-0", unlike(loaded, training__epochs=1), 0, scorings())], state
    )
    own = load_file(tmp_path / "state")

    assert all(torch.equal(own[f"run-0/weight/{name}"], weights(run)[name]) for name in run.trained())


def test_under_best_test_every_level_chooses_on_test(bert: Path, tmp_path: Path) -> None:
    loaded = open_study(write_study(tmp_path, bert, head='protocol = "best-test"'))
    (run,) = train_free(loaded, unlike(loaded))
    name = loaded.study.head.score

    for key, choice in choices_of(run).items():
        assert choice.best_score == run.scores("test", choice.logits["test"])[name], key
    assert outcome(run) == outcome(train_free(loaded, unlike(loaded))[0])


def test_what_they_take_is_told_apart(scored: Run) -> None:
    assert scored.progress.free_seconds > 0


@pytest.mark.parametrize("key", rare(scorings(), [*scorings()][::2]))
def test_a_kept_level_says_what_the_level_said(key: str, loaded: LoadedStudy, tmp_path: Path) -> None:
    """Averages to the bit; what is done to logits, in the head's last layer, to rounding."""
    levels = next(levels for levels in LEVELS if key_of_free(levels) == key)
    (run,) = train_free(loaded, unlike(loaded), free=scorings(levels))
    choice = choices_of(run)[key]
    record = record_of(loaded, run, "family", 0.0)
    recipe = unlike(loaded).at(levels)
    keep(loaded, run, fitted_of(loaded, recipe, record), tmp_path / "kept", title_model(loaded, "study"))
    fitted = load_fitted(tmp_path / "kept")
    kept = load_model(tmp_path / "kept", fitted, loaded.device)
    batches = loaded.evaluation_batches(loaded.tokens.test, run.recipe)
    (logits,) = predict([kept], batches, len(loaded.tokens.test))

    assert fitted.recipe == {**unlike(loaded).moved(), **levels}
    if set(levels) & {"posthoc.tau", "posthoc.temperature"}:
        np.testing.assert_allclose(logits, choice.logits["test"], rtol=1e-4, atol=1e-5)
    else:
        assert np.array_equal(logits, choice.logits["test"])


def test_every_kind_of_head_takes_in_the_adjustment(loaded: LoadedStudy) -> None:
    """In the layer that makes logits, whatever stands before it."""
    free = scorings({"posthoc.tau": 1.0, "posthoc.temperature": "dev"})
    for head in ({}, {"head__hidden": 8}, {"head__kind": "huggingface"}):
        (run,) = train_free(loaded, unlike(loaded, training__epochs=1, **head), free=free)
        (key,) = free
        scorer_of(run).become_(key, run.model.head)

        logits = predict_split(loaded, [run], "test")[0]
        expected = choices_of(run)[key].logits["test"]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
