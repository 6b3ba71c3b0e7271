"""Mixout: a step reads part of the encoder's matrices as the checkpoint has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.hosted import save_hosted
from support.stacks import (
    assert_runs_alike,
    batches,
    gradients,
    runs_of,
    step_captured,
    step_stacked,
)
from support.studies import (
    LoadedOf,
    assert_same_run,
    open_study,
    recipe_of,
    same_tensors,
    save_checkpoint,
    studies_of,
    train,
    weights,
    write_study,
)
from torch import Tensor

from finegrid.model.dropout import LEVELS
from finegrid.model.mixing import Mixing
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

P = 0.4
FAMILIES = ("bert", "distilbert", "modernbert", "deberta-v2", "albert")
HAND = ("bert", "distilbert")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    return studies_of(
        tmp_path_factory,
        lambda family, model: (
            save_checkpoint(model, family) if family in HAND else save_hosted(model, family)
        ),
    )


def mixed(loaded: LoadedStudy, **levels: object) -> Recipe:
    return recipe_of(loaded, **levels).at({"mixout.p": P})


def mixing_of(run: Run) -> Mixing:
    mixing = run.model.engine.mixing
    assert mixing is not None
    return mixing


def names_of(run: Run) -> set[str]:
    return {name for name, p in run.model.named_parameters() if p in mixing_of(run).sites}


def move_(run: Run) -> None:
    """Away from the checkpoint, as steps do, so that there is something to mix."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in run.model.encoder.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_has_the_loss_and_gradients_of_a_model_with_the_mixed_weights(
    studies: LoadedOf, family: str
) -> None:
    """Those of a plain run that holds W0 + M / (1 - p) * (W - W0), and M / (1 - p) times these of W."""
    loaded = studies(family)
    run, plain = runs_of(loaded, [mixed(loaded), recipe_of(loaded)], torch.float64)
    move_(run)
    step, batch = 3, batches(loaded, run.recipe)[0]
    run.model.clock.turn_to_(step)
    factors: dict[str, Tensor] = {}
    for name, p in run.model.named_parameters():
        value = p.detach()
        if (drawn := mixing_of(run).draw(p)) is not None:
            anchor = loaded.setting(0).anchor[name].double()
            factors[name] = drawn.keep.view_as(p).double() * LEVELS / (LEVELS - round(P * LEVELS))
            value = anchor + factors[name] * (value - anchor)
        plain.model.get_parameter(name).data.copy_(value)
    assert factors.keys() == names_of(run) and len(factors) >= 3

    assert run.backward(batch, step) == pytest.approx(plain.backward(batch, step), rel=1e-6)
    for name, g in gradients(plain).items():
        expected = g * factors.get(name, 1.0)
        assert (gradients(run)[name] - expected).norm() <= 1e-5 * expected.norm() + 1e-9, name


def test_at_the_checkpoint_a_step_reads_the_checkpoint(loaded: LoadedStudy) -> None:
    """To the last bit: the first loss is the baseline's, and so are gradients but for M / (1 - p)."""
    run, plain = (Run(loaded, "run", recipe, 0) for recipe in (mixed(loaded), recipe_of(loaded)))
    batch = batches(loaded, run.recipe)[0]

    assert run.backward(batch, 0) == plain.backward(batch, 0)
    for name, g in gradients(plain).items():
        of_run = gradients(run)[name]
        if name in names_of(run):
            kept = of_run != 0
            torch.testing.assert_close(of_run[kept], g[kept] / (1 - P), rtol=1e-4, atol=0)
        else:
            assert torch.equal(of_run, g), name


def test_the_mean_of_what_steps_read_is_what_is_there(loaded: LoadedStudy) -> None:
    (run,) = runs_of(loaded, [mixed(loaded)], torch.float64)
    move_(run)
    p = run.model.get_parameter("encoder.encoder.layer.1.output.dense.weight")
    anchor, total, steps = mixing_of(run).anchors[p], torch.zeros_like(p), 400
    for step in range(steps):
        run.model.clock.turn_to_(step)
        total += mixing_of(run).of(p).detach()
    spread = (P / (1 - P) / steps) ** 0.5  # of the mean, in distances from the checkpoint
    off = (total / steps - p.detach()) / ((p - anchor).detach() * spread)

    assert abs(float(off.mean())) < 4 / off.numel() ** 0.5
    assert float(off.std()) == pytest.approx(1, rel=0.1)


def test_matrices_of_layers_are_mixed_and_nothing_else(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", mixed(loaded, model__pooling="pooler"), 0)

    of_layers = {
        name
        for name, p in run.model.named_parameters()
        if ".layer." in name and name.endswith("weight") and "LayerNorm" not in name
    }
    assert names_of(run) == of_layers and len(of_layers) == 6 * 4


def test_what_was_drawn_or_does_not_train_is_not_mixed(loaded: LoadedStudy) -> None:
    drawn = Run(loaded, "run", mixed(loaded, reinit__layers=1, freeze__layers=2), 0)

    assert {name.split(".layer.")[1][0] for name in names_of(drawn)} == {"2"}
    assert not names_of(Run(loaded, "run", mixed(loaded, train__only="biases", train__rate=1e-3), 0))


def test_dev_and_test_read_the_weights_as_they_are(loaded: LoadedStudy) -> None:
    run, plain = (Run(loaded, "run", recipe, 0) for recipe in (mixed(loaded), recipe_of(loaded)))
    for one in (run, plain):
        move_(one)
    batch = batches(loaded, run.recipe)[0]
    with torch.no_grad(), run.model.evaluating(), plain.model.evaluating():
        assert torch.equal(run.model(batch), plain.model(batch))
    with torch.no_grad():
        assert not torch.equal(run.model(batch, 0), plain.model(batch, 0))


def test_runs_of_a_family_draw_once_and_each_step_anew(loaded: LoadedStudy) -> None:
    first, second = runs_of(loaded, [mixed(loaded), mixed(loaded, clip__norm=1.0)])
    name = "encoder.encoder.layer.1.output.dense.weight"

    def drawn(run: Run, step: int) -> Tensor:
        run.model.clock.turn_to_(step)
        found = mixing_of(run).draw(run.model.get_parameter(name))
        assert found is not None
        return found.keep

    assert drawn(first, 2).data_ptr() == drawn(second, 2).data_ptr()
    assert not torch.equal(drawn(first, 2).clone(), drawn(first, 3))


@pytest.mark.parametrize("more", [{"training.micro_batch": 3}, {"rdrop.alpha": 1.0}, {"fgm.epsilon": 0.5}])
def test_portions_views_and_second_passes_read_the_same(loaded: LoadedStudy, more: dict[str, float]) -> None:
    """As often as a step reads a matrix, its mask is one: numbers that it drops have no gradient at all."""
    (run,) = runs_of(loaded, [mixed(loaded).at(more)])
    run.backward(batches(loaded, run.recipe)[0], 0)
    for name in names_of(run):
        p = run.model.get_parameter(name)
        drawn = mixing_of(run).draw(p)
        assert drawn is not None and p.grad is not None
        assert not p.grad[drawn.keep.view_as(p) == 0].any()
        assert p.grad[drawn.keep.view_as(p) == 1].any()


def test_portions_add_up_to_the_batch(loaded: LoadedStudy) -> None:
    recipe = mixed(loaded)
    whole, cut = runs_of(loaded, [recipe, recipe.at({"training.micro_batch": 3})], torch.float64)
    for run in (whole, cut):
        move_(run)
    batch = batches(loaded, recipe)[0]

    assert whole.backward(batch, 1) == pytest.approx(cut.backward(batch, 1), rel=1e-6)
    for name, g in gradients(cut).items():
        assert (gradients(whole)[name] - g).norm() <= 1e-6 * g.norm() + 1e-9, name


@pytest.mark.parametrize("step", [step_stacked, step_captured])
def test_runs_that_all_mix_step_in_stacks_and_graphs(loaded: LoadedStudy, step: object) -> None:
    recipes = [mixed(loaded, optimizer__rate=1e-3), mixed(loaded, optimizer__rate=1e-3, clip__norm=0.1)]
    together, alone = step(loaded, recipes)  # type: ignore[operator]

    assert_runs_alike(together, alone, rtol=1e-3 if step is step_captured else 1e-6)


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_layers_that_are_computed_twice_read_the_same(studies: LoadedOf, family: str, tmp_path: Path) -> None:
    checkpoint = studies(family).study.checkpoint.folder
    ends = []
    for recompute in (True, False):
        loaded = open_study(write_study(tmp_path / str(recompute), checkpoint), recompute=recompute)
        recipe = mixed(loaded, optimizer__rate=1e-3, training__epochs=1)
        run = Run(loaded, "run", recipe, 0)
        for step, batch in enumerate(batches(loaded, recipe)[:3]):
            run.step(batch, step)
        ends.append(weights(run))

    assert same_tensors(*ends)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "albert"])
def test_hosted_encoders_train_in_company_as_alone(studies: LoadedOf, family: str) -> None:
    loaded = studies(family)
    recipes = [mixed(loaded), mixed(loaded, clip__norm=0.1)]
    for recipe, run in zip(recipes, train(loaded, *recipes), strict=True):
        assert run.progress.status == "done", run.progress.reason
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize(("factor", "level"), [("pretrain.tokens", 1000), ("lora.rank", 2)])
def test_what_leaves_nothing_to_mix_is_refused(loaded: LoadedStudy, factor: str, level: int) -> None:
    (problem,) = mixed(loaded).at({factor: level}).problems(loaded.study.checkpoint)

    assert problem.where == f'"mixout.p" + "{factor}"' and "0.4 with" in problem.what
