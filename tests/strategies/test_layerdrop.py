"""LayerDrop: a step leaves out whole layers, the same in all its passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.hosted import save_hosted
from support.levels import on
from support.stacks import batches, gradients, kill_and_resume, runs_of
from support.studies import assert_same_run, open_study, recipe_of, train, weights, write_study
from torch import Tensor

from finegrid.model.dropout import LEVELS, skipped_layers
from finegrid.model.engine import HandEngine
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run


def run_of(loaded: LoadedStudy, p: float = 0.5, **levels: object) -> Run:
    return Run(loaded, "run", recipe_of(loaded, **levels).at({"layerdrop.p": p}), 0)


def leave_out_(run: Run, *layers: int) -> None:
    """In every step these, and no other."""
    for index, site in enumerate(run.model.engine.skips):
        site.dropped = LEVELS - 1 if index in layers else 0


def levels_of(run: Run, step: int) -> dict[int, Tensor]:
    """All that the encoder computes of a batch, level by level."""
    found: dict[int, Tensor] = {}
    run.model.clock.turn_to_(step)
    batch = batches(run.loaded, run.recipe)[0]
    found[4] = run.model.engine.run(batch, range(4), lambda level, hidden: found.update({level: hidden}))
    return found


@pytest.mark.parametrize("pooling", ["last-mean", "first-last-mean"])
def test_a_step_without_a_layer_is_that_of_a_model_without_it(loaded: LoadedStudy, pooling: str) -> None:
    """To the last bit, with dropout: the others keep their masks."""
    run, shorter = run_of(loaded, model__pooling=pooling), run_of(loaded, model__pooling=pooling)
    leave_out_(run, 1)
    leave_out_(shorter)
    assert isinstance(shorter.model.engine, HandEngine)
    del shorter.model.engine.layers[1], shorter.model.engine.skips[1]
    shorter.model.head.pool.levels = tuple(level - (level == 4) for level in run.model.head.pool.levels)
    batch = batches(loaded, run.recipe)[0]

    assert run.backward(batch, 3) == shorter.backward(batch, 3)
    assert gradients(run).keys() == gradients(shorter).keys()
    assert not any(".layer.1." in name for name in gradients(run))
    assert all(torch.equal(g, gradients(shorter)[name]) for name, g in gradients(run).items())


def test_the_chance_grows_linearly_from_the_bottom_to_the_top(loaded: LoadedStudy) -> None:
    run, steps = run_of(loaded, 0.8), 1000
    assert [site.dropped / LEVELS for site in run.model.engine.skips] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8], abs=1e-5
    )
    drawn = []
    for step in range(steps):
        run.model.clock.turn_to_(step)
        drawn.append([float(index in skipped_layers(run.model.engine.skips, range(4))) for index in range(4)])
    table = torch.tensor(drawn)

    for share, chance in zip(table.mean(0).tolist(), (0.2, 0.4, 0.6, 0.8), strict=True):
        assert abs(share - chance) < 4 * (chance * (1 - chance) / steps) ** 0.5
    assert torch.corrcoef(table.T).fill_diagonal_(0).abs().max() < 0.13  # layers do not know of each other


def test_runs_of_a_seed_leave_out_the_same_and_other_seeds_others(loaded: LoadedStudy) -> None:
    first, second = runs_of(loaded, [on(loaded, "layerdrop.p"), on(loaded, "layerdrop.p", "clip.norm")])
    other = Run(loaded, "run", on(loaded, "layerdrop.p"), 1)

    def over(run: Run) -> list[frozenset[int]]:
        found = []
        for step in range(30):
            run.model.clock.turn_to_(step)
            found.append(skipped_layers(run.model.engine.skips, range(4)))
        return found

    assert over(first) == over(second) != over(other)


def test_what_a_step_leaves_out_keeps_values_and_moments(loaded: LoadedStudy) -> None:
    run = run_of(loaded, optimizer__weight_decay=0.5, schedule__shape="constant")
    steps = batches(loaded, run.recipe)
    leave_out_(run)
    run.step(steps[0], 0)
    leave_out_(run, 2)
    before = {name: p.detach().clone() for name, p in weights(run).items()}
    state = {p: {kind: t.clone() for kind, t in own.items()} for p, own in run.optimizer.state.items()}
    run.step(steps[1], 1)

    for name, p in weights(run).items():
        if p in state:
            still = all(torch.equal(t, run.optimizer.state[p][kind]) for kind, t in state[p].items())
            assert still == torch.equal(p, before[name]) == (".layer.2." in name), name


def test_dev_and_test_have_all_layers(loaded: LoadedStudy) -> None:
    run, plain = run_of(loaded), Run(loaded, "run", recipe_of(loaded), 0)
    leave_out_(run, 0, 3)
    batch = batches(loaded, run.recipe)[0]
    with torch.no_grad(), run.model.evaluating(), plain.model.evaluating():
        assert torch.equal(run.model(batch), plain.model(batch))
    with torch.no_grad():
        assert not torch.equal(run.model(batch, 0), plain.model(batch, 0))


def test_portions_and_views_leave_out_the_same(loaded: LoadedStudy) -> None:
    levels = {"layerdrop.p": 0.9, "rdrop.alpha": 1.0}
    recipe = recipe_of(loaded).at(levels)
    whole, cut = runs_of(loaded, [recipe, recipe.at({"training.micro_batch": 3})], torch.float64)
    for step, batch in enumerate(batches(loaded, recipe)[:3]):
        assert whole.backward(batch, step) == pytest.approx(cut.backward(batch, step), rel=1e-6)
        assert gradients(whole).keys() == gradients(cut).keys()
        for name, g in gradients(cut).items():
            assert (gradients(whole)[name] - g).norm() <= 1e-6 * g.norm() + 1e-9, name
        for run in (whole, cut):
            run.optimizer.zero_grad()


def test_frozen_layers_are_left_out_unless_they_are_silent(loaded: LoadedStudy) -> None:
    loud, silent = (run_of(loaded, freeze__layers=2, freeze__dropout=dropout) for dropout in (True, False))

    assert [site.active for site in loud.model.engine.skips] == [True] * 4
    assert [site.active for site in silent.model.engine.skips] == [False, False, True, True]
    assert (known := frozen_prefix(silent)) is not None
    assert (
        known.of(batches(loaded, silent.recipe)[0]).prefix is not None
    )  # of no step: the others are not asked
    for site in loud.model.dropouts.values():
        if not site.site.endswith(".whole"):
            site.silenced = True
    assert frozen_prefix(loud) is None  # what is left out differs from step to step


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "mpnet", "modernbert", "qwen3", "albert"])
def test_a_layer_that_is_left_out_gives_what_it_is_given(
    tmp_path: Path, loaded: LoadedStudy, family: str
) -> None:
    """Packed and padded, by our layers and those of transformers."""
    if family != "bert":
        loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    run = run_of(loaded, training__epochs=1)
    leave_out_(run, 1)
    found = levels_of(run, 0)

    equal = [torch.equal(found[level], found[level + 1]) for level in range(3)]
    assert equal == [False, True, False]
    (whole,) = train(loaded, run.recipe)
    assert whole.progress.status == "done" and whole.progress.path == "plain"


def test_a_killed_run_resumes_to_the_same_bits(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(loaded, "layerdrop.p")

    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), train(loaded, recipe)[0])
