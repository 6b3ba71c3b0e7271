"""Each strategy does what its card says, and only this."""

from __future__ import annotations

import math

import pytest
import torch
from support.studies import any_setting, open_study, recipe_of, start_of, train, weights, write_study
from torch import Tensor

from finegrid.model.packing.batches import GRAIN
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.freeze import Freeze
from finegrid.strategies.reinit import Reinit
from finegrid.strategies.schedule import Schedule
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run


def snapshot(loaded: LoadedStudy, strategy: Reinit, seed: int = 0) -> dict[str, Tensor]:
    model = loaded.classifier(Recipe(), seed)
    strategy.prepare_model(model, any_setting(seed))
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("pooler", [False, True])
def test_reinit_redraws_the_pooler_and_the_top_layers_and_nothing_else(
    loaded: LoadedStudy, pooler: bool, layers: int
) -> None:
    before, after = snapshot(loaded, Reinit()), snapshot(loaded, Reinit(pooler=pooler, layers=layers))
    parts = [f"encoder.encoder.layer.{index}." for index in range(4 - layers, 4)]
    parts += ["encoder.pooler."] if pooler else []
    expected = {name for name in before if name.startswith(tuple(parts))}

    # Every one of them: this is where transformers 5 leaves loaded weights as they are.
    assert {name for name in before if not torch.equal(before[name], after[name])} == expected
    assert len(expected) == 16 * layers + 2 * pooler


def test_reinit_draws_from_the_checkpoints_own_range(loaded: LoadedStudy) -> None:
    after = snapshot(loaded, Reinit(layers=4))
    redrawn = {name: t for name, t in after.items() if ".layer." in name}
    matrices = torch.cat([t.flatten() for t in redrawn.values() if t.ndim == 2])

    assert float(matrices.std()) == pytest.approx(0.2, rel=0.03)
    assert float(matrices.mean()) == pytest.approx(0.0, abs=0.01)
    for name, t in redrawn.items():
        if t.ndim < 2:
            assert torch.equal(t, torch.full_like(t, 1.0 if "LayerNorm.weight" in name else 0.0))


def test_reinit_draws_each_tensor_from_a_stream_of_its_own(loaded: LoadedStudy) -> None:
    one, two, all_ = (snapshot(loaded, Reinit(layers=layers)) for layers in (1, 2, 4))
    pooler = snapshot(loaded, Reinit(pooler=True))
    top = [name for name in one if ".layer.3." in name]

    assert all(torch.equal(one[name], two[name]) and torch.equal(one[name], all_[name]) for name in top)
    both = snapshot(loaded, Reinit(pooler=True, layers=1))
    assert all(torch.equal(both[name], pooler[name]) for name in both if "pooler" in name)
    name = "encoder.encoder.layer.3.attention.self.query.weight"
    assert not torch.equal(one[name], snapshot(loaded, Reinit(layers=1), seed=1)[name])
    assert not torch.equal(one[name], one[name.replace("query", "key")])


@pytest.mark.parametrize("dropout", [True, False])
def test_what_is_frozen_stays_to_the_last_bit_and_the_rest_moves(loaded: LoadedStudy, dropout: bool) -> None:
    start = start_of(loaded)
    (run,) = train(loaded, recipe_of(loaded, freeze__layers=2, freeze__dropout=dropout))
    still = {name for name, t in weights(run).items() if torch.equal(t, start[name])}
    frozen = {
        n
        for n in start
        if n.startswith(("encoder.embeddings", "encoder.encoder.layer.0.", "encoder.encoder.layer.1."))
    }
    unread = {n for n in start if "pooler" in n}

    assert still == frozen | unread
    assert {name for name, p in run.model.named_parameters() if not p.requires_grad} == frozen


def test_frozen_layers_keep_their_dropout_unless_told_otherwise(loaded: LoadedStudy) -> None:
    def active(strategy: Freeze) -> set[str]:
        model = loaded.classifier(Recipe(), 0)
        strategy.prepare_model(model, any_setting())
        return {name for name, site in model.dropouts.items() if site.active}

    everywhere = active(Freeze())
    bottom = {name for name in everywhere if name.startswith(("embeddings", "layer.0.", "layer.1."))}
    assert len(bottom) == 7
    assert active(Freeze(layers=2)) == everywhere
    assert active(Freeze(layers=2, dropout=False)) == everywhere - bottom
    assert active(Freeze(layers=0, dropout=False)) == everywhere


@pytest.mark.parametrize("dropout", [True, False])
def test_a_frozen_prefix_is_noisy_in_training_only_with_dropout(loaded: LoadedStudy, dropout: bool) -> None:
    model = loaded.classifier(Recipe(), 0)
    Freeze(layers=2, dropout=dropout).prepare_model(model, any_setting())
    batch = next(loaded.training_batches(Recipe(), 0, 0))
    first = model.prefix(batch, 0).hidden

    assert torch.equal(first, model.prefix(batch, 1).hidden) == (not dropout)
    assert torch.equal(first, model.eval().prefix(batch).hidden) == (not dropout)


def test_decay_on_matrices_spares_vectors_only(loaded: LoadedStudy) -> None:
    for decay_on in ("all", "matrices"):
        run = Run(loaded, "run", recipe_of(loaded, optimizer__decay_on=decay_on), 0)
        decays = {p: g["weight_decay"] for g in run.optimizer.groups for p in g["params"]}
        assert len(decays) == len(list(run.model.parameters()))
        for name, p in run.model.named_parameters():
            vector = name.endswith(".bias") or "norm" in name.lower()
            assert vector == (p.ndim == 1)
            assert decays[p] == (0.0 if vector and decay_on == "matrices" else 0.01)


def test_without_decay_nothing_decays(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded, optimizer__weight_decay=0.0), 0)

    assert {g["weight_decay"] for g in run.optimizer.groups} == {0.0}


def test_warmup_by_hand() -> None:
    assert [Schedule(0.2).rate_factor(t, 10) for t in range(10)] == pytest.approx(
        [0, 1 / 2, 8 / 8, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    )
    assert [Schedule().rate_factor(t, 4) for t in range(4)] == [1.0, 0.75, 0.5, 0.25]
    # ceil(0.25 * 5) = 2
    assert [Schedule(0.25).rate_factor(t, 5) for t in range(5)] == pytest.approx([0, 0.5, 1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 30, 41, 100, 999, 6752])
@pytest.mark.parametrize("ratio", [0.0, 0.06, 0.07, 0.1, 0.3, 0.5, 0.99])
def test_warmup_is_that_of_the_formula_and_of_transformers(ratio: float, total: int) -> None:
    from fractions import Fraction

    from transformers.optimization import _get_linear_schedule_with_warmup_lr_lambda as theirs

    warmup = math.ceil(Fraction(str(ratio)) * total)  # exact: 0.07 * 100 is 7, in floats a little more
    factors = [Schedule(ratio).rate_factor(step, total) for step in range(total)]
    expected = [
        step / warmup if step < warmup else (total - step) / (total - warmup) for step in range(total)
    ]

    assert factors == expected
    assert (factors[0] == 0.0) == (ratio > 0)
    steps = range(total)
    assert factors == pytest.approx(
        [theirs(step, num_warmup_steps=warmup, num_training_steps=total) for step in steps]
    )


def test_the_first_step_of_a_warmup_moves_nothing(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded, schedule__warmup_ratio=0.5, training__batch_size=12), 0)
    before = {name: t.clone() for name, t in weights(run).items()}
    batches = list(loaded.training_batches(run.recipe, 0, 0))
    run.step(batches[0], 0)
    assert all(torch.equal(before[name], t) for name, t in weights(run).items())
    run.step(batches[1], 1)
    assert not all(torch.equal(before[name], t) for name, t in weights(run).items())


def test_every_training_text_is_seen_once_an_epoch_and_in_another_order(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, training__batch_size=10)
    epochs = [[b.rows.tolist() for b in loaded.training_batches(recipe, 0, epoch)] for epoch in (0, 1)]

    assert [[len(rows) for rows in epoch] for epoch in epochs] == [[10, 10, 4]] * 2
    assert all(sorted(row for rows in epoch for row in rows) == list(range(24)) for epoch in epochs)
    assert sorted(epochs[0][0]) != sorted(epochs[1][0])


def test_a_batch_holds_the_labels_of_its_own_texts(loaded: LoadedStudy) -> None:
    for batch in loaded.training_batches(recipe_of(loaded), 0, 0):
        assert batch.labels.tolist() == loaded.tokens.train.labels[batch.rows].tolist()
        bounds = [*batch.starts.tolist(), batch.real_tokens]
        assert len(batch.ids) % GRAIN == 0 and batch.real_tokens <= len(batch.ids) < batch.real_tokens + GRAIN
        for text, row in enumerate(batch.rows):
            ids, types = loaded.tokens.train.texts([row], 32)
            part = slice(bounds[text], bounds[text + 1])
            assert batch.ids[part].tolist() == ids.tolist()
            assert batch.types[part].tolist() == types.tolist()
            assert batch.positions[part].tolist() == list(range(len(ids)))


def test_text_pairs_train(tmp_path_factory: pytest.TempPathFactory, loaded: LoadedStudy) -> None:
    folder = write_study(tmp_path_factory.mktemp("pairs"), loaded.study.checkpoint.folder, pairs=True)
    pairs = open_study(folder)
    (run,) = train(pairs, pairs.study.baseline)

    assert run.progress.status == "done", run.progress.reason
