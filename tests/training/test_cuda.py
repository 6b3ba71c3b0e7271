"""What a GPU computes. Skipped where there is none; what a CPU can show of its steps: `test_captured.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hosted import save_hosted
from support.levels import ON, base, on
from support.stacks import batches, gradients, kill_and_resume, runs_of, varied
from support.strategies.adding import CAPTURED, EVERY, add_strategies_, factor_of
from support.studies import (
    CPU,
    assert_same_run,
    make_lesson_,
    open_study,
    recipe_of,
    same_tensors,
    save_checkpoint,
    sentence,
    train,
    weights,
    write_study,
    write_tsv,
)

from finegrid.model.kernels.counter import counter_words
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import CapturedSteps
from finegrid.training.graphs import WARM_CALLS
from finegrid.training.loaded import LoadedStudy, prepare_process
from finegrid.training.lockstep import Lockstep
from finegrid.training.run import Run
from finegrid.training.state import StateFile
from finegrid.training.train import train_family, walk_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

STEPS = 50
LEVELS: list[dict[str, Any]] = [
    {},
    {"freeze__layers": 2},
    {"freeze__layers": 2, "freeze__dropout": False},
    {"model__pooling": "pooler"},
    {"model__pooling": "max", "head__samples": 3},
    {"model__pooling": "attention", "head__hidden": 8},
    {"model__pooling": "weighted", "freeze__layers": 2, "freeze__dropout": False},
    {"head__kind": "huggingface", "dropout__hidden": 0.3, "dropout__attention": 0.0},
    {
        "rates__layer_decay": 0.7,
        "prior__decay": 1.0,
        "clip__norm": 0.2,
        "optimizer__beta2": 0.98,
        "schedule__shape": "cosine",
    },
]
IDS = ["full", "frozen", "looked up", "pooler", "max", "attention", "weighted", "huggingface", "rates"]
Open = Callable[..., LoadedStudy]


@pytest.fixture
def on_gpu(tmp_path: Path, bert: Path) -> Open:
    def opened(**settings: Any) -> LoadedStudy:
        given = {"device": "cuda", "precision": "fp32", "family_size": 4, **settings}
        loaded = open_study(write_study(tmp_path, bert), **given)
        prepare_process(loaded.settings)
        return loaded

    return opened


def graphs_of(walk: CapturedSteps) -> int:
    return sum(one.replayed.graph is not None for one in walk.steps.values())


def walk_through(loaded: LoadedStudy, runs: list[Run], walk: CapturedSteps) -> list[list[float]]:
    """Take all steps. Returns the losses of each."""
    found, step = [], 0
    for epoch in range(runs[0].recipe.training.epochs):
        for run in runs:
            run.progress.epochs.append({"epoch": epoch + 1, "train_loss": 0.0, "train_seconds": 0.0})
        for batch in walk.batches(epoch):
            walk.step(batch, step)
            step += 1
        found += [losses.tolist() for _, losses in walk.losses]
        walk.settle()
    told = [run.progress.reason for run in runs if run.progress.status != "running"]
    assert not told, told
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("levels", LEVELS, ids=IDS)
def test_a_graph_trains_to_the_bits_of_the_calls_it_holds(
    on_gpu: Open, precision: str, levels: dict[str, Any]
) -> None:
    loaded = on_gpu(precision=precision)
    recipes = varied(loaded, **levels, training__epochs=4)
    ends, losses = [], []
    for captured in (True, False):
        runs = runs_of(loaded, recipes)
        walk = walk_of(loaded, runs)
        assert isinstance(walk, CapturedSteps)
        for one in walk.steps.values():
            one.replayed.graphs.capturing = captured
        losses.append(walk_through(loaded, runs, walk))
        assert graphs_of(walk) == (len(walk.steps) if captured else 0)
        ends.append(runs)

    assert len(losses[0]) > WARM_CALLS + 5 and losses[0] == losses[1]
    for one, other in zip(*ends, strict=True):
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


@pytest.mark.parametrize(
    "levels",
    [
        {"train__only": "biases"},
        {"train__only": "head"},
        {"lora__rank": 3},
        {"lora__rank": 8, "lora__targets": "all-linear", "lora__scale": 2.0},
        {"probe__epochs": 2},
        {"noise__strength": 0.3},
        {"texts__extra": "extra.tsv"},
        {"pseudo__texts": "unlabelled.tsv", "pseudo__threshold": 0.2, "pseudo__weight": 0.5},
        {"augment__kind": "delete", "augment__rate": 0.3},
        {"augment__kind": "cutoff-token", "augment__rate": 0.3},
        {"model__max_length": 5, "model__keep": "head+tail"},
    ],
    ids=str,
)
def test_a_graph_of_another_start_trains_to_the_bits_of_the_calls_it_holds(
    on_gpu: Open, levels: dict[str, Any]
) -> None:
    loaded = on_gpu()
    recipes = [recipe_of(loaded, **levels, training__epochs=6, schedule__warmup_ratio=w) for w in (0.0, 0.3)]
    ends = []
    for captured in (True, False):
        runs = runs_of(loaded, recipes)
        walk = walk_of(loaded, runs)
        assert isinstance(walk, CapturedSteps)
        for one in walk.steps.values():
            one.replayed.graphs.capturing = captured
        walk_through(loaded, runs, walk)
        assert graphs_of(walk) == (len(walk.steps) if captured else 0)
        ends.append(runs)

    for one, other in zip(*ends, strict=True):
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


@pytest.mark.parametrize("name", CAPTURED)
def test_a_graph_holds_each_strategys_own_step(
    on_gpu: Open, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With averages and update rules of its own, beside a run that has none."""
    add_strategies_(monkeypatch)
    loaded = on_gpu(precision="bf16")
    plain = recipe_of(loaded, training__epochs=4)
    check_graphs(loaded, [plain.at({factor_of(name): EVERY[name][2]}), plain])


@pytest.mark.parametrize(
    "factor", [name for name in ON if name.startswith(("loss.", "distil.", "contrast.", "mixup.", "rdrop."))]
)
def test_a_graph_holds_each_loss(tmp_path: Path, bert: Path, factor: str) -> None:
    """Its constants are made before the capture, and a teacher's logits are found by its texts."""
    given = {"device": "cuda", "precision": "bf16", "family_size": 4}
    loaded = open_study(make_lesson_(write_study(tmp_path, bert)), **given)
    prepare_process(loaded.settings)
    check_graphs(loaded, [recipe.at({"training.epochs": 4}) for recipe in (on(loaded, factor), base(loaded))])


@pytest.mark.parametrize("kind", ["lion", "sgd", "adafactor", "schedule-free", "muon"])
def test_a_graph_holds_each_kind_of_optimizer(on_gpu: Open, kind: str) -> None:
    loaded = on_gpu(precision="bf16")
    plain = recipe_of(loaded, training__epochs=4)
    check_graphs(loaded, [plain.at({"optimizer.kind": kind}), plain])


def test_a_graph_holds_layers_that_are_computed_twice(on_gpu: Open) -> None:
    ends = []
    for recompute in (True, False):
        loaded = on_gpu(precision="bf16", recompute=recompute)
        recipes = varied(loaded, training__epochs=4, dropout__hidden=0.3, dropout__attention=0.3)
        check_graphs(loaded, recipes)
        ends.append(train(loaded, *recipes))
    for one, other in zip(*ends, strict=True):
        assert one.progress.path == "graph"
        assert same_tensors(weights(one), weights(other))


def write_long_texts(folder: Path, longest: int) -> None:
    """Instead of the study's own texts. Some are cut."""
    for seed, (part, texts) in enumerate({"train": 24, "dev": 15, "test": 18}.items()):
        draw = np.random.default_rng(seed)
        lengths = draw.integers(1, longest * 6 // 5, texts)
        rows = [(sentence(draw, row % 3, words), "xyz"[row % 3]) for row, words in enumerate(lengths)]
        write_tsv(folder / f"{part}.tsv", rows)


@pytest.mark.parametrize("length", [130, 300, 512])
def test_long_texts_in_graphs_follow_a_cpu(tmp_path: Path, length: int) -> None:
    """Attention by blocks, in steps of several sizes."""
    model = save_checkpoint(tmp_path / "model", "bert", max_position_embeddings=512)
    ends = []
    for name, device in (("cpu", "cpu"), ("gpu", "cuda")):
        study = write_study(tmp_path / name, model)
        write_long_texts(study, length)
        loaded = open_study(study, device=device, precision="fp32", family_size=4)
        prepare_process(loaded.settings)
        silent = {"dropout__hidden": 0.0, "dropout__attention": 0.0, "dropout__head": 0.0}
        gentle = {"optimizer__rate": 1e-4, "training__epochs": 6}
        recipes = varied(loaded, **silent, **gentle, model__max_length=length)
        ends.append(train(loaded, *recipes))
    for here, there in zip(*ends, strict=True):
        assert there.progress.path == "graph", there.progress.reason
        np.testing.assert_allclose(there.logits["test"], here.logits["test"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", ["modernbert", "qwen3", "albert", "deberta-v2"])
def test_an_encoder_of_transformers_follows_a_cpu_and_goes_on_after_a_crash(
    tmp_path: Path, family: str
) -> None:
    model = save_hosted(tmp_path / "model", family)
    silent = {"dropout__hidden": 0.0, "dropout__attention": 0.0, "dropout__head": 0.0}
    ends = []
    for name, device in (("cpu", "cpu"), ("gpu", "cuda")):
        study = write_study(tmp_path / name, model)
        loaded = open_study(study, device=device, precision="fp32")
        prepare_process(loaded.settings)
        recipe = recipe_of(
            loaded, **silent, model__pooling="last-mean", training__epochs=3, optimizer__rate=1e-4
        )
        ends += train(loaded, recipe)
    np.testing.assert_allclose(ends[1].logits["test"], ends[0].logits["test"], rtol=1e-3, atol=1e-3)

    loud = recipe_of(loaded, model__pooling="last-mean", training__epochs=3)
    assert_same_run(kill_and_resume(loaded, loud, tmp_path), train(loaded, loud)[0])


def check_graphs(loaded: LoadedStudy, recipes: list[Recipe]) -> None:
    """A graph trains to the bits of the calls that it holds."""
    ends = []
    for captured in (True, False):
        runs = runs_of(loaded, recipes)
        walk = walk_of(loaded, runs)
        assert isinstance(walk, CapturedSteps)
        for one in walk.steps.values():
            one.replayed.graphs.capturing = captured
        losses = walk_through(loaded, runs, walk)
        assert [walk.path_of(run) for run in runs] == ["graph" if captured else "stack"] * 2
        averages = [dict(averager.tensors()) for run in runs for averager in run.averagers]
        ends.append((losses, [weights(run) for run in runs], averages))

    (losses, values, averages), (others, other_values, other_averages) = ends
    assert losses == others
    for mine, theirs in zip([*values, *averages], [*other_values, *other_averages], strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_masks_are_drawn_from_the_same_words_as_on_a_cpu() -> None:
    for count in (1, 1000, 1 << 16):
        words = counter_words(2**63 - 5, count, torch.device("cuda"))
        assert torch.equal(words.cpu(), counter_words(2**63 - 5, count, CPU))


@pytest.mark.parametrize("levels", LEVELS, ids=IDS)
def test_fifty_steps_in_float32_follow_a_cpu_from_the_same_masks(
    on_gpu: Open, levels: dict[str, Any], tmp_path: Path, bert: Path
) -> None:
    """1e-4 relative, in losses and in every tensor; lockstep, whose layout is that of the CPU's."""
    there = on_gpu(stack=1)
    here = open_study(write_study(tmp_path / "cpu", bert))
    recipes = varied(here, **levels, training__epochs=17)
    ours, theirs = runs_of(there, recipes), runs_of(here, recipes)
    for step, (mine, his) in enumerate(
        zip(batches(there, recipes[0]), batches(here, recipes[0]), strict=True)
    ):
        if step == STEPS:
            break
        for run, twin in zip(ours, theirs, strict=True):
            loss = run.step(run.model.shared(mine, step), step)
            assert loss == pytest.approx(twin.step(twin.model.shared(his, step), step), rel=1e-4), step

    for run, twin in zip(ours, theirs, strict=True):
        for name, p in weights(twin).items():
            if not name.endswith("key.bias"):  # its gradient is zero but for rounding, which Adam magnifies
                assert (weights(run)[name].cpu() - p).norm() <= 1e-4 * p.norm(), name


@pytest.mark.parametrize("levels", LEVELS, ids=IDS)
def test_fifty_stacked_steps_follow_fifty_alone(on_gpu: Open, levels: dict[str, Any]) -> None:
    """1e-4 relative in float32: a stack of four against four stacks of one, all in graphs."""
    loaded = on_gpu()
    recipes = varied(loaded, **levels, training__epochs=17)
    stacked = runs_of(loaded, recipes)
    together = walk_through(loaded, stacked, CapturedSteps(loaded, stacked))
    for index, recipe in enumerate(recipes):
        (run,) = runs_of(loaded, [recipe])
        alone = walk_through(loaded, [run], CapturedSteps(loaded, [run]))
        for step, (one, other) in enumerate(zip(together, alone, strict=True)):
            if step < STEPS:
                assert one[index] == pytest.approx(other[0], rel=1e-4, abs=1e-6), step


def test_a_run_in_lockstep_has_the_bits_that_it_has_alone(on_gpu: Open) -> None:
    loaded = on_gpu(stack=1)
    recipes = varied(loaded, freeze__layers=2)
    together = train(loaded, *recipes)
    assert isinstance(walk_of(loaded, together), Lockstep)
    for run, recipe in zip(together, recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


class Killed(Exception):
    pass


@pytest.mark.parametrize("levels", LEVELS, ids=IDS)
def test_a_family_that_goes_on_after_a_crash_ends_in_the_same_bits(
    on_gpu: Open, levels: dict[str, Any], tmp_path: Path
) -> None:
    loaded = on_gpu(precision="bf16")
    recipes = varied(loaded, **levels, training__epochs=4)

    def trained(name: str, last: int | None = None) -> list[Run]:
        def on_step(done: int) -> None:
            if done == last:
                raise Killed

        state = StateFile(tmp_path / f"{name}.safetensors", 0)
        return train_family(loaded, runs_of(loaded, recipes), state, on_step)

    with pytest.raises(Killed):
        trained("state", 8)
    for one, other in zip(trained("state"), trained("never"), strict=True):
        assert one.progress.status == "done", one.progress.reason
        assert_same_run(one, other)


def test_averages_in_graphs_follow_the_weights_after_every_step(on_gpu: Open) -> None:
    """They are queued behind the replayed step, and read what it has left."""
    loaded = on_gpu()
    free = {
        "ema": Recipe().at({"average.ema": 0.3}).scoring,
        "last": Recipe().at({"average.last": 2}).scoring,
    }
    recipes = varied(loaded, training__epochs=4)
    state = StateFile(loaded.study.folder / "nowhere", 1e9)
    runs = train_family(loaded, [Run(loaded, str(i), one, 0, free) for i, one in enumerate(recipes)], state)

    for run, other in zip(runs, train(loaded, *recipes), strict=True):
        assert_same_run(run, other)
        assert run.progress.path == "graph" and run.chosen.keys() == free.keys()
        followed = run.chosen["ema"].logits["test"]
        assert not np.array_equal(followed, run.logits["test"])
        assert np.abs(followed - run.logits["test"]).max() < 5


def test_gradients_in_float64_are_those_of_a_cpu(on_gpu: Open, tmp_path: Path, bert: Path) -> None:
    """To what the loss leaves, which is taken in float32."""
    here = open_study(write_study(tmp_path / "cpu", bert))
    found = []
    for loaded in (on_gpu(), here):
        (run,) = runs_of(loaded, [recipe_of(loaded)], torch.float64)
        for site in run.model.dropouts.values():
            site.silenced = True
        run.backward(batches(loaded, run.recipe)[1], 0)
        found.append(gradients(run))

    assert found[0].keys() == found[1].keys()
    for name, grad in found[1].items():
        torch.testing.assert_close(found[0][name].cpu(), grad, rtol=1e-5, atol=1e-7, msg=name)
