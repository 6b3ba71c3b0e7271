"""Pre-training as a factor of a study: what it learns from, how often it is done, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.studies import open_study, recipe_of, same_tensors, write_study

from finegrid.audit.canonical import Canonicaliser
from finegrid.planning.families import plan_families
from finegrid.planning.forecast import makespan
from finegrid.planning.runs import PlannedRun
from finegrid.pretraining import further, loop
from finegrid.pretraining.further import FurtherPretraining
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.study.audit_file import Audit, Cost
from finegrid.training.build import prepare_model_
from finegrid.training.loaded import LoadedStudy

TOKENS, RATE = 800, 1e-2


@pytest.fixture
def own_loaded(tmp_path: Path, bert: Path) -> LoadedStudy:
    return open_study(write_study(tmp_path / "study", bert))


def encoder(loaded: LoadedStudy, seed: int, **levels: Any) -> dict[str, torch.Tensor]:
    recipe = recipe_of(loaded, pretrain__tokens=TOKENS, pretrain__rate=RATE, **levels)
    model = loaded.classifier(recipe, seed)
    prepare_model_(recipe, model, loaded.setting(seed, recipe))
    return {name: p.detach().clone() for name, p in model.encoder.named_parameters()}


def test_it_learns_from_all_training_texts_and_from_nothing_else(loaded: LoadedStudy) -> None:
    train, documents = loaded.tokens.train, loaded.further._documents
    texts = [train.tokens[a:b] for a, b in zip(train.bounds, train.bounds[1:], strict=False)]
    long = [text for text in texts if len(text) >= 4]

    assert loaded.further.texts is train
    assert len(documents) == len(long) > 10
    assert np.array_equal(documents.tokens, np.concatenate(long))


def test_a_pair_is_one_document(tmp_path: Path, bert: Path) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert, pairs=True))
    train, documents = loaded.tokens.train, loaded.further._documents
    both = np.diff(train.bounds[::2])

    assert np.diff(documents.bounds).tolist() == both[both >= 4].tolist()


def test_every_seed_gets_its_own_encoder_unless_it_is_shared(loaded: LoadedStudy) -> None:
    own = [encoder(loaded, seed) for seed in (0, 1)]
    shared = [encoder(loaded, seed, pretrain__shared=True) for seed in (0, 1)]

    assert not same_tensors(*own)
    assert same_tensors(*shared) and not same_tensors(own[0], shared[0])


def test_all_of_the_encoder_learns_the_pooler_too(loaded: LoadedStudy) -> None:
    before = dict(loaded.checkpoint.encoder.named_parameters())
    after = encoder(loaded, 0)
    # The word table has rows that no text has, such as those of padding.
    same = [name for name, p in before.items() if torch.equal(p.detach(), after[name])]

    assert same == [] and "pooler.dense.weight" in after


def test_it_is_done_once_and_kept(own_loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoder(own_loaded, 0)
    kept = sorted(path.name for path in own_loaded.further.cache.glob("pretrained-*"))
    monkeypatch.setattr(loop.PretrainLoop, "run", lambda self: pytest.fail("trained again"))
    again = replace(own_loaded.further)  # as another worker has it

    assert same_tensors(first, {n: t for n, t in again.weights(TOKENS, RATE, 0).items() if n in first})
    assert [name.rpartition(".")[2] for name in kept] == ["lock", "safetensors"]
    assert own_loaded.further.seconds(TOKENS, RATE, 0) > 0 == own_loaded.further.seconds(TOKENS, RATE, 1)


@pytest.mark.parametrize("change", ["value", "name", "digest"])
def test_a_kept_encoder_that_is_not_as_it_was_written_is_made_anew(
    own_loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3)}
    path = own_loaded.further._path(TOKENS, RATE, 0)
    path.parent.mkdir(exist_ok=True)

    def write(tensors: dict[str, torch.Tensor], digest: str) -> None:
        save_file(tensors, path, {"digest": digest, "seconds": "1"})

    write(tensors, digest := further.digest_tensors(tensors))
    monkeypatch.setattr(FurtherPretraining, "_make", lambda self, path, *_: write(tensors, digest))
    assert same_tensors(own_loaded.further.weights(TOKENS, RATE, 0), tensors)
    name = "b.weight" if change == "name" else "a.weight"
    write({name: tensors["a.weight"] + (change == "value")}, "" if change == "digest" else digest)
    assert further.read_tensors(path) is None
    assert same_tensors(own_loaded.further.weights(TOKENS, RATE, 0), tensors)


def test_a_killed_worker_leaves_what_the_next_one_goes_on_from(
    own_loaded: LoadedStudy, loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loop.PretrainLoop.step

    def until(self: loop.PretrainLoop, *rest: Any) -> None:
        whole(self, *rest)
        if self.progress.step > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.PretrainLoop, "step", until)
    monkeypatch.setattr(further, "PretrainLoop", partial(loop.PretrainLoop, save_seconds=0.0))
    with pytest.raises(KeyboardInterrupt):
        encoder(own_loaded, 0)
    assert list(own_loaded.further.cache.glob("*.state"))
    monkeypatch.undo()

    assert same_tensors(encoder(own_loaded, 0), encoder(loaded, 0))
    assert not list(own_loaded.further.cache.glob("*.state"))


def test_another_corpus_or_precision_is_another_encoder(loaded: LoadedStudy) -> None:
    known: FurtherPretraining = loaded.further
    others = [
        replace(known, fingerprints={**known.fingerprints, "data": "other"}),
        replace(known, precision="bf16"),
    ]
    paths = {one._path(TOKENS, RATE, 0) for one in (known, *others)}

    assert len(paths) == 3
    assert known._path(TOKENS, RATE, 0) == replace(known, threads=7)._path(TOKENS, RATE, 0)


@pytest.mark.parametrize("kind", ["roberta", "electra", "distilbert", "ernie"])
def test_other_families_are_refused(kind: str, tmp_path: Path, checkpoint_of: Callable[[str], Path]) -> None:
    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    problems = recipe_of(loaded, pretrain__tokens=TOKENS).problems(loaded.study.checkpoint)

    assert [problem.where for problem in problems] == ['"pretrain.tokens"']
    assert kind in problems[0].what


def test_runs_with_other_encoders_are_no_family_and_pay_for_one_together() -> None:
    levels: list[Levels] = [{"pretrain.tokens": 500, "freeze.layers": layers} for layers in (0, 2)]
    runs = [
        PlannedRun(f"{seed}{index}", moved, seed, (index,))
        for seed in (0, 1)
        for index, moved in enumerate([*levels, {}])
    ]
    families = plan_families(runs, lambda run: 8)
    costs = [
        Cost(
            shared=Recipe().at(moved).priced_levels(),
            step_seconds=0.0,
            prefix_seconds=0.0,
            evaluation_seconds=0.0,
            test_seconds=0.0,
            memory=0,
            pretrain_seconds=60.0 if moved else 0.0,
        )
        for moved in [*levels, {}]
    ]
    audit = Audit.model_construct(costs=costs, sizes={"train": 10})

    assert len(families) == 6
    assert makespan(families, audit, workers=1) == pytest.approx(2 * 60.0)  # once a seed


def test_reducing_a_recipe_pre_trains_for_nothing_but_itself(
    own_loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    run = loop.PretrainLoop.run

    def counted(self: loop.PretrainLoop) -> None:
        trained.append(self.settings)
        run(self)

    monkeypatch.setattr(loop.PretrainLoop, "run", counted)
    recipe = recipe_of(own_loaded, pretrain__tokens=TOKENS, pretrain__rate=RATE, pretrain__shared=True)
    kept = Canonicaliser(own_loaded, 0).reduce(recipe)
    off = recipe_of(own_loaded, pretrain__rate=RATE, pretrain__shared=True)
    idle = Canonicaliser(own_loaded, 0).reduce(off)

    assert len(trained) == 1
    assert {"pretrain.tokens", "pretrain.rate", "pretrain.shared"} <= kept.levels.keys()
    assert idle.inert.keys() >= {"pretrain.rate", "pretrain.shared"}
