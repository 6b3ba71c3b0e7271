"""Runs that hold some rows of the table of words are those that hold all, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.hosted import HOSTED, save_hosted
from support.levels import ON, base, on
from support.rarity import rare
from support.strategies.adding import EVERY, add_strategies_, factor_of
from support.studies import KINDS, open_study, recipe_of, train, weights, write_study
from support.tiny import make_tiny
from torch import Tensor

import finegrid.model.rows
from finegrid.audit import costs
from finegrid.audit.costs import make_audit, measure, member_memory
from finegrid.audit.hashes import hash_parameters
from finegrid.inference.apply import apply
from finegrid.inference.fitted import load_fitted
from finegrid.inference.keep import fitted_of, keep, title_model
from finegrid.model.rows import held_rows
from finegrid.recipe.recipe import Recipe
from finegrid.running.records import record_of
from finegrid.strategies.seams import Strategy
from finegrid.study.audit_file import COPIES
from finegrid.study.free import key_of_free
from finegrid.study.settings import RunSettings
from finegrid.training.build import build_model
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.state import StateFile
from finegrid.training.train import train_family
from finegrid.unfit import UnfitError


def with_all_rows(loaded: LoadedStudy) -> LoadedStudy:
    """The same study, whose runs hold words that no text has, too."""
    twin = copy(loaded)
    twin.every_row = True
    return twin


def assert_same(some: Run, every: Run) -> None:
    """Equal bit by bit, but for rows that only one of them has, whose values are nobody's."""
    rows = held_rows(some.table)
    assert rows is not None and len(some.table.weight) < len(every.table.weight)
    assert some.progress.status == every.progress.status == "done", some.progress.reason
    assert some.progress.best_epoch == every.progress.best_epoch
    assert [entry["train_loss"] for entry in some.progress.epochs] == [
        entry["train_loss"] for entry in every.progress.epochs
    ]
    for split, logits in every.logits.items():
        assert np.array_equal(some.logits[split], logits), split
    ours, theirs = weights(some), weights(every)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        if theirs[name].shape != ours[name].shape:
            values = values[rows.ids]
        assert torch.equal(ours[name], values), name


# The first factor of every part of a recipe, and the kind of update rule.
OFTEN = [*{factor.partition(".")[0]: factor for factor in reversed(ON)}.values(), "optimizer.kind"]


@pytest.mark.parametrize("factor", rare(ON, OFTEN))
def test_no_level_of_any_factor_makes_a_difference(factor: str, taught: LoadedStudy) -> None:
    recipe = on(taught, factor)
    if not factor.startswith("training."):
        recipe = recipe.at({"training.epochs": 1})
    (some,), (every,) = train(taught, recipe), train(with_all_rows(taught), recipe)

    assert_same(some, every)


@pytest.mark.parametrize("kind", rare(KINDS, ["bert", "roberta", "electra-narrow", "distilbert"]))
def test_no_family_of_encoders_makes_a_difference(
    kind: str, checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = open_study(write_study(tmp_path, checkpoint_of(kind)))
    for levels in ({}, {"freeze.layers": 1}, {"clip.norm": 0.1}):
        recipe = recipe_of(loaded, training__epochs=1).at(levels)
        (some,), (every,) = train(loaded, recipe), train(with_all_rows(loaded), recipe)
        assert_same(some, every)


# transformers makes its tokeniser anew, of byte pairs: syllables are none.
@pytest.mark.parametrize(
    "family",
    rare(sorted({*HOSTED} - {"qwen2"}), ["modernbert", "qwen3", "albert", "deberta-v2", "gpt2"]),
)
def test_no_encoder_of_transformers_makes_a_difference(family: str, tmp_path: Path) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    for recipe in (recipe_of(loaded), recipe_of(loaded, clip__norm=0.1)):
        (some,), (every,) = train(loaded, recipe), train(with_all_rows(loaded), recipe)
        assert_same(some, every)


def test_norms_are_those_of_all_rows_where_lanes_do_not_fit(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finegrid.model.rows, "LANES", 1000)
    recipe = recipe_of(loaded, clip__norm=0.1)

    assert_same(*(train(one, recipe)[0] for one in (loaded, with_all_rows(loaded))))


def test_every_strategy_has_decided_whether_it_reads_the_table() -> None:
    for strategy in Recipe().strategies:
        assert "reads_table" in vars(type(strategy)), type(strategy).__name__


@pytest.mark.parametrize("name", [name for name in EVERY if "reads_table" not in vars(type(EVERY[name][0]))])
def test_a_strategy_that_has_not_decided_trains_all_rows(
    name: str, taught: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_strategies_(monkeypatch)
    recipe = Recipe().at({factor_of(name): EVERY[name][2]})

    assert Strategy.reads_table == "in steps"
    assert held_rows(Run(taught, "run", recipe, 0).table) is None
    assert held_rows(Run(taught, "run", Recipe(), 0).table) is not None


def test_the_audit_compares_rows_whoever_holds_all(
    taught: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_strategies_(monkeypatch)
    some, every = Recipe(), Recipe().at({factor_of("lion"): True})
    found = [hash_parameters(build_model(taught, recipe, 0), taught.rows(recipe)) for recipe in (some, every)]

    assert found[0] == found[1]


def test_of_recipes_that_cost_the_same_the_hungriest_is_measured(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Families may have any of them."""
    factors = '[factors]\n"noise.strength" = [0.0, 0.1]\n"clip.norm" = [0.0, 1.0]\n"freeze.layers" = [0, 1]'
    loaded = open_study(write_study(tmp_path, bert, factors))
    measured: list[Recipe] = []

    def note(loaded: LoadedStudy, recipe: Recipe) -> Any:
        measured.append(recipe)
        return measure(loaded, recipe)

    monkeypatch.setattr(costs, "measure", note)
    make_audit(loaded)

    # What frozen layers make of a text has a price, and so has noise beside them.
    found = {(one.freeze.layers, one.noise.strength, one.clip.norm) for one in measured}
    assert found == {(0, 0.1, 1.0), (1, 0.0, 1.0), (1, 0.1, 1.0)}


def test_an_averager_trains_all_rows_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would know what it makes of rows that are not there."""
    add_strategies_(monkeypatch)
    monkeypatch.setattr(type(EVERY["ema"][0]), "reads_table", "never")

    assert Recipe().at({factor_of("ema"): 0.9}).reads_table == "in steps"


def test_the_row_of_padding_gets_no_gradient(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    """RoBERTa pads with word 1, and its tokeniser may write that word where a text says so."""
    loaded = open_study(write_study(tmp_path, checkpoint_of("roberta")))
    for one in (loaded, with_all_rows(loaded)):
        run = Run(one, "run", recipe_of(one), 0)
        rows, padding = held_rows(run.table), run.table.padding_idx
        assert padding is not None
        assert (1 if rows is None else int(rows.ids[padding])) == 1
        run.table(torch.tensor([0, 1, 1, 2])).sum().backward()
        grad = run.table.weight.grad
        assert grad is not None and not grad[padding].any() and grad[[0, 2]].all()


def test_words_of_every_text_are_held_and_special_ones(taught: LoadedStudy) -> None:
    rows = taught.rows(recipe_of(taught, texts__extra="extra.tsv"))
    assert rows is not None
    held = {*rows.ids.tolist()}
    texts = taught.training_texts(recipe_of(taught, texts__extra="extra.tsv"))
    for split in (texts, taught.tokens.train, taught.tokens.dev, taught.tokens.test):
        assert held >= {*split.tokens.tolist()}
    assert held >= {0, 1, 2, 3, 4}  # [PAD] [UNK] [CLS] [SEP] [MASK]
    assert rows.ids.tolist() == sorted(held)


def test_the_word_that_fills_batches_up_is_held_wherever_it_comes_from(tmp_path: Path) -> None:
    """In byte pairs it is an ordinary one, which these texts do not have."""
    loaded = open_study(write_study(tmp_path / "study", make_tiny("qwen3", tmp_path / "model")))
    splits = (loaded.tokens.train, loaded.tokens.dev, loaded.tokens.test)
    assert not any((split.tokens == 0).any() for split in splits)
    (some,), (every,) = (train(one, recipe_of(one)) for one in (loaded, with_all_rows(loaded)))

    assert_same(some, every)


def test_a_word_that_is_not_held_is_refused(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded), 0)
    rows = held_rows(run.table)
    assert rows is not None
    absent = int((rows.places == -1).nonzero()[0, 0])

    with pytest.raises(IndexError):
        run.table(torch.tensor([absent]))


def test_every_draw_of_a_pool_has_rows_of_its_own(bert: Path, tmp_path: Path) -> None:
    folder = write_study(tmp_path, bert)
    settings = folder / "study.toml"
    settings.write_text(
        settings.read_text().replace('dev = "dev.tsv"\ntest = "test.tsv"\n', "")
        + "[design]\nseeds = 5\nresample = 5\n"
    )
    loaded = open_study(folder)
    for seed in (0, 1):
        view = loaded.of_seed(seed)
        (some,), (every,) = (train(one, recipe_of(one), seed=seed) for one in (view, with_all_rows(view)))
        assert_same(some, every)


def test_memory_of_the_table_falls_by_the_share_of_rows(loaded: LoadedStudy) -> None:
    some, every = (Run(one, "run", recipe_of(one), 0) for one in (loaded, with_all_rows(loaded)))
    left_out = every.table.weight.numel() - some.table.weight.numel()

    assert left_out > every.table.weight.numel() / 3
    assert member_memory(every) - member_memory(some) == COPIES * 4 * left_out


def test_a_frozen_table_is_held_in_part_and_shared(loaded: LoadedStudy) -> None:
    first, second = train(loaded, *[recipe_of(loaded, freeze__layers=1)] * 2)

    assert held_rows(first.table) is not None
    assert first.table.weight is second.table.weight


# Killed and resumed


class Killed(Exception):
    """Stands for the end of the process."""


def killed(loaded: LoadedStudy, recipe: Recipe, state: Path) -> None:
    def on_step(done: int) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        train_family(loaded, [Run(loaded, "run-0", recipe, 0)], StateFile(state, 0), on_step)


def test_a_killed_run_goes_on_with_its_rows(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipe = recipe_of(loaded)
    killed(loaded, recipe, tmp_path / "state")
    some = Run(loaded, "run-0", recipe, 0)
    steps: list[int] = []
    train_family(loaded, [some], StateFile(tmp_path / "state", 0), steps.append)

    assert steps == [4, 5, 6]
    assert_same(some, train(with_all_rows(loaded), recipe)[0])


@pytest.mark.parametrize("other", ["all rows", "other rows"])
def test_a_state_of_other_rows_is_set_aside(
    other: str, taught: LoadedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions saved it; or as it was before a study got more texts."""
    loaded, recipe = copy(taught), recipe_of(taught)
    killed(with_all_rows(taught) if other == "all rows" else taught, recipe, tmp_path / "state")
    rows = taught.rows(recipe)
    assert rows is not None
    last = int((rows.places == -1).nonzero()[-1, 0])
    moved = replace(rows, ids=torch.cat([rows.ids[:-1], torch.tensor([last])]).sort().values)
    loaded._rows = {("", ""): rows if other == "all rows" else moved}
    told: list[UnfitError] = []
    run = Run(loaded, "run-0", recipe, 0)

    assert StateFile(tmp_path / "state", 0, tell=told.append).load_([run]) == 0
    assert [unfit.reason for unfit in told] == ["other rows"]
    assert (tmp_path / "state.unfit").exists()


# Kept


def kept_table(loaded: LoadedStudy, recipe: Recipe, out: Path, **free: Any) -> Tensor:
    """Train a recipe, keep its model as the worker does, and return its whole table of words."""
    run = trained_at(loaded, recipe.at(free), free)
    record = replace(record_of(loaded, run, "family", 0.0), stands_for=(1,))
    for level in record.free:
        record = record.at_free(level)
    keep(loaded, run, fitted_of(loaded, recipe.at(free), record), out, title_model(loaded, "study"))
    return load_file(out / "model.safetensors")["embeddings.word_embeddings.weight"]


def trained_at(loaded: LoadedStudy, recipe: Recipe, free: dict[str, Any]) -> Run:
    scorings = {key_of_free(free): recipe.scoring} if free else None
    run = Run(loaded, "run-0", recipe, 0, scorings)
    train_family(loaded, [run], StateFile(loaded.study.folder / "nowhere", 1e9))
    return run


FREE_PARTS = ("average", "posthoc")
STRONG = {"optimizer.weight_decay": 0.5, "optimizer.rate": 0.01, "training.epochs": 4}
KEPT: dict[str, dict[str, Any]] = {
    "plain": {},
    "no decay": {"optimizer.weight_decay": 0.0},
    "no bias correction": {"optimizer.bias_correction": False},
    "matrices": {"optimizer.decay_on": "matrices"},
    "schedule": {"schedule.warmup_ratio": 0.3, "schedule.shape": "cosine", "schedule.floor": 0.1},
    "rates": {"rates.layer_decay": 0.5, "rates.head": 10.0},
    "prior": {"prior.decay": 5.0},
    "prior after noise": {"prior.decay": 5.0, "noise.strength": 0.3},
    "noise": {"noise.strength": 0.3},
    "pretrained": {"pretrain.tokens": 1500},
    "clipped": {"clip.norm": 0.1},
    "frozen": {"freeze.layers": 1},
    "biases": {"train.only": "biases"},
    "early": {"training.epochs": 8, "training.patience": 1, "optimizer.rate": 0.05},
    "ema": {"average.ema": 0.5},
    "last": {"average.last": 3},
    "lawa": {"average.lawa": 0.5},
    "soup": {"average.soup": 3},
    "last epoch": {"posthoc.epoch": "last"},
}


SELDOM = ("no bias correction", "rates", "prior", "noise", "biases", "last", "lawa")


@pytest.mark.parametrize("name", rare(KEPT, [name for name in KEPT if name not in SELDOM]))
def test_a_kept_model_has_all_rows_as_training_all_leaves_them(
    name: str, loaded: LoadedStudy, tmp_path: Path
) -> None:
    levels = {**STRONG, **KEPT[name]}
    free = {factor: level for factor, level in levels.items() if factor.partition(".")[0] in FREE_PARTS}
    recipe = Recipe().at(
        {
            **loaded.study.baseline.levels(),
            **{name: level for name, level in levels.items() if name not in free},
        }
    )
    some, every = (
        kept_table(one, recipe, tmp_path / str(number), **free)
        for number, one in enumerate((loaded, with_all_rows(loaded)))
    )
    rows = loaded.rows(recipe)
    assert rows is not None
    others = rows.places == -1
    start = loaded.checkpoint.table.get_parameter("weight").detach()[others]

    assert torch.equal(some[rows.ids], every[rows.ids])
    torch.testing.assert_close(some[others], every[others], rtol=2e-6, atol=1e-9)
    stays = {"no decay", "prior", "frozen", "biases"}
    assert torch.allclose(every[others], start, rtol=1e-4, atol=0) == (name in stays)


def test_a_kept_model_reads_words_that_no_text_of_the_study_had(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipe = recipe_of(loaded, **{name.replace(".", "__"): level for name, level in STRONG.items()})
    said = []
    for number, one in enumerate((loaded, with_all_rows(loaded))):
        out = tmp_path / str(number)
        kept_table(one, recipe, out)
        said.append(
            apply(out, load_fitted(out), [("[MASK] [unused1] bas ba ##s",)], RunSettings(threads=1))[0]
        )
    new = loaded._tokenizer.encode("bas").ids
    rows = loaded.rows(recipe)

    assert rows is not None and (rows.places[new] == -1).any()
    np.testing.assert_allclose(said[0], said[1], rtol=1e-4)


def test_the_checkpoint_and_other_runs_stay_as_they_are(loaded: LoadedStudy, tmp_path: Path) -> None:
    before = loaded.checkpoint.table.get_parameter("weight").detach().clone()
    kept_table(loaded, recipe_of(loaded, noise__strength=0.3), tmp_path / "kept")

    assert torch.equal(loaded.checkpoint.table.get_parameter("weight"), before)
    assert held_rows(loaded.checkpoint.table) is None
    assert held_rows(build_model(loaded, base(loaded), 0).parts.embedding_table) is not None
